#include "cache/lockfile.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/path.h"
#include "cache/listing.h"

/* Each is a pull that is planned before the first byte comes. */
enum { REPOS_MAX = 4096 };

void lockfile_free(struct lockfile *l)
{
    arena_free(&l->arena);
    l->v = NULL;
    l->n = 0;
}

static int by_name(const void *a, const void *b)
{
    const struct lock_entry *x = a, *y = b;
    int c = (int)x->repo.type - (int)y->repo.type;

    if (c == 0)
        c = strcmp(x->repo.id, y->repo.id);
    return c != 0 ? c : strcmp(x->repo.revision, y->repo.revision);
}

static int sort(
    struct lock_entry *v, size_t n, enum err_kind kind, struct err *e)
{
    if (n > 1)
        qsort(v, n, sizeof(*v), by_name);
    for (size_t i = 1; i < n; i++)
        if (by_name(&v[i - 1], &v[i]) == 0)
            return err_set(e, kind, "%s@%s stands twice in the lock",
                v[i].repo.id, v[i].repo.revision);
    return 0;
}

/* ---- reading ---- */

/* Every member must be one of those named. */
static int check_members(
    const struct json *v, const char *const *known, size_t n, struct err *e)
{
    for (const struct json *m = json_first(v); m != NULL; m = json_next(m)) {
        bool found = false;

        for (size_t i = 0; i < n; i++)
            found = found || strcmp(json_key(m), known[i]) == 0;
        if (!found)
            return err_set(
                e, ERR_REFUSED, "'%.60s' is not known here", json_key(m));
    }
    return 0;
}

static int read_file(const struct json *v, struct tree_file *f,
    struct arena *arena, struct err *e)
{
    static const char *const known[] = { "path", "size", "sha256", "git_sha1" };
    const struct json *sha = json_get(v, "sha256");
    const char *path;

    if (!json_str(json_get(v, "path"), &path))
        return err_set(e, ERR_REFUSED, "a file without a path");
    if (path_check(str_of(path), e) != 0 ||
        check_members(v, known, ARRAY_LEN(known), e) != 0)
        return -1;
    *f = (struct tree_file){ .lfs = sha != NULL };
    if (!json_u64(json_get(v, "size"), &f->size) ||
        !(f->lfs ? json_digest(sha, HASH_SHA256, &f->sha256)
                 : json_digest(
                       json_get(v, "git_sha1"), HASH_GIT_SHA1, &f->oid)) ||
        (f->lfs && json_get(v, "git_sha1") != NULL))
        return err_set(e, ERR_REFUSED,
            "'%.200s': size or digest is missing or malformed", path);
    f->path = arena_str(arena, str_of(path), e);
    return f->path.p == NULL ? -1 : 0;
}

static int read_files(
    const struct json *v, struct tree *out, struct arena *arena, struct err *e)
{
    struct listing list AUTO(listing_free) = LISTING_INIT;

    if (json_kind(v) != JSON_ARRAY)
        return err_set(e, ERR_REFUSED, "the files are not a list");
    for (const struct json *m = json_first(v); m != NULL; m = json_next(m)) {
        struct tree_file f;

        if (read_file(m, &f, arena, e) != 0 || listing_put(&list, &f, e) != 0)
            return -1;
    }
    return listing_end(&list, arena, out, e);
}

static bool read_type(const struct json *v, enum repo_type *out)
{
    const char *text;

    for (size_t i = 0; json_str(v, &text) && i < REPO_TYPES; i++)
        if (strcmp(text, repo_type_names[i]) == 0) {
            *out = (enum repo_type)i;
            return true;
        }
    return false;
}

static bool set_form(struct lock_entry *out, const char *form)
{
    static const char *const known[] = { "fp16", "bf16", "fp32", "keep",
        "int8" };

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(form, known[i]) == 0)
            memcpy(out->convert, form, strlen(form) + 1);
    return out->convert[0] != '\0';
}

static int read_entry(const struct json *v, struct lock_entry *out,
    struct arena *arena, struct err *e)
{
    static const char *const known[] = { "repository", "type", "revision",
        "commit", "convert", "files" };
    const struct json *convert = json_get(v, "convert");
    const char *id, *revision, *commit, *form = "";
    enum repo_type type;
    char text[512];

