#include "serve/flow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum {
    MOST = 12,            /* transfers at the same time */
    SMALL_ONLY = 4,       /* of them, for small files */
    SMALL_MAX = 16 << 20, /* bytes */
    WAITING_MAX = 1000,
    JOBS = 8,    /* connections of each */
    BLOCKS = 32, /* memory of each: 8 MiB */
    FIRST_S = 4  /* without any byte: there is nobody */
};

struct flow {
    struct watch watch;
    struct flows *all;
    struct repo repo;
    char commit[41];
    struct tree_file file; /* its path is the flow's */
    unsigned uses;         /* readers, and one for the list */
    unsigned readers;
    bool taken;     /* by a worker */
    enum lack lack; /* of its end; written before the watch tells of it */
    struct flow *next;
};

struct worker {
    struct flows *all;
    pthread_t thread;
    bool small_only;
    const struct flow *at; /* or NULL */
};

struct flows {
    struct flows_opts opts;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct flow *list; /* the oldest first */
    size_t waiting;
    bool stop;
    struct worker *workers;
    unsigned n_workers;
    unsigned share[2]; /* of one repository, and of small_only workers: [1] */
};

static void put_down(struct flow *f)
{
    if (--f->uses > 0)
        return;
    watch_free(&f->watch);
    free((void *)(uintptr_t)f->file.path.p);
    free(f);
}

/* ---- workers ---- */

/* Workers of this kind that are at a file of the same repository. */
static unsigned under_way(
    const struct flows *all, const struct flow *f, bool small_only)
{
    unsigned n = 0;

    for (unsigned i = 0; i < all->n_workers; i++) {
        const struct worker *w = &all->workers[i];

        n += w->small_only == small_only && w->at != NULL &&
             strcmp(w->at->repo.folder, f->repo.folder) == 0;
    }
    return n;
}

/* Of those that are read now, or are not: of the repository with the fewest
 * under way, and that not more than its share; of that the oldest. */
static struct flow *find_work(
    const struct flows *all, bool small_only, bool are_read)
{
    unsigned least = all->share[small_only];
    struct flow *found = NULL;

    for (struct flow *f = all->list; f != NULL && least > 0; f = f->next) {
        unsigned n;

        if (f->taken || (f->readers > 0) != are_read ||
            (small_only && f->file.size > SMALL_MAX))
            continue;
        n = under_way(all, f, small_only);
        if (n >= least)
            continue;
        found = f;
        least = n;
    }
    return found;
}

static void take_out(struct flows *all, struct flow *f)
{
    struct flow **at = &all->list;

    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
}

static void fetch(struct flows *all, struct flow *f, unsigned nth)
{
    const struct provider *from = all->opts.from;
    struct hub_refusal refusal = { .status = 0 };
    struct single s = { .dir = all->opts.dir,
        .repo = &f->repo,
        .commit = f->commit,
        .file = &f->file,
        .jobs = JOBS,
        .blocks = BLOCKS,
        .first_s = FIRST_S,
        .watch = &f->watch };
    struct err e = ERR_INIT;
    struct flow_end end = { .repo = &f->repo,
        .commit = f->commit,
        .etag = tree_etag(&f->file),
        .refusal = &refusal,
        .begun_ms = clock_ms() };

    from->fetch(from->self, nth, &s, &refusal, &e);
    if (e.kind != ERR_NONE && e.kind != ERR_CANCELLED)
        log_warn("%s: %.*s: %s%s%s", f->repo.id, STR_ARG(f->file.path), e.msg,
            e.hint[0] != 0 ? "; " : "", e.hint);
    /* What the mirror's owner may do is for the log. */
    if (e.kind == ERR_NET)
        e.hint[0] = '\0';
    f->lack = all->opts.ended(all->opts.arg, &end, &e);
    watch_end(&f->watch, &e);
}

