/*
 * zst.h - files of independent zstd frames, each with at most ZST_FRAME bytes
 * in it, and a table of them behind: zstd's seekable format, which every zstd
 * unpacks. zst.c is the only file that includes zstd.
 *
 *   frame, frame, ...   each says how many bytes are in it
 *   table               a skippable frame: 0x184D2A5E, its length; for each
 *                       frame its length and that of its bytes (4 each);
 *                       number of frames (4), a zero, 0x8F92EAB1
 */
#ifndef BASE_ZST_H
#define BASE_ZST_H

#include "base/buf.h"

enum {
    ZST_FRAME = 1 << 20,                /* most bytes in a frame */
    ZST_PACKED = ZST_FRAME + (8 << 10), /* most bytes that a frame takes */
    ZST_LEVEL_MAX = 19,
    ZST_LEVEL = 3
};

/* What one thread needs to pack, or to unpack; made at its first use. */
struct zst {
    void *pack;
    void *unpack;
};

#define ZST_INIT                                                               \
    {                                                                          \
        .pack = NULL                                                           \
    }

void zst_free(struct zst *z); /* idempotent, for AUTO */

/*
 * zst_pack - one frame of n bytes, at most ZST_FRAME
 * out      of ZST_PACKED bytes
 * Returns  0, or -1 with *e: NOMEM. The frame is a function of the bytes, the
 *          level and the version of zstd.
 */
int zst_pack(struct zst *z, int level, const void *bytes, size_t n, void *out,
    size_t *out_n, struct err *e);

enum zst_kind {
    ZST_MORE, /* not all of it is there yet: cut off, if no more comes */
    ZST_DATA,
    ZST_TABLE
};

/*
 * zst_look - what stands at p
 * have     bytes there
 * out_n    how long it is, of ZST_DATA; out_bytes: how much is in it
 * Returns  an enum zst_kind, or -1 with *e: REFUSED (no frame, one that does
 *          not say what is in it, has no checksum, or needs more than
 *          ZST_FRAME)
 */
int zst_look(const void *p, size_t have, size_t *out_n, size_t *out_bytes,
    struct err *e);

/*
 * zst_unpack - a frame of n bytes, with out_n bytes in it
 * Returns 0, or -1 with *e: CORRUPT, NOMEM
 */
int zst_unpack(struct zst *z, const void *frame, size_t n, void *out,
    size_t out_n, struct err *e);

/* zst_note - one more line of a table that is being made. */
void zst_note(struct buf *lines, size_t packed, size_t bytes);

/* zst_table - the whole table, from its lines. -1 with *e: REFUSED (more
 * frames than it can hold), NOMEM */
int zst_table(struct buf *out, const struct buf *lines, struct err *e);

#endif
