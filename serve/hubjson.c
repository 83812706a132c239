#include "serve/hubjson.h"

#include <stdio.h>
#include <time.h>

#include "base/json.h"
#include "serve/route.h"

enum { DATE_MAX = 40 };

static const char *date(char out[DATE_MAX], int64_t when)
{
    time_t t = (time_t)when;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL ||
        strftime(out, DATE_MAX, "%Y-%m-%dT%H:%M:%S.000Z", &tm) == 0)
        snprintf(out, DATE_MAX, "1970-01-01T00:00:00.000Z");
    return out;
}

static void put_count(struct buf *out, const char *name, uint64_t n)
{
    buf_printf(out, ",\"%s\":%llu", name, (unsigned long long)n);
}

/* The pointer that git keeps instead of an LFS file's bytes. */
static uint64_t pointer_size(const struct tree_file *f)
{
    int n = snprintf(NULL, 0,
        "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize "
        "%llu\n",
        f->sha256.hex, (unsigned long long)f->size);

    return (uint64_t)n;
}

/* ---- a repository ---- */

static void put_sibling(struct buf *out, const struct tree_file *f, bool blobs)
{
    buf_puts(out, "{\"rfilename\":");
    json_quote(out, f->path);
    if (blobs) {
        put_count(out, "size", f->size);
        buf_printf(out, ",\"blobId\":\"%s\"", f->oid.hex);
        if (f->lfs) {
            buf_printf(out, ",\"lfs\":{\"sha256\":\"%s\"", f->sha256.hex);
            put_count(out, "size", f->size);
            put_count(out, "pointerSize", pointer_size(f));
            buf_putc(out, '}');
        }
    }
    buf_putc(out, '}');
}

void hubjson_info(struct buf *out, const struct edition *ed, bool blobs)
{
    struct str id = str_of(ed->repo.id);
    const char *slash = strchr(ed->repo.id, '/');
    char when[DATE_MAX];

    buf_printf(out, "{\"_id\":\"%.24s\",\"id\":", ed->commit);
    json_quote(out, id);
    if (ed->repo.type == REPO_MODEL) {
        buf_puts(out, ",\"modelId\":");
        json_quote(out, id);
    }
    if (slash != NULL) {
        buf_puts(out, ",\"author\":");
        json_quote(out, (struct str){ id.p, (size_t)(slash - ed->repo.id) });
    }
    buf_printf(out,
        ",\"sha\":\"%s\",\"lastModified\":\"%s\",\"private\":false,"
        "\"gated\":false,\"disabled\":false,\"downloads\":0,\"likes\":0,"
        "\"tags\":[],\"siblings\":[",
        ed->commit, date(when, ed->made));
    for (uint64_t i = 0; i < ed->tree.n; i++) {
        if (i > 0)
            buf_putc(out, ',');
        put_sibling(out, &ed->tree.files[i], blobs);
    }
    buf_puts(out, "]}");
}

/* ---- entries ---- */

static void put_last(struct buf *out, const struct edition *ed)
{
    char when[DATE_MAX];

    buf_printf(out,
        ",\"lastCommit\":{\"id\":\"%s\",\"title\":\"\",\"date\":\"%s\"}",
        ed->commit, date(when, ed->made));
}

static void put_file(struct buf *out, const struct edition *ed,
    const struct tree_file *f, bool expand)
{
    buf_printf(out, "{\"type\":\"file\",\"oid\":\"%s\"", f->oid.hex);
    put_count(out, "size", f->size);
    if (f->lfs) {
        buf_printf(out, ",\"lfs\":{\"oid\":\"%s\"", f->sha256.hex);
        put_count(out, "size", f->size);
        put_count(out, "pointerSize", pointer_size(f));
        buf_putc(out, '}');
    }
    buf_puts(out, ",\"path\":");
    json_quote(out, f->path);
    if (expand)
        put_last(out, ed);
    buf_putc(out, '}');
}

/*
 * git's digest of a folder needs the modes of its files, which no listing has.
 * This one changes whenever that would: it is of the commit and the name, so
 * that it costs as much for a folder of a million files as for one of one.
 */
static void put_folder(
    struct buf *out, const struct edition *ed, struct str path, bool expand)
{
    struct hash h AUTO(hash_free) = HASH_INIT;
    struct digest digest = { .hex = "" };
    struct err ignored = ERR_INIT;

    if (hash_begin(&h, HASH_SHA256, 0, &ignored) == 0) {
        hash_add(&h, ed->commit, sizeof(ed->commit));
        hash_add(&h, path.p, path.len);
        hash_end(&h, &digest);
    }
    buf_printf(out,
        "{\"type\":\"directory\",\"oid\":\"%.40s\",\"size\":0,"
        "\"path\":",
        digest.hex);
    json_quote(out, path);
    if (expand)
        put_last(out, ed);
    buf_putc(out, '}');
}

