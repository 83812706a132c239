/*
 * The file:
 *
 *   ml-names 1 <sha256 of the rest>
 *   <folders> <names>
 *   <inode> <mtime> <its ns> <ctime> <its ns> <folder below names/>  each
 *   <sha256> <size> <mtime> <name>                                   each
 */
#include "cache/nameindex.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cache/mode.h"
#include "cache/volume_internal.h"
#include "cache/walk.h"

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"

enum { INDEX_MAX = 1 << 30, RACY_S = 2, ROW_MIN = 70, FOLDERS_MAX = 1000000 };

static const char head[] = "ml-names 1 ";

static int index_path(const struct volume *v, char *out, struct err *e)
{
    return path_join(out, v->root, "names.index", e);
}

static int open_names(const struct volume *v)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];

    if (path_join(path, v->root, "names", &ignored) != 0)
        return -1;
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* ---- reading ---- */

/* Digits up to the character after them, which is taken, too. */
static bool take_u64(struct str *s, char after, uint64_t *out)
{
    size_t n = 0;

    *out = 0;
    while (n < s->len && n < 19 && s->p[n] >= '0' && s->p[n] <= '9')
        *out = *out * 10 + (uint64_t)(s->p[n++] - '0');
    if (n == 0 || n == s->len || s->p[n] != after)
        return false;
    s->p += n + 1;
    s->len -= n + 1;
    return true;
}

static bool take_line(struct str *s, struct str *line)
{
    const char *end = memchr(s->p, '\n', s->len);

    if (end == NULL)
        return false;
    *line = (struct str){ s->p, (size_t)(end - s->p) };
    s->len -= line->len + 1;
    s->p = end + 1;
    return true;
}

/* The text behind a head whose sum is right. */
static bool take_head(struct str *s)
{
    const size_t digits = HASH_MAX_HEX - 1, front = sizeof(head) - 1;
    struct err ignored = ERR_INIT;
    struct digest sum, is;

    if (!str_starts(*s, head) || s->len < front + digits + 1 ||
        s->p[front + digits] != '\n' ||
        !digest_parse(&sum, (struct str){ s->p + front, digits }))
        return false;
    s->p += front + digits + 1;
    s->len -= front + digits + 1;
    return hash_bytes(HASH_SHA256, s->p, s->len, &is, &ignored) == 0 &&
           digest_eq(&sum, &is);
}

/* Is the folder that the line speaks of as it was? */
static bool take_folder(struct str *s, int names)
{
    char path[PATH_MAX];
    struct str line;
    struct stat st;
    uint64_t at[5];

    for (size_t i = 0; i < ARRAY_LEN(at); i++)
        if (!take_u64(s, ' ', &at[i]))
            return false;
    if (!take_line(s, &line) || line.len >= sizeof(path))
        return false;
    memcpy(path, line.len > 0 ? line.p : ".", line.len > 0 ? line.len : 1);
    path[line.len > 0 ? line.len : 1] = '\0';
    return fstatat(names, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(st.st_mode) && st.st_ino == at[0] &&
           (uint64_t)st.st_mtim.tv_sec == at[1] &&
           (uint64_t)st.st_mtim.tv_nsec == at[2] &&
           (uint64_t)st.st_ctim.tv_sec == at[3] &&
           (uint64_t)st.st_ctim.tv_nsec == at[4];
}

static bool take_entry(
    struct str *s, struct arena *arena, struct volume_entry *out)
{
    const size_t digits = HASH_MAX_HEX - 1;
    struct err ignored = ERR_INIT;
    struct str line;
    uint64_t mtime;

    if (s->len <= digits || s->p[digits] != ' ' ||
        !digest_parse(&out->sha256, (struct str){ s->p, digits }))
        return false;
    s->p += digits + 1;
    s->len -= digits + 1;
    if (!take_u64(s, ' ', &out->size) || !take_u64(s, ' ', &mtime) ||
        !take_line(s, &line) || path_check(line, &ignored) != 0)
        return false;
    out->mtime = (int64_t)mtime;
    out->name = arena_str(arena, line, &ignored);
    return out->name.p != NULL;
}

static bool parse(struct str s, int names, struct arena *arena,
    struct volume_entry **out, uint64_t *out_n)
{
    struct err ignored = ERR_INIT;
    uint64_t folders, n;
    struct volume_entry *list;

    if (!take_head(&s) || !take_u64(&s, ' ', &folders) ||
        !take_u64(&s, '\n', &n) || n > s.len / ROW_MIN)
        return false;
    for (uint64_t i = 0; i < folders; i++)
        if (!take_folder(&s, names))
            return false;
    list = arena_alloc(arena, n, sizeof(*list), &ignored);
    for (uint64_t i = 0; i < n; i++)
        if (list == NULL || !take_entry(&s, arena, &list[i]) ||
            (i > 0 && str_cmp(list[i - 1].name, list[i].name) >= 0))
            return false;
    *out = list;
    *out_n = n;
    return s.len == 0 && folders > 0;
}

bool nameindex_read(const struct volume *v, struct arena *arena,
    struct volume_entry **out, uint64_t *n)
{
    struct buf b AUTO(buf_free) = BUF_INIT(INDEX_MAX);
    int names AUTO(fd_close) = open_names(v);
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];

    return names >= 0 && index_path(v, path, &ignored) == 0 &&
           file_slurp(path, &b, &ignored) == 0 &&
           parse(buf_str(&b), names, arena, out, n);
}

