/*
 * NumPy arrays inside pickles. An array is an object that was never made:
 * numpy.core.multiarray._reconstruct with a state, or at protocol 5
 * numpy.core.numeric._frombuffer. Its elements are bytes of the pickle, and
 * mostly lie in the file as they are.
 */
#include "formats/torch_numpy.h"

#include <stdio.h>

#include "formats/cast.h"
#include "formats/npy.h"

/* Where the parts of an array stand in its object. */
struct parts {
    struct npy_dtype type;
    const struct pickle_global *maker; /* to name what is not read */
    const struct node *shape;
    struct str data;
    bool fortran;
};

/* numpy 2 calls its core _core. */
static bool is_reconstruct(const struct node *n)
{
    return node_is_global(n, "numpy.core.multiarray", "_reconstruct") ||
           node_is_global(n, "numpy._core.multiarray", "_reconstruct");
}

static bool is_frombuffer(const struct node *n)
{
    return node_is_global(n, "numpy.core.numeric", "_frombuffer") ||
           node_is_global(n, "numpy._core.numeric", "_frombuffer");
}

static bool is_scalar(const struct node *n)
{
    return node_is_global(n, "numpy.core.multiarray", "scalar") ||
           node_is_global(n, "numpy._core.multiarray", "scalar");
}

/* Bytes of Python 2 may look like text. */
static bool is_bytes(const struct node *n)
{
    return n->kind == NODE_BYTES || n->kind == NODE_STR;
}

/* A dtype's byte order: its state has the last word. */
static bool is_swapped(const struct node_opaque *dtype, bool by_name)
{
    const struct node *state;

    if (dtype->states.n == 0)
        return by_name;
    state = dtype->states.v[dtype->states.n - 1];
    return state->kind == NODE_TUPLE && state->list.n > 1 &&
           is_bytes(state->list.v[1]) && str_is(state->list.v[1]->s, ">");
}

/*
 * numpy.dtype(code, False, True). Texts, dates and objects are no numbers:
 * false. A class of its own (bfloat16) is named as such.
 */
static bool take_type(const struct node *n, struct parts *p)
{
    const struct node *code;

    if (n->kind != NODE_OPAQUE || n->opaque->args->list.n == 0 ||
        !node_is_global(n->opaque->callee, "numpy", "dtype"))
        return false;
    code = n->opaque->args->list.v[0];
    p->type = (struct npy_dtype){ .dtype = DTYPE_NONE };
    if (code->kind == NODE_GLOBAL) {
        p->maker = code->global;
        return true;
    }
    if (!is_bytes(code) || code->s.len == 0 ||
        memchr("OUSaMm", code->s.p[0], 6) != NULL)
        return false;
    p->type = npy_dtype_of(code->s);
    p->type.big_endian = is_swapped(n->opaque, p->type.big_endian) &&
                         dtype_bytes(p->type.dtype) > 1;
    return true;
}

/* (1, shape, dtype, is_fortran, bytes) */
static bool take_state(const struct node *state, struct parts *p)
{
    struct node *const *v = state->list.v;

    if (state->kind != NODE_TUPLE || state->list.n != 5 ||
        v[0]->kind != NODE_INT || v[1]->kind != NODE_TUPLE ||
        (v[3]->kind != NODE_BOOL && v[3]->kind != NODE_INT) ||
        !is_bytes(v[4]) || !take_type(v[2], p))
        return false;
    p->shape = v[1];
    p->fortran = v[3]->kind == NODE_BOOL ? v[3]->truth : v[3]->i != 0;
    p->data = v[4]->s;
    return true;
}

/* (bytes, dtype, shape, 'C' or 'F') */
static bool take_buffer(const struct node *args, struct parts *p)
{
    struct node *const *v = args->list.v;

    if (args->list.n != 4 || !is_bytes(v[0]) || v[2]->kind != NODE_TUPLE ||
        !(node_is_text(v[3], "C") || node_is_text(v[3], "F")) ||
        !take_type(v[1], p))
        return false;
    p->shape = v[2];
    p->fortran = node_is_text(v[3], "F");
    p->data = v[0]->s;
    return true;
}

static bool take_parts(const struct node *n, struct parts *p)
{
    const struct node_opaque *o;

    if (n->kind != NODE_OPAQUE || n->opaque->callee->kind != NODE_GLOBAL)
        return false;
    o = n->opaque;
    p->maker = o->callee->global;
    if (is_reconstruct(o->callee))
        return o->states.n > 0 && take_state(o->states.v[o->states.n - 1], p);
    return is_frombuffer(o->callee) && take_buffer(o->args, p);
}

bool torch_is_array(const struct node *n)
{
    struct parts p;

    return take_parts(n, &p);
}

