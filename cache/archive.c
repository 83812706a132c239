/* The manifest of an archive, written and read. */
#include "cache/archive.h"

#include <stdio.h>
#include <stdlib.h>

#include "cache/grouping.h"
#include "cache/listing.h"

#include "base/json.h"
#include "base/path.h"
#include "base/sign.h"

enum { REVISIONS_MAX = 1 << 16 };

/* ---- order ---- */

static int by_revision(const void *a, const void *b)
{
    const struct archive_revision *x = a, *y = b;
    int c = (int)x->repo.type - (int)y->repo.type;

    if (c == 0)
        c = strcmp(x->repo.id, y->repo.id);
    return c != 0 ? c : strcmp(x->commit, y->commit);
}

static int by_path(const void *a, const void *b)
{
    const struct archive_file *x = a, *y = b;

    return str_cmp(x->f.path, y->f.path);
}

static int by_name(const void *a, const void *b)
{
    const struct archive_put *x = a, *y = b;

    return str_cmp(x->name, y->name);
}

static int by_digest(const void *a, const void *b)
{
    const struct archive_group *x = a, *y = b;

    return strcmp(x->digest.hex, y->digest.hex);
}

static int by_text(const void *a, const void *b)
{
    const struct str *x = a, *y = b;

    return str_cmp(*x, *y);
}

static void sort(
    void *v, uint64_t n, size_t size, int (*cmp)(const void *, const void *))
{
    if (n > 1)
        qsort(v, n, size, cmp);
}

/* Two that are alike: the name of one, or NULL. */
static const void *twice(const void *v, uint64_t n, size_t size,
    int (*cmp)(const void *, const void *))
{
    const char *p = v;

    for (uint64_t i = 1; i < n; i++)
        if (cmp(p + (i - 1) * size, p + i * size) == 0)
            return p + i * size;
    return NULL;
}

static int order(struct archive *a, struct err *e)
{
    const struct archive_revision *r;
    const struct archive_put *p;

    sort(a->revisions, a->n_revisions, sizeof(*a->revisions), by_revision);
    sort(a->puts, a->n_puts, sizeof(*a->puts), by_name);
    sort(a->groups, a->n_groups, sizeof(*a->groups), by_digest);
    for (uint64_t i = 0; i < a->n_revisions; i++) {
        struct archive_revision *one = &a->revisions[i];

        sort(one->files, one->n_files, sizeof(*one->files), by_path);
        sort(one->refs, one->n_refs, sizeof(*one->refs), by_text);
        if (twice(one->refs, one->n_refs, sizeof(*one->refs), by_text) != NULL)
            return err_set(e, ERR_REFUSED, "%s@%s: a reference stands twice",
                one->repo.id, one->commit);
    }
    r = twice(a->revisions, a->n_revisions, sizeof(*a->revisions), by_revision);
    if (r != NULL)
        return err_set(
            e, ERR_REFUSED, "%s@%s stands twice", r->repo.id, r->commit);
    p = twice(a->puts, a->n_puts, sizeof(*a->puts), by_name);
    if (p != NULL)
        return err_set(e, ERR_REFUSED, "'%.*s' stands twice", STR_ARG(p->name));
    if (twice(a->groups, a->n_groups, sizeof(*a->groups), by_digest) != NULL)
        return err_set(e, ERR_REFUSED, "a content is grouped twice");
    return 0;
}

/* ---- writing ---- */

static void put_key(struct buf *out, const char *key, struct str value)
{
    buf_printf(out, "\"%s\": ", key);
    json_quote(out, value);
}

static void put_lock(struct buf *out, const struct archive *a)
{
    if (a->lock_name.len == 0)
        return;
    buf_puts(out, " \"lock\": {");
    put_key(out, "name", a->lock_name);
    buf_puts(out, ",\n  ");
    put_key(out, "text", a->lock_text);
    if (a->signature.len > 0) {
        buf_puts(out, ",\n  ");
        put_key(out, "signature", a->signature);
    }
    buf_puts(out, "},\n");
}

static void put_file(struct buf *out, const struct archive_file *f)
{
    buf_puts(out, "\n   {");
    put_key(out, "path", f->f.path);
    buf_printf(out, ", \"size\": %llu, \"%s\": \"%s\"",
        (unsigned long long)f->f.size, f->f.lfs ? "sha256" : "git_sha1",
        tree_etag(&f->f)->hex);
    if (f->f.lfs && f->f.oid.hex[0] != '\0')
        buf_printf(out, ", \"pointer\": \"%s\"", f->f.oid.hex);
    buf_puts(out, f->absent ? ", \"absent\": true}" : "}");
}

