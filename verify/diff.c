#include "verify/diff.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "base/json.h"
#include "base/path.h"
#include "formats/alias.h"
#include "formats/cast.h"
#include "formats/manifest.h"
#include "formats/quant_int8.h"
#include "verify/measure.h"

enum { BLOCK = 256 << 10, PART = 8 << 20, CONFIG_MAX = 16 << 20 };

void diff_close(struct diff *d)
{
    checkpoint_close(&d->a);
    checkpoint_close(&d->b);
    arena_free(&d->arena);
    *d = (struct diff)DIFF_INIT;
}

const char *diff_result_name(enum diff_result result)
{
    static const char *const names[] = { "equal", "cast", "values", "shape",
        "dtype", "no data", "missing", "extra" };

    return names[result];
}

bool diff_same(const struct diff *d)
{
    return d->counts[DIFF_EQUAL] + d->counts[DIFF_CAST] == d->n;
}

/* ---- what stands for what ---- */

/* One of the models, and what it says about names it left out. */
struct side {
    const struct checkpoint *c;
    struct manifest manifest;
    const struct tensor **kept;    /* by tensor: stands for its storage */
    const struct tensor **partner; /* by what stands: of the other side */
    bool unties;    /* the config says that the head is a tensor of its own */
    unsigned heads; /* whose values were looked for under other names */
};

static int by_alias(const void *a, const void *b)
{
    const struct manifest_alias *x = a, *y = b;

    return str_cmp(x->name, y->name);
}

static int read_manifest(struct side *s, struct arena *arena, struct err *e)
{
    struct err why = ERR_INIT;
    char path[PATH_MAX];

    if (path_join(path, s->c->folder, MANIFEST_NAME, e) != 0)
        return -1;
    if (manifest_read(&s->manifest, path, arena, &why) == 0) {
        if (s->manifest.n_aliases > 1)
            qsort(s->manifest.aliases, s->manifest.n_aliases,
                sizeof(*s->manifest.aliases), by_alias);
        return 0;
    }
    s->manifest = (struct manifest){ .n_aliases = 0 };
    if (why.kind == ERR_MISSING)
        return 0;
    *e = why;
    return -1;
}

static int find_shares(struct side *s, struct arena *arena, struct err *e)
{
    uint64_t n = s->c->n_tensors;

    s->kept = arena_alloc(arena, n, sizeof(*s->kept), e);
    s->partner = arena_alloc(arena, n, sizeof(*s->partner), e);
    if (s->kept == NULL || s->partner == NULL ||
        alias_find(s->c, TIE_UNSAID, s->kept, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        if (s->kept[i] == NULL)
            s->kept[i] = &s->c->tensors[i];
    return 0;
}

/* A config that cannot be read says nothing. */
static bool config_unties(const char *folder)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];
    bool tied = true;

    if (path_join(path, folder, "config.json", &ignored) == 0 &&
        json_read(&doc, path, CONFIG_MAX, &ignored) == 0)
        json_bool(json_get(doc.root, "tie_word_embeddings"), &tied);
    return !tied;
}

