/*
 * intake.h - what becomes of bytes that came in: they are written past the
 * page cache by one thread, fed to their file's digest by another, in file
 * order and from the same memory, and read back by a third where they were
 * in the file before, or came too early to be kept in memory. A fourth syncs
 * files and writes journals.
 *
 * A sink is one file's side of it. Only the owner (the thread of the network)
 * calls the functions below; it never waits in them but in sink_end. When
 * there is no memory left, it is told so, and woken when there is some.
 *
 * Memory is the blocks alone, whatever the files' sizes. Where all blocks
 * hold bytes that lie behind a gap, or behind more bytes on disk than memory
 * has room for, the last ones that are on disk are given up, and read back
 * later. Not yet on disk, or in no journal, are never more bytes than a kill
 * may cost: 1 MiB per lane.
 */
#ifndef FETCH_INTAKE_H
#define FETCH_INTAKE_H

#include "base/hash.h"
#include "fetch/partial.h"
#include "fetch/window.h"

struct intake;

struct intake_opts {
    size_t blocks;  /* of memory; a few of them are the reader's */
    unsigned lanes; /* that bring bytes at the same time */
    /* Called from any thread: something changed that the owner waits for. */
    void (*wake)(void *arg);
    void *arg;
};

/* intake_open - start the threads. NULL with *e: NOMEM, IO. */
struct intake *intake_open(const struct intake_opts *opts, struct err *e);
void intake_close(struct intake *in); /* all sinks have ended; NULL is fine */

/* intake_lanes - so many lanes bring bytes from now on. */
void intake_lanes(struct intake *in, unsigned lanes);

/* intake_room - may a lane that was told SINK_FULL try again? */
bool intake_room(struct intake *in);

/*
 * intake_behind - did memory run out, ever, while a file's digest had a
 * quarter of it and more to go on with?
 */
bool intake_behind(struct intake *in);

struct sink {
    struct intake *in; /* NULL: not begun, or ended */
    struct partial *partial;
    struct ranges got; /* the owner's: bytes that came, or were there */

    /* Under the lock of the intake. */
    struct window window;
    struct hash hash; /* the hasher's while hashing */
    uint64_t taken;   /* the hasher asks for this byte next */
    uint64_t hashed;  /* the digest covers [0, hashed) */
    unsigned queued;  /* blocks to be written */
    unsigned busy;    /* threads that have it in hand */
    bool lent;        /* what was read last was in the page cache */
    bool ended;       /* no new work is begun */
    struct err err;   /* what went wrong; final */
    struct sink *next;
};

#define SINK_INIT                                                              \
    {                                                                          \
        .got = RANGES_INIT, .window = WINDOW_INIT, .hash = HASH_INIT           \
    }

/*
 * sink_begin - the file's bytes go through here from now on
 * What the partial has is read back into the digest. 0, or -1: NOMEM.
 */
int sink_begin(
    struct sink *s, struct intake *in, struct partial *p, struct err *e);

enum sink_took { SINK_ALL, SINK_FULL, SINK_FAILED = -1 };

/*
 * sink_put - bytes at offset *at, through the lane's block *b
 * Those that came before are skipped. *at moves on with what was taken.
 * out_new  how many were new is added to it
 * Returns  SINK_ALL; SINK_FULL: the rest must be given again later;
 *          SINK_FAILED with *e: IO, NOSPACE, NOMEM
 */
enum sink_took sink_put(struct sink *s, struct block **b, uint64_t *at,
    const void *bytes, size_t len, uint64_t *out_new, struct err *e);

/*
 * sink_room - where byte at is best received, for sink_put with the same
 * block later: it need not be copied then
 * len      how many bytes may come; less when there is less room
 * Returns  NULL: anywhere else, or, with *len 0: SINK_FULL
 */
void *sink_room(struct sink *s, struct block **b, uint64_t at, size_t *len);

/* sink_flush - the lane's block is written as it is; *b is NULL then. */
void sink_flush(struct sink *s, struct block **b);

enum sink_state { SINK_OPEN, SINK_DONE, SINK_BROKEN };

/* sink_look - DONE: all is written and hashed. BROKEN: *e says why. */
enum sink_state sink_look(struct sink *s, struct err *e);

/* sink_digest - of all bytes, after SINK_DONE and sink_end. */
void sink_digest(struct sink *s, struct digest *out);

/* sink_end - all is written, and no thread knows it any more; idempotent. */
void sink_end(struct sink *s);

/* sink_free - after sink_end; idempotent. */
void sink_free(struct sink *s);

#endif
