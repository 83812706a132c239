/*
 * Globals and calls: the callables of Python's own library whose meaning is
 * plain data are evaluated, everything else becomes opaque. An exact list of
 * names, never a prefix, never a list of what is bad.
 */
#include "formats/pickle_internal.h"

#include "base/utf8.h"

static int give_seq(struct pickle *p, enum node_kind kind,
    const struct node *args, struct node **out)
{
    const struct node *from = args->list.n ? args->list.v[0] : NULL;

    if (args->list.n > 1)
        return 0;
    if (from != NULL && from->kind != NODE_LIST && from->kind != NODE_TUPLE &&
        from->kind != NODE_SET)
        return 0;
    *out = pickle_node(p, kind);
    if (*out == NULL)
        return -1;
    /*
     * The items are shared, not copied: with no room left behind them the
     * next append moves to memory of its own.
     */
    if (from != NULL) {
        (*out)->list = from->list;
        (*out)->list.cap = from->list.n;
    }
    return 0;
}

static int call_list(
    struct pickle *p, const struct node *args, struct node **out)
{
    return give_seq(p, NODE_LIST, args, out);
}

static int call_tuple(
    struct pickle *p, const struct node *args, struct node **out)
{
    return give_seq(p, NODE_TUPLE, args, out);
}

static int call_set(
    struct pickle *p, const struct node *args, struct node **out)
{
    return give_seq(p, NODE_SET, args, out);
}

/* deque(list[, maxlen]): the second argument says nothing about the data. */
static int call_deque(
    struct pickle *p, const struct node *args, struct node **out)
{
    struct node first = *args;

    first.list.n = size_min(args->list.n, 1);
    return give_seq(p, NODE_LIST, &first, out);
}

/* A list of two-item sequences, as Python 2 wrote an OrderedDict. */
static int pairs_of(
    struct pickle *p, const struct node *from, struct node *dict)
{
    for (uint64_t i = 0; i < from->list.n; i++) {
        const struct node *pair = from->list.v[i];

        if ((pair->kind != NODE_LIST && pair->kind != NODE_TUPLE) ||
            pair->list.n != 2)
            return pickle_bad(p, "item %llu of a mapping is not a pair",
                (unsigned long long)i);
        if (pickle_extend(p, &dict->list, pair->list.v, 2) != 0)
            return -1;
    }
    return 0;
}

static int give_dict(
    struct pickle *p, const struct node *from, struct node **out)
{
    if (from != NULL && from->kind != NODE_DICT && from->kind != NODE_LIST)
        return 0;
    *out = pickle_node(p, NODE_DICT);
    if (*out == NULL)
        return -1;
    if (from == NULL)
        return 0;
    if (from->kind == NODE_LIST)
        return pairs_of(p, from, *out);
    (*out)->list = from->list;
    (*out)->list.cap = from->list.n;
    return 0;
}

static int call_dict(
    struct pickle *p, const struct node *args, struct node **out)
{
    if (args->list.n > 1)
        return 0;
    return give_dict(p, args->list.n ? args->list.v[0] : NULL, out);
}

/* defaultdict(factory[, dict]) */
static int call_defaultdict(
    struct pickle *p, const struct node *args, struct node **out)
{
    if (args->list.n > 2)
        return 0;
    return give_dict(p, args->list.n == 2 ? args->list.v[1] : NULL, out);
}

/* Code points 0..255 back to the bytes they stand for; false: others. */
static bool latin1(struct str s, char *out, size_t *n)
{
    while (s.len > 0) {
        uint32_t cp;
        unsigned took = utf8_get(s, &cp);

        if (took == 0 || cp > 255)
            return false;
        out[(*n)++] = (char)cp;
        s = (struct str){ s.p + took, s.len - took };
    }
    return true;
}

/* How protocol 2 spells bytes: encode(text, 'latin1'). */
static int call_encode(
    struct pickle *p, const struct node *args, struct node **out)
{
    struct str s;
    size_t n = 0, i = 0;
    char *bytes;

    if (args->list.n != 2 || args->list.v[0]->kind != NODE_STR ||
        !(node_is_text(args->list.v[1], "latin1") ||
            node_is_text(args->list.v[1], "latin-1")))
        return 0;
    s = args->list.v[0]->s;
    while (i < s.len && (unsigned char)s.p[i] < 0x80)
        i++;
    if (i < s.len) {
        bytes = arena_alloc(p->env->arena, s.len, 1, p->e);
        if (bytes == NULL)
            return -1;
        if (!latin1(s, bytes, &n))
            return 0;
        s = (struct str){ bytes, n };
    }
    *out = pickle_text(p, NODE_BYTES, s);
    return *out == NULL ? -1 : 0;
}

