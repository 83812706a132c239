#include "verify-run/weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cancel.h"
#include "formats/cast.h"
#include "formats/quant_int8.h"
#include "verify-run/memory.h"

enum { NOTE_TEXT = 160, READ_ELEMENTS = 1 << 20 };

/* A tensor that some role takes. */
struct taken {
    const struct tensor *t;
    uint64_t bytes; /* as it is held */
};

/* What one call of weights_bind works on. */
struct binding {
    struct weights *w;
    const struct weights_source *src;
    const char *prefix;
    bool *used;                   /* by index into the checkpoint's tensors */
    const struct tensor **of;     /* by slot; NULL: none that fits */
    const struct tensor **scales; /* by slot; of an I8 matrix, or NULL */
    struct taken *taken;
    size_t n_taken;
    uint64_t copied; /* bytes that cannot be read where they lie */
    uint64_t bytes_of[DTYPE_COUNT];
};

static size_t slot(uint32_t layer, enum role r, bool bias)
{
    return ((size_t)layer * ROLE_COUNT + r) * 2 + bias;
}

const struct weight *weights_get(
    const struct weights *w, uint32_t layer, enum role r, bool bias)
{
    return &w->table[slot(layer, r, bias)];
}

bool weights_complete(const struct weights *w)
{
    return w->n_notes[NOTE_MISSING] == 0 && w->n_notes[NOTE_SHAPE] == 0 &&
           w->n_notes[NOTE_CONTRADICTS] == 0;
}

void weights_free(struct weights *w)
{
    arena_free(&w->arena);
    *w = (struct weights)WEIGHTS_INIT;
}

static int add_note(struct weights *w, enum note_kind kind, struct str name,
    const char *why, struct err *e)
{
    struct note *n = arena_alloc(&w->arena, 1, sizeof(*n), e);
    struct str text;

    if (n == NULL)
        return -1;
    n->name = arena_str(&w->arena, name, e);
    text = arena_str(&w->arena, str_of(why), e);
    if (n->name.p == NULL || text.p == NULL)
        return -1;
    n->why = text.p;
    n->kind = kind;
    *w->tail = n;
    w->tail = &n->next;
    w->n_notes[kind]++;
    return 0;
}

static const struct tensor *find_alias(
    const struct binding *b, const char *name)
{
    const struct manifest *m = b->src->manifest;

    for (uint64_t i = 0; m != NULL && i < m->n_aliases; i++) {
        char of[TENSOR_NAME_MAX];

        if (!str_is(m->aliases[i].name, name))
            continue;
        snprintf(of, sizeof(of), "%.*s", STR_ARG(m->aliases[i].of));
        return checkpoint_find(b->src->checkpoint, of);
    }
    return NULL;
}

static const struct tensor *find_tensor(
    const struct binding *b, const char *name)
{
    const struct checkpoint *c = b->src->checkpoint;
    char full[ARCH_NAME_MAX + 32];
    const struct tensor *t;

    snprintf(full, sizeof(full), "%s%s", b->prefix, name);
    t = checkpoint_find(c, full);
    if (t == NULL && b->prefix[0] != '\0')
        t = checkpoint_find(c, name);
    return t != NULL ? t : find_alias(b, full);
}