static int side_open(struct side *s, struct arena *arena, struct err *e)
{
    s->unties = config_unties(s->c->folder);
    return read_manifest(s, arena, e) != 0 ? -1 : find_shares(s, arena, e);
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(
        ((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static const struct tensor *find(const struct checkpoint *c, struct str name)
{
    struct tensor key = { .name = name };

    if (c->n_tensors == 0)
        return NULL;
    return bsearch(&key, c->tensors, c->n_tensors, sizeof(key), by_name);
}

/* For each storage here, the first of its names that the other side has. */
static void find_partners(struct side *here, const struct checkpoint *there)
{
    const struct checkpoint *c = here->c;

    for (uint64_t i = 0; i < c->n_tensors; i++) {
        uint64_t k = (uint64_t)(here->kept[i] - c->tensors);

        if (here->partner[k] == NULL)
            here->partner[k] = find(there, c->tensors[i].name);
    }
}

/* What the manifest of the other side says of a name it left out. */
static const struct tensor *left_out(
    const struct side *there, const struct tensor *t)
{
    const struct manifest *m = &there->manifest;
    struct manifest_alias key = { .name = t->name };
    const struct manifest_alias *a =
        m->n_aliases == 0 ? NULL
                          : bsearch(&key, m->aliases, m->n_aliases,
                                sizeof(*m->aliases), by_alias);

    return a == NULL ? NULL : find(there->c, a->of);
}

/*
 * The tensor of the other side that holds the values of t, which is there
 * under another name, or nowhere: NULL.
 */
static int stand_in(struct side *here, const struct tensor *t,
    const struct side *there, const struct tensor **out, struct err *e)
{
    const struct tensor *first = here->kept[t - here->c->tensors];
    const struct tensor *embedding;

    *out = left_out(there, t);
    /* A loader that finds no such head would make one up. */
    if (*out == NULL && there->unties && alias_is_head(t->name))
        return 0;
    if (*out == NULL)
        *out = here->partner[first - here->c->tensors];
    if (*out != NULL || !alias_is_head(t->name) ||
        here->heads++ >= ALIAS_TIES_MAX)
        return 0;
    if (alias_of_head(here->c, t, &embedding, e) != 0)
        return -1;
    if (embedding != NULL)
        *out = find(there->c, embedding->name);
    return 0;
}

/* ---- pairs ---- */

static bool same_shape(const struct tensor *a, const struct tensor *b)
{
    return a->rank == b->rank &&
           (a->rank == 0 ||
               memcmp(a->shape, b->shape, a->rank * sizeof(*a->shape)) == 0);
}

/* From wide to narrow. */
static int float_rank(enum dtype t)
{
    static const enum dtype order[] = { DTYPE_F64, DTYPE_F32, DTYPE_BF16,
        DTYPE_F16 };
    int i = 0;

    while (order[i] != t)
        i++;
    return i;
}

/* The scales of an int8 matrix, when the other one is of numbers. */
static const struct tensor *scales_for(
    const struct checkpoint *c, const struct tensor *t, const struct tensor *to)
{
    return dtype_is_float(to->dtype) ? int8_scales_of(c, t) : NULL;
}

/* How the two are to be compared; the values are not read yet. */
static void pair(const struct diff *d, struct diff_tensor *t)
{
    enum dtype a = t->a->dtype, b = t->b->dtype;

    t->dtype = a;
    t->scales[0] = scales_for(&d->a, t->a, t->b);
    t->scales[1] = scales_for(&d->b, t->b, t->a);
    if (!same_shape(t->a, t->b)) {
        t->result = DIFF_SHAPE;
    } else if (t->scales[0] != NULL || t->scales[1] != NULL) {
        t->result = t->a->no_data || t->b->no_data ? DIFF_NO_DATA : DIFF_CAST;
        t->dtype = DTYPE_F32;
    } else if (a != b && !(dtype_is_float(a) && dtype_is_float(b))) {
        t->result = DIFF_DTYPE;
    } else if (t->a->no_data || t->b->no_data) {
        t->result = DIFF_NO_DATA;
    } else {
        t->result = a == b ? DIFF_EQUAL : DIFF_CAST;
        if (a != b && float_rank(b) > float_rank(a))
            t->dtype = b;
    }
    t->measured = measure_can(t->dtype);
}

static int add_pair(struct diff *d, struct side *a, struct side *b,
    const struct tensor *x, const struct tensor *y, struct err *e)
{
    struct diff_tensor *t = &d->tensors[d->n++];

    *t = (struct diff_tensor){ .name = x != NULL ? x->name : y->name,
        .a = x,
        .b = y,
        .stands_for = { "", 0 } };
    if (x == NULL) {
        t->result = DIFF_EXTRA;
        if (stand_in(b, y, a, &t->a, e) != 0)
            return -1;
        if (t->a != NULL)
            t->stands_for = t->a->name;
    } else if (y == NULL) {
        t->result = DIFF_MISSING;
        if (stand_in(a, x, b, &t->b, e) != 0)
            return -1;
        if (t->b != NULL)
            t->stands_for = t->b->name;
    }
    if (t->a != NULL && t->b != NULL)
        pair(d, t);
    return 0;
}

/*
 * Scales on one side only, of an int8 matrix that is one of numbers on the
 * other: they are part of how its values are read.
 */
static bool is_part(const struct checkpoint *here, const struct tensor *t,
    const struct checkpoint *there)
{
    char name[TENSOR_NAME_MAX + 1];
    const struct tensor *of, *other;

    if (!str_ends(t->name, INT8_SCALES) ||
        int8_partner(name, t->name).p == NULL)
        return false;
    of = checkpoint_find(here, name);
    other = checkpoint_find(there, name);
    return of != NULL && other != NULL && dtype_is_float(other->dtype) &&
           int8_scales_of(here, of) == t;
}

/* Both lists are sorted: walk them side by side. */
static int pair_all(struct diff *d, struct err *e)
{
    const struct checkpoint *a = &d->a, *b = &d->b;
    struct side sides[2] = { { .c = a }, { .c = b } };
    uint64_t i = 0, k = 0;

    d->tensors = arena_alloc(
        &d->arena, a->n_tensors + b->n_tensors, sizeof(*d->tensors), e);
    if (d->tensors == NULL || side_open(&sides[0], &d->arena, e) != 0 ||
        side_open(&sides[1], &d->arena, e) != 0)
        return -1;
    find_partners(&sides[0], b);
    find_partners(&sides[1], a);
    while (i < a->n_tensors || k < b->n_tensors) {
        const struct tensor *x = i < a->n_tensors ? &a->tensors[i] : NULL;
        const struct tensor *y = k < b->n_tensors ? &b->tensors[k] : NULL;
        int order = x == NULL ? 1 : y == NULL ? -1 : str_cmp(x->name, y->name);

        i += order <= 0;
        k += order >= 0;
        if ((order < 0 && is_part(a, x, b)) || (order > 0 && is_part(b, y, a)))
            continue;
        if (add_pair(d, &sides[0], &sides[1], order <= 0 ? x : NULL,
                order >= 0 ? y : NULL, e) != 0)
            return -1;
    }
    return 0;
}

int diff_open(struct diff *d, const char *a, const char *b, struct err *e)
{
    if (checkpoint_open(&d->a, a, NULL, e) != 0 ||
        checkpoint_open(&d->b, b, NULL, e) != 0)
        return -1;
    return pair_all(d, e);
}

/* ---- values ---- */

/* Some elements of one pair; a thread does a part at a time. */
struct part {
    struct diff_tensor *t;
    uint64_t first, n; /* elements */
    struct measure found;
    struct err *why; /* owned; NULL: went well */
};

struct parts {
    struct diff *d;
    struct part *v;
    size_t n;
    struct progress_item *item;
    atomic_bool no_memory; /* for a part's why */
};

static void parts_free(struct parts *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->v[i].why);
    free(p->v);
}

/* A block of t in dtype, at out; raw has room for its own form. */
static int read_as(const struct checkpoint *c, const struct tensor *t,
    const struct tensor *scales, enum dtype dtype, uint64_t first, uint64_t n,
    char *out, char *raw, struct err *e)
{
    if (scales != NULL)
        return int8_read(c, t, scales, first, n, (float *)(void *)out, e);
    if (t->dtype == dtype)
        return checkpoint_read(c, t, first, n, out, e);
    if (checkpoint_read(c, t, first, n, raw, e) != 0)
        return -1;
    cast_array(out, dtype, raw, t->dtype, n);
    return 0;
}

/*
 * Neither BF16 nor F16 holds the other. All was cast to F16; an element that
 * is the BF16 one after the cast the other way is no less the same.
 */
static void settle_halves(
    char *cast, const char *f16, const char *bf16, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        uint16_t half, brain;

        memcpy(&half, f16 + 2 * i, 2);
        memcpy(&brain, bf16 + 2 * i, 2);
        if (cast_f32_to_bf16(cast_f16_to_f32(half)) == brain)
            memcpy(cast + 2 * i, &half, 2);
    }
}

static bool are(const struct diff_tensor *t, enum dtype a, enum dtype b)
{
    return t->a->dtype == a && t->b->dtype == b;
}

static int read_block(const struct parts *p, const struct diff_tensor *t,
    uint64_t at, uint64_t n, char *block, struct err *e)
{
    char *a = block, *b = block + BLOCK, *raw = block + 2 * BLOCK;

    if (read_as(&p->d->a, t->a, t->scales[0], t->dtype, at, n, a, raw, e) !=
            0 ||
        read_as(&p->d->b, t->b, t->scales[1], t->dtype, at, n, b, raw, e) != 0)
        return -1;
    if (are(t, DTYPE_BF16, DTYPE_F16))
        settle_halves(a, b, raw, n);
    else if (are(t, DTYPE_F16, DTYPE_BF16))
        settle_halves(b, a, raw, n);
    return 0;
}

static int compare_part(struct parts *p, struct part *part, struct err *e)
{
    struct buf room AUTO(buf_free) = BUF_INIT(3 * BLOCK);
    const struct diff_tensor *t = part->t;
    unsigned bits = (unsigned)size_max(dtype_bits(t->dtype),
        size_max(dtype_bits(t->a->dtype), dtype_bits(t->b->dtype)));
    /* Of the packed types, a multiple of eight elements is whole bytes. */
    uint64_t most = (uint64_t)BLOCK * 8 / bits / 8 * 8;
    char *block = buf_room(&room, 3 * BLOCK);

    if (block == NULL)
        return buf_check(&room, e);
    for (uint64_t at = part->first; at < part->first + part->n; at += most) {
        uint64_t n = size_min(most, part->first + part->n - at);

        if (cancel_check(e) != 0 || read_block(p, t, at, n, block, e) != 0)
            return -1;
        measure_add(&part->found, t->dtype, block, block + BLOCK, at, n);
        progress_add(p->item, (n * dtype_bits(t->a->dtype) + 7) / 8);
    }
    return 0;
}

static void part_at(void *ctx, size_t i)
{
    struct parts *p = ctx;
    struct err e = ERR_INIT;

    if (compare_part(p, &p->v[i], &e) == 0 || e.kind == ERR_CANCELLED)
        return;
    p->v[i].why = malloc(sizeof(e));
    if (p->v[i].why == NULL)
        atomic_store(&p->no_memory, true);
    else
        *p->v[i].why = e;
}

static bool has_values(const struct diff_tensor *t)
{
    return t->result == DIFF_EQUAL || t->result == DIFF_CAST;
}

/* The pairs in pieces of a few megabytes, in the order of the pairs. */
static int cut(struct parts *p, uint64_t *bytes, struct err *e)
{
    struct diff *d = p->d;
    uint64_t n = 0;

    *bytes = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (uint64_t i = 0; i < d->n; i++) {
            struct diff_tensor *t = &d->tensors[i];

            for (uint64_t at = 0; has_values(t) && at < t->a->n; at += PART) {
                struct part part = { t, at, size_min(PART, t->a->n - at),
                    { .n = 0 }, NULL };

                if (pass == 0)
                    n++;
                else
                    p->v[p->n++] = part;
            }
            if (pass == 0 && has_values(t))
                *bytes += tensor_bytes(t->a);
        }
        if (pass == 0 && (p->v = calloc(n + 1, sizeof(*p->v))) == NULL)
            return err_set(e, ERR_NOMEM, "out of memory");
    }
    return 0;
}

static void conclude(struct diff *d, const struct parts *p)
{
    for (size_t i = 0; i < p->n; i++) {
        struct diff_tensor *t = p->v[i].t;
        struct measure all = { t->n, t->first, t->absolute, t->relative };

        measure_join(&all, &p->v[i].found);
        t->n = all.n;
        t->first = all.first;
        t->absolute = all.absolute;
        t->relative = all.relative;
    }
    for (uint64_t i = 0; i < d->n; i++) {
        if (d->tensors[i].n > 0)
            d->tensors[i].result = DIFF_VALUES;
        d->counts[d->tensors[i].result]++;
    }
}

int diff_run(
    struct diff *d, struct pool *pool, enum progress_mode mode, struct err *e)
{
    struct progress *progress AUTO(progress_close_auto) = NULL;
    struct parts p AUTO(parts_free) = { .d = d };
    uint64_t bytes;

    if (cut(&p, &bytes, e) != 0)
        return -1;
    progress = progress_open(mode, "comparing", bytes, e);
    if (progress == NULL)
        return -1;
    p.item = progress_item(progress, path_base(d->a.folder), bytes);
    pool_run(pool, p.n, part_at, &p);
    progress_done(p.item);
    if (atomic_load(&p.no_memory))
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < p.n; i++)
        if (p.v[i].why != NULL) {
            *e = *p.v[i].why;
            return -1;
        }
    if (cancel_check(e) != 0)
        return -1;
    conclude(d, &p);
    return 0;
}
