/*
 * weights.h - one weight file on its own: does it parse, what does it ask
 * for, does it keep the promises it makes?
 */
#ifndef VERIFY_WEIGHTS_H
#define VERIFY_WEIGHTS_H

#include "formats/detect.h"
#include "formats/tensor.h"
#include "verify/filelist.h"

/* The table of a file that was read. Names and shapes live in arena. */
struct weights {
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

enum weights_flags {
    WEIGHTS_ALONE = 1,  /* the target itself: it must be weights */
    WEIGHTS_UNIFORM = 2 /* it must keep the promises of the uniform form */
};

#define WEIGHTS_INIT                                                           \
    {                                                                          \
        .arena = ARENA_INIT((uint64_t)512 << 20)                               \
    }

void weights_free(struct weights *w);

/*
 * weights_read - parse a file if its bytes say that it holds weights
 * flags    enum weights_flags
 * report   gets what was found: structure, calls, uniform
 * Returns  true when w holds a table; false when the file holds none, or is
 *          broken (reported)
 */
bool weights_read(struct weights *w, const struct vfile *f, unsigned flags,
    struct report *report);

/* weights_find - by name, or NULL. */
const struct tensor *weights_find(const struct weights *w, struct str name);

#endif
