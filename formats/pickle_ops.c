/*
 * The opcodes with binary arguments or none. Kinds are checked at every
 * opcode: a mapping takes pairs, a list takes items, nothing else.
 */
#include "formats/pickle_internal.h"

static int op_proto(struct pickle *p)
{
    unsigned v = rd_u8(&p->rd);

    if (!p->rd.bad && (v < 2 || v > 5))
        return pickle_doubt(p, pickle_bad(p, "protocol %u", v));
    return 0;
}

static int op_frame(struct pickle *p)
{
    if (rd_u64(&p->rd) > rd_left(&p->rd))
        return pickle_bad(p, "frame longer than the file");
    return 0;
}

static int op_stop(struct pickle *p)
{
    struct node *n = pickle_pop(p);

    if (n == NULL)
        return -1;
    if (p->stack.n > 0 || p->marks.n > 0)
        return pickle_bad(p, "%llu items left on the stack",
            (unsigned long long)(p->stack.n + p->marks.n));
    p->result = n;
    return 0;
}

static int op_mark(struct pickle *p)
{
    struct pickle_marks *m = &p->marks;
    uint64_t *v =
        arena_grow(p->env->arena, m->v, m->n, &m->cap, sizeof(*v), p->e);

    if (v == NULL)
        return -1;
    m->v = v;
    m->v[m->n++] = p->stack.n;
    return 0;
}

static int op_pop(struct pickle *p)
{
    if (p->marks.n > 0 && p->marks.v[p->marks.n - 1] == p->stack.n) {
        p->marks.n--;
        return 0;
    }
    return pickle_pop(p) == NULL ? -1 : 0;
}

static int op_pop_mark(struct pickle *p)
{
    struct node **v;
    uint64_t n;

    return pickle_pop_mark(p, &v, &n);
}

static int op_dup(struct pickle *p)
{
    return pickle_push(p, pickle_top(p));
}

static int op_none(struct pickle *p)
{
    return pickle_push(p, p->none);
}

static int op_true(struct pickle *p)
{
    return pickle_push(p, p->truth[1]);
}

static int op_false(struct pickle *p)
{
    return pickle_push(p, p->truth[0]);
}

static int push_empty(struct pickle *p, enum node_kind kind)
{
    return pickle_push(p, pickle_node(p, kind));
}

static int op_empty_tuple(struct pickle *p)
{
    return push_empty(p, NODE_TUPLE);
}

static int op_empty_list(struct pickle *p)
{
    return push_empty(p, NODE_LIST);
}

static int op_empty_dict(struct pickle *p)
{
    return push_empty(p, NODE_DICT);
}

static int op_empty_set(struct pickle *p)
{
    return push_empty(p, NODE_SET);
}

/* Everything above the mark as one sequence. */
static int push_marked(struct pickle *p, enum node_kind kind)
{
    struct node **v;
    uint64_t n;

    if (pickle_pop_mark(p, &v, &n) != 0)
        return -1;
    if (kind == NODE_DICT && n % 2 != 0)
        return pickle_bad(p, "a key without a value");
    return pickle_push(p, pickle_seq(p, kind, v, n));
}

static int op_tuple(struct pickle *p)
{
    return push_marked(p, NODE_TUPLE);
}

static int op_list(struct pickle *p)
{
    return push_marked(p, NODE_LIST);
}

static int op_dict(struct pickle *p)
{
    return push_marked(p, NODE_DICT);
}

static int op_frozenset(struct pickle *p)
{
    return push_marked(p, NODE_SET);
}

static int op_tuple_n(struct pickle *p)
{
    struct node *v[3];
    uint64_t n = p->op - 0x84u;

    for (uint64_t i = n; i > 0; i--) {
        v[i - 1] = pickle_pop(p);
        if (v[i - 1] == NULL)
            return -1;
    }
    return pickle_push(p, pickle_seq(p, NODE_TUPLE, v, n));
}

