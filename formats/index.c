#include "formats/index.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/path.h"

struct pair {
    struct str tensor;
    struct str shard;
};

static int cmp_str(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static int cmp_entry(const void *a, const void *b)
{
    return str_cmp(((const struct index_entry *)a)->tensor,
        ((const struct index_entry *)b)->tensor);
}

/* A shard lies beside its index: no folder, no way out of this one. */
static int check_shard(const char *name, struct err *e)
{
    if (strchr(name, '/') != NULL || strchr(name, ':') != NULL)
        return err_set(e, ERR_REFUSED,
            "weight_map: '%.200s' is not a plain file name", name);
    if (path_check(str_of(name), e) != 0)
        return err_ctx(e, "weight_map");
    return 0;
}

static int read_pairs(struct pair *out, const struct json *map,
    struct arena *arena, struct err *e)
{
    size_t i = 0;

    for (const struct json *m = json_first(map); m != NULL;
         m = json_next(m), i++) {
        const char *shard;

        if (!json_str(m, &shard))
            return err_set(e, ERR_REFUSED,
                "weight_map: '%.200s' does not name a file", json_key(m));
        if (check_shard(shard, e) != 0)
            return -1;
        out[i].tensor = arena_str(arena, str_of(json_key(m)), e);
        out[i].shard = arena_str(arena, str_of(shard), e);
        if (out[i].tensor.p == NULL || out[i].shard.p == NULL)
            return -1;
    }
    return 0;
}

static uint32_t unique(struct str *names, uint64_t n)
{
    uint32_t kept = 0;

    qsort(names, n, sizeof(*names), cmp_str);
    for (uint64_t i = 0; i < n; i++)
        if (kept == 0 || !str_eq(names[kept - 1], names[i]))
            names[kept++] = names[i];
    return kept;
}

static int build(struct weight_index *out, const struct pair *pairs, uint64_t n,
    struct arena *arena, struct err *e)
{
    out->entries = arena_alloc(arena, n, sizeof(*out->entries), e);
    out->shards = arena_alloc(arena, n, sizeof(*out->shards), e);
    if (out->entries == NULL || out->shards == NULL)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        out->shards[i] = pairs[i].shard;
    out->n_shards = unique(out->shards, n);
    for (uint64_t i = 0; i < n; i++) {
        struct str *at = bsearch(&pairs[i].shard, out->shards, out->n_shards,
            sizeof(*out->shards), cmp_str);
        out->entries[i].tensor = pairs[i].tensor;
        out->entries[i].shard = (uint32_t)(at - out->shards);
    }
    qsort(out->entries, n, sizeof(*out->entries), cmp_entry);
    out->n = n;
    return 0;
}

int index_parse(struct weight_index *out, struct str text, struct arena *arena,
    struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    const struct json *map;
    struct pair *pairs;
    size_t n;

    *out = (struct weight_index){ .n = 0 };
    if (json_parse(&doc, text, 0, e) != 0)
        return -1;
    map = json_get(doc.root, "weight_map");
    n = json_count(map);
    if (map == NULL || json_kind(map) != JSON_OBJECT || n == 0) {
        err_set(e, ERR_REFUSED, "no weight_map with tensors in it");
        return err_hint(e, "an index JSON maps tensor names to shard files; "
                           "is this another kind of JSON file?");
    }
    pairs = arena_alloc(arena, n, sizeof(*pairs), e);
    if (pairs == NULL || read_pairs(pairs, map, arena, e) != 0)
        return -1;
    return build(out, pairs, n, arena, e);
}
