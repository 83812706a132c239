/*
 * The machine: stack, marks, node constructors and the loop. The opcodes are
 * in pickle_ops.c and pickle_text.c, the calls in pickle_call.c.
 */
#include "formats/pickle.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"
#include "formats/pickle_internal.h"

int pickle_bad(struct pickle *p, const char *fmt, ...)
{
    char text[320];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return err_set(p->e, ERR_REFUSED, "pickle opcode 0x%02x at byte %llu: %s",
        p->op, (unsigned long long)p->at, text);
}

int pickle_doubt(struct pickle *p, int rc)
{
    p->env->names->doubtful = true;
    return rc;
}

int pickle_grow(struct pickle *p, struct node_list *l, uint64_t n)
{
    uint64_t need, cap;
    struct node **v;

    if (!size_add(l->n, n, &need))
        return pickle_bad(p, "too many items");
    if (need <= l->cap)
        return 0;
    cap = size_max(need, l->cap < 2 ? 2 : l->cap * 2);
    v = arena_alloc(p->env->arena, cap, sizeof(struct node *), p->e);
    if (v == NULL)
        return -1;
    if (l->n > 0)
        memcpy(v, l->v, l->n * sizeof(struct node *));
    l->v = v;
    l->cap = cap;
    return 0;
}

int pickle_extend(
    struct pickle *p, struct node_list *l, struct node *const *v, uint64_t n)
{
    if (pickle_grow(p, l, n) != 0)
        return -1;
    if (n > 0)
        memcpy(l->v + l->n, v, n * sizeof(struct node *));
    l->n += n;
    return 0;
}

struct node *pickle_node(struct pickle *p, enum node_kind kind)
{
    struct node *n = NULL;

    if (p->nodes++ >= PICKLE_NODES_MAX)
        pickle_doubt(p, pickle_bad(p, "more than %d nodes", PICKLE_NODES_MAX));
    else
        n = arena_alloc(p->env->arena, 1, sizeof(*n), p->e);
    if (n != NULL)
        n->kind = (uint8_t)kind;
    return n;
}

struct node *pickle_int(struct pickle *p, int64_t v)
{
    struct node *n = pickle_node(p, NODE_INT);

    if (n != NULL)
        n->i = v;
    return n;
}

struct node *pickle_text(struct pickle *p, enum node_kind kind, struct str s)
{
    struct node *n = pickle_node(p, kind);

    if (n != NULL)
        n->s = s;
    return n;
}

struct node *pickle_seq(
    struct pickle *p, enum node_kind kind, struct node *const *v, uint64_t n)
{
    struct node *out = pickle_node(p, kind);

    if (out != NULL && pickle_extend(p, &out->list, v, n) != 0)
        return NULL;
    return out;
}

struct node *pickle_long(struct pickle *p, const uint8_t *bytes, uint64_t n)
{
    uint8_t fill = n > 0 && bytes[n - 1] >= 0x80 ? 0xff : 0;
    uint64_t v = fill ? UINT64_MAX : 0;

    /* Bytes that only repeat the sign say nothing. */
    while (
        n > 8 && bytes[n - 1] == fill && (bytes[n - 2] >= 0x80) == (fill != 0))
        n--;
    if (n > 8)
        return pickle_text(
            p, NODE_BIGINT, (struct str){ (const char *)bytes, n });
    for (uint64_t i = 0; i < n; i++) {
        v &= ~((uint64_t)0xff << (8 * i));
        v |= (uint64_t)bytes[i] << (8 * i);
    }
    return pickle_int(p, (int64_t)v);
}

bool pickle_is_utf8(struct str s, bool surrogates)
{
    while (s.len > 0) {
        const unsigned char *u = (const unsigned char *)s.p;
        uint32_t cp;
        unsigned n = u[0] < 0x80 ? 1 : utf8_get(s, &cp);

        if (n == 0 && surrogates && s.len >= 3 && u[0] == 0xed &&
            (u[1] & 0xe0) == 0xa0 && (u[2] & 0xc0) == 0x80)
            n = 3;
        if (n == 0)
            return false;
        s.p += n;
        s.len -= n;
    }
    return true;
}

struct node *pickle_str2(struct pickle *p, struct str s)
{
    return pickle_text(p, pickle_is_utf8(s, false) ? NODE_STR : NODE_BYTES, s);
}

static uint64_t stack_floor(const struct pickle *p)
{
    return p->marks.n ? p->marks.v[p->marks.n - 1] : 0;
}

int pickle_push(struct pickle *p, struct node *n)
{
    if (n == NULL)
        return -1;
    return pickle_extend(p, &p->stack, &n, 1);
}

struct node *pickle_pop(struct pickle *p)
{
    if (p->stack.n <= stack_floor(p)) {
        pickle_bad(p, "the stack is empty");
        return NULL;
    }
    return p->stack.v[--p->stack.n];
}

struct node *pickle_top(struct pickle *p)
{
    if (p->stack.n <= stack_floor(p)) {
        pickle_bad(p, "the stack is empty");
        return NULL;
    }
    return p->stack.v[p->stack.n - 1];
}

int pickle_pop_mark(struct pickle *p, struct node ***v, uint64_t *n)
{
    uint64_t from;

    if (p->marks.n == 0)
        return pickle_bad(p, "no mark on the stack");
    from = p->marks.v[--p->marks.n];
    *v = p->stack.v + from;
    *n = p->stack.n - from;
    p->stack.n = from;
    return 0;
}

static int machine_init(struct pickle *p)
{
    p->none = pickle_node(p, NODE_NONE);
    p->truth[0] = pickle_node(p, NODE_BOOL);
    p->truth[1] = pickle_node(p, NODE_BOOL);
    if (p->none == NULL || p->truth[0] == NULL || p->truth[1] == NULL)
        return -1;
    p->truth[1]->truth = true;
    return pickle_grow(p, &p->stack, 64);
}

static int machine_step(struct pickle *p)
{
    p->at = p->rd.pos;
    p->op = rd_u8(&p->rd);
    if (p->rd.bad)
        return err_set(p->e, ERR_REFUSED,
            "pickle ends at byte %llu without its STOP",
            (unsigned long long)p->at);
    if (pickle_ops[p->op] == NULL)
        return pickle_bad(p, "no such opcode");
    if (pickle_ops[p->op](p) != 0)
        return -1;
    if (p->rd.bad)
        return pickle_bad(p, "its argument runs past the end");
    return 0;
}

int pickle_run(const void *bytes, uint64_t len, const struct pickle_env *env,
    struct node **out, uint64_t *used, struct err *e)
{
    struct pickle p = { .rd = rd_of(bytes, len), .env = env, .e = e };

    if (machine_init(&p) != 0)
        return -1;
    while (p.result == NULL) {
        if (machine_step(&p) != 0)
            return -1;
    }
    *out = p.result;
    *used = p.rd.pos;
    return 0;
}