static int by_place(const void *a, const void *b)
{
    const struct tensor *x = ((const struct taken *)a)->t;
    const struct tensor *y = ((const struct taken *)b)->t;

    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Two roles may share the very same elements: those count once. */
static void count_unique(struct binding *b)
{
    struct taken *v = b->taken;

    if (b->n_taken > 1)
        qsort(v, b->n_taken, sizeof(*v), by_place);
    for (size_t i = 0; i < b->n_taken; i++) {
        bool first = true;

        for (size_t k = i; first && k > 0 && by_place(&v[k - 1], &v[i]) == 0;
             k--)
            first = !tensor_same_bytes(v[k - 1].t, v[i].t);
        if (first) {
            b->w->parameters += v[i].t->n;
            b->w->bytes += v[i].bytes;
        }
    }
}

/* Read and widen in pieces, so that only the result is held. */
static const void *read_fp32(
    struct binding *b, const struct tensor *t, struct err *e)
{
    const struct checkpoint *c = b->src->checkpoint;
    float *out = arena_alloc(&b->w->arena, t->n, sizeof(*out), e);
    size_t size = dtype_bytes(t->dtype);
    struct arena scratch AUTO(arena_free) = ARENA_INIT(UINT64_MAX);
    void *piece = arena_alloc(&scratch, size_min(t->n, READ_ELEMENTS), size, e);

    if (out == NULL || piece == NULL)
        return NULL;
    for (uint64_t at = 0; at < t->n; at += READ_ELEMENTS) {
        uint64_t n = size_min(t->n - at, READ_ELEMENTS);

        if (cancel_check(e) != 0 || checkpoint_read(c, t, at, n, piece, e) != 0)
            return NULL;
        cast_array(out + at, DTYPE_F32, piece, t->dtype, n);
    }
    return out;
}

static const void *read_as_is(
    struct binding *b, const struct tensor *t, struct err *e)
{
    void *out = arena_alloc(&b->w->arena, t->n, dtype_bytes(t->dtype), e);

    if (out == NULL ||
        checkpoint_read(b->src->checkpoint, t, 0, t->n, out, e) != 0)
        return NULL;
    return out;
}

static const void *read_int8(struct binding *b, const struct tensor *t,
    const struct tensor *scales, struct err *e)
{
    float *out = arena_alloc(&b->w->arena, t->n, sizeof(*out), e);

    for (uint64_t at = 0; out != NULL && at < t->n; at += READ_ELEMENTS)
        if (cancel_check(e) != 0 ||
            int8_read(b->src->checkpoint, t, scales, at,
                size_min(t->n - at, READ_ELEMENTS), out + at, e) != 0)
            return NULL;
    return out;
}

/* A role's tensor was found: in the file as it lies, or to be copied. */
static int place(struct binding *b, struct weight *w, const struct tensor *t,
    const struct tensor *scales, struct err *e)
{
    bool wide = w->cols == 1 || b->src->fp32 || t->dtype == DTYPE_F64;
    uint64_t bytes;

    if (scales != NULL && !wide)
        b->copied += scales->n * sizeof(float);
    w->dtype = wide ? DTYPE_F32 : t->dtype;
    if (w->dtype == t->dtype)
        w->data = checkpoint_data(b->src->checkpoint, t);
    w->mapped = w->data != NULL;
    if (w->mapped)
        return 0;
    if (!size_mul(t->n, dtype_bytes(w->dtype), &bytes) ||
        !size_add(b->copied, bytes, &b->copied))
        return err_set(e, ERR_NOMEM, "the weights: more than any memory holds");
    return 0;
}

static const void *read_data(
    struct binding *b, const struct weight *w, size_t i, struct err *e)
{
    const struct tensor *t = b->of[i];

    if (w->dtype == t->dtype)
        return read_as_is(b, t, e);
    return b->scales[i] != NULL ? read_int8(b, t, b->scales[i], e)
                                : read_fp32(b, t, e);
}

static int copy(struct binding *b, struct weight *w, size_t i, struct err *e)
{
    if (!w->mapped)
        w->data = read_data(b, w, i, e);
    if (w->data != NULL && w->dtype == DTYPE_I8)
        w->scales = read_fp32(b, b->scales[i], e);
    if (w->data == NULL || (w->dtype == DTYPE_I8 && w->scales == NULL))
        return err_ctx(e, "tensor '%.*s'", STR_ARG(b->of[i]->name));
    return 0;
}

/* A view may repeat a few bytes many times over, so the sum is asked first. */
static int copy_all(struct binding *b, struct err *e)
{
    if (memory_check(b->copied, "the weights", e) != 0)
        return err_hint(e,
            "leave out --dtype fp32, or run what mlconvert makes of them: "
            "that is read where it lies");
    for (size_t i = 0; i < slot(b->w->layers, 0, false); i++) {
        struct weight *w = &b->w->table[i];

        if (b->of[i] == NULL || (w->mapped && b->scales[i] == NULL))
            continue;
        if (cancel_check(e) != 0 || copy(b, w, i, e) != 0)
            return -1;
    }
    return 0;
}

/* Name, shape and type are asked together; why is "" when all are right. */
static void judge(char why[NOTE_TEXT], const struct tensor *t,
    const struct tensor *scales, uint32_t rank, const uint64_t want[2])
{
    char got[64];

    why[0] = '\0';
    if (scales == NULL && t->dtype == DTYPE_I8) {
        snprintf(why, NOTE_TEXT,
            "type I8: only the matrix of a linear layer, with a scale for "
            "each row in a tensor called .scales, can be run");
        return;
    }
    if (scales == NULL && !dtype_is_float(t->dtype)) {
        snprintf(why, NOTE_TEXT,
            "type %s: only F64, F32, F16 and BF16 can be run",
            dtype_name(t->dtype));
        return;
    }
    if (t->no_data) {
        snprintf(why, NOTE_TEXT, "a shape without data");
        return;
    }
    if (t->rank == rank && t->shape[0] == want[0] &&
        (rank == 1 || t->shape[1] == want[1]))
        return;
    tensor_shape_text(got, sizeof(got), t);
    if (rank == 1)
        snprintf(
            why, NOTE_TEXT, "shape %s instead of [%" PRIu64 "]", got, want[0]);
    else
        snprintf(why, NOTE_TEXT,
            "shape %s instead of [%" PRIu64 ", %" PRIu64 "]", got, want[0],
            want[1]);
}

static void count(struct binding *b, const struct weight *w, enum role r,
    const struct tensor *t)
{
    uint64_t bytes = w->rows * w->cols * dtype_bytes(w->dtype);

    if (w->dtype == DTYPE_I8)
        bytes += w->rows * sizeof(float);
    b->taken[b->n_taken++] = (struct taken){ t, bytes };
    if (w->cols == 1)
        return;
    b->bytes_of[w->dtype] += bytes;
    if (r != ROLE_EMBED || b->src->config->tied)
        b->w->token_bytes += bytes;
}

/* An embedding is looked up row by row; it is never int8. */
static const struct tensor *scales_of(
    struct binding *b, const struct tensor *t, enum role r)
{
    const struct checkpoint *c = b->src->checkpoint;
    const struct tensor *s = r == ROLE_EMBED ? NULL : int8_scales_of(c, t);

    if (s != NULL)
        b->used[s - c->tensors] = true;
    return s;
}

static int bind_one(
    struct binding *b, uint32_t layer, enum role r, bool bias, struct err *e)
{
    struct weight *w = &b->w->table[slot(layer, r, bias)];
    const struct model_config *c = b->src->config;
    uint64_t shape[2];
    uint32_t rank = config_shape(c, r, bias, shape);
    char name[ARCH_NAME_MAX];
    char why[NOTE_TEXT];
    const struct tensor *t, *scales;

    if (rank == 0)
        return 0;
    arch_tensor(c->arch, r, layer, bias, name);
    t = find_tensor(b, name);
    if (t == NULL)
        return add_note(b->w, NOTE_MISSING, str_of(name), "", e);
    scales = scales_of(b, t, r);
    judge(why, t, scales, rank, shape);
    b->used[t - b->src->checkpoint->tensors] = true;
    if (why[0] != '\0')
        return add_note(b->w, NOTE_SHAPE, t->name, why, e);
    w->rows = shape[0];
    w->cols = rank == 1 ? 1 : shape[1];
    if (place(b, w, t, scales, e) != 0)
        return -1;
    b->of[slot(layer, r, bias)] = t;
    b->scales[slot(layer, r, bias)] = scales;
    count(b, w, r, t);
    return 0;
}

static int bind_all(struct binding *b, struct err *e)
{
    for (uint32_t layer = 0; layer < b->w->layers; layer++)
        for (int r = 0; r < ROLE_COUNT; r++)
            for (int bias = 0; bias < 2; bias++)
                if ((layer == 0 || role_in_layer(r)) &&
                    bind_one(b, layer, r, bias, e) != 0)
                    return -1;
    if (copy_all(b, e) != 0)
        return -1;
    if (b->src->config->tied)
        b->w->table[slot(0, ROLE_HEAD, false)] =
            b->w->table[slot(0, ROLE_EMBED, false)];
    return 0;
}

static struct str without(struct str name, const char *prefix)
{
    size_t n = strlen(prefix);

    if (str_starts(name, prefix))
        return (struct str){ name.p + n, name.len - n };
    return name;
}

/* A separate copy of a tied head is fine; with other values it is not used. */
static bool is_tied_head(const struct binding *b, struct str name)
{
    char head[ARCH_NAME_MAX];

    return b->src->config->tied &&
           arch_tensor(b->src->config->arch, ROLE_HEAD, 0, false, head) &&
           str_is(name, head);
}

static int note_unused(struct binding *b, const struct tensor *t, struct err *e)
{
    const struct arch *a = b->src->config->arch;
    struct str name = without(t->name, b->prefix);
    enum note_kind kind = NOTE_UNEXPECTED;
    const char *why = "";

    if (is_tied_head(b, name)) {
        kind = NOTE_IGNORED;
        why = "the head is tied to the embedding";
    } else if (arch_ignores(a, name)) {
        kind = NOTE_IGNORED;
        why = "a leftover buffer";
    } else if (arch_knows(a, name)) {
        kind = NOTE_CONTRADICTS;
        why = "the config has no such layer or bias";
    }
    return add_note(b->w, kind, t->name, why, e);
}

static int note_rest(struct binding *b, struct err *e)
{
    const struct checkpoint *c = b->src->checkpoint;

    for (uint64_t i = 0; i < c->n_tensors; i++) {
        b->w->raw += c->tensors[i].n;
        if (!b->used[i] && note_unused(b, &c->tensors[i], e) != 0)
            return -1;
    }
    return 0;
}

int weights_bind(
    struct weights *w, const struct weights_source *src, struct err *e)
{
    struct arena scratch AUTO(arena_free) = ARENA_INIT(UINT64_MAX);
    struct binding b = { .w = w, .src = src };
    size_t slots = slot(src->config->layers, 0, false);

    *w = (struct weights){ .arena = ARENA_INIT(UINT64_MAX) };
    w->tail = &w->notes;
    w->layers = src->config->layers;
    w->table = arena_alloc(&w->arena, slots, sizeof(*w->table), e);
    b.used = arena_alloc(
        &scratch, src->checkpoint->n_tensors + 1, sizeof(*b.used), e);
    b.of = arena_alloc(&scratch, slots, sizeof(*b.of), e);
    b.scales = arena_alloc(&scratch, slots, sizeof(*b.scales), e);
    b.taken = arena_alloc(&scratch, slots, sizeof(*b.taken), e);
    if (w->table == NULL || b.used == NULL || b.of == NULL ||
        b.scales == NULL || b.taken == NULL)
        return -1;
    b.prefix = arch_prefix(src->config->arch, src->checkpoint);
    if (bind_all(&b, e) != 0 || note_rest(&b, e) != 0)
        return -1;
    count_unique(&b);
    for (int t = 0; t < DTYPE_COUNT; t++)
        if (b.bytes_of[t] > b.bytes_of[w->dtype])
            w->dtype = t;
    return 0;
}
