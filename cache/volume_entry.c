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

/* Does a folder's name look like the file of a name, or like one of these? */
static bool needs_mark(struct str folder)
{
    while (folder.len > 0 && folder.p[folder.len - 1] == '+')
        folder.len--;
    return str_ends(folder, ".json");
}

/* Behind the last slash of a checked name. */
static struct str last_part(struct str name)
{
    size_t n = name.len;

    while (n > 0 && name.p[n - 1] != '/')
        n--;
    return (struct str){ name.p + n, name.len - n };
}

int volume_folder(
    const struct volume *v, struct str name, char *out, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(PATH_MAX - 1);

    buf_printf(&b, "%s/names", v->root);
    while (name.len > 0) {
        const char *slash = memchr(name.p, '/', name.len);
        size_t n = slash != NULL ? (size_t)(slash - name.p) : name.len;
        struct str part = { name.p, n };

        buf_printf(&b, "/%.*s", STR_ARG(part));
        if (needs_mark(part))
            buf_putc(&b, '+');
        n += slash != NULL;
        name.p += n;
        name.len -= n;
    }
    if (buf_check(&b, e) != 0)
        return -1;
    memcpy(out, b.p, b.len + 1);
    return 0;
}

bool volume_name_of(struct str path, struct buf *out)
{
    for (;;) {
        const char *slash = memchr(path.p, '/', path.len);
        struct str part = { path.p,
            slash != NULL ? (size_t)(slash - path.p) : path.len };

        if (slash == NULL) {
            part.len -= size_min(part.len, SUFFIX_LEN);
            buf_put(out, part.p, part.len);
            return str_ends(path, ".json");
        }
        if (needs_mark(part)) {
            if (part.p[part.len - 1] != '+')
                return false;
            part.len--;
        }
        buf_put(out, part.p, part.len);
        buf_putc(out, '/');
        path.len -= (size_t)(slash + 1 - path.p);
        path.p = slash + 1;
    }
}

int volume_named(
    const struct volume *v, struct str name, char *out, struct err *e)
{
    struct str last = last_part(name), front = name;
    size_t n;

    if (path_check(name, e) != 0)
        return -1;
    if (last.len > 255 - SUFFIX_LEN)
        return err_set(e, ERR_REFUSED,
            "unsafe file name '%.*s': longer than %d bytes", STR_ARG(name),
            255 - SUFFIX_LEN);
    front.len -= last.len + (last.len < name.len);
    if (volume_folder(v, front, out, e) != 0)
        return -1;
    n = strlen(out);
    if (n + 1 + last.len + SUFFIX_LEN >= PATH_MAX)
        return err_set(e, ERR_USAGE, "path too long: %.200s", out);
    snprintf(out + n, PATH_MAX - n, "/%.*s.json", STR_ARG(last));
    return 0;
}

static bool parse_entry(const struct json *v, struct volume_entry *out)
{
    return json_digest(json_get(v, "sha256"), HASH_SHA256, &out->sha256) &&
           json_u64(json_get(v, "size"), &out->size) &&
           json_i64(json_get(v, "mtime"), &out->mtime);
}

int volume_entry_read(const struct volume *v, struct str name,
    struct arena *arena, struct volume_entry *out, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct err why = ERR_INIT;
    char path[PATH_MAX];

    if (volume_named(v, name, path, e) != 0)
        return -1;
    if (json_read(&doc, path, ENTRY_BYTES_MAX, &why) != 0) {
        if (why.kind == ERR_MISSING || why.sys == ENOTDIR ||
            why.sys == ENAMETOOLONG)
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

int volume_entry_text(
    const struct volume_entry *entry, struct buf *out, struct err *e)
{
    buf_printf(out, "{\"sha256\": \"%s\", \"size\": %llu, \"mtime\": %lld}\n",
        entry->sha256.hex, (unsigned long long)entry->size,
        (long long)entry->mtime);
    return buf_check(out, e);
}

int volume_entry_write(
    const struct volume *v, const struct volume_entry *entry, struct err *e)
{
    struct file_new f AUTO(file_new_abandon) = FILE_NEW_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(ENTRY_BYTES_MAX);
    char path[PATH_MAX], dir[PATH_MAX], tmp[PATH_MAX];

    if (volume_entry_text(entry, &b, e) != 0 ||
        volume_named(v, entry->name, path, e) != 0)
        return -1;
    path_dir(dir, sizeof(dir), path);
    if (dir_make(dir, e) != 0 || volume_tmp(v, tmp, e) != 0 ||
        file_new_begin_in(&f, tmp, path, e) != 0 ||
        file_write_at(f.fd, b.p, b.len, 0, path, e) != 0)
        return -1;
    return file_new_commit(&f, mode_masked(0666), e);
}
