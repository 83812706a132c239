/* cache/frames.h: the same file with any number of threads; and a file that
 * was cut or changed anywhere is never taken for one. */
#include "cache/frames.h"

#include "base/buf.h"
#include "base/zst.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#include <fcntl.h>

struct feed {
    size_t n, at;      /* bytes to make; made, or taken */
    size_t fail_after; /* 0: never */
    bool wrong;        /* of what was taken */
};

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 2654435761u >> 13 & 0x1f);
}

static int make(void *ctx, uint8_t *out, size_t cap, size_t *n, struct err *e)
{
    struct feed *f = ctx;

    if (f->fail_after != 0 && f->at >= f->fail_after)
        return err_set(e, ERR_CORRUPT, "as asked");
    for (*n = 0; *n < cap && f->at < f->n; f->at++)
        out[(*n)++] = byte_at(f->at);
    return 0;
}

static int take(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
    struct feed *f = ctx;

    for (size_t i = 0; i < n; i++, f->at++)
        f->wrong = f->wrong || p[i] != byte_at(f->at);
    if (f->fail_after != 0 && f->at >= f->fail_after)
        return err_set(e, ERR_REFUSED, "as asked");
    return 0;
}

static enum err_kind pack(
    const char *path, size_t n, unsigned threads, size_t fail_after)
{
    struct feed feed = { .n = n, .fail_after = fail_after };
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct frames f = { .fd = fd,
        .name = path,
        .threads = threads,
        .level = 1,
        .make = make,
        .ctx = &feed };
    struct err e = ERR_INIT;

    frames_pack(&f, &e);
    if (e.kind == ERR_NONE &&
        (f.bytes != n || (off_t)f.packed != lseek(fd, 0, SEEK_END)))
        e.kind = ERR_BUG;
    close(fd);
    return e.kind;
}

static enum err_kind unpack(
    const char *path, size_t n, unsigned threads, size_t fail_after)
{
    struct feed feed = { .n = n, .fail_after = fail_after };
    int fd = open(path, O_RDONLY);
    struct frames f = {
        .fd = fd, .name = path, .threads = threads, .take = take, .ctx = &feed
    };
    struct err e = ERR_INIT;

    frames_unpack(&f, &e);
    close(fd);
    if (feed.wrong || (e.kind == ERR_NONE && feed.at != n))
        return ERR_BUG;
    if (e.kind != ERR_NONE && fail_after == 0 &&
        (strstr(e.msg, path) == NULL || strstr(e.msg, "byte") == NULL))
        printf("# does not say where: %s\n", e.msg);
    return e.kind;
}

static char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    char *p;

    if (f == NULL || fstat(fileno(f), &st) != 0)
        exit(1);
    *n = (size_t)st.st_size;
    p = malloc(*n + 1);
    if (p == NULL || fread(p, 1, *n, f) != *n)
        exit(1);
    fclose(f);
    return p;
}

static void spill(const char *path, const char *p, size_t n)
{
    FILE *f = fopen(path, "wb");

    if (f == NULL || fwrite(p, 1, n, f) != n || fclose(f) != 0)
        exit(1);
}

static void same(void)
{
    static const size_t sizes[] = { 0, 1, ZST_FRAME - 1, ZST_FRAME,
        ZST_FRAME + 1, 9 * ZST_FRAME, 21 * ZST_FRAME + 77 };
    unsigned bad = 0;

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        size_t n, m;
        char *one, *other;

        bad += pack(at("one"), sizes[i], 1, 0) != ERR_NONE;
        one = slurp(at("one"), &n);
        for (unsigned threads = 2; threads <= 5; threads++) {
            bad += pack(at("other"), sizes[i], threads, 0) != ERR_NONE;
            other = slurp(at("other"), &m);
            bad += n != m || memcmp(one, other, n) != 0;
            bad += unpack(at("one"), sizes[i], threads, 0) != ERR_NONE;
            free(other);
        }
        free(one);
    }
    is_int(bad, 0, "the same bytes with 1 to 5 threads, and back");
}

/* Everywhere, in a file of two frames. */
static void attacked(void)
{
    size_t size = ZST_FRAME + 100, n;
    unsigned cut = 0, flipped = 0;
    char *file;

    pack(at("whole"), size, 1, 0);
    file = slurp(at("whole"), &n);
    printf("# %zu bytes\n", n);
    for (size_t i = 0; i < n; i += i < n - 60 ? 997 : 1) {
        spill(at("cut"), file, i);
        cut += unpack(at("cut"), size, 1, 0) != ERR_CORRUPT;
        file[i] ^= 0x20;
        spill(at("cut"), file, n);
        file[i] ^= 0x20;
        flipped += unpack(at("cut"), size, 2, 0) == ERR_BUG;
        if (i >= n - 25)
            flipped += unpack(at("cut"), size, 1, 0) != ERR_REFUSED;
    }
    is_int(cut, 0, "cut off anywhere it is corrupt");
    is_int(flipped, 0, "changed, no wrong byte comes out; the table is exact");
    spill(at("cut"), file, n);
    file = realloc(file, n + 1);
    file[n] = 0;
    spill(at("cut"), file, n + 1);
    is_int(unpack(at("cut"), size, 1, 0), ERR_REFUSED,
        "a byte behind its end is refused");
    free(file);
}

static void failing(void)
{
    unsigned bad = 0;

    for (unsigned threads = 1; threads <= 3; threads++)
        for (size_t i = 1; i < 30; i += 4) {
            bad += pack(at("x"), 30 * ZST_FRAME, threads, i * ZST_FRAME) !=
                   ERR_CORRUPT;
            pack(at("y"), 30 * ZST_FRAME, 2, 0);
            bad += unpack(at("y"), 30 * ZST_FRAME, threads, i * ZST_FRAME) !=
                   ERR_REFUSED;
        }
    is_int(bad, 0, "who makes or takes the bytes may fail at any time");
    is_int(pack("/dev/full", 30 * ZST_FRAME, 2, 0), ERR_NOSPACE,
        "a full disk is told as such");
}

int main(void)
{
    scratch_open();
    same();
    attacked();
    failing();
    scratch_close();
    return done();
}
