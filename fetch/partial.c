#include "fetch/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/path.h"
#include "fetch/slab.h"
#include "fetch/watch.h"

enum {
    PAGE = 4096,
    /* Smaller files are not worth a descriptor of their own. */
    DIRECT_MIN = 8 << 20,
    /* The disk is set to work early, so that a sync has little to do. */
    PUSH_MIN = 64 << 10,
    /* To give up pages, all threads are disturbed. */
    FORGET_MIN = 1 << 20
};

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

/* All of it is there behind the end of an empty file: see space.h. */
static bool reserved(const struct partial *p, const struct stat *st)
{
    return st->st_size == 0 && (uint64_t)st->st_blocks * 512 >= p->size;
}

/*
 * Full size, with the space behind it where the file system can promise. To
 * ask for space that is there takes as long again, in memory at least.
 */
static int reserve(struct partial *p, const struct stat *st, struct err *e)
{
    if (!p->thin && !reserved(p, st) && partial_reserve(p, e) != 0)
        return -1;
    if (ftruncate(p->fd, (off_t)p->size) != 0)
        return err_sys(e, "%s", p->path);
    return 0;
}

int partial_reserve(struct partial *p, struct err *e)
{
    p->thin = false;
    if (fallocate(p->fd, 0, 0, (off_t)p->size) == 0 || errno == EOPNOTSUPP ||
        errno == ENOSYS || errno == EINTR)
        return 0;
    return err_sys(
        e, "%s: reserving %llu bytes", p->path, (unsigned long long)p->size);
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

/* The same file once more, past the page cache, if that can be. */
static void open_direct(struct partial *p)
{
    char name[64];

    if (p->size < DIRECT_MIN)
        return;
    snprintf(name, sizeof(name), "/proc/self/fd/%d", p->fd);
    p->direct = open(name, O_RDWR | O_CLOEXEC | O_DIRECT);
}

static int open_as(struct partial *p, const char *path, const char *journal,
    const struct digest *want, uint64_t size, bool thin, struct err *e)
{
    struct stat st;
    bool live = false;

    *p = (struct partial)PARTIAL_INIT;
    snprintf(p->path, sizeof(p->path), "%s", path);
    snprintf(p->journal, sizeof(p->journal), "%s", journal);
    p->want = *want;
    p->size = size;
    p->thin = thin;
    p->saved_ms = clock_ms();
    boot_id(p->boot);
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
        if (reserve(p, &st, e) == 0)
            open_direct(p);
        else if (p->have.n == 0)
            unlink(path); /* with the blocks it got, on some file systems */
    }
    if (e->kind == ERR_NONE)
        return 0;
    partial_close(p);
    return -1;
}

int partial_open(struct partial *p, const char *path, const char *journal,
    const struct digest *want, uint64_t size, struct err *e)
{
    return open_as(p, path, journal, want, size, false, e);
}

int partial_open_thin(struct partial *p, const char *path, const char *journal,
    const struct digest *want, uint64_t size, struct err *e)
{
    return open_as(p, path, journal, want, size, true, e);
}

/* Is it written and read past the page cache? */
static bool past_cache(const struct partial *p)
{
    return p->direct >= 0 && !p->plain;
}

static int put_plain(struct partial *p, const uint8_t *bytes, uint64_t from,
    uint64_t to, struct err *e)
{
    if (from >= to)
        return 0;
    if (file_write_at(p->fd, bytes, to - from, from, p->path, e) != 0)
        return -1;
    if (to - from >= PUSH_MIN)
        sync_file_range(
            p->fd, (off_t)from, (off_t)(to - from), SYNC_FILE_RANGE_WRITE);
    return 0;
}

/* Whole pages; false when the file system will have none of it. */
static bool put_direct(struct partial *p, const uint8_t *bytes, uint64_t from,
    uint64_t to, struct err *e)
{
    struct err why = ERR_INIT;

    if (!past_cache(p))
        return false;
    if (file_write_at(p->direct, bytes, to - from, from, p->path, &why) == 0)
        return true;
    if (why.sys != EINVAL && why.sys != EOPNOTSUPP) {
        *e = why;
        return true;
    }
    p->plain = true;
    return false;
}

