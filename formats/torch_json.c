/*
 * A node as JSON, so that a config stored as an object of any class can be
 * read. Classes show as "$class"; sharing is written out, cycles are not.
 * The buffer's limit bounds the text, a budget the work that leaves none (keys
 * that were there before): once the buffer is bad, nothing is visited.
 */
#include "formats/torch_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "formats/torch_numpy.h"

enum { KEY_MAX = 4096, KEYS_ARENA = 64 << 20, WORK_MAX = 1 << 25 };

struct json_out {
    struct buf *out;
    struct arena *arena; /* for the keys written so far */
    uint64_t *work;      /* left to do; shared with the inner ones */
    unsigned depth;
};

/* An object under construction; a key comes only once. */
struct members {
    struct json_out *j;
    struct pickle_table keys;
    bool some;
};

static void put_node(struct json_out *j, struct node *n);

static void spend(struct json_out *j, uint64_t work)
{
    if (work > *j->work && j->out->bad == ERR_NONE)
        j->out->bad = ERR_REFUSED;
    *j->work -= size_min(work, *j->work);
}

static void put_text(struct json_out *j, const char *text)
{
    json_quote(j->out, str_of(text));
}

/* Shortest digits that read back the same; always with a point or exponent. */
static void put_float(struct json_out *j, double v)
{
    char text[40];

    if (!isfinite(v)) {
        buf_printf(j->out, "{\"$float\":\"%s\"}",
            isnan(v) ? "nan"
            : v > 0  ? "inf"
                     : "-inf");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    buf_puts(j->out, text);
    if (strpbrk(text, ".e") == NULL)
        buf_puts(j->out, ".0");
}

static void put_hex(struct json_out *j, const char *tag, struct str s)
{
    buf_printf(j->out, "{\"%s\":\"", tag);
    for (size_t i = 0; i < s.len && j->out->bad == ERR_NONE; i++)
        buf_printf(j->out, "%02x", (unsigned char)s.p[i]);
    buf_puts(j->out, "\"}");
}

/* Larger than 64 bits: sign and hexadecimal digits, as text. */
static void put_bigint(struct json_out *j, struct str s)
{
    uint8_t v[PICKLE_INT_BYTES_MAX + 1] = { 0 };
    bool minus = (unsigned char)s.p[s.len - 1] >= 0x80;
    unsigned carry = 1;
    size_t n = s.len;

    memcpy(v, s.p, n);
    for (size_t i = 0; minus && i < n; i++) {
        carry += (uint8_t)~v[i];
        v[i] = (uint8_t)carry;
        carry >>= 8;
    }
    while (n > 1 && v[n - 1] == 0)
        n--;
    buf_printf(j->out, "{\"$int\":\"%s0x%x", minus ? "-" : "", v[n - 1]);
    while (--n > 0)
        buf_printf(j->out, "%02x", v[n - 1]);
    buf_puts(j->out, "\"}");
}

static void put_list(struct json_out *j, const struct node_list *l)
{
    buf_putc(j->out, '[');
    for (uint64_t i = 0; i < l->n && j->out->bad == ERR_NONE; i++) {
        if (i > 0)
            buf_putc(j->out, ',');
        put_node(j, l->v[i]);
    }
    buf_putc(j->out, ']');
}

/* ---- objects ---- */

/* Begin a member: false when the key was there before. */
static bool member(struct members *m, struct str key)
{
    struct buf quoted AUTO(buf_free) = BUF_INIT(8 * KEY_MAX);
    struct buf *out = m->j->out;
    struct err e = ERR_INIT;

    /* As it is written: two keys that are not text may come out alike. */
    json_quote(&quoted, key);
    key = buf_str(&quoted);
    spend(m->j, 8 + key.len / 8);
    if (out->bad == ERR_NONE)
        out->bad = quoted.bad;
    if (out->bad != ERR_NONE ||
        (m->some && pickle_table_get(&m->keys, key) != NULL))
        return false;
    key = arena_str(m->j->arena, key, &e);
    if (key.p == NULL ||
        pickle_table_put(&m->keys, key, m->j, m->j->arena, &e) != 0) {
        out->bad = e.kind;
        return false;
    }
    buf_putc(out, m->some ? ',' : '{');
    buf_put(out, key.p, key.len);
    buf_putc(out, ':');
    m->some = true;
    return true;
}

static void members_end(struct members *m)
{
    buf_puts(m->j->out, m->some ? "}" : "{}");
}

/* JSON has text keys only: numbers as digits, the rest as its own JSON. */
static void key_text(struct json_out *j, struct node *key, struct buf *out)
{
    struct json_out inner = { out, j->arena, j->work, j->depth + 1 };

    switch (key->kind) {
    case NODE_STR:
        buf_put(out, key->s.p, key->s.len);
        break;
    case NODE_GLOBAL:
        buf_put(out, key->global->module.p, key->global->module.len);
        buf_putc(out, '.');
        buf_put(out, key->global->name.p, key->global->name.len);
        break;
    default:
        put_node(&inner, key);
        break;
    }
}

static void put_pairs(struct members *m, const struct node_list *l)
{
    struct buf key AUTO(buf_free) = BUF_INIT(KEY_MAX);

    for (uint64_t i = 0; i < l->n && m->j->out->bad == ERR_NONE; i += 2) {
        buf_clear(&key);
        key_text(m->j, l->v[i], &key);
        if (key.bad != ERR_NONE)
            m->j->out->bad = key.bad;
        else if (member(m, buf_str(&key)))
            put_node(m->j, l->v[i + 1]);
    }
}

static void put_dict(struct json_out *j, const struct node_list *l)
{
    struct members m = { .j = j };

    put_pairs(&m, l);
    members_end(&m);
}

static void put_global(struct json_out *j, const struct pickle_global *g)
{
    char name[2 * PICKLE_NAME_MAX + 2];

    snprintf(
        name, sizeof(name), "%.*s.%.*s", STR_ARG(g->module), STR_ARG(g->name));
    put_text(j, name);
}

static void put_shape(
    struct json_out *j, enum dtype dtype, uint32_t rank, const uint64_t *shape)
{
    buf_printf(j->out, "{\"$tensor\":\"%s\",\"shape\":[", dtype_name(dtype));
    for (uint32_t i = 0; i < rank; i++)
        buf_printf(
            j->out, "%s%llu", i ? "," : "", (unsigned long long)shape[i]);
    buf_puts(j->out, "]}");
}

/* ---- objects of Python classes ---- */

/* Classes that are nothing but their attributes. */
static bool is_plain_class(const struct node *callee)
{
    return node_is_global(callee, "argparse", "Namespace") ||
           node_is_global(callee, "types", "SimpleNamespace") ||
           (callee->kind == NODE_GLOBAL &&
               str_ends(callee->global->name, "AttributeDict"));
}

static bool all_text(const struct node_list *l)
{
    for (uint64_t i = 0; i < l->n; i++) {
        if (l->v[i]->kind != NODE_STR)
            return false;
    }
    return true;
}

/* pathlib.PosixPath('a', 'b') and getattr(Class, 'MEMBER') have short forms. */
static bool put_short(struct json_out *j, const struct node_opaque *o)
{
    const struct node_list *args = &o->args->list;
    struct buf path AUTO(buf_free) = BUF_INIT(KEY_MAX);

    if (o->callee->kind != NODE_GLOBAL || args->n == 0 || o->states.n > 0)
        return false;
    if (node_is_global(o->callee, "builtins", "getattr") && args->n == 2 &&
        args->v[1]->kind == NODE_STR) {
        json_quote(j->out, args->v[1]->s);
        return true;
    }
    if (!str_starts(o->callee->global->module, "pathlib") || !all_text(args))
        return false;
    for (uint64_t i = 0; i < args->n && path.bad == ERR_NONE; i++) {
        if (i > 0 && !str_ends(buf_str(&path), "/"))
            buf_putc(&path, '/');
        buf_put(&path, args->v[i]->s.p, args->v[i]->s.len);
    }
    if (path.bad != ERR_NONE)
        return false;
    json_quote(j->out, buf_str(&path));
    return true;
}

/* A number of NumPy's: the number itself. */
static bool put_scalar(struct json_out *j, const struct node_opaque *o)
{
    struct torch_number v;
    unsigned shift;

    if (!torch_scalar(o, &v))
        return false;
    shift = 64 - dtype_bits(v.dtype);
    if (dtype_is_float(v.dtype))
        put_float(j, v.value);
    else if (v.dtype == DTYPE_BOOL)
        buf_puts(j->out, v.bits ? "true" : "false");
    else if (dtype_name(v.dtype)[0] == 'I')
        buf_printf(j->out, "%lld", (long long)(v.bits << shift) >> shift);
    else
        buf_printf(j->out, "%llu", (unsigned long long)v.bits);
    return true;
}

/* An array of NumPy's, as a tensor is shown. */
static bool put_array(struct json_out *j, const struct node *n)
{
    enum dtype dtype;
    const struct node *shape = torch_array_shape(n, &dtype);

    if (shape == NULL)
        return false;
    buf_printf(j->out, "{\"$tensor\":\"%s\",\"shape\":", dtype_name(dtype));
    put_list(j, &shape->list);
    buf_putc(j->out, '}');
    return true;
}

static void put_member(struct members *m, const char *key, struct node *n)
{
    if (member(m, str_of(key)))
        put_node(m->j, n);
}

static void put_state(struct members *m, struct node *state)
{
    const struct node_list *l = &state->list;

    if (state->kind == NODE_DICT) {
        put_pairs(m, l);
    } else if (state->kind == NODE_TUPLE && l->n == 2 &&
               (l->v[0]->kind == NODE_DICT || l->v[0]->kind == NODE_NONE) &&
               (l->v[1]->kind == NODE_DICT || l->v[1]->kind == NODE_NONE)) {
        /* Attributes and slots. */
        for (uint64_t i = 0; i < 2; i++) {
            if (l->v[i]->kind == NODE_DICT)
                put_pairs(m, &l->v[i]->list);
        }
    } else {
        put_member(m, "$state", state);
    }
}

static void put_opaque(struct json_out *j, const struct node_opaque *o)
{
    struct members m = { .j = j };
    bool scalar = o->args->list.n == 1 && o->states.n + o->items.n == 0 &&
                  o->pairs.n == 0;

    if (put_short(j, o) || put_scalar(j, o))
        return;
    if (!is_plain_class(o->callee))
        put_member(&m, "$class", o->callee);
    for (uint64_t i = 0; i < o->states.n; i++)
        put_state(&m, o->states.v[i]);
    put_pairs(&m, &o->pairs);
    if (scalar)
        put_member(&m, "$value", o->args->list.v[0]);
    else if (o->args->list.n > 0)
        put_member(&m, "$args", o->args);
    if (o->kwargs != NULL && o->kwargs->list.n > 0)
        put_member(&m, "$kwargs", o->kwargs);
    if (o->items.n > 0 && member(&m, str_of("$items")))
        put_list(j, &o->items);
    members_end(&m);
}

/* ---- any node ---- */

static void put_container(struct json_out *j, struct node *n)
{
    if (n->busy) {
        buf_printf(j->out, "{\"$ref\":%u}", n->level);
        return;
    }
    if (j->depth >= TORCH_CONFIG_DEPTH) {
        buf_puts(j->out, "{\"$deep\":true}");
        return;
    }
    n->busy = true;
    n->level = (uint16_t)j->depth++;
    if (n->kind == NODE_DICT)
        put_dict(j, &n->list);
    else if (n->kind == NODE_OPAQUE && !put_array(j, n))
        put_opaque(j, n->opaque);
    else if (n->kind != NODE_OPAQUE)
        put_list(j, &n->list);
    j->depth--;
    n->busy = false;
}

static void put_node(struct json_out *j, struct node *n)
{
    spend(j, 8);
    if (j->out->bad != ERR_NONE)
        return;
    switch (n->kind) {
    case NODE_NONE:
        buf_puts(j->out, "null");
        break;
    case NODE_BOOL:
        buf_puts(j->out, n->truth ? "true" : "false");
        break;
    case NODE_INT:
        buf_printf(j->out, "%lld", (long long)n->i);
        break;
    case NODE_BIGINT:
        put_bigint(j, n->s);
        break;
    case NODE_FLOAT:
        put_float(j, n->f);
        break;
    case NODE_STR:
        json_quote(j->out, n->s);
        break;
    case NODE_BYTES:
        put_hex(j, "$bytes", n->s);
        break;
    case NODE_GLOBAL:
        put_global(j, n->global);
        break;
    case NODE_TENSOR:
        put_shape(j, n->view->dtype, n->view->rank, n->view->shape);
        break;
    case NODE_STORAGE:
        put_shape(j, n->storage->dtype, 1, &n->storage->numel);
        break;
    default:
        put_container(j, n);
        break;
    }
}

void torch_json(struct node *n, struct buf *out)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(KEYS_ARENA);
    uint64_t work = WORK_MAX;
    struct json_out j = { out, &arena, &work, 0 };

    put_node(&j, n);
}
