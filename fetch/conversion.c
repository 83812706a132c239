#include "fetch/conversion.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "base/cancel.h"
#include "base/file.h"
#include "base/json.h"
#include "base/path.h"
#include "cache/sibling.h"

enum { MANIFEST_MAX = 512 << 20, OPTION_MAX = 16 };

static const char manifest_name[] = "ml-manifest.json";

static const char *const names[] = { "", "fp16", "bf16", "fp32", "keep",
    "int8" };

const char *conversion_name(enum conversion_kind kind)
{
    return names[kind];
}

bool conversion_parse(const char *name, enum conversion_kind *out)
{
    for (size_t i = 1; i < ARRAY_LEN(names); i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (enum conversion_kind)i;
            return true;
        }
    return false;
}

static bool is_text(const struct json *v, const char *want)
{
    const char *text;

    return json_str(v, &text) && strcmp(text, want) == 0;
}

/* Of this commit, by this recipe and nothing besides. */
static bool is_it(const struct conversion *c, const char *manifest)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct err ignored = ERR_INIT;
    const struct json *recipe, *source;

    if (json_read(&doc, manifest, MANIFEST_MAX, &ignored) != 0)
        return false;
    recipe = json_get(doc.root, "recipe");
    source = json_get(doc.root, "source");
    return json_count(recipe) == 1 &&
           is_text(json_get(recipe, "dtype"), names[c->kind]) &&
           is_text(json_get(source, "commit"), c->commit) &&
           is_text(json_get(source, "repository"), c->repo->id);
}

int conversion_find(struct conversion *c, struct err *e)
{
    char root[PATH_MAX], manifest[PATH_MAX];
    DIR *d AUTO(dir_close) = NULL;
    struct dirent *entry;

    if (hubdir_converted(c->dir, c->repo, root, e) != 0)
        return -1;
    d = opendir(root);
    if (d == NULL)
        return errno == ENOENT ? HAVE_NOT : err_sys(e, "%s", root);
    while ((entry = readdir(d)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        if (path_join(c->path, root, entry->d_name, e) != 0 ||
            path_join(manifest, c->path, manifest_name, e) != 0)
            return -1;
        if (is_it(c, manifest))
            return HAVE;
    }
    c->path[0] = '\0';
    return HAVE_NOT;
}

static int check_file(
    const struct conversion *c, const struct json *v, struct err *e)
{
    const char *name = json_key(v);
    struct digest want, got;
    char path[PATH_MAX];

    if (path_check(str_of(name), e) != 0)
        return -1;
    if (!json_digest(json_get(v, "sha256"), HASH_SHA256, &want))
        return err_set(e, ERR_REFUSED, "%s/%s: '%.100s' has no digest", c->path,
            manifest_name, name);
    if (path_join(path, c->path, name, e) != 0 ||
        file_hash(path, HASH_SHA256, &got, NULL, NULL, e) != 0)
        return -1;
    if (digest_eq(&got, &want))
        return 0;
    err_set(
        e, ERR_CORRUPT, "%s: damaged on disk: it is not %s", path, want.hex);
    return err_hint(e, "remove %s: it is made anew", c->path);
}

int conversion_check(const struct conversion *c, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    char path[PATH_MAX];
    const struct json *files;

    if (path_join(path, c->path, manifest_name, e) != 0 ||
        json_read(&doc, path, MANIFEST_MAX, e) != 0)
        return -1;
    files = json_get(doc.root, "files");
    if (json_count(files) == 0)
        return err_set(e, ERR_CORRUPT, "%s: lists no files", path);
    for (const struct json *v = json_first(files); v; v = json_next(v))
        if (check_file(c, v, e) != 0)
            return -1;
    return 0;
}

/* ---- making it ---- */

int conversion_able(struct conversion *c, struct err *e)
{
    char program[PATH_MAX];
    int have = conversion_find(c, e);

    if (have != HAVE_NOT)
        return have < 0 ? -1 : 0;
    return sibling_find("mlconvert", program, e);
}

/* How mlconvert ended, in *out. */
static int run(const struct conversion *c, const char *program,
    enum err_kind *out, struct err *e)
{
    char option[OPTION_MAX], source[512];
    const char *argv[8] = { "mlconvert", option, "--progress",
        sibling_progress(c->progress) };
    size_t n = 4;

    snprintf(option, sizeof(option), "--%s", names[c->kind]);
    /* As an address no folder that is here can be meant by it. */
    snprintf(source, sizeof(source), "%s%s@%s",
        strchr(c->repo->id, '/') != NULL ? "hf://" : "", c->repo->id,
        c->commit);
    if (c->volume != NULL) {
        argv[n++] = "--volume";
        argv[n++] = c->volume;
    }
    argv[n++] = source;
    return sibling_run(program, argv, out, e);
}

static int failed(const struct conversion *c, const char *program,
    enum err_kind kind, struct err *e)
{
    if (cancel_check(e) != 0)
        return -1;
    err_set(e, kind, "%s@%s was fetched, but not converted to %s", c->repo->id,
        c->repo->revision, names[c->kind]);
    if (kind == ERR_BUG)
        return err_hint(e, "is %s of another version than mlfetch?", program);
    return -1;
}

int conversion_make(struct conversion *c, struct err *e)
{
    int have = conversion_find(c, e);
    enum err_kind kind = ERR_NONE;
    char program[PATH_MAX];

    if (have != HAVE_NOT)
        return have < 0 ? -1 : 0;
    if (sibling_find("mlconvert", program, e) != 0 ||
        run(c, program, &kind, e) != 0)
        return -1;
    if (kind != ERR_NONE)
        return failed(c, program, kind, e);
    have = conversion_find(c, e);
    if (have == HAVE_NOT)
        err_set(e, ERR_BUG, "%s left no %s form of %s", program, names[c->kind],
            c->repo->id);
    return have == HAVE ? 0 : -1;
}
