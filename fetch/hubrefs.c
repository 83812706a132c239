/* What the Hub says of a repository's branches and tags. */
#include "fetch/hub.h"

#include "base/hex.h"
#include "base/json.h"

enum { REFS_MAX = 65536 };

/* One list of the answer, to the end of what there is. */
static int read_refs(const struct json *list, struct arena *arena,
    struct hub_ref *out, uint64_t *n, struct err *e)
{
    for (const struct json *v = json_first(list); v; v = json_next(v)) {
        const char *ref = NULL, *commit = NULL;

        /* Tags that point at no commit, and what is not a ref, are not told. */
        if (*n == REFS_MAX || !json_str(json_get(v, "name"), &ref) ||
            !json_str(json_get(v, "targetCommit"), &commit) ||
            !hex_is(str_of(commit), 40))
            continue;
        memcpy(out[*n].commit, commit, 41);
        out[*n].name = arena_str(arena, str_of(ref), e);
        if (out[(*n)++].name.p == NULL)
            return -1;
    }
    return 0;
}

int hub_refs(struct hub *h, const struct repo *r, struct arena *arena,
    struct hub_ref **out, uint64_t *n, struct err *e)
{
    static const char *const lists[] = { "branches", "tags" };
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    uint64_t most = 0;

    *n = 0;
    if (hub_json(h, r, "refs", &doc, e) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        for (const struct json *v = json_first(json_get(doc.root, lists[i])); v;
             v = json_next(v))
            most++;
    *out = arena_alloc(arena, size_min(most, REFS_MAX), sizeof(**out), e);
    if (*out == NULL)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        if (read_refs(json_get(doc.root, lists[i]), arena, *out, n, e) != 0)
            return -1;
    return 0;
}