/* bytes(), bytes(b), bytearray(b), bytearray(text, 'latin-1') */
static int call_bytes(
    struct pickle *p, const struct node *args, struct node **out)
{
    struct str s = { "", 0 };

    if (args->list.n == 2)
        return call_encode(p, args, out);
    if (args->list.n == 1) {
        if (args->list.v[0]->kind != NODE_BYTES)
            return 0;
        s = args->list.v[0]->s;
    }
    *out = pickle_text(p, NODE_BYTES, s);
    return *out == NULL ? -1 : 0;
}

static struct node *opaque_new(struct pickle *p, struct node *callee,
    struct node *args, struct node *kwargs)
{
    struct node *n = pickle_node(p, NODE_OPAQUE);

    if (n == NULL)
        return NULL;
    n->opaque = arena_alloc(p->env->arena, 1, sizeof(*n->opaque), p->e);
    if (n->opaque == NULL)
        return NULL;
    n->opaque->callee = callee;
    n->opaque->args = args;
    n->opaque->kwargs = kwargs;
    n->opaque->offset = p->at;
    return n;
}

/*
 * _reconstructor(class, base, state): how protocols 0 and 1 make an object
 * of a class, and of one derived from dict.
 */
static int call_reconstructor(
    struct pickle *p, const struct node *args, struct node **out)
{
    struct node *const *v = args->list.v;
    struct node *none;

    if (args->list.n != 3 || v[0]->kind != NODE_GLOBAL ||
        (v[2]->kind != NODE_NONE && v[2]->kind != NODE_DICT))
        return 0;
    v[0]->global->called = true;
    none = pickle_node(p, NODE_TUPLE);
    *out = none == NULL ? NULL : opaque_new(p, v[0], none, NULL);
    if (*out == NULL)
        return -1;
    if (v[2]->kind == NODE_DICT) {
        (*out)->opaque->pairs = v[2]->list;
        (*out)->opaque->pairs.cap = v[2]->list.n;
    }
    return 0;
}

static const struct pickle_known plain[] = {
    { "collections", "OrderedDict", call_dict },
    { "collections", "Counter", call_dict },
    { "collections", "defaultdict", call_defaultdict },
    { "collections", "deque", call_deque },
    { "builtins", "dict", call_dict },
    { "builtins", "list", call_list },
    { "builtins", "tuple", call_tuple },
    { "builtins", "set", call_set },
    { "builtins", "frozenset", call_set },
    { "builtins", "bytes", call_bytes },
    { "builtins", "bytearray", call_bytes },
    { "builtins", "complex", NULL },
    { "builtins", "slice", NULL },
    { "builtins", "range", NULL },
    { "builtins", "int", NULL },
    { "builtins", "float", NULL },
    { "builtins", "str", NULL },
    { "builtins", "bool", NULL },
    { "builtins", "object", NULL },
    { "_codecs", "encode", call_encode },
    { "copyreg", "_reconstructor", call_reconstructor },
    { "numpy", "dtype", NULL },
    { "numpy", "ndarray", NULL },
    { "numpy.core.multiarray", "scalar", NULL },
    { "numpy.core.multiarray", "_reconstruct", NULL },
    { "numpy.core.numeric", "_frombuffer", NULL },
    { "numpy._core.multiarray", "scalar", NULL },
    { "numpy._core.multiarray", "_reconstruct", NULL },
    { "numpy._core.numeric", "_frombuffer", NULL },
};

static const struct pickle_known *find_in(
    const struct pickle_known *v, size_t n, struct str module, struct str name)
{
    for (size_t i = 0; i < n; i++) {
        if (str_is(module, v[i].module) && str_is(name, v[i].name))
            return &v[i];
    }
    return NULL;
}

const struct pickle_known *pickle_known_find(struct str module, struct str name)
{
    return find_in(plain, ARRAY_LEN(plain), module, name);
}

/* Python 2 called some modules differently. */
static struct str module_today(struct str module)
{
    static const char *const renamed[][2] = { { "__builtin__", "builtins" },
        { "copy_reg", "copyreg" }, { "cPickle", "pickle" },
        { "UserDict", "collections" }, { "UserList", "collections" } };

    for (size_t i = 0; i < ARRAY_LEN(renamed); i++) {
        if (str_is(module, renamed[i][0]))
            return str_of(renamed[i][1]);
    }
    return module;
}

