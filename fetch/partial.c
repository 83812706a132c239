#include "fetch/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/path.h"
#include "fetch/journal.h"

/* The disk is set to work early, so that a sync has little left to do. */
enum { PUSH_BYTES = 4 << 20 };

/* What the live journal may be behind. */
enum { NOTE_BYTES = 256 << 10 };

int partial_kept(const char *path, const char *journal,
    const struct digest *want, uint64_t size, uint64_t *kept,
    uint64_t *allocated, struct err *e)
{
    struct ranges have AUTO(ranges_free) = RANGES_INIT;
    struct stat st;

    *kept = 0;
    *allocated = 0;
    if (stat(path, &st) != 0)
        return errno == ENOENT ? 0 : err_sys(e, "%s", path);
    *allocated = (uint64_t)st.st_blocks * 512;
    if ((uint64_t)st.st_size >= size)
        journal_read(journal, want, size, &have, NULL);
    *kept = ranges_sum(&have);
    return 0;
}

/* Full size, with the space behind it where the file system can promise. */
static int reserve(struct partial *p, struct err *e)
{
    if (p->size == 0 || fallocate(p->fd, 0, 0, (off_t)p->size) == 0)
        return ftruncate(p->fd, (off_t)p->size) != 0 ? err_sys(e, "%s", p->path)
                                                     : 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINTR)
        return err_sys(e, "%s: reserving %llu bytes", p->path,
            (unsigned long long)p->size);
    if (ftruncate(p->fd, (off_t)p->size) != 0)
        return err_sys(e, "%s", p->path);
    return 0;
}

static int make_folders(const struct partial *p, struct err *e)
{
    char dir[PATH_MAX];

    path_dir(dir, sizeof(dir), p->path);
    if (dir_make(dir, e) != 0)
        return -1;
    if (p->journal[0] == '\0')
        return 0;
    path_dir(dir, sizeof(dir), p->journal);
    return dir_make(dir, e);
}

/*
 * What the journal vouches for, if it is about this file. It is of full size
 * from the start: a shorter one is new, or was cut, and is about to grow.
 */
static void read_journal(struct partial *p, uint64_t file_size, bool *live)
{
    if (file_size >= p->size)
        journal_read(p->journal, &p->want, p->size, &p->have, live);
    else
        journal_remove(p->journal);
}

