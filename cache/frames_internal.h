/* frames_internal.h - what the files behind frames.h share. */
#ifndef CACHE_FRAMES_INTERNAL_H
#define CACHE_FRAMES_INTERNAL_H

#include "base/pool.h"
#include "base/zst.h"
#include "cache/frames.h"

/* One frame on its way. */
struct frame {
    uint8_t *bytes;  /* of ZST_FRAME bytes; NULL until it is used */
    uint8_t *packed; /* of ZST_PACKED bytes, behind them */
    size_t packed_n;
    size_t n;
    uint64_t at; /* in the file */
    struct err e;
};

/* Frames that are at the same stage. */
struct batch {
    struct frame *v;
    size_t n;  /* in use */
    bool last; /* no more come */
};

struct work {
    struct frames *f;
    struct pool *pool;
    unsigned threads;
    size_t size;           /* frames of a batch */
    struct batch batch[3]; /* each goes from stage to stage */
    struct zst *zst;       /* one per frame of a batch */
    size_t turn;           /* which batch is at the first stage */
    struct err first_e, last_e;
    struct buf lines; /* of the table */
};

/* work_open - threads and memory. 0, or -1 with *e: NOMEM, IO */
int work_open(struct work *w, struct frames *f, struct err *e);
void work_close(struct work *w); /* idempotent, for AUTO */

/* work_frame - the next one of a batch at the first stage, with its memory;
 * NULL with first_e */
struct frame *work_frame(struct work *w, struct batch *b);

/* The batch at stage 0, 1 or 2. */
struct batch *work_at(struct work *w, size_t stage);

/*
 * work_run - the three stages, until the first says that it was the last
 * When the first fails, the others end what it began.
 * Returns 0, or -1 with the first failure in the order of the bytes
 */
int work_run(struct work *w, void (*first)(struct work *),
    void (*middle)(struct work *, struct frame *, struct zst *),
    void (*last)(struct work *), struct err *e);

#define WORK_INIT                                                              \
    {                                                                          \
        .lines = BUF_INIT((size_t)2 << 30)                                     \
    }

#endif