/* A row for a name that was not met before. */
static struct pickle_global *global_add(
    struct pickle *p, struct str key, struct str module, struct str name)
{
    struct pickle_names *names = p->env->names;
    const struct pickle_dialect *d = p->env->d;
    struct arena *arena = p->env->arena;
    struct pickle_global *g, **v;

    if (names->n >= PICKLE_GLOBALS_MAX) {
        pickle_doubt(p, pickle_bad(p, "more than %d different globals",
                            PICKLE_GLOBALS_MAX));
        return NULL;
    }
    g = arena_alloc(arena, 1, sizeof(*g), p->e);
    key = arena_str(arena, key, p->e);
    if (g == NULL || key.p == NULL)
        return NULL;
    *g = (struct pickle_global){ .module = module,
        .name = name,
        .offset = p->at,
        .known = pickle_known_find(module, name) };
    if (g->known == NULL && d != NULL)
        g->known = find_in(d->known, d->n_known, module, name);
    v = arena_grow(arena, names->v, names->n, &names->cap,
        sizeof(struct pickle_global *), p->e);
    if (v == NULL)
        return NULL;
    names->v = v;
    if (pickle_table_put(&names->table, key, g, arena, p->e) != 0)
        return NULL;
    names->v[names->n++] = g;
    return g;
}

/* Also no control characters: one of them parts module and name below. */
static bool name_is_good(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    }
    return s.len > 0 && s.len <= PICKLE_NAME_MAX && pickle_is_utf8(s, false);
}

struct node *pickle_global(struct pickle *p, struct str module, struct str name)
{
    char key[2 * PICKLE_NAME_MAX + 2];
    struct pickle_global *g;
    struct node *n;
    size_t len;

    if (!name_is_good(module) || !name_is_good(name)) {
        pickle_bad(p, "a global without a proper name");
        p->env->names->doubtful |=
            size_max(module.len, name.len) > PICKLE_NAME_MAX;
        return NULL;
    }
    module = module_today(module);
    memcpy(key, module.p, module.len);
    key[module.len] = '\n';
    memcpy(key + module.len + 1, name.p, name.len);
    len = module.len + 1 + name.len;
    g = pickle_table_get(&p->env->names->table, (struct str){ key, len });
    if (g == NULL)
        g = global_add(p, (struct str){ key, len }, module, name);
    n = g == NULL ? NULL : pickle_node(p, NODE_GLOBAL);
    if (n != NULL)
        n->global = g;
    return n;
}

int pickle_call(struct pickle *p, struct node *callee, struct node *args,
    struct node *kwargs)
{
    struct pickle_global *g =
        callee->kind == NODE_GLOBAL ? callee->global : NULL;
    struct node *out = NULL;

    if (g == NULL && callee->kind != NODE_OPAQUE)
        return pickle_bad(p, "a call of %s", node_kind_name(callee));
    if (g != NULL)
        g->called = true;
    else
        p->env->names->obscure = true;
    if (args->kind != NODE_TUPLE)
        return pickle_doubt(p, pickle_bad(p, "a call with %s for arguments",
                                   node_kind_name(args)));
    if (g != NULL && g->known != NULL && g->known->call != NULL &&
        (kwargs == NULL || kwargs->list.n == 0)) {
        if (g->known->call(p, args, &out) != 0)
            return -1;
        if (out != NULL)
            return pickle_push(p, out);
    }
    return pickle_push(p, opaque_new(p, callee, args, kwargs));
}

/*
 * (tag, class, ...): torch calls the class to make a storage, and gives a
 * pickled module's class back to be called.
 */
static int any_persid(
    struct pickle *p, const struct node *pid, struct node **out)
{
    struct node *args = pickle_node(p, NODE_TUPLE);

    *out = args == NULL ? NULL : opaque_new(p, p->none, args, NULL);
    if (*out == NULL)
        return -1;
    if (pid->kind == NODE_OPAQUE ||
        (pid->kind == NODE_TUPLE && pid->list.n >= 2 &&
            pid->list.v[1]->kind == NODE_OPAQUE))
        p->env->names->obscure = true;
    if (pid->kind != NODE_TUPLE || pid->list.n < 2 ||
        pid->list.v[1]->kind != NODE_GLOBAL)
        return 0;
    pid->list.v[1]->global->called = true;
    if (node_is_text(pid->list.v[0], "module"))
        *out = pid->list.v[1];
    return 0;
}

const struct pickle_dialect pickle_names_only = { NULL, 0, any_persid };
