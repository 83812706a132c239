#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/path.h"

/* A name has 255 bytes at most; the temporary one adds 21. */
enum { HASH_CHUNK = 1 << 20, MAP_MIN = 4 << 20, TEMP_BASE_MAX = 200 };

void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void dir_close(DIR **d)
{
    if (*d != NULL)
        closedir(*d);
    *d = NULL;
}

int file_open(const char *path, uint64_t *out_size, struct err *e)
{
    struct stat st;
    /* O_NONBLOCK: a FIFO in a model folder must not hang us. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return err_sys(e, "%s", path);
    if (fstat(fd, &st) != 0)
        err_sys(e, "%s", path);
    else if (!S_ISREG(st.st_mode))
        err_set(e, ERR_REFUSED, "%s: not a regular file", path);
    if (e->kind != ERR_NONE) {
        close(fd);
        return -1;
    }
    if (out_size != NULL)
        *out_size = (uint64_t)st.st_size;
    return fd;
}

int file_read_at(int fd, void *out, size_t len, uint64_t offset,
    const char *name, struct err *e)
{
    char *p = out;

    while (len > 0) {
        ssize_t n = pread(fd, p, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, "%s: reading at byte %llu", name,
                (unsigned long long)offset);
        if (n == 0)
            return err_set(e, ERR_CORRUPT,
                "%s: ends at byte %llu, %zu bytes too early", name,
                (unsigned long long)offset, len);
        p += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int file_write_at(int fd, const void *bytes, size_t len, uint64_t offset,
    const char *name, struct err *e)
{
    const char *p = bytes;

    while (len > 0) {
        ssize_t n = pwrite(fd, p, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_sys(e, "%s: writing at byte %llu", name,
                (unsigned long long)offset);
        p += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int file_slurp(const char *path, struct buf *out, struct err *e)
{
    uint64_t size;
    int fd AUTO(fd_close) = file_open(path, &size, e);
    char *room;

    if (fd < 0)
        return -1;
    room = size > out->limit ? NULL : buf_room(out, size);
    if (room == NULL)
        return err_set(e, size > out->limit ? ERR_REFUSED : ERR_NOMEM,
            "%s: %llu bytes, more than the %zu this file may have", path,
            (unsigned long long)size, out->limit);
    if (file_read_at(fd, room, size, 0, path, e) != 0)
        return -1;
    out->len += size;
    out->p[out->len] = '\0';
    return 0;
}

int file_temp_name(char *out, const char *dir, const char *path, struct err *e)
{
    const char *base = path_base(path);
    size_t n = size_min(strlen(base), TEMP_BASE_MAX);
    uint64_t r;

    /* Some file systems take whole UTF-8 only. */
    while (n > 0 && ((unsigned char)base[n] & 0xC0) == 0x80)
        n--;
    if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
        return err_sys(e, "random name");
    return path_fmt(out, e, "%s/%.*s.%016llx.tmp", dir, (int)n, base,
        (unsigned long long)r);
}

int file_new_begin(struct file_new *f, const char *path, struct err *e)
{
    char dir[PATH_MAX];

    path_dir(dir, sizeof(dir), path);
    return file_new_begin_in(f, dir, path, e);
}

int file_new_begin_in(
    struct file_new *f, const char *dir, const char *path, struct err *e)
{
    f->fd = -1;
    if (file_temp_name(f->tmp, dir, path, e) != 0 ||
        path_fmt(f->path, e, "%s", path) != 0)
        return -1;
    f->fd = open(f->tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (f->fd < 0)
        return err_sys(e, "cannot create %s", f->tmp);
    return 0;
}

int file_mode(int fd, mode_t mode)
{
    mode_t others = S_IRWXG | S_IRWXO;
    struct stat st;
    int why;

    if (fchmod(fd, mode) == 0)
        return 0;
    why = errno;
    if ((why == EPERM || why == EOPNOTSUPP || why == ENOSYS) &&
        ((mode & others) != 0 ||
            (fstat(fd, &st) == 0 && (st.st_mode & others) == 0)))
        return 0;
    errno = why;
    return -1;
}

/* Its bytes are on disk, under the temporary name. */
static int make_durable(struct file_new *f, mode_t mode, struct err *e)
{
    int fd = f->fd;

    if (file_mode(fd, mode) != 0 || fsync(fd) != 0) {
        err_sys(e, "%s: making it durable", f->path);
        file_new_abandon(f);
        return -1;
    }
    f->fd = -1;
    /* NFS and quota errors may only show here. */
    if (close(fd) != 0) {
        err_sys(e, "%s: closing", f->path);
        unlink(f->tmp);
        return -1;
    }
    return 0;
}

int file_new_commit(struct file_new *f, mode_t mode, struct err *e)
{
    if (make_durable(f, mode, e) != 0)
        return -1;
    if (file_publish(f->tmp, f->path, e) != 0) {
        unlink(f->tmp);
        return -1;
    }
    return 0;
}

int file_new_commit_all(
    struct file_new *v, size_t n, mode_t mode, struct err *e)
{
    char dir[PATH_MAX];
    size_t done = 0, named = 0;

