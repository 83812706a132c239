/*
 * slab.h - a fixed number of aligned blocks of memory, handed out and taken
 * back: all the memory that bytes on their way to the disk ever have.
 *
 * A block stands for one aligned stretch of a file. Byte x of the file lies
 * at room + x % BLOCK_BYTES, so that memory is aligned as the file is, and
 * can be written past the page cache. Pages are touched when they are first
 * used, and the block given back last is handed out first.
 *
 * Not for threads: one owner at a time.
 */
#ifndef FETCH_SLAB_H
#define FETCH_SLAB_H

#include "base/err.h"

enum { BLOCK_BYTES = 256 << 10 };

struct sink;

struct block {
    uint8_t *room;       /* BLOCK_BYTES, aligned to 4096 */
    const uint8_t *lent; /* its first byte, if not in room: partial_lend */
    uint64_t from;       /* the bytes of the file it holds: [from, to) */
    uint64_t to;
    struct sink *sink;  /* whose they are */
    unsigned refs;      /* who still needs them */
    bool written;       /* they are on disk, too */
    struct block *next; /* in the slab, or in a queue */
};

struct slab {
    uint8_t *map;
    size_t mapped;
    uint8_t *memory; /* the blocks', in map */
    struct block *blocks;
    struct block *idle;
    size_t n;
    size_t n_idle;
};

#define SLAB_INIT                                                              \
    {                                                                          \
        .map = NULL                                                            \
    }

/* slab_open - n blocks. 0, or -1 with *e: NOMEM. */
int slab_open(struct slab *s, size_t n, struct err *e);
void slab_free(struct slab *s); /* idempotent */

/* slab_take - an empty block, or NULL when all are in use. */
struct block *slab_take(struct slab *s);

/* slab_give - it is not needed any more. */
void slab_give(struct slab *s, struct block *b);

/* block_at - where byte x of the file lies in the block. */
static inline uint8_t *block_at(const struct block *b, uint64_t x)
{
    return b->room + x % BLOCK_BYTES;
}

/* block_bytes - what it holds, to be read. */
static inline const uint8_t *block_bytes(const struct block *b)
{
    return b->lent != NULL ? b->lent : block_at(b, b->from);
}

/* block_end - the end of the stretch of the file that byte x lies in. */
static inline uint64_t block_end(uint64_t x)
{
    return x - x % BLOCK_BYTES + BLOCK_BYTES;
}

#endif