static int take_shape(
    const struct parts *p, struct arena *arena, struct tensor *t, struct err *e)
{
    const struct node_list *l = &p->shape->list;
    uint64_t *shape, bytes;

    if (l->n > TENSOR_RANK_MAX)
        return err_set(e, ERR_REFUSED, "an array of %llu dimensions",
            (unsigned long long)l->n);
    shape = arena_alloc(arena, l->n, sizeof(*shape), e);
    if (shape == NULL)
        return -1;
    for (uint64_t i = 0; i < l->n; i++)
        if (!node_u64(l->v[i], &shape[i]))
            return err_set(e, ERR_REFUSED,
                "an array whose shape is negative, huge or no number");
    t->rank = (uint32_t)l->n;
    t->shape = shape;
    if (!tensor_count(shape, t->rank, &t->n) ||
        !size_mul(t->n, dtype_bytes(t->dtype), &bytes) || bytes != p->data.len)
        return err_set(e, ERR_REFUSED,
            "an array of %llu bytes, which is not what its shape asks for",
            (unsigned long long)p->data.len);
    if (!p->fortran)
        return 0;
    return npy_strides(shape, t->rank, t->n, arena, &t->stride, e);
}

static bool lies_in_file(const struct torch_reader *r, struct str data)
{
    uintptr_t at = (uintptr_t)data.p, from = (uintptr_t)r->bytes;

    return at >= from && at - from <= r->len &&
           data.len <= r->len - (at - from);
}

/*
 * Below protocol 3 bytes are spelled as text; decoded, they exist in memory
 * only. What two arrays share is kept once, so that it still is shared.
 */
static int hold(const struct torch_reader *r, struct str data,
    struct torch_held *held, const uint8_t **out, struct err *e)
{
    struct str key = { (const char *)&data.p, sizeof(data.p) };
    struct str copy;

    *out = pickle_table_get(&held->by_place, key);
    if (*out != NULL || data.len > TORCH_HELD_MAX - held->bytes)
        return 0;
    held->bytes += data.len;
    copy = arena_str(r->keep, data, e);
    key = arena_str(r->arena, key, e);
    if (copy.p == NULL || key.p == NULL)
        return -1;
    *out = (const uint8_t *)copy.p;
    return pickle_table_put(
        &held->by_place, key, (void *)(uintptr_t)copy.p, r->arena, e);
}

/* Numbers of a type that is not read here. */
static int be_alien(const struct torch_reader *r, const struct parts *p,
    struct tensor *t, struct err *e)
{
    char text[2 * PICKLE_NAME_MAX + 64];

    snprintf(text, sizeof(text), "of a kind not read here (%.*s.%.*s)",
        STR_ARG(p->maker->module), STR_ARG(p->maker->name));
    t->no_data = true;
    t->alien = arena_str(r->keep, str_of(text), e).p;
    return t->alien != NULL ? 0 : -1;
}

int torch_array(const struct torch_reader *r, const struct node *n,
    struct torch_held *held, struct tensor *out, struct err *e)
{
    struct parts p;

    *out = (struct tensor){ .n = 0 };
    if (!take_parts(n, &p))
        return err_set(e, ERR_BUG, "not an array");
    out->dtype = p.type.dtype;
    out->big_endian = p.type.big_endian;
    if (out->dtype == DTYPE_NONE)
        return be_alien(r, &p, out, e);
    if (take_shape(&p, r->keep, out, e) != 0)
        return -1;
    out->storage_len = p.data.len;
    if (p.data.len == 0)
        return 0;
    if (!lies_in_file(r, p.data)) {
        if (hold(r, p.data, held, &out->held, e) != 0)
            return -1;
        if (out->held != NULL)
            return 0;
        out->no_data = true;
        out->alien = "an array spelled as text (pickle protocol 0 to 2), of "
                     "which no more than 4 MiB are read";
        out->alien_hint = "in Python, pickle it with protocol=4";
        return 0;
    }
    out->offset = (uint64_t)((const uint8_t *)p.data.p - r->bytes);
    out->storage_at = out->offset;
    return 0;
}

const struct node *torch_array_shape(const struct node *n, enum dtype *dtype)
{
    struct parts p;

    if (!take_parts(n, &p))
        return NULL;
    *dtype = p.type.dtype;
    return p.shape;
}

bool torch_scalar(const struct node_opaque *o, struct torch_number *out)
{
    const struct node_list *args = &o->args->list;
    struct parts p = { .fortran = false };
    uint8_t raw[8];
    uint64_t bits = 0;
    struct str s;

    if (!is_scalar(o->callee) || args->n != 2 || !is_bytes(args->v[1]) ||
        !take_type(args->v[0], &p))
        return false;
    s = args->v[1]->s;
    out->dtype = p.type.dtype;
    if (s.len == 0 || s.len > sizeof(raw) || s.len != dtype_bytes(out->dtype))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        raw[i] = (uint8_t)s.p[p.type.big_endian ? s.len - 1 - i : i];
        bits |= (uint64_t)raw[i] << (8 * i);
    }
    out->bits = bits;
    if (!dtype_is_float(out->dtype))
        return out->dtype != DTYPE_C64;
    if (out->dtype == DTYPE_F16) {
        float wide;

        cast_array(&wide, DTYPE_F32, raw, DTYPE_F16, 1);
        out->value = (double)wide;
    } else if (out->dtype == DTYPE_F32) {
        float narrow;

        memcpy(&narrow, raw, sizeof(narrow));
        out->value = (double)narrow;
    } else {
        memcpy(&out->value, raw, sizeof(out->value));
    }
    return true;
}
