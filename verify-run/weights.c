#include "verify-run/weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cancel.h"
#include "formats/cast.h"
#include "formats/quant_int8.h"
#include "verify-run/blank.h"
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
    struct arch_wrap wrap;
    bool *used;                   /* by index into the checkpoint's tensors */
    const struct tensor **of;     /* by slot; NULL: none that fits */
    const struct tensor **scales; /* by slot; of an I8 matrix, or NULL */
    struct taken *taken;
    size_t n_taken;
    uint64_t copied; /* bytes that cannot be read where they lie */
    uint64_t turned; /* bytes of the largest matrix stored [in, out] */
    uint64_t bytes_of[DTYPE_COUNT];
};

static size_t slot(const struct weights *w, struct arch_part p)
{
    size_t width = w->first[ROLE_COUNT];

    return (p.layer * width + w->first[p.role] + p.item) * 2 + p.bias;
}

/* All of the table. */
static size_t slots(const struct weights *w)
{
    return (size_t)w->layers * w->first[ROLE_COUNT] * 2;
}

const struct weight *weights_item(const struct weights *w, uint32_t layer,
    enum role r, uint32_t item, bool bias)
{
    return &w->table[slot(w, (struct arch_part){ r, layer, item, bias })];
}

const struct weight *weights_get(
    const struct weights *w, uint32_t layer, enum role r, bool bias)
{
    return weights_item(w, layer, r, 0, bias);
}

static struct weight *at(
    struct binding *b, uint32_t layer, enum role r, bool bias)
{
    return &b->w->table[slot(b->w, (struct arch_part){ r, layer, 0, bias })];
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
    char full[ARCH_WRAPPED_MAX];
    const struct tensor *t;

