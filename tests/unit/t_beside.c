/*
 * Writers of one bucket without conditional writes, beside each other: every
 * request of each is a step, and any of them may make the next one. What ended
 * with status 0 is there, or somebody has changed it who had read it.
 */
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "bucket/content.h"
#include "bucket/names.h"
#include "s3/list.h"
#include "tests/unit/tap.h"

enum { WRITERS = 3, NAMES = 3, OBJECTS = 64, TEXT = 4096, RUNS = 500 };

/* ---- any order ---- */

static uint64_t state;

static unsigned pick(unsigned n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

struct writer {
    pthread_t thread;
    bool alive, rm;
    unsigned name; /* that it changes; and the next one, perhaps */
    unsigned n;
    int rc;                 /* of names_commit */
    bool busy;              /* it was told so */
    char seen[NAMES][65];   /* what its names were: digests, or "" */
    char value[NAMES][65];  /* and are to be */
    char move[MOVE_ID + 1]; /* its first */
};

static struct writer writers[WRITERS];
static unsigned n_writers;
static struct writer *turn; /* NULL: the scheduler's */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static _Thread_local struct writer *self;

static void give(struct writer *to, struct writer *back)
{
    pthread_mutex_lock(&lock);
    turn = to;
    pthread_cond_broadcast(&moved);
    while (turn != back)
        pthread_cond_wait(&moved, &lock);
    pthread_mutex_unlock(&lock);
}

/* Whoever is next: before each request. */
static void step(void)
{
    if (self != NULL)
        give(NULL, self);
}

/* ---- the store ---- */

struct object {
    char key[S3_KEY_MAX + 1];
    char text[TEXT];
    size_t len;
    int64_t written_s;
};

static struct object refs[OBJECTS], blobs[OBJECTS];
static size_t n_refs, n_blobs;
static int64_t now_s;

static struct object *find(struct object *v, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i].key, key) == 0)
            return &v[i];
    return NULL;
}

static void keep(struct object *v, size_t *n, const char *key, struct str text)
{
    struct object *o = &v[(*n)++];

    if (*n == OBJECTS || text.len > TEXT)
        abort();
    snprintf(o->key, sizeof(o->key), "%s", key);
    memcpy(o->text, text.p, text.len);
    o->len = text.len;
    o->written_s = now_s;
}

int nanosleep(const struct timespec *t, struct timespec *left)
{
    (void)t;
    (void)left;
    step();
    return 0;
}

int bucket_key(
    const struct bucket *b, char *out, struct err *e, const char *fmt, ...)
{
    va_list ap;

    (void)b;
    (void)e;
    va_start(ap, fmt);
    vsnprintf(out, S3_KEY_MAX + 1, fmt, ap);
    va_end(ap);
    return 0;
}

int bucket_random(char out[17], struct err *e)
{
    (void)e;
    snprintf(out, 17, "%08x%08x", pick(1u << 31), pick(1u << 31));
    return 0;
}

int bucket_need(struct bucket *b, struct err *e)
{
    (void)b;
    (void)e;
    return 0;
}

int bucket_read(struct s3 *s, const char *key, struct buf *out,
    struct s3_info *info, struct err *e)
{
    const struct object *o;

    (void)s;
    step();
    o = find(refs, n_refs, key);
    buf_clear(out);
    if (o == NULL)
        return 1;
    info->modified_s = o->written_s;
    buf_put(out, o->text, o->len);
    return buf_check(out, e);
}

int bucket_write(
    struct bucket *b, const char *key, struct str text, struct err *e)
{
    (void)b;
    (void)e;
    step();
    now_s += pick(3) == 0;
    keep(refs, &n_refs, key, text);
    if (self->move[0] == '\0')
        snprintf(self->move, sizeof(self->move), "%.16s",
            strrchr(key, '/') + 1 + MOVE_NUMBER + 1);
    return 0;
}