int partial_open(struct partial *p, const char *path, const char *journal,
    const struct digest *want, uint64_t size, struct err *e)
{
    struct stat st;
    bool live = false;

    *p = (struct partial)PARTIAL_INIT;
    snprintf(p->path, sizeof(p->path), "%s", path);
    snprintf(p->journal, sizeof(p->journal), "%s", journal);
    p->want = *want;
    p->size = size;
    p->saved_ms = clock_ms();
    if (make_folders(p, e) != 0)
        return -1;
    p->fd = open(
        path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
    if (p->fd < 0 || fstat(p->fd, &st) != 0) {
        err_sys(e, "%s", path);
    } else if (!S_ISREG(st.st_mode)) {
        err_set(e, ERR_REFUSED, "%s: not a regular file", path);
    } else {
        if (journal[0] != '\0')
            read_journal(p, (uint64_t)st.st_size, &live);
        p->unsaved = live ? 1 : 0;
        if (reserve(p, e) == 0)
            hash_begin(&p->hash, want->kind, size, e);
        else if (p->have.n == 0)
            unlink(path); /* with the blocks it got, on some file systems */
    }
    if (e->kind == ERR_NONE)
        return 0;
    partial_close(p);
    return -1;
}

static int write_new(struct partial *p, uint64_t offset, const void *bytes,
    size_t len, struct err *e)
{
    if (file_write_at(p->fd, bytes, len, offset, p->path, e) != 0 ||
        ranges_add(&p->have, offset, offset + len, e) != 0)
        return -1;
    if (p->hashed == offset) {
        hash_add(&p->hash, bytes, len);
        p->hashed += len;
    }
    p->unsaved += len;
    p->unnoted += len;
    p->unpushed += len;
    if (p->unpushed >= PUSH_BYTES) {
        sync_file_range(p->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
        p->unpushed = 0;
    }
    return 0;
}

int partial_write(struct partial *p, uint64_t offset, const void *bytes,
    size_t len, uint64_t *out_new, struct err *e)
{
    const char *from = bytes;
    uint64_t at = offset, end = offset + len;

    *out_new = 0;
    while (at < end) {
        uint64_t held = ranges_end(&p->have, at);
        uint64_t stop;

        if (held > at) {
            at = held;
            continue;
        }
        stop = ranges_next(&p->have, at, end);
        if (write_new(p, at, from + (at - offset), stop - at, e) != 0)
            return -1;
        *out_new += stop - at;
        at = stop;
    }
    return 0;
}

bool partial_lags(const struct partial *p)
{
    return ranges_end(&p->have, p->hashed) > p->hashed;
}

int partial_hash(struct partial *p, void *room, size_t room_len, struct err *e)
{
    uint64_t end = ranges_end(&p->have, p->hashed);
    size_t n = size_min(room_len, end - p->hashed);

    if (n == 0)
        return 0;
    if (file_read_at(p->fd, room, n, p->hashed, p->path, e) != 0)
        return -1;
    hash_add(&p->hash, room, n);
    p->hashed += n;
    return 0;
}

bool partial_done(const struct partial *p)
{
    return p->hashed == p->size;
}

/* Is the name still this file's? Another process may have thought us dead. */
static bool is_ours(const struct partial *p)
{
    struct stat named, opened;

    return lstat(p->path, &named) == 0 && fstat(p->fd, &opened) == 0 &&
           named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

void partial_note(struct partial *p)
{
    struct buf text AUTO(buf_free) = BUF_INIT(JOURNAL_MAX);
    struct err ignored = ERR_INIT;
    char boot[JOURNAL_BOOT_MAX], path[PATH_MAX];

    if (p->unnoted < NOTE_BYTES || p->journal[0] == '\0')
        return;
    p->unnoted = 0;
    if (!is_ours(p))
        return;
    if (p->live < 0) {
        journal_live(p->journal, path);
        p->live = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    }
    journal_boot(boot);
    if (p->live >= 0 && boot[0] != '\0' &&
        journal_text(boot, &p->want, p->size, &p->have, &text, &ignored) == 0)
        file_write_at(p->live, text.p, text.len, 0, p->journal, &ignored);
}

/*
 * The kernel may have dropped what it could not write, and will not say so
 * again: nothing newer than the journal is ever vouched for.
 */
static void disown(struct partial *p)
{
    char live[PATH_MAX];

    journal_live(p->journal, live);
    unlink(live);
    p->journal[0] = '\0';
}

int partial_save(struct partial *p, struct err *e)
{
    char dir[PATH_MAX];

    p->saved_ms = clock_ms();
    if (p->fd < 0 || p->unsaved == 0 || p->journal[0] == '\0' || !is_ours(p))
        return 0;
    if (fdatasync(p->fd) != 0) {
        err_sys(e, "%s: making it durable", p->path);
        disown(p);
        return -1;
    }
    if (!p->named) {
        path_dir(dir, sizeof(dir), p->path);
        if (dir_sync(dir, e) != 0)
            return -1;
        p->named = true;
    }
    if (journal_write(p->journal, &p->want, p->size, &p->have, e) != 0)
        return -1;
    p->unsaved = 0;
    return 0;
}

int partial_publish(struct partial *p, const char *blob, unsigned mode,
    struct digest *got, struct err *e)
{
    int fd = p->fd;

    hash_end(&p->hash, got);
    if (!digest_eq(got, &p->want))
        return err_set(e, ERR_CORRUPT,
            "the bytes received have digest %s, "
            "not %s",
            got->hex, p->want.hex);
    if (fchmod(fd, mode) != 0 || fsync(fd) != 0) {
        /* The kernel may have dropped what it could not write. */
        err_sys(e, "%s: making it durable", p->path);
        partial_drop(p);
        return -1;
    }
    if (!is_ours(p))
        return err_set(
            e, ERR_BUSY, "%s was taken away by another process", p->path);
    p->fd = -1;
    if (close(fd) != 0)
        return err_sys(e, "%s: closing", p->path);
    if (file_publish(p->path, blob, e) != 0)
        return -1;
    if (p->journal[0] != '\0')
        journal_remove(p->journal);
    return 0;
}

void partial_drop(struct partial *p)
{
    if (p->journal[0] != '\0')
        journal_remove(p->journal);
    unlink(p->path);
    partial_close(p);
}

void partial_close(struct partial *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    fd_close(&p->live);
    hash_free(&p->hash);
    ranges_free(&p->have);
}
