/* Looking at nodes; see pickle.h. */
#include "formats/pickle.h"

bool node_is_text(const struct node *n, const char *text)
{
    return n->kind == NODE_STR && str_is(n->s, text);
}

struct node *node_pair(const struct node_list *pairs, const char *key)
{
    /* Python keeps the last of equal keys. */
    for (uint64_t i = pairs->n; i >= 2; i -= 2) {
        if (node_is_text(pairs->v[i - 2], key))
            return pairs->v[i - 1];
    }
    return NULL;
}

struct node *node_get(const struct node *dict, const char *key)
{
    if (dict == NULL || dict->kind != NODE_DICT)
        return NULL;
    return node_pair(&dict->list, key);
}

bool node_is_global(const struct node *n, const char *module, const char *name)
{
    return n->kind == NODE_GLOBAL && str_is(n->global->module, module) &&
           str_is(n->global->name, name);
}

bool node_u64(const struct node *n, uint64_t *out)
{
    if (n->kind != NODE_INT || n->i < 0)
        return false;
    *out = (uint64_t)n->i;
    return true;
}

const char *node_kind_name(const struct node *n)
{
    static const char *const names[] = { [NODE_NONE] = "None",
        [NODE_BOOL] = "a bool",
        [NODE_INT] = "an int",
        [NODE_BIGINT] = "a large int",
        [NODE_FLOAT] = "a float",
        [NODE_STR] = "a string",
        [NODE_BYTES] = "bytes",
        [NODE_LIST] = "a list",
        [NODE_TUPLE] = "a tuple",
        [NODE_DICT] = "a dict",
        [NODE_SET] = "a set",
        [NODE_GLOBAL] = "a global",
        [NODE_STORAGE] = "a storage",
        [NODE_TENSOR] = "a tensor",
        [NODE_OPAQUE] = "an object" };

    return names[n->kind];
}
