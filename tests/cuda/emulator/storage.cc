/*
 * cuFile for the emulator. EMULATE_CUFILE says how it behaves: without it the
 * driver does not start; "file" takes no file, "read" gives up in the middle,
 * "errno" does so as a system call would, "short" reads less than it is asked
 * for, "cut" shortens the file meanwhile, all else does what it should.
 */
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "fibers.h"

struct status {
    int library, driver;
};

struct file_descr {
    int type;
    union {
        int fd;
        void *handle;
    } of;
    const void *ops;
};

static std::string how(void)
{
    const char *text = getenv("EMULATE_CUFILE");

    return text != nullptr ? text : "";
}

extern "C" {
struct status cuFileDriverOpen(void)
{
    return { how().empty() ? 5001 : 0, 0 };
}

/* Only what passes by the page cache is taken; read it may be by the way. */
struct status cuFileHandleRegister(void **out, struct file_descr *d)
{
    std::string path = "/proc/self/fd/" + std::to_string(d->of.fd);

    if (d->type != 1 || (fcntl(d->of.fd, F_GETFL) & O_DIRECT) == 0)
        return { 5020, 0 };
    if (how() == "file")
        return { 5008, 0 };
    *out = new int(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    return { 0, 0 };
}

void cuFileHandleDeregister(void *file)
{
    close(*(int *)file);
    delete (int *)file;
}

ssize_t cuFileRead(void *file, void *base, size_t len, off_t from, off_t to)
{
    static std::atomic<int> count;

    if (to != 0 || !emulated_holds(base, len)) {
        fprintf(stderr, "emulator: cuFile to where nothing is known\n");
        abort();
    }
    if (how() == "read" && ++count > 2)
        return -5011;
    if (how() == "errno") {
        errno = EIO;
        return -1;
    }
    if (how() == "cut" && ++count == 2) {
        std::string path = "/proc/self/fd/" + std::to_string(*(int *)file);

        if (truncate(path.c_str(), 4096) != 0)
            abort();
    }
    if (how() == "short" && len > 100)
        len = 100;
    return pread(*(int *)file, base, len, from);
}
}
