/* One partial file on disk: what is vouched for when disks or people fail. */
#include "fetch/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "fetch/journal.h"
#include "fetch/slab.h"

#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

enum { SIZE = 1 << 20 };

static const struct digest want = { HASH_SHA256,
    "30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58" };

static char path[PATH_MAX], journal[PATH_MAX];
static int sync_fails; /* this many more calls */

/* These stand in front of the system's. */
int fsync(int fd)
{
    if (sync_fails > 0) {
        sync_fails--;
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return fsync(fd);
}

static struct partial opened(uint64_t size, struct err *e)
{
    struct partial p;

    partial_open(&p, path, journal, &want, size, e);
    return p;
}

static void write_half(struct partial *p, struct err *e)
{
    static _Alignas(4096) const char zeros[SIZE / 2];

    partial_put(p, zeros, 0, sizeof(zeros), e);
    partial_took(p, 0, sizeof(zeros), e);
}

static uint64_t kept(void)
{
    struct err e = ERR_INIT;
    uint64_t n = 0, allocated;

    is_int(partial_kept(path, journal, &want, SIZE, &n, &allocated, &e), 0,
        "the journal is asked");
    return n;
}

static void saved(void)
{
    struct err e = ERR_INIT;
    struct partial p = opened(SIZE, &e);

    write_half(&p, &e);
    partial_note(&p, 1);
    is_int(partial_save(&p, &e), 0, "saved");
    partial_close(&p);
    is_int((long long)kept(), SIZE / 2, "half of it is vouched for");
    p = opened(SIZE, &e);
    is_int((long long)ranges_sum(&p.have), SIZE / 2, "and gone on with");
    partial_drop(&p);
    is_int((long long)kept(), 0, "dropped: nothing");
    ok(access(journal, F_OK) != 0 && access(path, F_OK) != 0, "nor a file");
}

static void failed_sync(void)
{
    struct err e = ERR_INIT, ignored = ERR_INIT;
    struct partial p = opened(SIZE, &e);

    write_half(&p, &e);
    partial_note(&p, 1);
    sync_fails = 1;
    ok(partial_save(&p, &e) == -1 && e.kind == ERR_IO, "a sync fails");
    partial_save(&p, &ignored);
    partial_note(&p, 1);
    partial_close(&p);
    is_int((long long)kept(), 0, "no later sync makes the bytes good");
    unlink(path);
}

/* What was saved before is not lost with what came after it. */
static void failed_publish(void)
{
    struct err e = ERR_INIT, ignored = ERR_INIT;
    struct partial p = opened(SIZE, &e);

    write_half(&p, &e);
    is_int(partial_save(&p, &e), 0, "half of it is saved");
    partial_took(&p, SIZE / 2, SIZE, &e);
    partial_note(&p, 1);
    sync_fails = 1;
    ok(partial_publish(&p, at("blob"), 0644, &want, &e) == -1 &&
            e.kind == ERR_IO,
        "the last sync fails");
    partial_save(&p, &ignored);
    partial_close(&p);
    ok(access(at("blob"), F_OK) != 0, "nothing gets the blob's name");
    is_int((long long)kept(), SIZE / 2, "what was saved is kept, no more");
    p = opened(SIZE, &e);
    partial_drop(&p);
}

/* Somebody tidies up; the next file of that name holds nothing yet. */
static void lost_partial(void)
{
    struct err e = ERR_INIT;
    struct partial p = opened(SIZE, &e);

    write_half(&p, &e);
    partial_note(&p, 1);
    partial_save(&p, &e);
    partial_close(&p);
    unlink(path);
    p = opened(SIZE, &e);
    is_int((long long)ranges_sum(&p.have), 0, "a new file holds nothing");
    partial_close(&p); /* killed */
    is_int((long long)kept(), 0, "nor does it after a kill");
    p = opened(SIZE, &e);
    is_int((long long)ranges_sum(&p.have), 0, "or in the run after that");
    partial_drop(&p);
}

static void taken_away(void)
{
    struct err e = ERR_INIT;
    struct partial p = opened(SIZE, &e);

    write_half(&p, &e);
    unlink(path);
    write_text(path, "another's");
    partial_note(&p, 1);
    is_int(partial_save(&p, &e), 0, "the name is another file's by now");
    partial_close(&p);
    ok(access(journal, F_OK) != 0, "which is not vouched for");
    ok(access(at("journal.live"), F_OK) != 0, "nor by the live journal");
    unlink(path);
}

static void no_room(void)
{
    struct err e = ERR_INIT;
    struct partial p = opened((uint64_t)1 << 62, &e);

    ok(e.kind != ERR_NONE && p.fd == -1, "no disk is that large");
    ok(access(path, F_OK) != 0, "nothing is left of the try");
}

static uint64_t blocks(void)
{
    struct stat st = { .st_size = 0 };

    is_int(stat(path, &st), 0, "it is there");
    is_int((long long)st.st_size, SIZE, "of full size");
    return (uint64_t)st.st_blocks * 512;
}

/* Of a file of which a part is read nobody's room is taken. */
static void thin(void)
{
    struct err e = ERR_INIT;
    struct partial p;

    is_int(partial_open_thin(&p, path, journal, &want, SIZE, &e), 0,
        "opened without room");
    ok(blocks() < SIZE / 2, "it takes none");
    write_half(&p, &e);
    is_int(partial_save(&p, &e), 0, "what came is saved");
    ok(blocks() < SIZE, "and has its room");
    is_int(partial_reserve(&p, &e), 0, "room for all of it");
    ok(!p.thin && blocks() >= SIZE, "is taken when all is wanted");
    partial_close(&p);
    is_int((long long)kept(), SIZE / 2, "what had come stays");
    unlink(path);
    journal_remove(journal);
}

/* What the page cache holds is read there; a file cut meanwhile ends nobody. */
static void lent(void)
{
    static _Alignas(4096) uint8_t bytes[SIZE];
    struct err e = ERR_INIT;
    struct partial p = opened(SIZE, &e);
    const uint8_t *got;
    int sum = 0;

    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 4096);
    is_int(partial_put(&p, bytes, 0, SIZE, &e), 0, "written");
    is_int(partial_took(&p, 0, SIZE, &e), 0, "and there");
    got = partial_lend(&p, 4095, 70001);
    ok(got != NULL && memcmp(got, bytes + 4095, 70001 - 4095) == 0,
        "cached bytes are lent where they lie");
    is_int(partial_forget(&p, SIZE, &e), 0, "given back");
    got = partial_lend(&p, 0, SIZE);
    ok(got != NULL && memcmp(got, bytes, SIZE) == 0,
        "what was forgotten can be lent again");
    is_int(fsync(p.fd), 0, "on disk");
    is_int(truncate(path, 4096), 0, "another program cuts the file");
    if (got != NULL)
        for (size_t i = 4096; i < SIZE; i++)
            sum += got[i] != 0;
    is_int(sum, 0, "the rest reads as zeros");
    is_int(partial_forget(&p, SIZE, &e), -1, "which is told");
    ok(e.kind == ERR_IO, "as a failed read: %s", e.msg);
    ok(got != NULL && memcmp(got, bytes, 4096) == 0, "what is left is right");
    partial_drop(&p);
}

