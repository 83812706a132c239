/* verify/hashjobs.h and verify/crc32.h: the right sums, whoever does them. */
#include <unistd.h>

#include "base/file.h"
#include "base/pool.h"
#include "tests/unit/tap.h"
#include "verify/crc32.h"
#include "verify/hashjobs.h"

enum { FILE_BYTES = 3000001, JOBS = 60 };

static unsigned char bytes[FILE_BYTES];

static uint32_t slow_crc(const unsigned char *p, size_t n)
{
    uint32_t v = 0xFFFFFFFFu;

    for (size_t i = 0; i < n; i++) {
        v ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            v = v & 1 ? v >> 1 ^ 0xEDB88320u : v >> 1;
    }
    return ~v;
}

static void test_crc32(void)
{
    struct crc32 c;
    bool same = true;

    crc32_init(&c);
    ok(crc32_add(&c, 0, "123456789", 9) == 0xCBF43926u, "the check value");
    ok(crc32_add(&c, 0, "", 0) == 0, "of nothing: 0");
    for (size_t at = 0; at < 9; at++)
        for (size_t n = 0; n < 70; n++)
            same = same &&
                   crc32_add(&c, 0, bytes + at, n) == slow_crc(bytes + at, n);
    ok(same, "every length and alignment equals the bitwise sum");
    same = true;
    for (size_t cut = 0; cut < 100; cut++)
        same = same && crc32_add(&c, crc32_add(&c, 0, bytes, cut), bytes + cut,
                           1000 - cut) == slow_crc(bytes, 1000);
    ok(same, "the sum can be taken in two parts");
}

static void test_jobs(const char *path, unsigned threads)
{
    struct hash_jobs jobs AUTO(hash_jobs_free) = HASH_JOBS_INIT;
    struct err e = ERR_INIT;
    struct pool *pool AUTO(pool_close_auto) = pool_open(threads, &e);
    struct crc32 c;
    bool right = true;

    crc32_init(&c);

    for (size_t i = 0; i < JOBS; i++) {
        struct hash_job job = { .path = path,
            .offset = i * 7919 % 1000000,
            .len = i * 104729 % 2000000,
            .kind = i % 3 == 1 ? HASH_GIT_SHA1 : HASH_SHA256,
            .crc = i % 3 == 2,
            .owner = i };
        hash_jobs_add(&jobs, &job, &e);
    }
    ok(hash_jobs_run(&jobs, pool, PROGRESS_NONE, &e) == 0, "%u threads: run",
        threads);
    for (size_t i = 0; i < JOBS; i++) {
        const struct hash_job *j = &jobs.v[i];
        struct digest d;

        hash_bytes(j->kind, bytes + j->offset, j->len, &d, &e);
        right =
            right && j->owner == i && j->why == NULL &&
            (j->crc ? j->crc_out == crc32_add(&c, 0, bytes + j->offset, j->len)
                    : digest_eq(&d, &j->out));
    }
    ok(right && e.kind == ERR_NONE,
        "%u threads: all sums are right and in their order", threads);
}

static void test_failures(const char *path)
{
    struct hash_jobs jobs AUTO(hash_jobs_free) = HASH_JOBS_INIT;
    struct err e = ERR_INIT;
    struct pool *pool AUTO(pool_close_auto) = pool_open(2, &e);
    struct hash_job gone = { .path = "/no/such/file", .len = 1 };
    struct hash_job beyond = { .path = path, .len = FILE_BYTES + 1 };
    struct hash_job folder = { .path = "/", .len = 1 };
    struct hash_job none = { .path = path, .len = 0 };

    hash_jobs_add(&jobs, &gone, &e);
    hash_jobs_add(&jobs, &beyond, &e);
    hash_jobs_add(&jobs, &folder, &e);
    hash_jobs_add(&jobs, &none, &e);
    ok(hash_jobs_run(&jobs, pool, PROGRESS_NONE, &e) == 0,
        "jobs fail, the run does not");
    ok(sizeof(struct hash_job) <= 256, "a million jobs are no burden");
    ok(jobs.v[0].why->kind == ERR_MISSING, "a file that is not there");
    ok(jobs.v[1].why->kind == ERR_CORRUPT, "a file that ends too early");
    ok(jobs.v[2].why->kind == ERR_REFUSED, "a folder");
    ok(jobs.v[3].why == NULL, "no bytes are fine");
}

int main(void)
{
    char path[] = "/tmp/t_check_hashjobs.XXXXXX";
    uint32_t v = 1;
    int fd;

    for (size_t i = 0; i < FILE_BYTES; i++) {
        v = v * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(v >> 24);
    }
    fd = mkstemp(path);
    if (!ok(fd >= 0 && write(fd, bytes, FILE_BYTES) == FILE_BYTES,
            "a file to hash"))
        return done();
    test_crc32();
    test_jobs(path, 1);
    test_jobs(path, 4);
    test_failures(path);
    close(fd);
    unlink(path);
    return done();
}