int partial_put(struct partial *p, const void *bytes, uint64_t from,
    uint64_t to, struct err *e)
{
    const uint8_t *b = bytes;
    uint64_t first = size_min(to, size_align(from, PAGE));
    uint64_t last = size_max(first, to - to % PAGE);

    if (first == last || !put_direct(p, b + (first - from), first, last, e))
        return put_plain(p, b, from, to, e);
    if (e->kind != ERR_NONE)
        return -1;
    return put_plain(p, b, from, first, e) != 0 ||
                   put_plain(p, b + (last - from), last, to, e) != 0
               ? -1
               : 0;
}

size_t partial_row(const struct partial *p)
{
    return past_cache(p) ? PARTIAL_ROW : 1;
}

bool partial_put_row(
    struct partial *p, uint8_t *const *row, size_t n, uint64_t from)
{
    struct iovec v[PARTIAL_ROW];

    for (size_t i = 0; i < n; i++)
        v[i] = (struct iovec){ row[i], BLOCK_BYTES };
    return pwritev(p->direct, v, (int)n, (off_t)from) ==
           (ssize_t)(n * BLOCK_BYTES);
}

int partial_took(struct partial *p, uint64_t from, uint64_t to, struct err *e)
{
    p->unsaved += to - from;
    p->unnoted += to - from;
    if (p->watch != NULL)
        watch_came(p->watch, from, to);
    return ranges_add(&p->have, from, to, e);
}

/* A read past the page cache: whole pages, or as far as the file goes. */
static bool get_direct(
    struct partial *p, uint8_t *room, uint64_t from, uint64_t to)
{
    uint64_t first = from - from % PAGE;
    uint64_t n = size_align(to, PAGE) - first;
    ssize_t got;

    if (!past_cache(p))
        return false;
    got = pread(p->direct, room + first % BLOCK_BYTES, n, (off_t)first);
    return got >= 0 && (uint64_t)got >= to - first;
}

int partial_get(
    struct partial *p, uint8_t *room, uint64_t from, uint64_t to, struct err *e)
{
    if (get_direct(p, room, from, to))
        return 0;
    return file_read_at(
        p->fd, room + from % BLOCK_BYTES, to - from, from, p->path, e);
}

bool partial_get_row(
    struct partial *p, uint8_t *const *row, size_t n, uint64_t from)
{
    struct iovec v[PARTIAL_ROW];

    if (!past_cache(p))
        return false;
    for (size_t i = 0; i < n; i++)
        v[i] = (struct iovec){ row[i], BLOCK_BYTES };
    return preadv(p->direct, v, (int)n, (off_t)from) ==
           (ssize_t)(n * BLOCK_BYTES);
}

const uint8_t *partial_lend(struct partial *p, uint64_t from, uint64_t to)
{
    struct err ignored = ERR_INIT;

    if (p->lent.p == NULL) {
        if (map_fd(&p->lent, p->fd, p->size, &ignored) != 0)
            return NULL;
        /* Who can read past the page cache wants nothing brought into it. */
        if (past_cache(p))
            map_alone(&p->lent);
    }
    return map_ready(&p->lent, from, to) ? p->lent.p + from : NULL;
}

int partial_forget(struct partial *p, uint64_t to, struct err *e)
{
    if (map_torn(&p->lent))
        return err_set(e, ERR_IO,
            "%s: became shorter, or unreadable, while it was read", p->path);
    if (to < p->forgotten + FORGET_MIN)
        return 0;
    map_forget_part(&p->lent, p->forgotten, to);
    p->forgotten = to - to % PAGE;
    return 0;
}

