/* An entry's bytes, to wherever they are wanted, checked on the way. */
#include "cache/volume.h"
#include "cache/volume_internal.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cache/mode.h"

#include "base/cancel.h"
#include "base/file.h"
#include "base/human.h"
#include "base/path.h"

enum { COPY_CHUNK = 1 << 20 };

/* fd may be a pipe: no offsets. */
static int write_on(
    int fd, const char *p, size_t len, const char *name, struct err *e)
{
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR) {
            if (cancel_check(e) != 0)
                return -1;
            continue;
        }
        if (n < 0)
            return err_sys(e, "writing to %s", name);
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static int damaged(const struct volume_entry *entry, const char *path,
    const char *how, struct err *e)
{
    err_set(e, ERR_CORRUPT, "'%.*s': %s: %s", STR_ARG(entry->name), path, how);
    return err_hint(e, "put the file again: that replaces the damaged copy");
}

static int copy_checked(const struct volume_entry *entry, int from,
    const char *path, int fd, const char *fd_name, struct progress_item *item,
    struct err *e)
{
    struct hash h AUTO(hash_free) = HASH_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(COPY_CHUNK);
    struct digest now;
    uint64_t at = 0;

    if (buf_room(&b, COPY_CHUNK) == NULL)
        return buf_check(&b, e);
    if (hash_begin(&h, HASH_SHA256, entry->size, e) != 0)
        return -1;
    while (at < entry->size) {
        size_t n = size_min(COPY_CHUNK, entry->size - at);
        if (cancel_check(e) != 0 ||
            file_read_at(from, b.p, n, at, path, e) != 0)
            return -1;
        hash_add(&h, b.p, n);
        if (write_on(fd, b.p, n, fd_name, e) != 0)
            return -1;
        at += n;
        progress_add(item, n);
    }
    hash_end(&h, &now);
    if (!digest_eq(&now, &entry->sha256))
        return damaged(entry, path, "its SHA-256 is not its name", e);
    return 0;
}

int volume_get(const struct volume *v, const struct volume_entry *entry, int fd,
    const char *fd_name, struct progress *progress, struct err *e)
{
    struct progress_item *item;
    struct err why = ERR_INIT;
    char path[PATH_MAX], name[1025];
    uint64_t size;
    int rc, from;

    if (volume_path(v, entry, path, e) != 0)
        return -1;
    from = file_open(path, &size, &why);
    if (from < 0 && why.kind == ERR_MISSING)
        return damaged(entry, path, "it is gone from the store", e);
    if (from < 0) {
        *e = why;
        return -1;
    }
    if (size != entry->size) {
        close(from);
        return damaged(entry, path, "its size is wrong", e);
    }
    snprintf(name, sizeof(name), "%.*s", STR_ARG(entry->name));
    item = progress_item(progress, name, entry->size);
    rc = copy_checked(entry, from, path, fd, fd_name, item, e);
    close(from);
    progress_done(item);
    return rc;
}

int volume_save(const struct volume *v, const struct volume_entry *entry,
    const char *dest, struct progress *progress, struct err *e)
{
    struct file_new f AUTO(file_new_abandon) = FILE_NEW_INIT;
    char dir[PATH_MAX], need[HUMAN_MAX], lack[HUMAN_MAX];
    uint64_t free_bytes;

    path_dir(dir, sizeof(dir), dest);
    if (dir_free_space(dir, &free_bytes, e) != 0)
        return -1;
    if (free_bytes < entry->size)
        return err_set(e, ERR_NOSPACE, "%s: needs %s, %s more than is free",
            dest, human_size(need, entry->size),
            human_size(lack, entry->size - free_bytes));
    if (file_new_begin(&f, dest, e) != 0 ||
        volume_get(v, entry, f.fd, dest, progress, e) != 0)
        return -1;
    return file_new_commit(&f, mode_masked(0666), e);
}
