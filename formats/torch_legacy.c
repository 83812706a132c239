/*
 * The legacy stream: five pickles back to back, then the storages. Where one
 * pickle ends is known only by executing it.
 */
#include "formats/torch_internal.h"

#include "base/log.h"
#include "base/map.h"
#include "base/rd.h"

enum {
    LEGACY_PROTOCOL = 1001,
    FORGET_EVERY = 64 /* storages */
};

static const uint8_t magic[] = { 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8,
    0x50, 0x19 };

/* One of the pickles; a count of them for the messages. */
static int next_pickle(struct torch_reader *r, uint64_t *at, int which,
    const struct pickle_dialect *dialect, struct node **out, struct err *e)
{
    struct pickle_env env = { r->arena, &r->names, dialect, r };
    uint64_t used;

    if (pickle_run(r->bytes + *at, size_min(r->len - *at, PICKLE_BYTES_MAX),
            &env, out, &used, e) != 0)
        return err_ctx(
            e, "pickle %d, at byte %llu", which, (unsigned long long)*at);
    *at += used;
    return 0;
}

/* The slice of a root storage that a persistent id names. */
static int view_storage(struct pickle *p, const struct node *view,
    struct torch_storage *root, struct torch_storage **out)
{
    struct torch_reader *r = p->env->ctx;
    struct node *const *v = view->list.v;
    struct torch_storage *s;
    uint64_t offset, numel, end;

    if (view->kind != NODE_TUPLE || view->list.n != 3 ||
        (v[0]->kind != NODE_STR && v[0]->kind != NODE_BYTES) ||
        v[0]->s.len == 0 || v[0]->s.len > TORCH_KEY_MAX)
        return pickle_bad(p, "a malformed view of a storage");
    if (!node_u64(v[1], &offset) || !node_u64(v[2], &numel) ||
        !size_add(offset, numel, &end) || end > root->numel)
        return pickle_bad(
            p, "a view outside storage '%.*s'", STR_ARG(root->key));
    s = pickle_table_get(&r->by_key, v[0]->s);
    if (s != NULL && (s->root != root || s->numel != numel ||
                         s->root_offset != offset * root->element))
        return pickle_bad(
            p, "storage '%.*s' is described in two ways", STR_ARG(s->key));
    if (s == NULL) {
        s = torch_storage_add(r, v[0]->s, p->e);
        if (s == NULL)
            return -1;
        *s = (struct torch_storage){ .key = s->key,
            .class_name = root->class_name,
            .dtype = root->dtype,
            .quant = root->quant,
            .element = root->element,
            .untyped = root->untyped,
            .no_data = root->no_data,
            .numel = numel,
            .bytes = numel * root->element,
            .root = root,
            .root_offset = offset * root->element };
    }
    *out = s;
    return 0;
}

static int legacy_persid(
    struct pickle *p, const struct node *pid, struct node **out)
{
    struct torch_storage *s;
    struct node *const *v = pid->list.v;

    if (pid->kind != NODE_TUPLE || pid->list.n == 0)
        return pickle_bad(p, "a persistent id that is not a tuple");
    /* ('module', class, file, source): the class, whatever its source. */
    if (node_is_text(v[0], "module") && pid->list.n == 4 &&
        v[1]->kind == NODE_GLOBAL) {
        *out = v[1];
        return 0;
    }
    if (!node_is_text(v[0], "storage") || pid->list.n < 5 || pid->list.n > 6)
        return pickle_bad(p, "a persistent id that is not a storage");
    if (torch_storage_get(p, pid, &s) != 0)
        return -1;
    if (pid->list.n == 6 && v[5]->kind != NODE_NONE &&
        view_storage(p, v[5], s, &s) != 0)
        return -1;
    *out = torch_storage_node(p, s);
    return *out == NULL ? -1 : 0;
}

