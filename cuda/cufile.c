/*
 * cuFile's calls, as its documentation has them: many a toolkit comes without
 * its header. Several threads read at a time, each with its own file.
 */
#include "cuda/cufile.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/human.h"
#include "cuda/symbol.h"
#include "cuda/tune.h"

#define LIBRARY "libcufile.so.0"

enum { ALREADY_OPEN = 5026, OPAQUE_FD = 1 };

/* An error of the library, and one of the device's driver. */
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

struct cufile {
    struct status (*open)(void);
    struct status (*add)(void **out, struct file_descr *d);
    void (*remove)(void *file);
    ssize_t (*read)(void *file, void *base, size_t len, off_t from, off_t to);
    atomic_int refused; /* the last status, of a file or of a read */
    atomic_ullong bytes;
};

/* Its ways that do without the driver are not used. */
static bool load(struct cufile *c, struct err *e)
{
    void *lib;

    if (access(TUNE_CUFILE_DRIVER, F_OK) != 0) {
        err_set(e, ERR_MISSING, "its driver nvidia-fs is not there");
        return false;
    }
    /* else it leaves a cufile.log where the user stands */
    setenv("CUFILE_LOGFILE_PATH", "/dev/null", 0);
    lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (lib != NULL &&
        symbol_find(lib, "cuFileDriverOpen", &c->open, sizeof(c->open)) &&
        symbol_find(lib, "cuFileHandleRegister", &c->add, sizeof(c->add)) &&
        symbol_find(
            lib, "cuFileHandleDeregister", &c->remove, sizeof(c->remove)) &&
        symbol_find(lib, "cuFileRead", &c->read, sizeof(c->read)))
        return true;
    err_set(e, ERR_MISSING, "there is no " LIBRARY);
    return false;
}

struct cufile *cufile_open(struct err *e)
{
    struct cufile *c = calloc(1, sizeof(*c));
    int status;

    if (c == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    if (load(c, e)) {
        status = c->open().library;
        if (status == 0 || status == ALREADY_OPEN)
            return c;
        err_set(e, ERR_IO, "it does not start: status %d", status);
    }
    free(c);
    return NULL;
}

void cufile_close(struct cufile *c)
{
    free(c);
}

void *cufile_add(struct cufile *c, int fd)
{
    struct file_descr d = { .type = OPAQUE_FD, .of.fd = fd };
    void *file = NULL;
    int status;

    if (c == NULL || fd < 0)
        return NULL;
    status = c->add(&file, &d).library;
    if (status == 0)
        return file;
    atomic_store(&c->refused, status);
    return NULL;
}

void cufile_remove(struct cufile *c, void *file)
{
    if (file != NULL)
        c->remove(file);
}

/* A number of its own, the negative errno, or the end of the file. */
static void refuse(struct cufile *c, ssize_t n)
{
    atomic_store(&c->refused, n == -1 ? errno : n < 0 ? (int)-n : ENODATA);
}

/* An offset in memory is for memory that was registered. */
bool cufile_read(
    struct cufile *c, void *file, void *to, uint64_t from, uint64_t len)
{
    uint64_t got = 0;

    while (got < len) {
        ssize_t n =
            c->read(file, (char *)to + got, len - got, (off_t)(from + got), 0);

        if (n <= 0) {
            refuse(c, n);
            return false;
        }
        got += (uint64_t)n;
    }
    atomic_fetch_add(&c->bytes, len);
    return true;
}

void cufile_tell(const struct cufile *c, char *out, size_t size)
{
    char bytes[HUMAN_MAX];
    int refused = atomic_load(&c->refused);

    human_size(bytes, atomic_load(&c->bytes));
    if (refused != 0)
        snprintf(out, size, "it read %s and refused others: status %d", bytes,
            refused);
    else
        snprintf(out, size, "it read %s", bytes);
}
