/* What an interrupted check remembers: torn, flipped, old, foreign. */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "cache/checklog.h"
#include "tests/unit/tap.h"

enum { N = 6 };

static char dir[PATH_MAX], path[PATH_MAX + 8];

static struct digest digest_of(int i)
{
    struct digest d;
    struct err e = ERR_INIT;

    hash_bytes(HASH_SHA256, &i, sizeof(i), &d, &e);
    return d;
}

static struct stat stat_of(int i)
{
    return (struct stat){ .st_ino = (ino_t)(100 + i),
        .st_dev = 7,
        .st_size = 1000 * i,
        .st_mtim = { .tv_sec = 1, .tv_nsec = i },
        .st_ctim = { .tv_sec = 2, .tv_nsec = i } };
}

/* How many of the N it knows, as bits; what was never added must be absent. */
static unsigned known(bool *foreign)
{
    struct arena arena = ARENA_INIT(1 << 20);
    struct checklog l = CHECKLOG_INIT;
    unsigned bits = 0;

    checklog_open(&l, path, &arena);
    for (int i = 0; i < N; i++) {
        struct digest d = digest_of(i);
        struct stat st = stat_of(i);

        if (checklog_has(&l, &d, &st))
            bits |= 1u << i;
        st.st_ctim.tv_nsec += 1000;
        *foreign = *foreign || checklog_has(&l, &d, &st);
    }
    checklog_close(&l);
    arena_free(&arena);
    return bits;
}

static void put(const char *bytes, size_t len)
{
    struct err e = ERR_INIT;

    if (file_put(path, bytes, len, 0644, &e) != 0)
        printf("# %s\n", e.msg);
}

static void make(struct buf *out)
{
    struct arena arena = ARENA_INIT(1 << 20);
    struct checklog l = CHECKLOG_INIT;
    struct err e = ERR_INIT;

    checklog_open(&l, path, &arena);
    for (int i = 0; i < N; i++) {
        struct digest d = digest_of(i);
        struct stat st = stat_of(i);

        checklog_add(&l, &d, &st);
    }
    checklog_close(&l);
    arena_free(&arena);
    file_slurp(path, out, &e);
}

static void t_cut(struct str whole)
{
    unsigned last = 0;
    bool foreign = false, grows = true;

    for (size_t n = 0; n <= whole.len; n++) {
        unsigned bits;

        put(whole.p, n);
        bits = known(&foreign);
        grows = grows && (bits & last) == last && (bits & (bits + 1)) == 0;
        last = bits;
    }
    ok(grows && last == (1u << N) - 1,
        "cut at every byte: whole lines count, torn ones do not");
    ok(!foreign, "and what was touched since is never known");
}

static void t_flipped(struct str whole)
{
    char *copy = malloc(whole.len);
    size_t head = strcspn(whole.p, "\n") + 1;
    bool foreign = false, right = true;

    for (size_t i = 0; i < 8 * whole.len && copy != NULL; i++) {
        unsigned bits;

        memcpy(copy, whole.p, whole.len);
        copy[i / 8] = (char)(copy[i / 8] ^ 1 << (i % 8));
        put(copy, whole.len);
        bits = known(&foreign);
        /* In a line it costs that line; in the head perhaps all of them. */
        right = right && (i / 8 < head || bits != (1u << N) - 1);
    }
    ok(right && !foreign, "a flipped bit makes nothing known, and its line "
                          "unknown");
    free(copy);
}

static void t_others(struct str whole)
{
    struct arena arena = ARENA_INIT(1 << 20);
    struct checklog l = CHECKLOG_INIT;
    bool foreign = false;
    int fd;

    put(whole.p, whole.len);
    fd = open(path, O_RDWR | O_CLOEXEC);
    flock(fd, LOCK_EX);
    ok(known(&foreign) == 0, "another check is writing it: not used");
    close(fd);
    ok(known(&foreign) == (1u << N) - 1, "it has ended: used");
    put("ml-check 1 1000000000\n", 22);
    ok(known(&foreign) == 0, "one of long ago is begun anew");
    put("something else\n", 15);
    ok(known(&foreign) == 0, "so is what is no such log");
    checklog_open(&l, path, &arena);
    checklog_end(&l);
    ok(access(path, F_OK) != 0, "a check that came to its end leaves none");
    unlink(path);
    ok(symlink("/etc/passwd", path) == 0 && known(&foreign) == 0,
        "a symbolic link is not followed");
    unlink(path);
    arena_free(&arena);
}

int main(void)
{
    struct buf whole AUTO(buf_free) = BUF_INIT(1 << 20);

    snprintf(dir, sizeof(dir), "%s/t_checklog.XXXXXX",
        getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(path, sizeof(path), "%s/log", dir);
    make(&whole);
    t_cut(buf_str(&whole));
    t_flipped(buf_str(&whole));
    t_others(buf_str(&whole));
    rmdir(dir);
    return done();
}
