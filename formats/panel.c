#include "formats/panel.h"

#include <pthread.h>
#include <stdlib.h>

enum { STALE = 64 }; /* requests for others: nobody comes back to a panel */

enum panel_state { EMPTY, FILLING, READY };

/* Which elements of which view. */
struct panel_key {
    uint32_t file;
    unsigned size; /* of an element [bytes] */
    uint64_t offset;
    const uint64_t *shape;
    const uint64_t *stride;
    uint64_t first, n; /* elements */
};

struct panel {
    struct panel_key key;
    enum panel_state state;
    unsigned readers;
    uint64_t given; /* elements handed out so far */
    uint64_t used;  /* when it was asked for last */
    uint8_t *p;
};

struct panels {
    pthread_mutex_t lock; /* holds all below, but for the bytes of panels */
    pthread_cond_t filled;
    uint64_t clock;
    struct panel v[PANEL_MAX];
};

struct panels *panels_new(struct err *e)
{
    struct panels *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->filled, NULL);
    return p;
}

void panels_free(struct panels *p)
{
    if (p == NULL)
        return;
    for (unsigned i = 0; i < PANEL_MAX; i++)
        free(p->v[i].p);
    pthread_cond_destroy(&p->filled);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static bool same_key(const struct panel_key *a, const struct panel_key *b)
{
    return a->file == b->file && a->size == b->size && a->offset == b->offset &&
           a->shape == b->shape && a->stride == b->stride &&
           a->first == b->first && a->n == b->n;
}

/* Whole rows of the outermost dimension, where they fit. */
static struct panel_key key_of(const struct tensor *t, uint64_t at)
{
    unsigned size = dtype_bytes(t->dtype);
    uint64_t row = t->n / t->shape[0], most = PANEL_BYTES / size;
    struct panel_key key = { t->file, size, t->offset, t->shape, t->stride, 0,
        row <= most ? most / row * row : most };

    key.first = at / key.n * key.n;
    key.n = size_min(key.n, t->n - key.first);
    return key;
}

/* The one to fill anew: empty, read to its end, or forgotten; or NULL. */
static struct panel *find_room(struct panels *p)
{
    struct panel *best = NULL;

    for (unsigned i = 0; i < PANEL_MAX; i++) {
        struct panel *v = &p->v[i];

        if (v->state == EMPTY)
            return v;
        if (v->state == READY && v->readers == 0 &&
            (v->given >= v->key.n || p->clock - v->used > STALE) &&
            (best == NULL || v->used < best->used))
            best = v;
    }
    return best;
}

static struct panel *find(struct panels *p, const struct panel_key *key)
{
    for (unsigned i = 0; i < PANEL_MAX; i++)
        if (p->v[i].state != EMPTY && same_key(&p->v[i].key, key))
            return &p->v[i];
    return NULL;
}

/* The lock is held on entry and exit, not in between. */
static int fill(struct panels *p, struct panel *v, const struct panel_key *key,
    const struct ckpt_file *f, const struct tensor *t, struct err *e)
{
    int rc = 0;

    v->key = *key;
    v->state = FILLING;
    v->given = 0;
    pthread_mutex_unlock(&p->lock);
    if (v->p == NULL)
        v->p = malloc(PANEL_BYTES);
    if (v->p == NULL)
        rc = err_set(e, ERR_NOMEM, "out of memory");
    else
        rc = gather_read(f, t, key->first, key->n, v->p, e);
    pthread_mutex_lock(&p->lock);
    v->state = rc == 0 ? READY : EMPTY;
    pthread_cond_broadcast(&p->filled);
    return rc;
}

/*
 * The panel of key, ready and held by one reader more; *out is NULL when
 * there is no room for it.
 */
static int hold(struct panels *p, const struct panel_key *key,
    const struct ckpt_file *f, const struct tensor *t, struct panel **out,
    struct err *e)
{
    int rc = 0;

    pthread_mutex_lock(&p->lock);
    p->clock++;
    for (;;) {
        *out = find(p, key);
        if (*out == NULL || (*out)->state == READY)
            break;
        pthread_cond_wait(&p->filled, &p->lock);
    }
    if (*out == NULL) {
        *out = find_room(p);
        if (*out != NULL)
            rc = fill(p, *out, key, f, t, e);
    }
    if (rc == 0 && *out != NULL) {
        (*out)->readers++;
        (*out)->used = p->clock;
    }
    pthread_mutex_unlock(&p->lock);
    return rc;
}

static void release(struct panels *p, struct panel *v, uint64_t given)
{
    pthread_mutex_lock(&p->lock);
    v->readers--;
    v->given += given;
    pthread_mutex_unlock(&p->lock);
}

int panels_read(struct panels *p, const struct ckpt_file *f,
    const struct tensor *t, uint64_t first, uint64_t n, void *out,
    struct err *e)
{
    unsigned size = dtype_bytes(t->dtype);
    uint8_t *to = out;

    if (size == 0 || n * size >= PANEL_BYTES)
        return gather_read(f, t, first, n, out, e);
    while (n > 0) {
        struct panel_key key = key_of(t, first);
        uint64_t now = size_min(n, key.first + key.n - first);
        struct panel *v;

        if (hold(p, &key, f, t, &v, e) != 0)
            return -1;
        if (v == NULL) {
            if (gather_read(f, t, first, now, to, e) != 0)
                return -1;
        } else {
            memcpy(to, v->p + (first - key.first) * size, now * size);
            release(p, v, now);
        }
        first += now;
        to += now * size;
        n -= now;
    }
    return 0;
}