int content_add(struct bucket *b, enum content_kind kind, struct str text,
    struct digest *out, struct err *e)
{
    (void)b;
    (void)kind;
    if (hash_bytes(HASH_SHA256, text.p, text.len, out, e) != 0)
        return -1;
    step();
    if (find(blobs, n_blobs, out->hex) == NULL)
        keep(blobs, &n_blobs, out->hex, text);
    return 0;
}

int content_read(struct bucket *b, enum content_kind kind,
    const struct digest *sha256, uint64_t size, struct buf *out, struct err *e)
{
    const struct object *o;

    (void)b;
    (void)kind;
    (void)size;
    step();
    o = find(blobs, n_blobs, sha256->hex);
    buf_put(out, o->text, o->len);
    return buf_check(out, e);
}

int s3_list(struct s3 *s, const struct s3_list *l, struct err *e)
{
    (void)s;
    step();
    for (size_t i = 0; i < n_refs; i++) {
        const struct s3_entry entry = { .key = refs[i].key,
            .modified_s = refs[i].written_s };

        if (l->entry(l->arg, &entry, e) != 0)
            return -1;
    }
    return 0;
}

int s3_put(struct s3 *s, const char *key, const struct s3_body *b,
    const struct s3_cond *cond, enum s3_did *did, char *etag, struct err *e)
{
    (void)s;
    (void)key;
    (void)b;
    (void)cond;
    (void)did;
    (void)etag;
    return err_set(e, ERR_UNSUPPORTED, "no conditions here");
}

int s3_delete(struct s3 *s, const char *key, struct err *e)
{
    (void)s;
    (void)key;
    return err_set(e, ERR_UNSUPPORTED, "nothing goes");
}

int intent_add(struct intent *c, struct bucket *b,
    const struct digest *const *v, uint64_t n, struct err *e)
{
    (void)c;
    (void)b;
    (void)v;
    (void)n;
    (void)e;
    return 0;
}

void intent_drop(struct intent *c)
{
    (void)c;
}

/* ---- one writer ---- */

static struct bucket bucket = BUCKET_INIT;
static const char *const names[NAMES] = { "x", "y", "z" };

static void change(struct writer *w)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT((uint64_t)16 << 20);
    struct catalog_file files[NAMES] = { { .size = 0 } };
    struct catalog seen;
    struct names_change c = { .ref = NAMES_FILES,
        .what = w->rm ? "rm" : "put",
        .commit = "",
        .files = files,
        .seen = &seen };
    struct err e = ERR_INIT;
    uint64_t number;

    w->rc = names_load(&bucket, NAMES_FILES, &arena, &seen, NULL, &e);
    for (unsigned i = w->name; w->rc == 0 && i < w->name + w->n; i++) {
        struct catalog_file *f = &files[c.n];
        const struct catalog_file *is = catalog_find(&seen, str_of(names[i]));

        snprintf(w->seen[i], 65, "%s", is != NULL ? is->sha256.hex : "");
        if (w->rm && is == NULL)
            continue;
        f->name = str_of(names[i]);
        if (!w->rm) {
            snprintf(w->value[i], 65, "%064x", pick(1u << 31));
            digest_parse(&f->sha256, str_of(w->value[i]));
            f->size = 5;
            f->held = true;
        }
        c.n++;
    }
    if (w->rc == 0)
        w->rc = names_commit(&bucket, &c, &number, &e);
    w->busy = w->rc != 0 && e.kind == ERR_BUSY;
}

