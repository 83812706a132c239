/*
 * ring.h - bytes of files and of memory on their way to the device: read in
 * pieces by several threads into pinned memory, from where the device takes
 * them while the next are read. Its threads and their memory stay, for those
 * who come again.
 */
#ifndef CUDA_RING_H
#define CUDA_RING_H

#include <cuda_runtime_api.h>

#include "cuda/cufile.h"
#include "verify-run/plugin.h"

/* Bytes that go to one place. */
struct ring_piece {
    const uint8_t *p; /* on the host */
    uint64_t len;
    uint64_t to;                    /* from the start of what is filled */
    const struct plugin_file *file; /* that is mapped at p; NULL: none */
};

struct ring;

/*
 * ring_open - for the device of this number
 * cancelled  has the user interrupted?
 * c          reads what need not wait for anything and is not in the page
 *            cache, where it can; it outlives the ring. NULL: the ring does
 * Returns    NULL with *e: NOMEM, IO
 */
struct ring *ring_open(
    int device, bool (*cancelled)(void), struct cufile *c, struct err *e);

/* ring_close - for NULL, too; waits for what is under way. */
void ring_close(struct ring *r);

/*
 * ring_copy - all of v to their places in `to`; returns when all is read, and
 * may still be under way: see ring_wait
 * after    nothing is written before this has happened; NULL: at once
 * again    it will be read again and the page cache can keep it; else what is
 *          not there is read past it, where the file system can
 * Returns  0, or -1 with *e: IO, NOMEM, CANCELLED
 */
int ring_copy(struct ring *r, void *to, const struct ring_piece *v, size_t n,
    cudaEvent_t after, bool again, struct err *e);

/* ring_wait - what is put into q from now on finds what was copied. */
int ring_wait(struct ring *r, cudaStream_t q, struct err *e);

#endif