/* Pickles 1 to 3 are plain data, whatever made them. */
static int read_front(struct torch_reader *r, uint64_t *at, struct err *e)
{
    const struct node *order;
    struct node *n;

    if (next_pickle(r, at, 1, NULL, &n, e) != 0)
        return -1;
    if (n->kind != NODE_BIGINT || n->s.len != sizeof(magic) ||
        memcmp(n->s.p, magic, sizeof(magic)) != 0)
        return err_set(e, ERR_REFUSED, "not a legacy torch file");
    if (next_pickle(r, at, 2, NULL, &n, e) != 0)
        return -1;
    if (n->kind != NODE_INT || n->i != LEGACY_PROTOCOL)
        return err_set(e, ERR_REFUSED,
            "the second pickle is not the protocol number 1001");
    if (next_pickle(r, at, 3, NULL, &n, e) != 0)
        return -1;
    order = node_get(n, "little_endian");
    if (n->kind != NODE_DICT || order == NULL || order->kind != NODE_BOOL)
        return err_set(
            e, ERR_REFUSED, "the third pickle does not describe a machine");
    return 0;
}

/* Each storage: i64 count of elements, then the elements. */
static int place_storage(struct torch_reader *r, struct rd *file,
    const struct node *key, struct err *e)
{
    struct torch_storage *s = NULL;
    uint64_t count;

    if (key->kind == NODE_STR || key->kind == NODE_BYTES)
        s = pickle_table_get(&r->by_key, key->s);
    if (s == NULL || s->root != NULL || s->listed)
        return err_set(e, ERR_REFUSED,
            "the list of storages names '%.*s', which no tensor uses, or "
            "which was named before",
            key->kind == NODE_STR ? (int)size_min(key->s.len, 64) : 0,
            key->kind == NODE_STR ? key->s.p : "");
    count = rd_u64(file);
    if (!file->bad && count != s->numel)
        return err_set(e, ERR_REFUSED,
            "storage '%.*s' at byte %llu has %llu elements, its tensors say "
            "%llu",
            STR_ARG(s->key), (unsigned long long)(file->pos - 8),
            (unsigned long long)count, (unsigned long long)s->numel);
    s->at = file->pos;
    s->listed = true;
    rd_bytes(file, s->bytes);
    if (file->bad) {
        err_set(e, ERR_REFUSED,
            "storage '%.*s' of %llu bytes runs past the end of the file: it "
            "is cut short",
            STR_ARG(s->key), (unsigned long long)s->bytes);
        return err_hint(e, "fetch the file again");
    }
    return 0;
}

static int place_views(struct torch_reader *r, struct err *e)
{
    for (uint64_t i = 0; i < r->n_storages; i++) {
        struct torch_storage *s = r->storages[i];

        if (s->root != NULL)
            s->at = s->root->at + s->root_offset;
        else if (!s->listed && !s->no_data)
            return err_set(e, ERR_REFUSED,
                "storage '%.*s' is not in the list of storages",
                STR_ARG(s->key));
    }
    return 0;
}

int torch_legacy_read(struct torch_reader *r, struct err *e)
{
    struct pickle_dialect dialect = { torch_known, torch_n_known,
        legacy_persid };
    struct rd file = rd_of(r->bytes, r->len);
    struct node *keys;
    uint64_t at = 0;

    r->legacy = true;
    if (read_front(r, &at, e) != 0 ||
        next_pickle(r, &at, 4, &dialect, &r->root, e) != 0 ||
        next_pickle(r, &at, 5, NULL, &keys, e) != 0)
        return -1;
    if (keys->kind != NODE_LIST)
        return err_set(
            e, ERR_REFUSED, "the fifth pickle is not a list of storages");
    rd_seek(&file, at);
    for (uint64_t i = 0; i < keys->list.n; i++) {
        /* The counts lie all over the file, a page for each. */
        if (i % FORGET_EVERY == 0)
            map_forget(r->bytes);
        if (place_storage(r, &file, keys->list.v[i], e) != 0)
            return -1;
    }
    if (place_views(r, e) != 0)
        return -1;
    if (rd_left(&file) > 0)
        log_warn("%llu bytes behind the last storage are not used",
            (unsigned long long)rd_left(&file));
    return 0;
}
