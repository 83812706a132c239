/* Persistent ids: which storage, of what class, of how many elements. */
#include "formats/torch_internal.h"

struct storage_class {
    const char *name;
    enum dtype dtype;
    unsigned element;  /* bytes */
    const char *quant; /* dtype is that of the integers */
};

static const struct storage_class classes[] = {
    { "DoubleStorage", DTYPE_F64, 8, NULL },
    { "FloatStorage", DTYPE_F32, 4, NULL },
    { "HalfStorage", DTYPE_F16, 2, NULL },
    { "BFloat16Storage", DTYPE_BF16, 2, NULL },
    { "LongStorage", DTYPE_I64, 8, NULL },
    { "IntStorage", DTYPE_I32, 4, NULL },
    { "ShortStorage", DTYPE_I16, 2, NULL },
    { "CharStorage", DTYPE_I8, 1, NULL },
    { "ByteStorage", DTYPE_U8, 1, NULL },
    { "BoolStorage", DTYPE_BOOL, 1, NULL },
    { "ComplexFloatStorage", DTYPE_C64, 8, NULL },
    { "ComplexDoubleStorage", DTYPE_C128, 16, NULL },
    { "QInt8Storage", DTYPE_I8, 1, "qint8" },
    { "QUInt8Storage", DTYPE_U8, 1, "quint8" },
    { "QInt32Storage", DTYPE_I32, 4, "qint32" },
    { "QUInt4x2Storage", DTYPE_NONE, 0, "quint4x2" },
    { "QUInt2x4Storage", DTYPE_NONE, 0, "quint2x4" },
    { "UntypedStorage", DTYPE_U8, 1, NULL },
};

static const struct storage_class *class_of(const struct node *n)
{
    const struct pickle_global *g = n->kind == NODE_GLOBAL ? n->global : NULL;

    if (g == NULL ||
        !(str_is(g->module, "torch") || str_is(g->module, "torch.cuda") ||
            str_is(g->module, "torch.storage")))
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        if (str_is(g->name, classes[i].name))
            return &classes[i];
    }
    return NULL;
}

struct torch_storage *torch_storage_add(
    struct torch_reader *r, struct str key, struct err *e)
{
    struct torch_storage *s = arena_alloc(r->arena, 1, sizeof(*s), e);

    if (s == NULL)
        return NULL;
    if (r->n_storages == r->cap_storages) {
        uint64_t cap = r->cap_storages ? r->cap_storages * 2 : 64;
        struct torch_storage **v =
            arena_alloc(r->arena, cap, sizeof(struct torch_storage *), e);

        if (v == NULL)
            return NULL;
        if (r->n_storages > 0)
            memcpy(
                v, r->storages, r->n_storages * sizeof(struct torch_storage *));
        r->storages = v;
        r->cap_storages = cap;
    }
    if (pickle_table_put(&r->by_key, key, s, r->arena, e) != 0)
        return NULL;
    s->key = key;
    r->storages[r->n_storages++] = s;
    return s;
}

/* Python 2 wrote its names as byte strings; here they are text already. */
static bool is_text(const struct node *n)
{
    return n->kind == NODE_STR || n->kind == NODE_BYTES;
}

static int key_check(
    struct pickle *p, const struct torch_reader *r, struct str key)
{
    bool digits = key.len > 0 && key.len <= 20;

    if (r->legacy) {
        if (key.len == 0 || key.len > TORCH_KEY_MAX)
            return pickle_bad(p, "a storage key of %zu bytes", key.len);
        return 0;
    }
    for (size_t i = 0; i < key.len && digits; i++)
        digits = key.p[i] >= '0' && key.p[i] <= '9';
    return digits ? 0 : pickle_bad(p, "a storage key that is not a number");
}

static int storage_fill(struct pickle *p, const struct node *pid,
    const struct storage_class *class, struct torch_storage *s)
{
    const struct node *location = pid->list.v[3];

    s->class_name = str_of(class->name);
    s->dtype = class->dtype;
    s->element = class->element;
    s->quant = class->quant;
    s->untyped = str_is(s->class_name, "UntypedStorage");
    s->no_data = str_starts(location->s, "meta");
    if (!node_u64(pid->list.v[4], &s->numel) ||
        !size_mul(s->numel, s->element, &s->bytes))
        return pickle_bad(
            p, "storage '%.*s' has an impossible size", STR_ARG(s->key));
    return 0;
}

static int storage_same(struct pickle *p, const struct node *pid,
    const struct storage_class *class, const struct torch_storage *s)
{
    uint64_t numel;

    if (!node_u64(pid->list.v[4], &numel) || numel != s->numel ||
        !str_is(s->class_name, class->name) || s->root != NULL)
        return pickle_bad(
            p, "storage '%.*s' is described in two ways", STR_ARG(s->key));
    return 0;
}

int torch_storage_get(
    struct pickle *p, const struct node *pid, struct torch_storage **out)
{
    struct torch_reader *r = p->env->ctx;
    struct node *const *v = pid->list.v;
    const struct storage_class *class = class_of(v[1]);

    if (class != NULL && class->element == 0 && r->legacy)
        class = NULL; /* only a record says how long it is */
    if (class == NULL) {
        if (v[1]->kind != NODE_GLOBAL)
            return pickle_bad(
                p, "a storage whose class is %s", node_kind_name(v[1]));
        return err_set(p->e, ERR_UNSUPPORTED,
            "a storage of class %.*s.%.*s (pickle byte %llu)",
            STR_ARG(v[1]->global->module), STR_ARG(v[1]->global->name),
            (unsigned long long)p->at);
    }
    if (!is_text(v[2]) || !is_text(v[3]) || v[4]->kind != NODE_INT)
        return pickle_bad(p, "a malformed storage id");
    if (key_check(p, r, v[2]->s) != 0)
        return -1;
    *out = pickle_table_get(&r->by_key, v[2]->s);
    if (*out != NULL)
        return storage_same(p, pid, class, *out);
    *out = torch_storage_add(r, v[2]->s, p->e);
    if (*out == NULL)
        return -1;
    return storage_fill(p, pid, class, *out);
}

struct node *torch_storage_node(struct pickle *p, struct torch_storage *s)
{
    struct node *n = pickle_node(p, NODE_STORAGE);

    if (n != NULL)
        n->storage = s;
    return n;
}