    t = checkpoint_find(c, arch_outer(&b->wrap, name, full));
    if (t == NULL && b->wrap.add[0] != '\0')
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

/* Vectors are held in F32, with the values of the type asked for. */
static enum dtype rounding(const struct binding *b, enum dtype to)
{
    return b->src->as != DTYPE_NONE && b->src->as != to ? b->src->as
                                                        : DTYPE_NONE;
}

/* Read and cast in pieces, so that only the result is held. */
static const void *read_cast(const struct binding *b, const struct tensor *t,
    const struct tensor *scales, enum dtype to, struct arena *in, struct err *e)
{
    const struct checkpoint *c = b->src->checkpoint;
    enum dtype from = scales != NULL ? DTYPE_F32 : t->dtype;
    enum dtype via = rounding(b, to);
    size_t size = dtype_bytes(to);
    struct arena scratch AUTO(arena_free) = ARENA_INIT(UINT64_MAX);
    uint8_t *out = arena_alloc(in, t->n, size, e);
    uint64_t most = size_min(t->n, READ_ELEMENTS);
    void *piece = arena_alloc(&scratch, most, dtype_bytes(from), e);
    void *half = arena_alloc(&scratch, most, sizeof(float), e);

    if (out == NULL || piece == NULL || half == NULL)
        return NULL;
    for (uint64_t at = 0; at < t->n; at += READ_ELEMENTS) {
        uint64_t n = size_min(t->n - at, READ_ELEMENTS);

        if (cancel_check(e) != 0 ||
            (scales != NULL ? int8_read(c, t, scales, at, n, piece, e)
                            : checkpoint_read(c, t, at, n, piece, e)) != 0)
            return NULL;
        if (via == DTYPE_NONE) {
            cast_array(out + at * size, to, piece, from, n);
        } else {
            cast_array(half, via, piece, from, n);
            cast_array(out + at * size, to, half, via, n);
        }
    }
    return out;
}

static const void *read_as_is(const struct checkpoint *c,
    const struct tensor *t, struct arena *to, struct err *e)
{
    void *out = arena_alloc(to, t->n, dtype_bytes(t->dtype), e);

    if (out == NULL || checkpoint_read(c, t, 0, t->n, out, e) != 0)
        return NULL;
    return out;
}

/* Does the file have this role's matrix [in, out]? */
static bool is_turned(const struct binding *b, enum role r)
{
    return b->src->config->arch->in_out && role_in_layer(r) && !role_is_norm(r);
}

/* A role's tensor was found: in the file as it lies, or to be copied. */
static int place(struct binding *b, struct weight *w, const struct tensor *t,
    const struct tensor *scales, struct err *e)
{
    enum dtype stored = t->dtype == DTYPE_F64 || (w->turned && scales != NULL)
                            ? DTYPE_F32
                            : t->dtype;
    enum dtype as = b->src->as != DTYPE_NONE ? b->src->as : stored;
    uint64_t bytes;

    w->dtype = w->vector ? DTYPE_F32 : as;
    if (scales != NULL && w->dtype == DTYPE_I8)
        b->copied += scales->n * sizeof(float);
    if (w->dtype == t->dtype && !w->turned &&
        rounding(b, w->dtype) == DTYPE_NONE)
        w->data = checkpoint_data(b->src->checkpoint, t);
    w->mapped = w->data != NULL;
    if (w->mapped)
        return 0;
    if (w->turned)
        b->turned = size_max(b->turned, t->n * dtype_bytes(w->dtype));
    if (!size_mul(t->n, dtype_bytes(w->dtype), &bytes) ||
        !size_add(b->copied, bytes, &b->copied))
        return err_set(e, ERR_NOMEM, "the weights: more than any memory holds");
    return 0;
}

static const void *read_data(struct binding *b, const struct weight *w,
    size_t i, struct arena *to, struct err *e)
{
    const struct tensor *t = b->of[i];

    if (w->dtype == t->dtype && rounding(b, w->dtype) == DTYPE_NONE)
        return read_as_is(b->src->checkpoint, t, to, e);
    return read_cast(b, t, b->scales[i], w->dtype, to, e);
}

/* out[r][c] = in[c][r], in squares that stay in the cache. */
static void turn(
    char *out, const char *in, uint64_t rows, uint64_t cols, size_t size)
{
    enum { SQUARE = 32 };

    for (uint64_t r0 = 0; r0 < rows; r0 += SQUARE)
        for (uint64_t c0 = 0; c0 < cols; c0 += SQUARE)
            for (uint64_t r = r0; r < size_min(rows, r0 + SQUARE); r++)
                for (uint64_t c = c0; c < size_min(cols, c0 + SQUARE); c++)
                    memcpy(out + (r * cols + c) * size,
                        in + (c * rows + r) * size, size);
}

static const void *read_turned(
    struct binding *b, const struct weight *w, size_t i, struct err *e)
{
    struct arena scratch AUTO(arena_free) = ARENA_INIT(UINT64_MAX);
    size_t size = dtype_bytes(w->dtype);
    const void *in = read_data(b, w, i, &scratch, e);
    void *out;

