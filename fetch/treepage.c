#include "fetch/treepage.h"

#include "base/json.h"
#include "base/path.h"
#include "net/url.h"

static int read_entry(const struct json *v, struct tree_file *f,
    struct arena *arena, struct err *e)
{
    const struct json *lfs = json_get(v, "lfs");
    const char *path;

    if (!json_str(json_get(v, "path"), &path))
        return err_set(e, ERR_REFUSED, "an entry without a path");
    if (path_check(str_of(path), e) != 0) {
        return err_hint(e, "the server lists a name that would be written "
                           "outside of its folder; nothing was written");
    }
    *f = (struct tree_file){ .lfs =
                                 lfs != NULL && json_kind(lfs) == JSON_OBJECT };
    if (!json_u64(json_get(v, "size"), &f->size) ||
        !json_digest(json_get(v, "oid"), HASH_GIT_SHA1, &f->oid) ||
        (f->lfs &&
            (!json_digest(json_get(lfs, "oid"), HASH_SHA256, &f->sha256) ||
                !json_u64(json_get(lfs, "size"), &f->size))))
        return err_set(e, ERR_REFUSED,
            "'%.200s': size or digest is missing or malformed", path);
    f->path = arena_str(arena, str_of(path), e);
    return f->path.p == NULL ? -1 : 0;
}

int treepage_read(
    struct listing *l, struct str page, struct arena *arena, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    const char *type;

    if (json_parse(&doc, page, 0, e) != 0)
        return -1;
    if (json_kind(doc.root) != JSON_ARRAY)
        return err_set(e, ERR_REFUSED, "not a list");
    for (const struct json *v = json_first(doc.root); v; v = json_next(v)) {
        struct tree_file f;

        if (!json_str(json_get(v, "type"), &type))
            return err_set(e, ERR_REFUSED, "an entry without a type");
        if (strcmp(type, "file") != 0)
            continue;
        if (read_entry(v, &f, arena, e) != 0 || listing_put(l, &f, e) != 0)
            return -1;
    }
    return 0;
}

bool treepage_next(const char *link, char *out)
{
    const char *open = link;

    while ((open = strchr(open, '<')) != NULL) {
        const char *close = strchr(open, '>');
        const char *end, *rel;
        size_t n;

        if (close == NULL)
            return false;
        n = (size_t)(close - open - 1);
        /* Parameters run up to the comma in front of the next '<'. */
        end = strchr(close, '<');
        rel = strstr(close, "rel=\"next\"");
        if (rel == NULL)
            rel = strstr(close, "rel=next");
        if (rel != NULL && (end == NULL || rel < end) && n < URL_MAX) {
            memcpy(out, open + 1, n);
            out[n] = '\0';
            return true;
        }
        open = close;
    }
    return false;
}
