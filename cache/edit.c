#include "cache/edit.h"
#include "cache/volume_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "cache/apply.h"
#include "cache/holder.h"
#include "cache/walk.h"

#include "base/cancel.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"

/* Room for the lines of later steps, so that a full disk can be tidied up. */
enum { POLL_MS = 20, RESERVE = 64 << 10, HOST_MAX = 65 };

/* ---- the log ---- */

static int open_log(struct edit *ed, struct err *e)
{
    char path[PATH_MAX];
    struct stat st;

    if (history_path(ed->v, path, e) != 0)
        return -1;
    ed->log = open(path,
        O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
        0666);
    if (ed->log < 0)
        return err_sys(e, "cannot open %s", path);
    if (fstat(ed->log, &st) != 0)
        return err_sys(e, "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_REFUSED, "%s: not a regular file", path);
    return st.st_size == 0 ? dir_sync(ed->v->root, e) : 0;
}

static void tell_waiting(const struct edit *ed)
{
    long pid = holder_pid(ed->log);

    if (pid > 0)
        log_info("waiting for process %ld, which is changing the volume", pid);
    else
        log_info("waiting for a process that is changing the volume");
}

static int lock_log(struct edit *ed, struct err *e)
{
    const struct timespec nap = { .tv_nsec = POLL_MS * 1000000L };
    int tries = 0;

    while (flock(ed->log, LOCK_EX | LOCK_NB) != 0) {
        /* A file system without locks: the log itself says who was first. */
        if (errno != EWOULDBLOCK && errno != EINTR)
            return 0;
        if (++tries == 1000 / POLL_MS)
            tell_waiting(ed);
        if (cancel_check(e) != 0)
            return -1;
        nanosleep(&nap, NULL);
    }
    return 0;
}

static int full(const struct edit *ed, struct err *e)
{
    err_set(e, ERR_REFUSED, "%s/log: it may not be longer than %zu MiB",
        ed->v->root, HISTORY_MAX >> 20);
    return err_hint(e,
        "move %s/log elsewhere while nothing is at work on the volume: a new "
        "one begins, names stay, and what the old one says cannot be undone",
        ed->v->root);
}

/* Back to its length, if nobody has written behind us. */
static void take_back(const struct edit *ed, size_t len)
{
    struct stat st;

    if (fstat(ed->log, &st) == 0 && (uint64_t)st.st_size <= ed->size + len &&
        ftruncate(ed->log, (off_t)ed->size) != 0)
        log_warn("%s/log: its last line is torn", ed->v->root);
}

static int append(const struct edit *ed, const struct buf *text, struct err *e)
{
    size_t done = 0;

    if (text->len > HISTORY_MAX - size_min(HISTORY_MAX, ed->size))
        return full(ed, e);
    while (done < text->len) {
        ssize_t n = write(ed->log, text->p + done, text->len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            err_sys(e, "writing to %s/log", ed->v->root);
            take_back(ed, text->len);
            return -1;
        }
        done += (size_t)n;
    }
    return 0;
}

static int sync_log(const struct edit *ed, struct err *e)
{
    if (fsync(ed->log) == 0)
        return 0;
    return err_sys(e, "%s/log: making it durable", ed->v->root);
}

/* Without a sync: where it is lost, the step is done once more. */
static void say_done(const struct edit *ed, uint64_t number)
{
    struct buf text AUTO(buf_free) = BUF_INIT(256);
    struct err why = ERR_INIT;

    if (step_done_text(number, &text, &why) != 0 ||
        write(ed->log, text.p, text.len) != (ssize_t)text.len)
        log_debug("%s/log: could not say that step %llu is done", ed->v->root,
            (unsigned long long)number);
}

/* ---- beginning ---- */

/* What a killed edit left to be done. */
static int catch_up(struct edit *ed, struct err *e)
{
    struct history h;

    if (history_pending(ed->v, ed->arena, &h, e) != 0)
        return -1;
    ed->step.number = h.last + 1;
    ed->size = h.size;
    ed->torn = h.torn;
    if (h.n == 0)
        return 0;
    if (sync_log(ed, e) != 0)
        return -1;
    for (uint64_t i = 0; i < h.n; i++)
        if (apply_step(ed->v, &h.steps[i], e) < 0)
            return err_ctx(
                e, "ending step %llu", (unsigned long long)h.steps[i].number);
    if (h.torn)
        (void)!write(ed->log, "\n", 1);
    say_done(ed, h.last);
    ed->size = history_size(ed->v);
    ed->torn = false;
    return 0;
}

struct str edit_who(struct arena *arena, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(STEP_WHO_MAX - 1);
    const struct passwd *user = getpwuid(geteuid());
    char host[HOST_MAX] = "";

    if (user != NULL)
        buf_puts(&b, user->pw_name);
    else
        buf_printf(&b, "%ld", (long)geteuid());
    if (gethostname(host, sizeof(host) - 1) == 0 && host[0] != '\0')
        buf_printf(&b, "@%s", host);
    return arena_str(arena, b.bad == ERR_NONE ? buf_str(&b) : str_of("-"), e);
}

int edit_begin(struct edit *ed, const struct volume *v, const char *what,
    bool taken, struct arena *arena, struct err *e)
{
    char path[PATH_MAX];

    *ed = (struct edit)EDIT_INIT;
    ed->v = v;
    ed->arena = arena;
    ed->step.when = time(NULL);
    ed->step.what = arena_str(arena, str_of(what), e);
    ed->step.who = edit_who(arena, e);
    if (ed->step.what.p == NULL || ed->step.who.p == NULL ||
        volume_check(v, e) != 0 || lease_of_volume(v, path, e) != 0 ||
        (!taken && lease_hold(&ed->lease, path, true, e) != 0) ||
        open_log(ed, e) != 0 || lock_log(ed, e) != 0 || catch_up(ed, e) != 0) {
        edit_close(ed);
        return -1;
    }
    return 0;
}

void edit_close(struct edit *ed)
{
    fd_close(&ed->log);
    lease_free(&ed->lease);
}

/* ---- planning ---- */

int edit_set(struct edit *ed, struct str name, const struct volume_entry *now,
    struct err *e)
{
    struct change c = { .is = now != NULL }, *list;
    int rc = volume_entry_read(ed->v, name, ed->arena, &c.old, e);

    if (rc < 0 && e->kind == ERR_CORRUPT) {
        /* What it meant is not known, but it may be given a new meaning. */
        err_clear(e);
        rc = 1;
    }
    if (rc < 0)
        return -1;
    c.was = rc == 0;
    if (now != NULL)
        c.now = *now;
    if ((!c.was && !c.is) || (c.was && c.is && step_same(&c.old, &c.now)))
        return 0;
    c.name = arena_str(ed->arena, name, e);
    list = arena_grow(
        ed->arena, ed->step.changes, ed->step.n, &ed->cap, sizeof(*list), e);
    if (c.name.p == NULL || list == NULL)
        return -1;
    ed->step.changes = list;
    list[ed->step.n++] = c;
    return 0;
}

/* Has the step another meaning for it? */
static const struct change *planned(const struct step *step, struct str name)
{
    return step != NULL ? history_find(step, 1, name) : NULL;
}

static int check_above(const struct volume *v, struct str name,
    const struct step *step, struct arena *arena, struct err *e)
{
    for (size_t i = 1; i < name.len; i++) {
        struct str front = { name.p, i };
        struct err ignored = ERR_INIT;
        struct volume_entry entry;
        const struct change *c;

        if (name.p[i] != '/')
            continue;
        c = planned(step, front);
        if (c != NULL
                ? c->is
                : volume_entry_read(v, front, arena, &entry, &ignored) == 0)
            return err_set(e, ERR_REFUSED,
                "'%.*s': '%.*s' is a file in this volume", STR_ARG(name),
                STR_ARG(front));
    }
    return 0;
}

int edit_name_free(const struct volume *v, struct str name,
    const struct step *step, struct arena *arena, struct err *e)
{
    struct volume_entry *list = NULL;
    char folder[PATH_MAX];
    uint64_t n = 0;

    if (volume_named(v, name, folder, e) != 0 ||
        path_fmt(folder, e, "%.*s", STR_ARG(name)) != 0 ||
        apply_can(v, name, e) != 0 ||
        check_above(v, name, step, arena, e) != 0 ||
        volume_below(v, folder, arena, &list, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        if (planned(step, list[i].name) == NULL ||
            planned(step, list[i].name)->is)
            return err_set(e, ERR_REFUSED,
                "'%.*s' is a folder in this volume: it has '%.*s'",
                STR_ARG(name), STR_ARG(list[i].name));
    return 0;
}

static int cmp_changes(const void *a, const void *b)
{
    const struct change *x = a, *y = b;

    return str_cmp(x->name, y->name);
}

/* In order, and each name once: it may have been said twice. */
static int sort_step(struct step *s, struct err *e)
{
    uint64_t n = 0;

    if (s->n > 1)
        qsort(s->changes, s->n, sizeof(*s->changes), cmp_changes);
    for (uint64_t i = 0; i < s->n; i++) {
        const struct change *c = &s->changes[i];
        const struct change *last = n > 0 ? &s->changes[n - 1] : NULL;

        if (last == NULL || !str_eq(last->name, c->name))
            s->changes[n++] = *c;
        else if (last->is != c->is ||
                 (c->is && !step_same(&last->now, &c->now)))
            return err_set(e, ERR_REFUSED, "'%.*s' would mean two things",
                STR_ARG(c->name));
    }
    s->n = n;
    return 0;
}

static int check_step(struct edit *ed, struct err *e)
{
    struct step *s = &ed->step;

    if (sort_step(s, e) != 0)
        return -1;
    for (uint64_t i = 0; i < s->n; i++) {
        const struct change *c = &s->changes[i];

        if (apply_may(ed->v, c->name, e) != 0 ||
            (c->is && !c->was &&
                edit_name_free(ed->v, c->name, s, ed->arena, e) != 0))
            return -1;
    }
    return 0;
}

/* ---- the commit ---- */

/*
 * Where locks lie, two may have written at once: the one that stands first
 * in the log has won.
 */
static int check_first(
    const struct edit *ed, const struct buf *text, struct err *e)
{
    struct buf again AUTO(buf_free) = BUF_INIT(HISTORY_MAX);
    struct history h;

    if (buf_room(&again, text->len) == NULL)
        return buf_check(&again, e);
    if (file_read_at(ed->log, again.p, text->len, ed->size, "log", e) != 0)
        return -1;
    if (memcmp(again.p, text->p, text->len) == 0)
        return 0;
    if (history_read(ed->v, ed->arena, &h, e) != 0)
        return -1;
    for (uint64_t i = h.n; i > 0; i--) {
        buf_clear(&again);
        if (h.steps[i - 1].number == ed->step.number &&
            step_text(&h.steps[i - 1], &again, e) == 0 &&
            str_ends(buf_str(text), again.p))
            return 0;
    }
    err_set(e, ERR_BUSY, "%s: another process changed it at the same moment",
        ed->v->root);
    return err_hint(e, "see what it did: mlfetch log %s", ed->v->root);
}

static int write_step(struct edit *ed, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(HISTORY_MAX);

    if (ed->torn)
        buf_putc(&text, '\n');
    if (step_text(&ed->step, &text, e) != 0)
        return -1;
    /* Behind its end, so its length stays: a full disk can be tidied up. */
    (void)!fallocate(ed->log, FALLOC_FL_KEEP_SIZE, (off_t)ed->size,
        (off_t)(text.len + RESERVE));
    if (append(ed, &text, e) != 0)
        return -1;
    if (sync_log(ed, e) != 0) {
        take_back(ed, text.len);
        return -1;
    }
    return check_first(ed, &text, e);
}

int edit_commit(struct edit *ed, uint64_t *number, struct err *e)
{
    struct err why = ERR_INIT;
    int rc;

    *number = 0;
    if (ed->step.n == 0)
        return 0;
    if (check_step(ed, e) != 0 || cancel_check(e) != 0 ||
        write_step(ed, e) != 0)
        return -1;
    *number = ed->step.number;
    rc = apply_step(ed->v, &ed->step, &why);
    if (rc == 0)
        say_done(ed, ed->step.number);
    if (rc < 0)
        log_warn("step %llu is in the log, but names/ and "
                 "files/ could not follow: %s; the next change of the volume "
                 "ends it",
            (unsigned long long)ed->step.number, why.msg);
    return 0;
}