/* What is on disk only is not waited for in a page fault. */
static void not_lent(void)
{
    struct err e = ERR_INIT;
    struct partial p = opened(SIZE, &e);
    struct statfs fs;

    write_half(&p, &e);
    is_int(fdatasync(p.fd), 0, "on disk");
    posix_fadvise(p.fd, 0, 0, POSIX_FADV_DONTNEED);
    if (fstatfs(p.fd, &fs) != 0 || fs.f_type == TMPFS_MAGIC)
        skip("out of the page cache: not lent", "the folder is in memory");
    else
        ok(partial_lend(&p, 0, SIZE / 2) == NULL,
            "out of the page cache: not lent");
    partial_drop(&p);
}

static void write_all(struct partial *p, uint64_t size, struct err *e)
{
    static _Alignas(4096) const char zeros[BLOCK_BYTES];

    for (uint64_t at = 0; at < size; at += sizeof(zeros))
        partial_put(p, zeros, at, at + sizeof(zeros), e);
    partial_took(p, 0, size, e);
}

/* How far blocks are lent, one after the other, with time in between. */
static uint64_t lend_on(struct partial *p, uint64_t size)
{
    const struct timespec t = { .tv_nsec = 20000000 };
    uint64_t at = 0;
    const uint8_t *got;
    int sum = 0;

    while (at < size && (got = partial_lend(p, at, at + BLOCK_BYTES)) != NULL) {
        for (size_t i = 0; i < BLOCK_BYTES; i += 4096)
            sum += got[i];
        at += BLOCK_BYTES;
        nanosleep(&t, NULL);
    }
    is_int(sum, 0, "zeros were lent");
    return at;
}

/* The kernel, which sees a file read in order, reads no further ahead. */
static void lent_alone(void)
{
    enum { LONG = 16 << 20 };
    struct err e = ERR_INIT;
    struct partial p = opened(LONG, &e);
    char first[BLOCK_BYTES];
    uint64_t far;

    write_all(&p, LONG, &e);
    is_int(fdatasync(p.fd), 0, "on disk");
    posix_fadvise(p.fd, 0, 0, POSIX_FADV_DONTNEED);
    is_int(pread(p.fd, first, BLOCK_BYTES, 0), BLOCK_BYTES, "some is read");
    if (p.direct < 0 || p.plain ||
        partial_lend(&p, LONG - BLOCK_BYTES, LONG) != NULL) {
        skip("lending reads nothing ahead", "all of it is in memory");
        partial_drop(&p);
        return;
    }
    far = lend_on(&p, LONG);
    ok(far > 0 && far < LONG, "lending reads nothing ahead: %llu of %d",
        (unsigned long long)far, LONG);
    partial_drop(&p);
}

int main(void)
{
    scratch_open();
    snprintf(path, sizeof(path), "%s", at("blob.ml.incomplete"));
    snprintf(journal, sizeof(journal), "%s", at("journal"));
    saved();
    failed_sync();
    failed_publish();
    lost_partial();
    taken_away();
    no_room();
    thin();
    lent();
    not_lent();
    lent_alone();
    scratch_close();
    return done();
}
