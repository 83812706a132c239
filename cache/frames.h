/*
 * frames.h - a long run of bytes into zstd frames and back, on many threads,
 * in the memory of a few frames for each. Every frame but the last holds
 * ZST_FRAME bytes, so what is written does not depend on the threads.
 *
 * Three stages work at the same time on batches that follow each other: one
 * thread makes or takes the bytes, one writes or reads the file, the others
 * pack or unpack.
 */
#ifndef CACHE_FRAMES_H
#define CACHE_FRAMES_H

#include "base/err.h"

enum { FRAMES_THREADS_MAX = 64 };

struct frames {
    int fd;           /* a file or a pipe */
    const char *name; /* for messages */
    unsigned threads; /* 0: one per core */
    int level;        /* to pack */
    /*
     * To pack: make the next bytes, cap of them, fewer only at the end.
     * To unpack: take n bytes. Either from any thread, one call at a time.
     * Returns 0, or -1 with *e.
     */
    int (*make)(void *ctx, uint8_t *out, size_t cap, size_t *n, struct err *e);
    int (*take)(void *ctx, const uint8_t *bytes, size_t n, struct err *e);
    void *ctx;

    /* Answered. */
    uint64_t bytes;  /* in the frames */
    uint64_t packed; /* of the whole file */
    bool cut;        /* to unpack: it ended too early */
};

/*
 * frames_pack - make all bytes, and write their frames and the table
 * Returns 0, or -1 with *e: of make, NOSPACE, IO, NOMEM, CANCELLED
 */
int frames_pack(struct frames *f, struct err *e);

/*
 * frames_unpack - take all bytes; the table is right and nothing is behind it
 * Returns 0, or -1 with *e: of take, CORRUPT (damaged, cut off), REFUSED, IO,
 *         NOMEM, CANCELLED; what is wrong with the file names its byte
 */
int frames_unpack(struct frames *f, struct err *e);

#endif
