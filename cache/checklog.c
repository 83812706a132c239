#include "cache/checklog.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/rd.h"

enum { LOG_MAX = 256 << 20, LINE_TEXT_MAX = 256, SUM_DIGITS = 16 };

static const char head[] = "ml-check 1 ";

/* What stands for the object in its line; the line is this, and its sum. */
static size_t line_of(char *out, const struct digest *d, const struct stat *st)
{
    int n = snprintf(out, LINE_TEXT_MAX, "%s %llx %llx %llx %llx.%lx %llx.%lx ",
        d->hex, (unsigned long long)st->st_dev, (unsigned long long)st->st_ino,
        (unsigned long long)st->st_size, (unsigned long long)st->st_mtim.tv_sec,
        (unsigned long)st->st_mtim.tv_nsec,
        (unsigned long long)st->st_ctim.tv_sec,
        (unsigned long)st->st_ctim.tv_nsec);

    return (size_t)n;
}

/* The first digits of the SHA-256 of a line; 0 when there is none. */
static uint64_t sum_of(const char *text, size_t len)
{
    struct err ignored = ERR_INIT;
    struct digest sum;

    if (hash_bytes(HASH_SHA256, text, len, &sum, &ignored) != 0)
        return 0;
    sum.hex[SUM_DIGITS] = '\0';
    return strtoull(sum.hex, NULL, 16);
}

static int cmp_sums(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* The sum alone is remembered: it is of all that stands in the line. */
static void read_line(struct checklog *l, struct str line)
{
    uint64_t sum;
    char digits[SUM_DIGITS + 1];

    if (line.len <= SUM_DIGITS)
        return;
    sum = sum_of(line.p, line.len - SUM_DIGITS);
    snprintf(digits, sizeof(digits), "%016llx", (unsigned long long)sum);
    if (sum != 0 && str_ends(line, digits))
        l->seen[l->n++] = sum;
}

/* Begun when; -1 when it is no such log. */
static long long begun(struct str text)
{
    char *end;
    long long t;

    if (!str_starts(text, head))
        return -1;
    t = strtoll(text.p + sizeof(head) - 1, &end, 10);
    return *end == '\n' ? t : -1;
}

static bool write_head(const struct checklog *l)
{
    char line[64];
    int n =
        snprintf(line, sizeof(line), "%s%lld\n", head, (long long)time(NULL));

    return ftruncate(l->fd, 0) == 0 && write(l->fd, line, (size_t)n) == n;
}

/* False when what is there is no such log, or an old one. */
static bool read_all(struct checklog *l, struct arena *arena)
{
    struct buf text AUTO(buf_free) = BUF_INIT(LOG_MAX);
    struct err ignored = ERR_INIT;
    long long age;
    struct rd r;

    if (file_slurp(l->path, &text, &ignored) != 0)
        return false;
    age = time(NULL) - begun(buf_str(&text));
    if (age < 0 || age > CHECKLOG_DAYS * 86400L)
        return false;
    l->seen = arena_alloc(
        arena, text.len / SUM_DIGITS + 1, sizeof(*l->seen), &ignored);
    r = rd_of(text.p, text.len);
    while (l->seen != NULL && !r.bad) {
        struct str line = rd_line(&r);
        if (!r.bad)
            read_line(l, line);
    }
    if (l->n > 1)
        qsort(l->seen, l->n, sizeof(*l->seen), cmp_sums);
    /* A torn end must not grow together with the next line. */
    return write(l->fd, "\n", 1) == 1;
}

void checklog_open(struct checklog *l, const char *path, struct arena *arena)
{
    snprintf(l->path, sizeof(l->path), "%s", path);
    l->fd =
        open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (l->fd >= 0 && flock(l->fd, LOCK_EX | LOCK_NB) == 0) {
        if (read_all(l, arena))
            return;
        l->n = 0;
        if (write_head(l))
            return;
    }
    log_debug("%s: this check is not remembered", path);
    fd_close(&l->fd);
}

bool checklog_has(
    const struct checklog *l, const struct digest *d, const struct stat *st)
{
    char line[LINE_TEXT_MAX];
    uint64_t sum;

    if (l->n == 0)
        return false;
    sum = sum_of(line, line_of(line, d, st));
    return bsearch(&sum, l->seen, l->n, sizeof(sum), cmp_sums) != NULL;
}

void checklog_add(
    const struct checklog *l, const struct digest *d, const struct stat *st)
{
    char line[LINE_TEXT_MAX + SUM_DIGITS + 2];
    size_t n;

    if (l->fd < 0)
        return;
    n = line_of(line, d, st);
    n += (size_t)snprintf(line + n, SUM_DIGITS + 2, "%016llx\n",
        (unsigned long long)sum_of(line, n));
    if (write(l->fd, line, n) != (ssize_t)n)
        log_debug("%s: a line is lost", l->path);
}

void checklog_end(struct checklog *l)
{
    if (l->fd >= 0)
        unlink(l->path);
    checklog_close(l);
}

void checklog_close(struct checklog *l)
{
    fd_close(&l->fd);
}