static void put_revision(struct buf *out, const struct archive_revision *r)
{
    buf_puts(out, "\n  {");
    put_key(out, "repository", str_of(r->repo.id));
    buf_printf(out, ", \"type\": \"%s\", \"commit\": \"%s\",\n   \"refs\": ",
        repo_type_names[r->repo.type], r->commit);
    json_quote_all(out, r->refs, r->n_refs);
    buf_printf(
        out, ", \"listed\": %s, \"files\": [", r->listed ? "true" : "false");
    for (uint64_t i = 0; i < r->n_files; i++) {
        buf_puts(out, i > 0 ? "," : "");
        put_file(out, &r->files[i]);
    }
    buf_puts(out, "]}");
}

static void put_put(struct buf *out, const struct archive_put *p)
{
    buf_puts(out, "\n  {");
    put_key(out, "name", p->name);
    buf_printf(out, ", \"size\": %llu, \"sha256\": \"%s\"}",
        (unsigned long long)p->size, p->sha256.hex);
}

static void put_groups(struct buf *out, const struct archive *a)
{
    if (a->n_groups == 0)
        return;
    buf_puts(out, ",\n \"grouped\": [");
    for (uint64_t i = 0; i < a->n_groups; i++)
        buf_printf(out, "%s\n  {\"digest\": \"%s\", \"width\": %u}",
            i > 0 ? "," : "", a->groups[i].digest.hex, a->groups[i].width);
    buf_putc(out, ']');
}

/* Parsed, a value takes far more room than its text. */
static int check_size(struct str text, struct err *e)
{
    uint64_t values = 0;

    for (size_t i = 0; i < text.len; i++)
        values += text.p[i] == ',' || text.p[i] == '[' || text.p[i] == '{';
    if (text.len <= ARCHIVE_MANIFEST_MAX && values <= ARCHIVE_VALUES_MAX)
        return 0;
    return err_set(e, ERR_REFUSED,
        "a manifest of %zu bytes and %llu values: more than an archive may "
        "have",
        text.len, (unsigned long long)values);
}

int archive_text(struct buf *out, struct archive *a, struct err *e)
{
    if (order(a, e) != 0)
        return -1;
    buf_puts(out, "{\"ml-archive\": 1,\n");
    put_lock(out, a);
    buf_puts(out, " \"repositories\": [");
    for (uint64_t i = 0; i < a->n_revisions; i++) {
        buf_puts(out, i > 0 ? "," : "");
        put_revision(out, &a->revisions[i]);
    }
    buf_puts(out, "],\n \"files\": [");
    for (uint64_t i = 0; i < a->n_puts; i++) {
        buf_puts(out, i > 0 ? "," : "");
        put_put(out, &a->puts[i]);
    }
    buf_putc(out, ']');
    put_groups(out, a);
    buf_puts(out, "}\n");
    if (buf_check(out, e) != 0)
        return -1;
    return check_size(buf_str(out), e);
}

/* ---- reading ---- */

static int keep(
    const struct json *v, struct arena *arena, struct str *out, struct err *e)
{
    const char *text;

    if (!json_str(v, &text))
        return err_set(e, ERR_REFUSED, "a text is missing");
    *out = arena_str(arena, str_of(text), e);
    return out->p == NULL ? -1 : 0;
}

/* Room for a list's items, zeroed. */
static void *list_of(const struct json *v, struct arena *arena, size_t size,
    uint64_t *out_n, struct err *e)
{
    if (v == NULL || json_kind(v) != JSON_ARRAY) {
        err_set(e, ERR_REFUSED, "a list is missing");
        return NULL;
    }
    *out_n = json_count(v);
    return arena_alloc(arena, *out_n, size, e);
}

static int read_file(const struct json *v, struct archive_file *out,
    struct arena *arena, struct err *e)
{
    struct tree_file *f = &out->f;
    const struct json *sha = json_get(v, "sha256");
    const struct json *pointer = json_get(v, "pointer");

    if (keep(json_get(v, "path"), arena, &f->path, e) != 0 ||
        path_check(f->path, e) != 0)
        return -1;
    f->lfs = sha != NULL;
    json_bool(json_get(v, "absent"), &out->absent);
    if (!json_u64(json_get(v, "size"), &f->size) ||
        !(f->lfs ? json_digest(sha, HASH_SHA256, &f->sha256)
                 : json_digest(
                       json_get(v, "git_sha1"), HASH_GIT_SHA1, &f->oid)) ||
        (f->lfs && pointer != NULL &&
            !json_digest(pointer, HASH_GIT_SHA1, &f->oid)))
        return err_set(e, ERR_REFUSED,
            "'%.*s': size or digest is missing or malformed", STR_ARG(f->path));
    return 0;
}