/* The list that takes items: of a list, a set, or an unknown object. */
static int add_items(struct pickle *p, struct node *const *v, uint64_t n)
{
    bool set = p->op == 0x90;
    struct node *to = pickle_top(p);

    if (to == NULL)
        return -1;
    if (to->kind == NODE_OPAQUE)
        return pickle_extend(p, &to->opaque->items, v, n);
    if (to->kind != (set ? NODE_SET : NODE_LIST))
        return pickle_doubt(
            p, pickle_bad(p, "items for %s", node_kind_name(to)));
    return pickle_extend(p, &to->list, v, n);
}

static int op_append(struct pickle *p)
{
    struct node *n = pickle_pop(p);

    return n == NULL ? -1 : add_items(p, &n, 1);
}

static int op_appends(struct pickle *p)
{
    struct node **v;
    uint64_t n;

    if (pickle_pop_mark(p, &v, &n) != 0)
        return -1;
    return add_items(p, v, n);
}

static int add_pairs(struct pickle *p, struct node *const *v, uint64_t n)
{
    struct node *to = pickle_top(p);

    if (to == NULL)
        return -1;
    if (n % 2 != 0)
        return pickle_bad(p, "a key without a value");
    if (to->kind == NODE_OPAQUE)
        return pickle_extend(p, &to->opaque->pairs, v, n);
    if (to->kind != NODE_DICT)
        return pickle_doubt(
            p, pickle_bad(p, "a key for %s", node_kind_name(to)));
    return pickle_extend(p, &to->list, v, n);
}

static int op_setitem(struct pickle *p)
{
    struct node *v[2];

    v[1] = pickle_pop(p);
    v[0] = v[1] == NULL ? NULL : pickle_pop(p);
    return v[0] == NULL ? -1 : add_pairs(p, v, 2);
}

static int op_setitems(struct pickle *p)
{
    struct node **v;
    uint64_t n;

    if (pickle_pop_mark(p, &v, &n) != 0)
        return -1;
    return add_pairs(p, v, n);
}

static int op_global(struct pickle *p)
{
    struct str module = rd_line(&p->rd);
    struct str name = rd_line(&p->rd);

    if (p->rd.bad)
        return 0;
    return pickle_push(p, pickle_global(p, module, name));
}

static int op_stack_global(struct pickle *p)
{
    struct node *name = pickle_pop(p);
    struct node *module = name == NULL ? NULL : pickle_pop(p);

    if (module == NULL)
        return -1;
    if (name->kind != NODE_STR || module->kind != NODE_STR)
        return pickle_doubt(
            p, pickle_bad(p, "a global named by %s and %s",
                   node_kind_name(module), node_kind_name(name)));
    return pickle_push(p, pickle_global(p, module->s, name->s));
}

static int op_inst(struct pickle *p)
{
    struct str module = rd_line(&p->rd);
    struct str name = rd_line(&p->rd);
    struct node *callee, *args, **v;
    uint64_t n;

    if (p->rd.bad)
        return 0;
    if (pickle_pop_mark(p, &v, &n) != 0)
        return -1;
    args = pickle_seq(p, NODE_TUPLE, v, n);
    callee = args == NULL ? NULL : pickle_global(p, module, name);
    return callee == NULL ? -1 : pickle_call(p, callee, args, NULL);
}

static int op_obj(struct pickle *p)
{
    struct node *args, **v;
    uint64_t n;

    if (pickle_pop_mark(p, &v, &n) != 0)
        return -1;
    if (n == 0)
        return pickle_bad(p, "no class");
    args = pickle_seq(p, NODE_TUPLE, v + 1, n - 1);
    return args == NULL ? -1 : pickle_call(p, v[0], args, NULL);
}

static int op_reduce(struct pickle *p)
{
    struct node *args = pickle_pop(p);
    struct node *callee = args == NULL ? NULL : pickle_pop(p);

    return callee == NULL ? -1 : pickle_call(p, callee, args, NULL);
}

