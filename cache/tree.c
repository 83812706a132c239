/*
 * The listing of a commit, as the official client keeps it. Ours differs in
 * one thing: its mode is what the umask says, not 0600, so that others who
 * share the cache can read it. Source: hub protocol, section 10.
 */
#include "cache/hubdir.h"
#include "cache/hubdir_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/path.h"
#include "base/utf8.h"

/* A repository of 100,000 files has a listing of about 20 MB. */
enum { TREE_BYTES_MAX = 256 << 20 };

static int tree_path(const struct hubdir *h, const struct repo *r,
    const char *commit, char *out, struct err *e)
{
    return path_fmt(out, e, "%s/%s/trees/%s.json", h->root, r->folder, commit);
}

/* An absent member and null are the same. */
static bool is_null(const struct json *v)
{
    return v == NULL || json_kind(v) == JSON_NULL;
}

static bool read_file(const struct json *v, struct arena *arena,
    struct tree_file *out, struct err *e)
{
    const struct json *sha = json_get(v, "lfs_sha256");
    const struct json *lfs_size = json_get(v, "lfs_size");
    const struct json *xet = json_get(v, "xet_hash");
    struct err unsafe = ERR_INIT;
    struct digest xet_hash;

    if (path_check(str_of(json_key(v)), &unsafe) != 0 ||
        !json_u64(json_get(v, "size"), &out->size) ||
        !json_digest(json_get(v, "blob_id"), HASH_GIT_SHA1, &out->oid))
        return false;
    out->lfs = !is_null(sha);
    if (out->lfs && !json_digest(sha, HASH_SHA256, &out->sha256))
        return false;
    if (out->lfs && !is_null(lfs_size) && !json_u64(lfs_size, &out->size))
        return false;
    if (!is_null(xet) && !json_digest(xet, HASH_SHA256, &xet_hash))
        return false;
    out->path = arena_str(arena, str_of(json_key(v)), e);
    return out->path.p != NULL;
}

static int cmp_files(const void *a, const void *b)
{
    const struct tree_file *x = a, *y = b;

    return str_cmp(x->path, y->path);
}

static int read_files(const struct json *files, struct arena *arena,
    struct tree *out, struct err *e)
{
    uint64_t n = json_count(files), i = 0;

    out->files = arena_alloc(arena, n, sizeof(*out->files), e);
    if (out->files == NULL)
        return -1;
    for (const struct json *v = json_first(files); v != NULL;
         v = json_next(v)) {
        if (!read_file(v, arena, &out->files[i++], e))
            return e->kind == ERR_NONE ? HAVE_DAMAGED : -1;
    }
    if (n > 1)
        qsort(out->files, n, sizeof(*out->files), cmp_files);
    out->n = n;
    return HAVE;
}

/*
 * More than one value in sixteen bytes is no listing, whose digests alone are
 * longer: a value takes a hundred bytes of memory.
 */
static bool is_dense(struct str text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++)
        n += text.p[i] == ',' || text.p[i] == '[' || text.p[i] == '{';
    return n > text.len / 16 + 4096;
}

int hubdir_tree(const struct hubdir *h, const struct repo *r,
    const char *commit, struct arena *arena, struct tree *out, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct buf text AUTO(buf_free) = BUF_INIT(TREE_BYTES_MAX);
    struct err why = ERR_INIT;
    const struct json *files;
    char path[PATH_MAX];
    uint64_t version;

    *out = (struct tree){ .files = NULL };
    if (tree_path(h, r, commit, path, e) != 0)
        return -1;
    if (file_slurp(path, &text, &why) == 0 && is_dense(buf_str(&text)))
        return HAVE_DAMAGED;
    if (why.kind != ERR_NONE ||
        json_parse(&doc, buf_str(&text), 0, &why) != 0) {
        if (why.kind == ERR_REFUSED || why.kind == ERR_CORRUPT)
            return HAVE_DAMAGED;
        if (why.kind != ERR_NOMEM)
            return HAVE_NOT;
        *e = why;
        return -1;
    }
    if (!json_u64(json_get(doc.root, "format_version"), &version))
        return HAVE_DAMAGED;
    if (version != 1)
        return HAVE_NOT;
    files = json_get(doc.root, "files");
    if (files == NULL || json_kind(files) != JSON_OBJECT)
        return HAVE_DAMAGED;
    return read_files(files, arena, out, e);
}

/* A JSON string in ASCII only, as Python writes it. */
static int put_name(struct buf *b, struct str s, struct err *e)
{
    struct str rest = s;

    buf_putc(b, '"');
    while (rest.len > 0) {
        uint32_t cp;
        unsigned n = utf8_get(rest, &cp);

        if (n == 0)
            return err_set(
                e, ERR_REFUSED, "file name '%.*s' is not UTF-8", STR_ARG(s));
        if (cp == '"' || cp == '\\')
            buf_printf(b, "\\%c", (char)cp);
        else if (cp >= 0x20 && cp < 0x80)
            buf_putc(b, (char)cp);
        else if (cp < 0x10000)
            buf_printf(b, "\\u%04x", cp);
        else
            buf_printf(b, "\\u%04x\\u%04x", 0xD800 + ((cp - 0x10000) >> 10),
                0xDC00 + ((cp - 0x10000) & 0x3FF));
        rest.p += n;
        rest.len -= n;
    }
    buf_putc(b, '"');
    return 0;
}

static int put_file(struct buf *b, const struct tree_file *f, struct err *e)
{
    buf_puts(b, "\n  ");
    if (put_name(b, f->path, e) != 0)
        return -1;
    buf_printf(b, ": {\n   \"size\": %llu,\n   \"blob_id\": \"%s\"",
        (unsigned long long)f->size, f->oid.hex);
    if (f->lfs)
        buf_printf(b, ",\n   \"lfs_sha256\": \"%s\",\n   \"lfs_size\": %llu",
            f->sha256.hex, (unsigned long long)f->size);
    buf_puts(b, "\n  }");
    return 0;
}

int hubdir_tree_text(struct buf *out, const struct tree *t, struct err *e)
{
    buf_puts(out, "{\n \"format_version\": 1,\n \"files\": {");
    for (uint64_t i = 0; i < t->n; i++) {
        if (i > 0)
            buf_putc(out, ',');
        if (put_file(out, &t->files[i], e) != 0)
            return -1;
    }
    buf_puts(out, t->n > 0 ? "\n }\n}" : "}\n}");
    return buf_check(out, e);
}

int hubdir_set_tree(const struct hubdir *h, const struct repo *r,
    const char *commit, const struct tree *t, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(TREE_BYTES_MAX);
    char path[PATH_MAX];

    if (tree_path(h, r, commit, path, e) != 0 ||
        hubdir_tree_text(&b, t, e) != 0)
        return -1;
    return hubdir_put(h, r, path, buf_str(&b), e);
}