static void *work(void *arg)
{
    struct worker *me = arg;
    struct flows *all = me->all;

    pthread_setname_np(pthread_self(), "ml-fetch");
    pthread_mutex_lock(&all->lock);
    while (!all->stop) {
        struct flow *f = find_work(all, me->small_only, true);

        if (f == NULL)
            f = find_work(all, me->small_only, false);
        if (f == NULL) {
            pthread_cond_wait(&all->work, &all->lock);
            continue;
        }
        f->taken = true;
        me->at = f;
        all->waiting--;
        pthread_mutex_unlock(&all->lock);
        fetch(all, f, (unsigned)(me - all->workers));
        pthread_mutex_lock(&all->lock);
        me->at = NULL;
        take_out(all, f);
        put_down(f);
    }
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

/* ---- life ---- */

/* Three quarters, so that those of others find a worker. */
static unsigned share(unsigned workers)
{
    return workers - workers / 4;
}

static int start(struct flows *all, unsigned n, struct err *e)
{
    unsigned small = n > SMALL_ONLY ? SMALL_ONLY : 0;

    all->workers = calloc(n, sizeof(*all->workers));
    if (all->workers == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    errno = 0;
    all->share[false] = share(n - small);
    all->share[true] = share(small);
    pthread_mutex_lock(&all->lock);
    for (unsigned i = 0; i < n && errno == 0; i++) {
        struct worker *w = &all->workers[i];

        *w = (struct worker){ .all = all, .small_only = i >= n - small };
        errno = pthread_create(&w->thread, NULL, work, w);
        all->n_workers += errno == 0;
    }
    pthread_mutex_unlock(&all->lock);
    return errno == 0 ? 0 : err_sys(e, "cannot start a thread");
}

struct flows *flows_open(const struct flows_opts *opts, struct err *e)
{
    struct flows *all = calloc(1, sizeof(*all));

    if (all == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    all->opts = *opts;
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->work, NULL);
    if (start(all, opts->most > 0 ? opts->most : MOST, e) == 0)
        return all;
    flows_close(all);
    return NULL;
}

void flows_close(struct flows *all)
{
    if (all == NULL)
        return;
    pthread_mutex_lock(&all->lock);
    all->stop = true;
    for (struct flow *f = all->list; f != NULL; f = f->next)
        watch_stop(&f->watch);
    pthread_cond_broadcast(&all->work);
    pthread_mutex_unlock(&all->lock);
    for (unsigned i = 0; i < all->n_workers; i++)
        pthread_join(all->workers[i].thread, NULL);
    while (all->list != NULL) {
        struct flow *f = all->list;

        all->list = f->next;
        put_down(f);
    }
    pthread_cond_destroy(&all->work);
    pthread_mutex_destroy(&all->lock);
    free(all->workers);
    free(all);
}

/* ---- readers ---- */

static bool is_of(
    const struct flow *f, const struct repo *r, const struct digest *etag)
{
    return strcmp(f->repo.folder, r->folder) == 0 &&
           digest_eq(tree_etag(&f->file), etag);
}

static struct flow *find_flow(struct flows *all, const struct repo *r,
    const struct digest *etag, struct watch_reader *reader)
{
    for (struct flow *f = all->list; f != NULL; f = f->next)
        if (is_of(f, r, etag) && watch_join(&f->watch, reader))
            return f;
    return NULL;
}

static void misled(void *arg)
{
    const struct flow *f = arg;
    const struct flows_opts *opts = &f->all->opts;

    opts->misled(opts->arg, &f->repo, tree_etag(&f->file));
}

static struct flow *new_flow(struct flows *all, const struct edition *ed,
    const struct tree_file *file, struct err *e)
{
    struct flow *f = calloc(1, sizeof(*f));
    char *path = strndup(file->path.p, file->path.len);

    if (f == NULL || path == NULL) {
        free(f);
        free(path);
        err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    f->repo = ed->repo;
    memcpy(f->commit, ed->commit, sizeof(f->commit));
    f->file = *file;
    f->file.path.p = path;
    f->uses = 1;
    watch_init(&f->watch, file->size, FEED_HELD_BACK);
    f->watch.misled = misled;
    f->watch.arg = f;
    f->all = all;
    return f;
}

/* The oldest of those that wait, and whose readers have left, gives way. */
static bool make_room(struct flows *all)
{
    struct flow *f = all->list;

    while (f != NULL && (f->taken || f->readers > 0))
        f = f->next;
    if (f == NULL)
        return false;
    take_out(all, f);
    all->waiting--;
    put_down(f);
    return true;
}

static struct flow *add_flow(struct flows *all, const struct edition *ed,
    const struct tree_file *file, struct watch_reader *r, enum lack *lack,
    struct err *e)
{
    struct flow **end = &all->list, *f;

    if (all->stop || (all->waiting >= WAITING_MAX && !make_room(all))) {
        *lack = LACK_LIMIT;
        err_set(
            e, ERR_BUSY, "%zu files wait already to be fetched", all->waiting);
        return NULL;
    }
    f = new_flow(all, ed, file, e);
    if (f == NULL) {
        *lack = LACK_FAULT;
        return NULL;
    }
    while (*end != NULL)
        end = &(*end)->next;
    *end = f;
    all->waiting++;
    watch_join(&f->watch, r);
    pthread_cond_broadcast(&all->work);
    return f;
}

struct flow *flow_join(struct flows *all, const struct edition *ed,
    const struct tree_file *file, struct watch_reader *r, enum lack *lack,
    struct err *e)
{
    struct flow *f;

    pthread_mutex_lock(&all->lock);
    f = find_flow(all, &ed->repo, tree_etag(file), r);
    if (f == NULL)
        f = add_flow(all, ed, file, r, lack, e);
    if (f != NULL) {
        f->uses++;
        f->readers++;
    }
    pthread_mutex_unlock(&all->lock);
    return f;
}

void flow_leave(struct flows *all, struct flow *f, struct watch_reader *r)
{
    watch_leave(&f->watch, r);
    pthread_mutex_lock(&all->lock);
    f->readers--;
    put_down(f);
    pthread_mutex_unlock(&all->lock);
}

struct watch *flow_watch(struct flow *f)
{
    return &f->watch;
}

enum lack flow_lack(const struct flow *f)
{
    return f->lack != LACK_NONE ? f->lack : LACK_BYTES;
}

bool flows_has(
    struct flows *all, const struct repo *r, const struct digest *etag)
{
    bool has = false;

    pthread_mutex_lock(&all->lock);
    for (struct flow *f = all->list; f != NULL; f = f->next)
        has = has || is_of(f, r, etag);
    pthread_mutex_unlock(&all->lock);
    return has;
}

static void name_repo(const struct repo *r, char *out, size_t len)
{
    static const char *const fronts[REPO_TYPES] = { "", "datasets/",
        "spaces/" };

    snprintf(out, len, "%s%s", fronts[r->type], r->id);
}

void flows_each(struct flows *all,
    void (*each)(void *arg, const struct supply_fetch *f), void *arg)
{
    pthread_mutex_lock(&all->lock);
    for (struct flow *f = all->list; f != NULL; f = f->next) {
        char name[192];
        struct supply_fetch shown = { .repo = name,
            .path = f->file.path,
            .size = f->file.size,
            .have = watch_sum(&f->watch),
            .readers = f->readers };

        name_repo(&f->repo, name, sizeof(name));
        each(arg, &shown);
    }
    pthread_mutex_unlock(&all->lock);
}