static int op_newobj_ex(struct pickle *p)
{
    struct node *kwargs = pickle_pop(p);
    struct node *args = kwargs == NULL ? NULL : pickle_pop(p);
    struct node *callee = args == NULL ? NULL : pickle_pop(p);

    if (callee == NULL)
        return -1;
    if (kwargs->kind != NODE_DICT)
        return pickle_bad(p, "keyword arguments in %s", node_kind_name(kwargs));
    return pickle_call(p, callee, args, kwargs);
}

/*
 * Python asks an object for its append, __setstate__, keys and others by
 * name, and an attribute of that name is found: it will be called.
 */
static void hold(struct pickle *p, const struct node *state)
{
    if (state->kind == NODE_OPAQUE)
        p->env->names->obscure = true;
    for (uint64_t i = 1; state->kind == NODE_DICT && i < state->list.n; i += 2)
        if (state->list.v[i]->kind == NODE_GLOBAL)
            state->list.v[i]->global->held = true;
}

/* A dict of attributes, or a pair of them: the second is for slots. */
static void hold_state(struct pickle *p, const struct node *state)
{
    hold(p, state);
    if (state->kind == NODE_TUPLE && state->list.n == 2) {
        hold(p, state->list.v[0]);
        hold(p, state->list.v[1]);
    }
}

static int op_build(struct pickle *p)
{
    struct node *state = pickle_pop(p);
    struct node *to = state == NULL ? NULL : pickle_top(p);

    if (to == NULL)
        return -1;
    hold_state(p, state);
    switch (to->kind) {
    case NODE_OPAQUE:
        return pickle_extend(p, &to->opaque->states, &state, 1);
    case NODE_DICT:
        return 0; /* attributes of a mapping are not its entries */
    case NODE_TENSOR:
        if (state->kind == NODE_DICT || state->kind == NODE_NONE)
            return 0;
        break;
    case NODE_GLOBAL:
        /* Rewrites a class: whatever its name, the file wants something. */
        to->global->called = true;
        to->global->rewritten = true;
        to->global->known = NULL;
        return 0;
    default:
        break;
    }
    return pickle_doubt(p, pickle_bad(p, "state in %s for %s",
                               node_kind_name(state), node_kind_name(to)));
}

static int op_binpersid(struct pickle *p)
{
    const struct pickle_dialect *d = p->env->d;
    struct node *pid = pickle_pop(p);
    struct node *out = NULL;

    if (pid == NULL)
        return -1;
    if (d == NULL || d->persid == NULL)
        return pickle_bad(p, "a persistent id has no meaning here");
    if (d->persid(p, pid, &out) != 0)
        return -1;
    return pickle_push(p, out);
}

static int op_persid(struct pickle *p)
{
    return pickle_bad(p, "a persistent id of the tar format of torch 0.1");
}

/*
 * The file chooses the indices: what they may cost is bounded by how many
 * there are.
 */
static int memo_put(struct pickle *p, uint64_t i)
{
    struct node *n = pickle_top(p);

    if (n == NULL)
        return -1;
    p->puts++;
    if (i >= p->memo_cap) {
        uint64_t cap = size_max(1024, size_max(p->puts, p->memo_cap) * 2);
        struct node **v;

        if (i >= size_max(1024, p->puts * 2))
            return pickle_doubt(
                p, pickle_bad(p, "memo index %llu is far beyond the others",
                       (unsigned long long)i));
        v = arena_alloc(p->env->arena, cap, sizeof(struct node *), p->e);
        if (v == NULL)
            return -1;
        if (p->memo_cap > 0)
            memcpy(v, p->memo, p->memo_cap * sizeof(struct node *));
        p->memo = v;
        p->memo_cap = cap;
    }
    if (p->memo[i] == NULL)
        p->memo_n++;
    p->memo[i] = n;
    return 0;
}

static int op_put(struct pickle *p)
{
    uint64_t i;

    return pickle_index_line(p, &i) != 0 ? -1 : memo_put(p, i);
}