/* A listing names the pointer of each LFS file; what is not listed cannot be
 * absent. No path stands twice, none is a file and a folder. */
static int check_files(
    const struct archive_revision *r, struct arena *arena, struct err *e)
{
    struct listing list AUTO(listing_free) = LISTING_INIT;
    struct tree tree;

    for (uint64_t i = 0; i < r->n_files; i++) {
        const struct archive_file *f = &r->files[i];

        if (r->listed ? f->f.oid.hex[0] == '\0' : f->absent)
            return err_set(
                e, ERR_REFUSED, "'%.*s': not in a listing", STR_ARG(f->f.path));
        if (listing_put(&list, &f->f, e) != 0)
            return -1;
    }
    return listing_end(&list, arena, &tree, e);
}

static int read_refs(const struct json *v, struct archive_revision *r,
    struct arena *arena, struct err *e)
{
    uint64_t i = 0;

    r->refs = list_of(v, arena, sizeof(*r->refs), &r->n_refs, e);
    if (r->refs == NULL)
        return -1;
    for (const struct json *m = json_first(v); m != NULL; m = json_next(m)) {
        struct err why = ERR_INIT;
        char text[512];
        struct repo named;
        struct str ref;

        if (keep(m, arena, &ref, e) != 0)
            return -1;
        snprintf(text, sizeof(text), "%s@%.*s", r->repo.id, STR_ARG(ref));
        if (repo_parse(&named, r->repo.type, text, &why) != 0 ||
            !str_is(ref, named.revision) || repo_is_commit(named.revision))
            return err_set(
                e, ERR_REFUSED, "'%.*s' is no reference", STR_ARG(ref));
        r->refs[i++] = ref;
    }
    return 0;
}

static int read_repo(
    const struct json *v, struct archive_revision *r, struct err *e)
{
    const char *id, *type, *commit;
    struct err why = ERR_INIT;

    if (!json_str(json_get(v, "repository"), &id) ||
        !json_str(json_get(v, "type"), &type) ||
        !json_str(json_get(v, "commit"), &commit) || !repo_is_commit(commit))
        return err_set(
            e, ERR_REFUSED, "a repository without a name, type or commit");
    memcpy(r->commit, commit, sizeof(r->commit));
    for (size_t i = 0; i < REPO_TYPES; i++)
        if (strcmp(type, repo_type_names[i]) == 0 &&
            repo_parse(&r->repo, (enum repo_type)i, id, &why) == 0 &&
            strcmp(r->repo.id, id) == 0)
            return 0;
    return err_set(e, ERR_REFUSED, "'%.200s' is no repository", id);
}

static int read_revision(const struct json *v, struct archive_revision *r,
    struct arena *arena, struct err *e)
{
    const struct json *files = json_get(v, "files");
    uint64_t i = 0;

    if (read_repo(v, r, e) != 0)
        return -1;
    r->files = list_of(files, arena, sizeof(*r->files), &r->n_files, e);
    if (r->files == NULL || read_refs(json_get(v, "refs"), r, arena, e) != 0)
        return err_ctx(e, "%s", r->repo.id);
    json_bool(json_get(v, "listed"), &r->listed);
    for (const struct json *m = json_first(files); m; m = json_next(m))
        if (read_file(m, &r->files[i++], arena, e) != 0)
            return err_ctx(e, "%s", r->repo.id);
    return check_files(r, arena, e) == 0 ? 0 : err_ctx(e, "%s", r->repo.id);
}

static int read_put(const struct json *v, struct archive_put *out,
    struct arena *arena, struct err *e)
{
    if (keep(json_get(v, "name"), arena, &out->name, e) != 0 ||
        path_check(out->name, e) != 0)
        return -1;
    if (!json_u64(json_get(v, "size"), &out->size) ||
        !json_digest(json_get(v, "sha256"), HASH_SHA256, &out->sha256))
        return err_set(e, ERR_REFUSED,
            "'%.*s': size or digest is missing or malformed",
            STR_ARG(out->name));
    return 0;
}

/* No name is a file and a folder. */
static int check_puts(
    const struct archive *a, struct arena *arena, struct err *e)
{
    struct listing list AUTO(listing_free) = LISTING_INIT;
    struct tree tree;

    for (uint64_t i = 0; i < a->n_puts; i++) {
        struct tree_file f = { .path = a->puts[i].name };

        if (listing_put(&list, &f, e) != 0)
            return -1;
    }
    return listing_end(&list, arena, &tree, e);
}

