/*
 * ring.h - bytes of files and of memory on their way to the device: read in
 * pieces by several threads into pinned memory, from where the device takes
 * them while the next are read.
 */
#ifndef CUDA_RING_H
#define CUDA_RING_H

#include "verify-run/plugin.h"

/* Bytes that go to one place. */
struct ring_piece {
    const uint8_t *p; /* on the host */
    uint64_t len;
    uint8_t *to;                    /* on the device */
    const struct plugin_file *file; /* that is mapped at p; NULL: none */
};

/*
 * ring_copy - all of them; returns when they are there
 * What of a mapped file is not in memory is read past the page cache, where
 * the file system can: a model is read once.
 * Returns  0, or -1 with *e: IO, NOMEM, CORRUPT (a file is shorter than it
 *          was), CANCELLED
 */
int ring_copy(const struct ring_piece *v, size_t n, bool (*cancelled)(void),
    struct err *e);

#endif