    if (in == NULL)
        return NULL;
    out = arena_alloc(&b->w->arena, w->rows * w->cols, size, e);
    if (out != NULL)
        turn(out, in, w->rows, w->cols, size);
    return out;
}

static int copy(struct binding *b, struct weight *w, size_t i, struct err *e)
{
    if (!w->mapped && w->turned)
        w->data = read_turned(b, w, i, e);
    else if (!w->mapped)
        w->data = read_data(b, w, i, &b->w->arena, e);
    if (w->data != NULL && w->dtype == DTYPE_I8) {
        w->scales =
            read_cast(b, b->scales[i], NULL, DTYPE_F32, &b->w->arena, e);
        b->w->int8_cols = size_max(b->w->int8_cols, w->cols);
    }
    if (w->data == NULL || (w->dtype == DTYPE_I8 && w->scales == NULL))
        return err_ctx(e, "tensor '%.*s'", STR_ARG(b->of[i]->name));
    return 0;
}

/* A view may repeat a few bytes many times over, so the sum is asked first. */
static int copy_all(struct binding *b, struct err *e)
{
    if (memory_check(b->copied + b->turned, "the weights", e) != 0)
        return err_hint(e,
            "leave out --dtype, or run what mlconvert makes of them: "
            "that is read where it lies");
    for (size_t i = 0; i < slots(b->w); i++) {
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
    const struct model_config *c = b->src->config;
    uint64_t bytes = w->rows * w->cols * dtype_bytes(w->dtype);

    if (w->dtype == DTYPE_I8)
        bytes += w->rows * sizeof(float);
    b->taken[b->n_taken++] = (struct taken){ t, bytes };
    if (w->vector)
        return;
    b->bytes_of[w->dtype] += bytes;
    if (r == ROLE_POSITION || (r == ROLE_EMBED && !c->tied))
        return;
    if (c->experts > 0 && shape_items(c, r) == c->experts)
        bytes = bytes * c->experts_used / c->experts;
    b->w->token_bytes += bytes;
}

/* Tables that are looked up row by row are never int8. */
static const struct tensor *scales_of(
    struct binding *b, const struct tensor *t, enum role r)
{
    const struct checkpoint *c = b->src->checkpoint;
    bool table = r == ROLE_EMBED || r == ROLE_POSITION;
    const struct tensor *s = table ? NULL : int8_scales_of(c, t);

    if (s != NULL)
        b->used[s - c->tensors] = true;
    return s;
}

static int bind_one(struct binding *b, struct arch_part p, struct err *e)
{
    size_t i = slot(b->w, p);
    struct weight *w = &b->w->table[i];
    const struct model_config *c = b->src->config;
    uint64_t shape[2], stored[2];
    uint32_t rank = shape_of(c, p.role, p.bias, shape);
    bool turned = rank == 2 && is_turned(b, p.role);
    char name[ARCH_NAME_MAX];
    char why[NOTE_TEXT];
    const struct tensor *t, *scales;

    if (rank == 0)
        return 0;
    stored[0] = shape[turned];
    stored[1] = shape[!turned];
    arch_tensor(c->arch, p, name);
    t = find_tensor(b, name);
    if (t == NULL)
        return add_note(b->w, NOTE_MISSING, str_of(name), "", e);
    scales = scales_of(b, t, p.role);
    judge(why, t, scales, rank, stored);
    b->used[t - b->src->checkpoint->tensors] = true;
    if (why[0] != '\0')
        return add_note(b->w, NOTE_SHAPE, t->name, why, e);
    *w = (struct weight){ .rows = shape[0], .cols = shape[1] };
    w->vector = rank == 1 || role_is_norm(p.role);
    w->turned = turned;
    if (place(b, w, t, scales, e) != 0)
        return -1;
    b->of[i] = t;
    b->scales[i] = scales;
    count(b, w, p.role, t);
    return 0;
}

static int bind_role(
    struct binding *b, uint32_t layer, enum role r, struct err *e)
{
    uint32_t n = shape_items(b->src->config, r);

    for (uint32_t item = 0; item < n; item++)
        for (int bias = 0; bias < 2; bias++)
            if (bind_one(b, (struct arch_part){ r, layer, item, bias }, e) != 0)
                return -1;
    return 0;
}

/* Rows of a matrix, or entries of a bias, as a tensor of their own. */
static struct weight part_of(const struct weight *w, uint64_t first, uint64_t n)
{
    struct weight part = *w;
    size_t step = w->cols * dtype_bytes(w->dtype);

    part.rows = n;
    if (w->data != NULL)
        part.data = (const char *)w->data + first * step;
    if (w->scales != NULL)
        part.scales = w->scales + first;
    return part;
}

/* What is stored as one matrix is used as its parts. */
static void split(struct binding *b, uint32_t layer, bool bias)
{
    const struct model_config *c = b->src->config;
    uint64_t q = (uint64_t)c->heads * c->head_dim;
    uint64_t kv = (uint64_t)c->kv_heads * c->head_dim;
    const struct weight *qkv = at(b, layer, ROLE_QKV, bias);
    const struct weight *fused = at(b, layer, ROLE_GATE_UP, bias);

    if (c->kinds.qkv == QKV_BLOCKS) {
        *at(b, layer, ROLE_Q, bias) = part_of(qkv, 0, q);
        *at(b, layer, ROLE_K, bias) = part_of(qkv, q, kv);
        *at(b, layer, ROLE_V, bias) = part_of(qkv, q + kv, kv);
    }
    if (c->kinds.mlp == MLP_FUSED) {
        *at(b, layer, ROLE_GATE, bias) = part_of(fused, 0, c->inner);
        *at(b, layer, ROLE_UP, bias) = part_of(fused, c->inner, c->inner);
    }
}

static int bind_all(struct binding *b, struct err *e)
{
    for (uint32_t layer = 0; layer < b->w->layers; layer++)
        for (int r = 0; r < ROLE_COUNT; r++)
            if ((layer == 0 || role_in_layer(r)) &&
                bind_role(b, layer, r, e) != 0)
                return -1;
    if (copy_all(b, e) != 0)
        return -1;
    if (b->src->config->tied)
        *at(b, 0, ROLE_HEAD, false) = *at(b, 0, ROLE_EMBED, false);
    for (uint32_t layer = 0; layer < b->w->layers; layer++)
        for (int bias = 0; bias < 2; bias++)
            split(b, layer, bias);
    return 0;
}

/* The vocabulary is often padded with rows of zeros. */
static int note_blank(struct binding *b, enum role r, size_t i, struct err *e)
{
    const struct tensor *t = b->of[i];
    char why[BLANK_TEXT];

    if (t == NULL || b->w->table[i].vector)
        return 0;
    if (blank_look(why, b->src->checkpoint, t, !role_in_layer(r), e) != 0)
        return -1;
    return why[0] == '\0' ? 0 : add_note(b->w, NOTE_BLANK, t->name, why, e);
}

/* Only what was found to fit in memory: a small file may claim any size. */
static int note_blanks(struct binding *b, struct err *e)
{
    for (uint32_t layer = 0; layer < b->w->layers; layer++)
        for (int r = 0; r < ROLE_COUNT; r++)
            for (uint32_t k = b->w->first[r]; k < b->w->first[r + 1]; k++) {
                struct arch_part p = { (enum role)r, layer, k - b->w->first[r],
                    false };

                if (note_blank(b, p.role, slot(b->w, p), e) != 0)
                    return -1;
            }
    return 0;
}

/* A separate copy of a tied head is fine; with other values it is not used. */
static bool is_tied_head(const struct binding *b, struct str name)
{
    struct arch_part p = { .role = ROLE_HEAD };
    char head[ARCH_NAME_MAX];

    return b->src->config->tied && arch_tensor(b->src->config->arch, p, head) &&
           str_is(name, head);
}

static int note_unused(struct binding *b, const struct tensor *t, struct err *e)
{
    const struct arch *a = b->src->config->arch;
    char room[ARCH_WRAPPED_MAX];
    struct str name = arch_inner(&b->wrap, a, t->name, room);
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
        why = "the config has no such layer, part or bias";
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

/* Where each role's tensors stand within a layer's part of the table. */
static void lay_out(struct weights *w, const struct model_config *c)
{
    w->layers = c->layers;
    for (int r = 0; r < ROLE_COUNT; r++)
        w->first[r + 1] = w->first[r] + shape_items(c, r);
}

int weights_bind(
    struct weights *w, const struct weights_source *src, struct err *e)
{
    struct arena scratch AUTO(arena_free) = ARENA_INIT(UINT64_MAX);
    struct binding b = { .w = w, .src = src };
    size_t n;

    *w = (struct weights){ .arena = ARENA_INIT(UINT64_MAX) };
    w->tail = &w->notes;
    lay_out(w, src->config);
    n = slots(w);
    w->table = arena_alloc(&w->arena, n, sizeof(*w->table), e);
    b.used = arena_alloc(
        &scratch, src->checkpoint->n_tensors + 1, sizeof(*b.used), e);
    b.of = arena_alloc(&scratch, n, sizeof(*b.of), e);
    b.scales = arena_alloc(&scratch, n, sizeof(*b.scales), e);
    b.taken = arena_alloc(&scratch, n, sizeof(*b.taken), e);
    if (w->table == NULL || b.used == NULL || b.of == NULL ||
        b.scales == NULL || b.taken == NULL)
        return -1;
    b.wrap = arch_wrap_of(src->config->arch, src->checkpoint);
    if (bind_all(&b, e) != 0 || note_blanks(&b, e) != 0 ||
        note_rest(&b, e) != 0)
        return -1;
    count_unique(&b);
    for (int t = 0; t < DTYPE_COUNT; t++)
        if (b.bytes_of[t] > b.bytes_of[w->dtype])
            w->dtype = t;
    return 0;
}