static void *run(void *arg)
{
    self = arg;
    pthread_mutex_lock(&lock);
    while (turn != self)
        pthread_cond_wait(&moved, &lock);
    pthread_mutex_unlock(&lock);
    change(self);
    self->alive = false;
    pthread_mutex_lock(&lock);
    turn = NULL;
    pthread_cond_broadcast(&moved);
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void together(unsigned most)
{
    struct writer *last = NULL;

    n_refs = n_blobs = 0;
    now_s = time(NULL);
    n_writers = 2 + pick(most - 1);
    for (unsigned i = 0; i < n_writers; i++) {
        struct writer *w = &writers[i];

        *w = (struct writer){ .alive = true, .rm = pick(3) == 0 };
        w->name = pick(NAMES);
        w->n = w->name + 1 < NAMES ? 1 + pick(2) : 1;
        pthread_create(&w->thread, NULL, run, w);
    }
    for (;;) {
        struct writer *live[WRITERS];
        unsigned n = 0;

        for (unsigned i = 0; i < n_writers; i++)
            if (writers[i].alive)
                live[n++] = &writers[i];
        if (n == 0)
            break;
        if (last == NULL || !last->alive || pick(3) == 0)
            last = live[pick(n)];
        give(last, NULL);
    }
    for (unsigned i = 0; i < n_writers; i++)
        pthread_join(writers[i].thread, NULL);
}

/* ---- what must hold ---- */

static bool has(const struct writer *w, unsigned name)
{
    return name >= w->name && name < w->name + w->n;
}

static bool is_value(
    const struct catalog *now, const struct writer *w, unsigned name)
{
    const struct catalog_file *is = catalog_find(now, str_of(names[name]));

    return is != NULL && strcmp(is->sha256.hex, w->value[name]) == 0;
}

/* Has one changed the name after it had read what w did? One that was told of
 * another may have done this all the same: the rest. */
static bool was_changed(const struct catalog *now, const struct tip *head,
    const struct writer *w, unsigned name)
{
    struct origin of = { .number = 0 };
    struct err e = ERR_INIT;

    snprintf(of.id, sizeof(of.id), "%s", w->move);
    if (lineage_find(head->moves, of.id) != NULL)
        of.number = lineage_find(head->moves, of.id)->number;
    for (unsigned i = 0; i < n_writers; i++) {
        struct writer *o = &writers[i];
        struct move *move = lineage_find(head->moves, o->move);
        struct kin kin;

        if (o == w || !has(o, name) || o->move[0] == '\0' ||
            (o->rc != 0 && !is_value(now, o, name)))
            continue;
        if (lineage_kin(head->moves, &move, 1, &kin, &e) == 0 &&
            kin_knows(&kin, 0, &of))
            return true;
    }
    return false;
}

static bool holds(const struct catalog *now, const struct tip *head,
    const struct writer *w, unsigned name)
{
    const struct catalog_file *is = catalog_find(now, str_of(names[name]));

    if (w->rm)
        return is == NULL || w->seen[name][0] == '\0' ||
               strcmp(is->sha256.hex, w->seen[name]) != 0;
    return is_value(now, w, name) || was_changed(now, head, w, name);
}

static unsigned broken(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT((uint64_t)16 << 20);
    struct err e = ERR_INIT;
    struct catalog now;
    struct tip head;
    unsigned count = 0;

    if (names_load(&bucket, NAMES_FILES, &arena, &now, &head, &e) != 0)
        return 1;
    for (unsigned i = 0; i < n_writers; i++) {
        const struct writer *w = &writers[i];

        count += w->rc != 0 && !w->busy;
        for (unsigned k = 0; k < NAMES; k++)
            count += w->rc == 0 && has(w, k) && !holds(&now, &head, w, k);
    }
    return count;
}

static void test_together(unsigned most, unsigned long from, unsigned long runs)
{
    unsigned count = 0, busy = 0;

    for (unsigned long seed = from; seed < from + runs; seed++) {
        unsigned bad;

        state = seed * 0x9E3779B97F4A7C15u;
        together(most);
        bad = broken();
        if (bad > 0)
            printf("# seed %lu\n", seed);
        count += bad;
        for (unsigned i = 0; i < n_writers; i++)
            busy += writers[i].busy;
    }
    is_int(count, 0, "what ended well is there, or was changed since");
    ok(busy > runs / 50, "up to %u writers, %lu times: %u were told of another",
        most, runs, busy);
}

int main(int argc, char **argv)
{
    unsigned long from = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    unsigned long runs = argc > 2 ? strtoul(argv[2], NULL, 10) : RUNS;

    log_set_level(LOG_ERROR);
    snprintf(bucket.shown, sizeof(bucket.shown), "s3://b");
    bucket.known = true;
    test_together(2, from, runs);
    test_together(WRITERS, from, runs);
    return done();
}