    while (done < n && make_durable(&v[done], mode, e) == 0)
        done++;
    while (done == n && named < n && rename(v[named].tmp, v[named].path) == 0)
        named++;
    if (named == n) {
        path_dir(dir, sizeof(dir), n > 0 ? v[0].path : ".");
        return n > 0 ? dir_sync(dir, e) : 0;
    }
    if (done == n)
        err_sys(e, "cannot rename to %s", v[named].path);
    for (size_t i = named; i < done; i++)
        unlink(v[i].tmp);
    for (size_t i = done; i < n; i++)
        file_new_abandon(&v[i]);
    return -1;
}

int file_move(const char *from, const char *to, struct err *e)
{
    return rename(from, to) == 0 ? 0 : err_sys(e, "cannot rename to %s", to);
}

void file_new_abandon(struct file_new *f)
{
    if (f->fd < 0)
        return;
    close(f->fd);
    f->fd = -1;
    unlink(f->tmp);
}

int file_put(
    const char *path, const void *bytes, size_t len, mode_t mode, struct err *e)
{
    struct file_new f AUTO(file_new_abandon) = FILE_NEW_INIT;

    if (file_new_begin(&f, path, e) != 0 ||
        file_write_at(f.fd, bytes, len, 0, path, e) != 0)
        return -1;
    return file_new_commit(&f, mode, e);
}

int file_publish(const char *from, const char *to, struct err *e)
{
    char dir[PATH_MAX];

    if (rename(from, to) != 0)
        return err_sys(e, "cannot rename to %s", to);
    path_dir(dir, sizeof(dir), to);
    return dir_sync(dir, e);
}

int file_symlink(
    const char *target, const char *dir, const char *path, struct err *e)
{
    char tmp[PATH_MAX];

    if (file_temp_name(tmp, dir, path, e) != 0)
        return -1;
    if (symlink(target, tmp) != 0)
        return err_sys(e, "cannot create %s", tmp);
    if (file_publish(tmp, path, e) != 0) {
        unlink(tmp);
        return -1;
    }
    return 0;
}

int dir_sync(const char *path, struct err *e)
{
    int fd AUTO(fd_close) = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_sys(e, "%s", path);
    /* Some network file systems cannot sync a directory: EINVAL. */
    if (fsync(fd) != 0 && errno != EINVAL)
        return err_sys(e, "%s: making it durable", path);
    return 0;
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* One folder whose parent is there; not synced. */
static int make_level(const char *path, struct err *e)
{
    if (is_folder(path) || mkdir(path, 0777) == 0)
        return 0;
    if (errno != EEXIST)
        return err_sys(e, "cannot create folder %s", path);
    /* A file, a link to nothing, or another process was faster. */
    if (is_folder(path))
        return 0;
    errno = ENOTDIR;
    return err_sys(e, "%s", path);
}

/* The end of the name that ends after at, in a path of n bytes. */
static size_t level_end(const char *path, size_t n, size_t at)
{
    const char *slash = at < n ? memchr(path + at + 1, '/', n - at - 1) : NULL;

    return slash != NULL ? (size_t)(slash - path) : n;
}

int dir_make(const char *path, struct err *e)
{
    char part[PATH_MAX], up[PATH_MAX];
    size_t n = strlen(path), first = n;

    if (is_folder(path))
        return 0;
    for (size_t end = level_end(path, n, 0);; end = level_end(path, n, end)) {
        if (path_fmt(part, e, "%.*s", (int)end, path) != 0)
            return -1;
        if (first == n && !is_folder(part))
            first = end;
        if (make_level(part, e) != 0)
            return -1;
        if (end == n)
            break;
    }
    /* All are made before the first is synced: that writes them all down. */
    for (size_t end = first;; end = level_end(path, n, end)) {
        snprintf(part, sizeof(part), "%.*s", (int)end, path);
        path_dir(up, sizeof(up), part);
        if (dir_sync(up, e) != 0)
            return -1;
        if (end == n)
            return 0;
    }
}

int dir_free_space(const char *path, uint64_t *out, struct err *e)
{
    char at[PATH_MAX], up[PATH_MAX];
    struct statvfs fs;

    snprintf(at, sizeof(at), "%s", path);
    while (statvfs(at, &fs) != 0) {
        if (errno != ENOENT)
            return err_sys(e, "%s", at);
        path_dir(up, sizeof(up), at);
        if (strcmp(up, at) == 0)
            return err_sys(e, "%s", at);
        memcpy(at, up, sizeof(at));
    }
    *out = (uint64_t)fs.f_bavail * fs.f_frsize;
    return 0;
}

/* Bytes [at, at + n): where the page cache has them, or else read into b. */
static const uint8_t *next_bytes(struct map *m, int fd, struct buf *b,
    uint64_t at, size_t n, const char *path, struct err *e)
{
    if (m->p != NULL && map_ready(m, at, at + n))
        return m->p + at;
    if (buf_room(b, HASH_CHUNK) == NULL) {
        buf_check(b, e);
        return NULL;
    }
    return file_read_at(fd, b->p, n, at, path, e) == 0 ? (uint8_t *)b->p : NULL;
}

int file_hash(const char *path, int hash_kind, struct digest *out,
    void (*progress)(void *arg, uint64_t bytes), void *arg, struct err *e)
{
    struct hash h AUTO(hash_free) = HASH_INIT;
    struct map m AUTO(map_close) = MAP_INIT;
    struct err unmapped = ERR_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(HASH_CHUNK);
    uint64_t size, at = 0;
    int fd AUTO(fd_close) = file_open(path, &size, e);

    if (fd < 0 || hash_begin(&h, (enum hash_kind)hash_kind, size, e) != 0)
        return -1;
    if (size >= MAP_MIN)
        map_fd(&m, fd, size, &unmapped);
    while (at < size) {
        size_t n = size_min(HASH_CHUNK, size - at);
        const uint8_t *bytes;

        if (cancel_check(e) != 0 ||
            (bytes = next_bytes(&m, fd, &b, at, n, path, e)) == NULL)
            return -1;
        hash_add(&h, bytes, n);
        map_forget_part(&m, at, at + n);
        at += n;
        if (progress != NULL)
            progress(arg, n);
    }
    if (map_torn(&m))
        return err_set(e, ERR_CORRUPT,
            "%s: became shorter, or unreadable, while it was read", path);
    hash_end(&h, out);
    return 0;
}