/* Is the name still this file's? Another process may have thought us dead. */
static bool is_ours(const struct partial *p)
{
    struct stat named, opened;

    return lstat(p->path, &named) == 0 && fstat(p->fd, &opened) == 0 &&
           named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

static void write_live(struct partial *p)
{
    struct buf text AUTO(buf_free) = BUF_INIT(JOURNAL_MAX);
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];

    journal_live(p->journal, path);
    if (p->live < 0)
        p->live = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (p->live >= 0 && journal_text(p->boot, &p->want, p->size, &p->have,
                            &text, &ignored) == 0)
        file_write_at(p->live, text.p, text.len, 0, p->journal, &ignored);
    if (p->lost) /* meanwhile */
        unlink(path);
}

void partial_note(struct partial *p, uint64_t behind)
{
    if (p->unnoted < behind || p->journal[0] == '\0')
        return;
    if (!p->lost && p->boot[0] != '\0' && is_ours(p))
        write_live(p);
    p->unnoted = 0; /* not before: a kill may come between */
}

/*
 * The kernel may have dropped what it could not write, and will not say so
 * again: nothing newer than the journal is ever vouched for.
 */
static int sync_failed(struct partial *p, struct err *e)
{
    char live[PATH_MAX];

    err_sys(e, "%s: making it durable", p->path);
    p->lost = true;
    if (p->journal[0] != '\0') {
        journal_live(p->journal, live);
        unlink(live);
    }
    return -1;
}

int partial_sync(struct partial *p, const struct ranges *have, struct err *e)
{
    char dir[PATH_MAX];

    if (p->journal[0] == '\0' || p->lost || !is_ours(p))
        return 0;
    if (fdatasync(p->fd) != 0)
        return sync_failed(p, e);
    if (!p->named) {
        path_dir(dir, sizeof(dir), p->path);
        if (dir_sync(dir, e) != 0)
            return -1;
        p->named = true;
    }
    return journal_write(p->journal, &p->want, p->size, have, e);
}

int partial_save(struct partial *p, struct err *e)
{
    p->saved_ms = clock_ms();
    if (p->fd < 0 || p->unsaved == 0)
        return 0;
    if (partial_sync(p, &p->have, e) != 0)
        return -1;
    p->unsaved = 0;
    return 0;
}

/* BUSY: the name is another file's by now. */
static int hand_over(struct partial *p, struct err *e)
{
    int fd = p->fd;

    if (!is_ours(p))
        return err_set(
            e, ERR_BUSY, "%s was taken away by another process", p->path);
    p->fd = -1;
    return close(fd) != 0 ? err_sys(e, "%s: closing", p->path) : 0;
}

static void forget_journal(struct partial *p)
{
    if (p->journal[0] != '\0')
        journal_remove(p->journal);
}

int partial_publish(struct partial *p, const char *blob, unsigned mode,
    const struct digest *got, struct err *e)
{
    if (!digest_eq(got, &p->want))
        return err_set(e, ERR_CORRUPT,
            "the bytes received have digest %s, "
            "not %s",
            got->hex, p->want.hex);
    if (partial_mode(p, mode, e) != 0)
        return -1;
    if (fsync(p->fd) != 0)
        return sync_failed(p, e);
    if (hand_over(p, e) != 0 || file_publish(p->path, blob, e) != 0)
        return -1;
    forget_journal(p);
    return 0;
}

int partial_mode(struct partial *p, unsigned mode, struct err *e)
{
    return file_mode(p->fd, mode) != 0 ? err_sys(e, "%s", p->path) : 0;
}

bool partial_syncfs(const struct partial *p)
{
    return syncfs(p->fd) == 0;
}

int partial_check(struct partial *p, struct err *e)
{
    if (sync_file_range(p->fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE) == 0 ||
        errno == ENOSYS || errno == EINVAL)
        return 0;
    return sync_failed(p, e);
}

int partial_rename(struct partial *p, const char *blob, struct err *e)
{
    if (hand_over(p, e) != 0)
        return -1;
    if (rename(p->path, blob) != 0)
        return err_sys(e, "cannot rename to %s", blob);
    forget_journal(p);
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
    fd_close(&p->direct);
    fd_close(&p->live);
    map_close(&p->lent);
    ranges_free(&p->have);
}
