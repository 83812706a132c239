/* What the names of a volume mean. */
#include "cache/volume.h"
#include "cache/volume_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cache/mode.h"
#include "cache/walk.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/path.h"

enum { ENTRY_BYTES_MAX = 64 << 10, SUFFIX_LEN = 5 /* ".json" */ };

int volume_named(
    const struct volume *v, struct str name, char *out, struct err *e)
{
    const char *slash = NULL;
    size_t last;

    if (path_check(name, e) != 0)
        return -1;
    for (size_t i = 0; i < name.len; i++)
        if (name.p[i] == '/')
            slash = name.p + i;
    last = slash ? name.len - (size_t)(slash + 1 - name.p) : name.len;
    if (last > 255 - SUFFIX_LEN)
        return err_set(e, ERR_REFUSED,
            "unsafe file name '%.*s': longer than %d bytes", STR_ARG(name),
            255 - SUFFIX_LEN);
    return path_fmt(out, e, "%s/names/%.*s.json", v->root, STR_ARG(name));
}

static bool parse_entry(const struct json *v, struct volume_entry *out)
{
    const char *sha;

    return json_str(json_get(v, "sha256"), &sha) &&
           digest_parse(&out->sha256, str_of(sha)) &&
           out->sha256.kind == HASH_SHA256 &&
           json_u64(json_get(v, "size"), &out->size) &&
           json_i64(json_get(v, "mtime"), &out->mtime);
}

int volume_entry_read(const struct volume *v, struct str name,
    struct arena *arena, struct volume_entry *out, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct err why = ERR_INIT;
    char path[PATH_MAX];
    struct stat st;

    if (volume_named(v, name, path, e) != 0)
        return -1;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 1; /* others have their names below it */
    if (json_read(&doc, path, ENTRY_BYTES_MAX, &why) != 0) {
        if (why.kind == ERR_MISSING || why.sys == ENOTDIR)
            return 1;
        if (why.kind == ERR_REFUSED)
            why.kind = ERR_CORRUPT;
        *e = why;
    } else if (!parse_entry(doc.root, out)) {
        err_set(e, ERR_CORRUPT, "%s: not what was written there", path);
    }
    if (e->kind == ERR_CORRUPT)
        return err_hint(e, "put the file again");
    if (e->kind != ERR_NONE)
        return -1;
    out->name = arena_str(arena, name, e);
    return out->name.p != NULL ? 0 : -1;
}

int volume_entry_write(
    const struct volume *v, const struct volume_entry *entry, struct err *e)
{
    struct file_new f AUTO(file_new_abandon) = FILE_NEW_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(ENTRY_BYTES_MAX);
    char path[PATH_MAX], dir[PATH_MAX], tmp[PATH_MAX];

    buf_printf(&b, "{\"sha256\": \"%s\", \"size\": %llu, \"mtime\": %lld}\n",
        entry->sha256.hex, (unsigned long long)entry->size,
        (long long)entry->mtime);
    if (buf_check(&b, e) != 0 || volume_named(v, entry->name, path, e) != 0)
        return -1;
    path_dir(dir, sizeof(dir), path);
    if (dir_make(dir, e) != 0 || volume_tmp(v, tmp, e) != 0 ||
        file_new_begin_in(&f, tmp, path, e) != 0 ||
        file_write_at(f.fd, b.p, b.len, 0, path, e) != 0)
        return -1;
    return file_new_commit(&f, mode_masked(0666), e);
}

int volume_find(const struct volume *v, const char *name, struct arena *arena,
    struct volume_entry *out, struct err *e)
{
    int rc = path_check(str_of(name), e) != 0 ? -1 : volume_check(v, e);

    if (rc == 0)
        rc = volume_entry_read(v, str_of(name), arena, out, e);
    if (rc <= 0)
        return rc;
    err_set(e, ERR_MISSING, "%s: no file '%s' in this volume", v->root, name);
    return err_hint(e, "see what is there: mlfetch ls %s", v->root);
}

int volume_below(const struct volume *v, const char *folder,
    struct arena *arena, struct volume_entry **out, uint64_t *out_n,
    struct err *e)
{
    char root[PATH_MAX], full[PATH_MAX];
    struct walk_entry *found;
    uint64_t n, cap = *out_n;
    struct stat st;

    if (path_fmt(root, e, "%s/names%s%s", v->root, folder[0] ? "/" : "",
            folder) != 0)
        return -1;
    if (stat(root, &st) != 0 || !S_ISDIR(st.st_mode))
        return 0;
    if (walk(root, arena, &found, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        struct err why = ERR_INIT;
        struct volume_entry *list;
        struct str s = found[i].path;

        if (found[i].kind != WALK_FILE || !str_ends(s, ".json"))
            continue;
        s.len -= SUFFIX_LEN;
        if (path_fmt(full, e, "%s%s%.*s", folder, folder[0] ? "/" : "",
                STR_ARG(s)) != 0)
            return -1;
        list = walk_grow(arena, *out, *out_n, &cap, sizeof(*list), e);
        if (list == NULL)
            return -1;
        *out = list;
        if (volume_entry_read(v, str_of(full), arena, &list[*out_n], &why) == 0)
            ++*out_n;
        else if (why.kind != ERR_NONE)
            log_warn("%s", why.msg);
    }
    return 0;
}

static int cmp_entries(const void *a, const void *b)
{
    const struct volume_entry *x = a, *y = b;

    return str_cmp(x->name, y->name);
}

int volume_list(const struct volume *v, const char *prefix, struct arena *arena,
    struct volume_entry **out, uint64_t *out_n, struct err *e)
{
    char folder[PATH_MAX] = "";
    struct volume_entry one;
    size_t n;
    int rc;

    *out = NULL;
    *out_n = 0;
    if (volume_check(v, e) != 0)
        return -1;
    if (prefix != NULL && path_fmt(folder, e, "%s", prefix) != 0)
        return -1;
    for (n = strlen(folder); n > 1 && folder[n - 1] == '/'; n--)
        folder[n - 1] = '\0';
    if (folder[0] != '\0') {
        rc = volume_entry_read(v, str_of(folder), arena, &one, e);
        if (rc < 0)
            return -1;
        if (rc == 0) {
            *out = arena_alloc(arena, 1, sizeof(one), e);
            if (*out == NULL)
                return -1;
            **out = one;
            *out_n = 1;
        }
    }
    if (volume_below(v, folder, arena, out, out_n, e) != 0)
        return -1;
    if (*out_n > 1)
        qsort(*out, *out_n, sizeof(**out), cmp_entries);
    return 0;
}