static int op_binput(struct pickle *p)
{
    return memo_put(p, rd_u8(&p->rd));
}

static int op_long_binput(struct pickle *p)
{
    return memo_put(p, rd_u32(&p->rd));
}

static int op_memoize(struct pickle *p)
{
    return memo_put(p, p->memo_n);
}

static int memo_get(struct pickle *p, uint64_t i)
{
    if (i >= p->memo_cap || p->memo[i] == NULL)
        return pickle_bad(
            p, "memo index %llu was never set", (unsigned long long)i);
    return pickle_push(p, p->memo[i]);
}

static int op_get(struct pickle *p)
{
    uint64_t i;

    return pickle_index_line(p, &i) != 0 ? -1 : memo_get(p, i);
}

static int op_binget(struct pickle *p)
{
    return memo_get(p, rd_u8(&p->rd));
}

static int op_long_binget(struct pickle *p)
{
    return memo_get(p, rd_u32(&p->rd));
}

static int op_ext(struct pickle *p)
{
    return pickle_bad(p, "an extension code of some Python process");
}

static int op_buffer(struct pickle *p)
{
    return pickle_bad(p, "a buffer outside the file");
}

pickle_op *const pickle_ops[256] = {
    [0x80] = op_proto,
    ['.'] = op_stop,
    ['('] = op_mark,
    ['0'] = op_pop,
    ['1'] = op_pop_mark,
    ['2'] = op_dup,
    ['N'] = op_none,
    [0x88] = op_true,
    [0x89] = op_false,
    ['I'] = pickle_op_int,
    ['L'] = pickle_op_long,
    ['J'] = pickle_op_binint,
    ['K'] = pickle_op_binint1,
    ['M'] = pickle_op_binint2,
    [0x8a] = pickle_op_long1,
    [0x8b] = pickle_op_long4,
    ['F'] = pickle_op_float,
    ['G'] = pickle_op_binfloat,
    ['S'] = pickle_op_string,
    ['T'] = pickle_op_binstring,
    ['U'] = pickle_op_short_binstring,
    ['V'] = pickle_op_unicode,
    ['X'] = pickle_op_binunicode,
    [0x8c] = pickle_op_short_binunicode,
    [0x8d] = pickle_op_binunicode8,
    ['C'] = pickle_op_short_binbytes,
    ['B'] = pickle_op_binbytes,
    [0x8e] = pickle_op_binbytes8,
    [0x96] = pickle_op_binbytes8, /* a bytearray */
    [')'] = op_empty_tuple,
    [0x85] = op_tuple_n,
    [0x86] = op_tuple_n,
    [0x87] = op_tuple_n,
    ['t'] = op_tuple,
    [']'] = op_empty_list,
    ['l'] = op_list,
    ['a'] = op_append,
    ['e'] = op_appends,
    ['}'] = op_empty_dict,
    ['d'] = op_dict,
    ['s'] = op_setitem,
    ['u'] = op_setitems,
    [0x8f] = op_empty_set,
    [0x90] = op_appends, /* ADDITEMS */
    [0x91] = op_frozenset,
    ['c'] = op_global,
    [0x93] = op_stack_global,
    ['i'] = op_inst,
    ['o'] = op_obj,
    ['R'] = op_reduce,
    [0x81] = op_reduce, /* NEWOBJ */
    [0x92] = op_newobj_ex,
    ['b'] = op_build,
    ['Q'] = op_binpersid,
    ['P'] = op_persid,
    ['p'] = op_put,
    ['q'] = op_binput,
    ['r'] = op_long_binput,
    [0x94] = op_memoize,
    ['g'] = op_get,
    ['h'] = op_binget,
    ['j'] = op_long_binget,
    [0x95] = op_frame,
    [0x82] = op_ext,
    [0x83] = op_ext,
    [0x84] = op_ext,
    [0x97] = op_buffer,
    [0x98] = op_buffer,
};