static void put_comma(struct buf *out)
{
    if (out->len > 0 && out->p[out->len - 1] == '}')
        buf_putc(out, ',');
}

/* Is path's front of len bytes, a folder, one of before's, too? */
static bool shares(struct str before, struct str path, size_t len)
{
    return before.len > len && before.p[len] == '/' &&
           memcmp(before.p, path.p, len) == 0;
}

bool hubjson_tree(struct buf *out, const struct edition *ed, struct str folder,
    bool recursive, bool expand)
{
    uint64_t first, n = edition_below(ed, folder, &first);
    size_t front = folder.len > 0 ? folder.len + 1 : 0;
    struct str before = { "", 0 };

    if (n == 0 && folder.len > 0)
        return false;
    buf_putc(out, '[');
    for (uint64_t i = first; i < first + n; i++) {
        const struct tree_file *f = &ed->tree.files[i];
        bool deep = false;

        for (size_t k = front; k < f->path.len && (!deep || recursive); k++) {
            if (f->path.p[k] != '/')
                continue;
            deep = true;
            if (shares(before, f->path, k))
                continue;
            put_comma(out);
            put_folder(out, ed, (struct str){ f->path.p, k }, expand);
        }
        before = f->path;
        if (deep && !recursive)
            continue;
        put_comma(out);
        put_file(out, ed, f, expand);
    }
    buf_putc(out, ']');
    return true;
}

static void put_path(
    struct buf *out, const struct edition *ed, struct str path, bool expand)
{
    const struct tree_file *f = edition_file(ed, path);
    uint64_t first;

    if (f == NULL && (path.len == 0 || edition_below(ed, path, &first) == 0))
        return;
    put_comma(out);
    if (f != NULL)
        put_file(out, ed, f, expand);
    else
        put_folder(out, ed, path, expand);
}

void hubjson_paths(struct buf *out, const struct edition *ed, struct str form)
{
    struct str rest = form, name, value;
    char path[ROUTE_PATH_MAX + 1];
    bool expand = false;

    while (route_pair(&rest, &name, &value))
        if (str_is(name, "expand"))
            expand = str_is(value, "true") || str_is(value, "True");
    rest = form;
    buf_putc(out, '[');
    while (route_pair(&rest, &name, &value)) {
        int64_t n = str_is(name, "paths")
                        ? route_decode(path, sizeof(path), value, true)
                        : -1;

        if (n >= 0)
            put_path(out, ed, (struct str){ path, (size_t)n }, expand);
    }
    buf_putc(out, ']');
}

/* ---- the rest ---- */

static bool is_converted(struct str name)
{
    return str_starts(name, "refs/convert/");
}

static void put_refs(
    struct buf *out, const struct supply_ref *refs, uint64_t n, bool converted)
{
    static const char front[] = "refs/convert/";
    char ref[512];
    bool any = false;

    for (uint64_t i = 0; i < n; i++) {
        struct str name = refs[i].name, full = name;

        if (is_converted(name) != converted ||
            (!converted && str_starts(name, "refs/")))
            continue;
        if (converted) {
            name.p += strlen(front);
            name.len -= strlen(front);
        }
        snprintf(ref, sizeof(ref), "%s%.*s", converted ? "" : "refs/heads/",
            STR_ARG(full));
        buf_puts(out, any ? ",{\"name\":" : "{\"name\":");
        json_quote(out, name);
        buf_puts(out, ",\"ref\":");
        json_quote(out, str_of(ref));
        buf_printf(out, ",\"targetCommit\":\"%s\"}", refs[i].commit);
        any = true;
    }
}

void hubjson_refs(struct buf *out, const struct supply_ref *refs, uint64_t n)
{
    buf_puts(out, "{\"branches\":[");
    put_refs(out, refs, n, false);
    buf_puts(out, "],\"converts\":[");
    put_refs(out, refs, n, true);
    buf_puts(out, "],\"tags\":[]}");
}

void hubjson_commits(struct buf *out, const struct edition *ed)
{
    char when[DATE_MAX];

    buf_printf(out,
        "[{\"id\":\"%s\",\"title\":\"\",\"message\":\"\",\"authors\":[],"
        "\"date\":\"%s\"}]",
        ed->commit, date(when, ed->made));
}

void hubjson_user(struct buf *out, const char *name)
{
    buf_puts(out, "{\"type\":\"user\",\"id\":\"mirror\",\"name\":");
    json_quote(out, str_of(name));
    buf_puts(out, ",\"fullname\":");
    json_quote(out, str_of(name));
    buf_puts(out, ",\"orgs\":[],\"auth\":{\"type\":\"access_token\","
                  "\"accessToken\":{\"displayName\":\"mirror\","
                  "\"role\":\"read\"}}}");
}

void hubjson_error(struct buf *out, const char *text)
{
    buf_puts(out, "{\"error\":");
    json_quote(out, str_of(text));
    buf_puts(out, "}\n");
}