/* ---- writing ---- */

struct writing {
    int names;
    double limit; /* a folder that changed later is too young */
    struct arena arena;
    struct str *folders;
    uint64_t n, cap;
    uint64_t files; /* that are named as those of names are */
    struct buf rows;
};

static bool is_old(const struct writing *w, const struct timespec *t)
{
    return (double)t->tv_sec + (double)t->tv_nsec * 1e-9 < w->limit &&
           t->tv_sec >= 0;
}

static bool add_folder(struct writing *w, struct str path)
{
    struct err ignored = ERR_INIT;
    struct str *list = arena_grow(
        &w->arena, w->folders, w->n, &w->cap, sizeof(*list), &ignored);

    if (list == NULL || w->n == FOLDERS_MAX)
        return false;
    w->folders = list;
    list[w->n] = arena_str(&w->arena, path, &ignored);
    return list[w->n++].p != NULL;
}

/* One name in a folder: another folder, or the file of a name. */
static bool look_at(
    struct writing *w, int fd, struct str folder, const struct dirent *entry)
{
    const char *name = entry->d_name;
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];
    struct stat st;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return true;
    if (entry->d_type == DT_REG)
        st.st_mode = S_IFREG;
    else if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    if (S_ISREG(st.st_mode) && str_ends(str_of(name), ".json"))
        w->files++;
    return !S_ISDIR(st.st_mode) ||
           (strchr(name, '\n') == NULL &&
               path_fmt(path, &ignored, "%.*s%s%s", STR_ARG(folder),
                   folder.len > 0 ? "/" : "", name) == 0 &&
               add_folder(w, str_of(path)));
}

static bool note_folder(struct writing *w, struct str folder)
{
    int fd = openat(w->names, folder.len > 0 ? folder.p : ".",
        O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *d AUTO(dir_close) = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;
    struct stat st;

    if (d == NULL) {
        fd_close(&fd);
        return false;
    }
    if (fstat(fd, &st) != 0 || !is_old(w, &st.st_mtim) ||
        !is_old(w, &st.st_ctim))
        return false;
    buf_printf(&w->rows, "%llu %lld %ld %lld %ld %.*s\n",
        (unsigned long long)st.st_ino, (long long)st.st_mtim.tv_sec,
        st.st_mtim.tv_nsec, (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec,
        STR_ARG(folder));
    while ((entry = readdir(d)) != NULL)
        if (!look_at(w, fd, folder, entry))
            return false;
    return true;
}

static bool make_rows(
    struct writing *w, const struct volume_entry *list, uint64_t n)
{
    struct str none = { "", 0 };

    if (!add_folder(w, none))
        return false;
    for (uint64_t i = 0; i < w->n; i++)
        if (!note_folder(w, w->folders[i]))
            return false;
    if (w->files != n)
        return false;
    for (uint64_t i = 0; i < n; i++) {
        if (list[i].mtime < 0)
            return false;
        buf_printf(&w->rows, "%s %llu %lld %.*s\n", list[i].sha256.hex,
            (unsigned long long)list[i].size, (long long)list[i].mtime,
            STR_ARG(list[i].name));
    }
    return true;
}

/* Not synced: a torn one is not believed. */
static bool put(struct file_new *f, const struct writing *w, uint64_t names)
{
    struct buf b AUTO(buf_free) = BUF_INIT(INDEX_MAX);
    struct err ignored = ERR_INIT;
    struct digest sum;
    size_t at;

    buf_printf(&b, "%s%064d\n", head, 0);
    at = b.len;
    buf_printf(
        &b, "%llu %llu\n", (unsigned long long)w->n, (unsigned long long)names);
    buf_put(&b, w->rows.p, w->rows.len);
    if (buf_check(&w->rows, &ignored) != 0 || buf_check(&b, &ignored) != 0 ||
        hash_bytes(HASH_SHA256, b.p + at, b.len - at, &sum, &ignored) != 0)
        return false;
    memcpy(b.p + sizeof(head) - 1, sum.hex, HASH_MAX_HEX - 1);
    return file_write_at(f->fd, b.p, b.len, 0, f->path, &ignored) == 0 &&
           file_mode(f->fd, mode_masked(0666)) == 0 &&
           rename(f->tmp, f->path) == 0;
}

void nameindex_write(const struct volume *v, const struct volume_entry *list,
    uint64_t n, double took_s)
{
    struct file_new f AUTO(file_new_abandon) = FILE_NEW_INIT;
    struct writing w = { .arena = ARENA_INIT(INDEX_MAX),
        .rows = BUF_INIT(INDEX_MAX) };
    int names AUTO(fd_close) = open_names(v);
    struct err ignored = ERR_INIT;
    char path[PATH_MAX], tmp[PATH_MAX];
    struct stat st;

    if (n < NAMEINDEX_MIN || names < 0 || index_path(v, path, &ignored) != 0 ||
        volume_tmp(v, tmp, &ignored) != 0 ||
        file_new_begin_in(&f, tmp, path, &ignored) != 0 ||
        fstat(f.fd, &st) != 0)
        return;
    /* The file system's clock, not ours. */
    w.names = names;
    w.limit = (double)st.st_mtim.tv_sec + (double)st.st_mtim.tv_nsec * 1e-9 -
              took_s - RACY_S;
    if (!make_rows(&w, list, n) || !put(&f, &w, n))
        log_debug("%s is not written", path);
    buf_free(&w.rows);
    arena_free(&w.arena);
}