    if (check_members(v, known, ARRAY_LEN(known), e) != 0)
        return -1;
    if (!json_str(json_get(v, "repository"), &id) ||
        !json_str(json_get(v, "revision"), &revision) ||
        !json_str(json_get(v, "commit"), &commit) || !repo_is_commit(commit) ||
        !read_type(json_get(v, "type"), &type) ||
        json_get(v, "files") == NULL || strchr(id, '@') != NULL ||
        snprintf(text, sizeof(text), "%s@%s", id, revision) >=
            (int)sizeof(text))
        return err_set(e, ERR_REFUSED,
            "a repository without a name, type, revision, commit or files");
    memcpy(out->commit, commit, sizeof(out->commit));
    if (convert != NULL && (type != REPO_MODEL || !json_str(convert, &form) ||
                               !set_form(out, form)))
        return err_set(
            e, ERR_REFUSED, "%s: a conversion that is not known here", text);
    if (repo_parse(&out->repo, type, text, e) != 0 ||
        strcmp(out->repo.id, id) != 0) {
        err_clear(e);
        return err_set(e, ERR_REFUSED, "'%.200s' is no repository", text);
    }
    if (repo_is_commit(revision) && strcmp(revision, commit) != 0)
        return err_set(
            e, ERR_REFUSED, "%s: the revision is another commit", text);
    if (read_files(json_get(v, "files"), &out->tree, arena, e) != 0)
        return err_ctx(e, "%s", text);
    return 0;
}

static int read_root(
    const struct json *root, struct lockfile *out, struct err *e)
{
    static const char *const known[] = { "ml-lock", "repositories" };
    const struct json *list = json_get(root, "repositories");
    uint64_t version;

    if (!json_u64(json_get(root, "ml-lock"), &version))
        return err_set(e, ERR_REFUSED, "not a lock");
    if (version != 1)
        return err_set(e, ERR_UNSUPPORTED,
            "a lock of version %llu; this program knows version 1",
            (unsigned long long)version);
    if (check_members(root, known, ARRAY_LEN(known), e) != 0)
        return -1;
    if (list == NULL || json_kind(list) != JSON_ARRAY ||
        json_count(list) > REPOS_MAX)
        return err_set(e, ERR_REFUSED, "no list of repositories");
    out->v = arena_alloc(&out->arena, json_count(list), sizeof(*out->v), e);
    if (out->v == NULL)
        return -1;
    for (const struct json *m = json_first(list); m != NULL; m = json_next(m))
        if (read_entry(m, &out->v[out->n++], &out->arena, e) != 0)
            return -1;
    return sort(out->v, out->n, ERR_REFUSED, e);
}

/* Parsed, a value takes far more room than its text. */
static int check_size(struct str text, struct err *e)
{
    size_t values = 0;

    for (size_t i = 0; i < text.len; i++)
        values += text.p[i] == ',' || text.p[i] == '[' || text.p[i] == '{';
    return values <= LOCKFILE_VALUES_MAX
               ? 0
               : err_set(e, ERR_REFUSED, "more than %d values",
                     LOCKFILE_VALUES_MAX);
}

int lockfile_parse(
    struct lockfile *out, struct str text, const char *path, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;

    if (check_size(text, e) == 0 && json_parse(&doc, text, 0, e) == 0 &&
        read_root(doc.root, out, e) == 0)
        return 0;
    return err_ctx(e, "%s", path);
}

int lockfile_read(struct lockfile *out, const char *path, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(LOCKFILE_MAX);

    if (file_slurp(path, &text, e) != 0)
        return -1;
    return lockfile_parse(out, buf_str(&text), path, e);
}

/* ---- writing ---- */

static void put_file(struct buf *out, const struct tree_file *f)
{
    buf_puts(out, "\n    {\"path\": ");
    json_quote(out, f->path);
    buf_printf(out, ", \"size\": %llu, \"%s\": \"%s\"}",
        (unsigned long long)f->size, f->lfs ? "sha256" : "git_sha1",
        tree_etag(f)->hex);
}

static void put_entry(struct buf *out, const struct lock_entry *l)
{
    buf_puts(out, "\n  {\"repository\": ");
    json_quote(out, str_of(l->repo.id));
    buf_printf(out,
        ", \"type\": \"%s\", \"revision\": ", repo_type_names[l->repo.type]);
    json_quote(out, str_of(l->repo.revision));
    buf_printf(out, ",\n   \"commit\": \"%s\"", l->commit);
    if (l->convert[0] != '\0')
        buf_printf(out, ", \"convert\": \"%s\"", l->convert);
    buf_puts(out, ", \"files\": [");
    for (uint64_t i = 0; i < l->tree.n; i++) {
        if (i > 0)
            buf_putc(out, ',');
        put_file(out, &l->tree.files[i]);
    }
    buf_puts(out, "]}");
}

int lockfile_text(
    struct buf *out, struct lock_entry *v, size_t n, struct err *e)
{
    uint64_t files = 0;

    if (sort(v, n, ERR_USAGE, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        files += v[i].tree.n;
    if (n > REPOS_MAX || files >= LOCKFILE_VALUES_MAX / 4)
        return err_set(e, ERR_REFUSED,
            "%zu repositories with %llu files: more than a lock can hold", n,
            (unsigned long long)files);
    buf_puts(out, "{\"ml-lock\": 1, \"repositories\": [");
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_putc(out, ',');
        put_entry(out, &v[i]);
    }
    buf_puts(out, "]}\n");
    if (buf_check(out, e) != 0)
        return -1;
    return check_size(buf_str(out), e);
}
