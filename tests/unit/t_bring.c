/* One file's bytes come under another name: cloned, linked or copied, and
 * never one that has changed since it was read. */
#include "cache/bring.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "tests/unit/tap.h"

#include "tests/unit/scratch.h"

static const char sha_of_x[] =
    "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

/* A file of one byte, open to be brought. */
static struct bring open_x(const char *name)
{
    struct bring b = BRING_INIT;

    write_text(at("src/%s", name), "x");
    chmod(at("src/%s", name), 0644);
    make_dirs(at("work/x"));
    b.fd = open(at("src/%s", name), O_RDONLY | O_CLOEXEC);
    fstat(b.fd, &b.st);
    b.name = "x";
    b.work = strdup(at("work"));
    return b;
}

static void shut(struct bring *b)
{
    bring_drop(b);
    fd_close(&b->fd);
    free((void *)(uintptr_t)b->work);
}

static ino_t inode(const char *path)
{
    struct stat st = { .st_ino = 0 };

    stat(path, &st);
    return st.st_ino;
}

static void test_ways(void)
{
    static const struct {
        enum bring_how how;
        const char *name;
        bool shared;
    } ways[] = { { BRING_LINK, "link", true }, { BRING_MOVE, "move", true },
        { BRING_COPY, "copy", false } };

    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct bring b = open_x(ways[i].name);
        struct err e = ERR_INIT;
        struct digest d;
        struct stat st;

        is_int(
            bring_read(&b, ways[i].how, HASH_SHA256, &d, &e), 0, ways[i].name);
        is_str(d.hex, sha_of_x, "its digest");
        ok(access(at("to/%s", ways[i].name), F_OK) != 0, "it has no name yet");
        is_int(bring_place(&b, at("to/%s", ways[i].name), &e), 0,
            "then it gets one");
        ok((inode(at("to/%s", ways[i].name)) ==
               inode(at("src/%s", ways[i].name))) == ways[i].shared,
            "which shares the file, or does not");
        stat(at("to/%s", ways[i].name), &st);
        is_int(st.st_mode & 0222, 0, "read-only");
        is_str(read_text(at("to/%s", ways[i].name)), "x", "with its bytes");
        ok(rmdir(at("work")) == 0, "nothing is left of the way there");
        shut(&b);
    }
}

static void test_writers(void)
{
    struct bring b = open_x("written");
    int fd = open(at("src/written"), O_RDWR | O_CLOEXEC);
    struct err e = ERR_INIT;
    struct digest d;
    void *p;

    ok(bring_has_writers(b.fd), "a writer shows");
    ok(bring_read(&b, BRING_LINK, HASH_SHA256, &d, &e) != 0 &&
            e.kind == ERR_REFUSED && strstr(e.msg, "open for writing") != NULL,
        "what is being written is not linked");
    p = mmap(NULL, 1, PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    ok(bring_has_writers(b.fd), "a mapping shows, when its file is closed");
    munmap(p, 1);
    ok(!bring_has_writers(b.fd), "then there is none");
    shut(&b);
}

static void test_changes(void)
{
    struct bring b = open_x("late");
    struct err e = ERR_INIT;
    struct digest d;
    int fd;

    bring_read(&b, BRING_LINK, HASH_SHA256, &d, &e);
    fd = open(at("src/late"), O_RDWR | O_CLOEXEC);
    ok(bring_place(&b, at("to/late"), &e) != 0 && e.kind == ERR_REFUSED,
        "opened for writing after it was read: no link");
    err_clear(&e);
    ok(write(fd, "y", 1) == 1 && close(fd) == 0 &&
            bring_place(&b, at("to/late"), &e) != 0 && e.kind == ERR_BUSY,
        "changed after it was read: no link");
    ok(access(at("to/late"), F_OK) != 0, "and no name");
    shut(&b);
}

static void test_looks(void)
{
    struct err e = ERR_INIT;
    struct bring b = open_x("zero");
    struct digest d;

    ok(bring_read(&b, BRING_READ, HASH_SHA256, &d, &e) == 0 && !b.zeros,
        "an x is no zero");
    shut(&b);
    write_file(at("src/zeros"), "\0\0\0", 3);
    b = (struct bring)BRING_INIT;
    b.fd = open(at("src/zeros"), O_RDONLY | O_CLOEXEC);
    fstat(b.fd, &b.st);
    b.name = "zeros";
    ok(bring_read(&b, BRING_READ, HASH_SHA256, &d, &e) == 0 && b.zeros,
        "zeros are seen");
    truncate(at("src/zeros"), 2);
    ok(bring_read(&b, BRING_READ, HASH_SHA256, &d, &e) != 0 && b.unreadable,
        "one that ends early is told as the source's failure");
    fd_close(&b.fd);
}

int main(void)
{
    scratch_open();
    test_ways();
    test_writers();
    test_changes();
    test_looks();
    scratch_close();
    return done();
}