static int read_lock(const struct json *v, struct archive *out,
    struct arena *arena, struct err *e)
{
    if (v == NULL)
        return 0;
    if (keep(json_get(v, "name"), arena, &out->lock_name, e) != 0 ||
        keep(json_get(v, "text"), arena, &out->lock_text, e) != 0 ||
        path_check(out->lock_name, e) != 0)
        return err_ctx(e, "the lock");
    if (out->lock_text.len > ARCHIVE_LOCK_MAX)
        return err_set(e, ERR_REFUSED, "the lock: %zu bytes; %d at most",
            out->lock_text.len, ARCHIVE_LOCK_MAX);
    if (memchr(out->lock_name.p, '/', out->lock_name.len) != NULL)
        return err_set(e, ERR_REFUSED, "the lock: '%.*s' is no name",
            STR_ARG(out->lock_name));
    if (json_get(v, "signature") != NULL &&
        keep(json_get(v, "signature"), arena, &out->signature, e) != 0)
        return err_ctx(e, "the lock's signature");
    if (out->signature.len > SIGN_FILE_MAX)
        return err_set(e, ERR_REFUSED,
            "the lock's signature: %zu bytes; %d at most", out->signature.len,
            SIGN_FILE_MAX);
    return 0;
}

static int read_groups(const struct json *v, struct archive *out,
    struct arena *arena, struct err *e)
{
    struct archive_group *g;

    if (v == NULL)
        return 0;
    g = list_of(v, arena, sizeof(*g), &out->n_groups, e);
    if (g == NULL)
        return -1;
    out->groups = g;
    for (const struct json *m = json_first(v); m; m = json_next(m), g++) {
        const char *text;
        uint64_t width;

        if (!json_str(json_get(m, "digest"), &text) ||
            !digest_parse(&g->digest, str_of(text)) ||
            !json_u64(json_get(m, "width"), &width) || !grouping_width(width))
            return err_set(e, ERR_REFUSED,
                "a grouped content without a digest, or by other than 2 or 4 "
                "bytes");
        g->width = (unsigned)width;
    }
    return 0;
}

static int read_root(const struct json *root, struct archive *out,
    struct arena *arena, struct err *e)
{
    const struct json *repos = json_get(root, "repositories");
    const struct json *files = json_get(root, "files");
    uint64_t version, i = 0;

    if (!json_u64(json_get(root, "ml-archive"), &version))
        return err_set(e, ERR_REFUSED, "no manifest of an archive");
    if (version != 1)
        return err_set(e, ERR_UNSUPPORTED,
            "an archive of version %llu; this program knows version 1",
            (unsigned long long)version);
    if (read_lock(json_get(root, "lock"), out, arena, e) != 0)
        return -1;
    out->revisions =
        list_of(repos, arena, sizeof(*out->revisions), &out->n_revisions, e);
    out->puts = list_of(files, arena, sizeof(*out->puts), &out->n_puts, e);
    if (out->revisions == NULL || out->puts == NULL)
        return -1;
    if (out->n_revisions > REVISIONS_MAX)
        return err_set(e, ERR_REFUSED, "more than %d commits", REVISIONS_MAX);
    for (const struct json *m = json_first(repos); m; m = json_next(m))
        if (read_revision(m, &out->revisions[i++], arena, e) != 0)
            return -1;
    i = 0;
    for (const struct json *m = json_first(files); m; m = json_next(m))
        if (read_put(m, &out->puts[i++], arena, e) != 0)
            return -1;
    if (read_groups(json_get(root, "grouped"), out, arena, e) != 0)
        return -1;
    return check_puts(out, arena, e);
}

/* One meaning, one text: what is not understood would be missing from ours. */
static int check_text(struct archive *a, struct str text, struct err *e)
{
    struct buf again AUTO(buf_free) = BUF_INIT(ARCHIVE_MANIFEST_MAX);
    size_t at = 0;

    if (archive_text(&again, a, e) != 0)
        return -1;
    while (at < text.len && at < again.len && text.p[at] == again.p[at])
        at++;
    if (at == text.len && at == again.len)
        return 0;
    return err_set(e, ERR_REFUSED,
        "at byte %zu it is not what mlcache export would have written", at);
}

int archive_parse(
    struct archive *out, struct str text, struct arena *arena, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;

    *out = (struct archive){ .n_puts = 0 };
    if (check_size(text, e) != 0 || json_parse(&doc, text, 0, e) != 0 ||
        read_root(doc.root, out, arena, e) != 0)
        return -1;
    return check_text(out, text, e);
}
