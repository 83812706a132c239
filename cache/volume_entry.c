/* What the names of a volume mean. */
#include "cache/volume.h"
#include "cache/volume_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cache/mode.h"

#include "base/file.h"
#include "base/json.h"
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

static bool take(struct str *s, const char *text)
{
    size_t n = strlen(text);

    if (!str_starts(*s, text))
        return false;
    s->p += n;
    s->len -= n;
    return true;
}

/* Digits without a zero in front, below 10^15. */
static bool take_number(struct str *s, uint64_t *out)
{
    size_t n = 0;

    *out = 0;
    while (n < s->len && n < 15 && s->p[n] >= '0' && s->p[n] <= '9')
        *out = *out * 10 + (uint64_t)(s->p[n++] - '0');
    if (n == 0 || (n > 1 && s->p[0] == '0'))
        return false;
    s->p += n;
    s->len -= n;
    return true;
}

bool volume_entry_plain(struct str text, struct volume_entry *out)
{
    const size_t digits = HASH_MAX_HEX - 1;
    uint64_t mtime;

    if (!take(&text, "{\"sha256\": \"") || text.len < digits ||
        !digest_parse(&out->sha256, (struct str){ text.p, digits }))
        return false;
    text.p += digits;
    text.len -= digits;
    if (!take(&text, "\", \"size\": ") || !take_number(&text, &out->size) ||
        !take(&text, ", \"mtime\": ") || !take_number(&text, &mtime) ||
        !take(&text, "}\n") || text.len != 0)
        return false;
    out->mtime = (int64_t)mtime;
    return true;
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
