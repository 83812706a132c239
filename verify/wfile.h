/*
 * wfile.h - one weight file on its own: does it parse, what does it ask
 * for, does it keep the promises it makes?
 */
#ifndef VERIFY_WFILE_H
#define VERIFY_WFILE_H

#include "formats/detect.h"
#include "formats/tensor.h"
#include "verify/filelist.h"

/* The table of a file that was read. Names and shapes live in arena. */
struct wfile {
    const struct vfile *file;
    enum file_format format;
    struct arena arena;
    struct tensor *tensors; /* sorted by name */
    uint64_t n;
    bool uniform; /* says so itself, or the manifest says so */
    struct zip_sum *sums;
    uint64_t n_sums;
};

/* A record of a torch zip and the checksum written beside it. */
struct zip_sum {
    struct str name;
    uint64_t at;  /* [bytes] */
    uint64_t len; /* [bytes] */
    uint32_t crc;
};

enum wfile_flags {
    WFILE_ALONE = 1,  /* the target itself: it must be weights */
    WFILE_UNIFORM = 2 /* it must keep the promises of the uniform form */
};

#define WFILE_INIT                                                             \
    {                                                                          \
        .arena = ARENA_INIT((uint64_t)512 << 20)                               \
    }

void wfile_free(struct wfile *w);

/*
 * wfile_read - parse a file if its bytes say that it holds weights
 * flags    enum wfile_flags
 * report   gets what was found: structure, calls, uniform
 * Returns  true when w holds a table; false when the file holds none, or is
 *          broken (reported)
 */
bool wfile_read(struct wfile *w, const struct vfile *f, unsigned flags,
    struct findings *report);

/* wfile_find - by name, or NULL. */
const struct tensor *wfile_find(const struct wfile *w, struct str name);

#endif
