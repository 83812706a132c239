/*
 * partial.h - one unfinished file on disk: its bytes in blobs/
 * <etag>.ml.incomplete, its journal in ml/journal/<etag>, and the digest of
 * the front of it that is complete.
 *
 * Bytes may arrive in any order. The digest is fed from them as they arrive
 * where they continue it, and read back from disk where they do not (ranges
 * of an earlier run, ranges that came early). Nothing gets a blob's name
 * before the digest of all of it was found right and it was synced.
 */
#ifndef FETCH_PARTIAL_H
#define FETCH_PARTIAL_H

#include <limits.h>

#include "base/hash.h"
#include "fetch/ranges.h"

struct partial {
    int fd;
    int live; /* the live journal; -1 while there is none */
    char path[PATH_MAX];
    char journal[PATH_MAX];
    struct digest want;
    uint64_t size;
    struct ranges have; /* bytes on disk, or on their way there */
    struct hash hash;
    uint64_t hashed;   /* the digest covers [0, hashed) */
    uint64_t unsaved;  /* new bytes the journal does not know of */
    uint64_t unnoted;  /* new bytes the live journal does not know of */
    uint64_t unpushed; /* new bytes the disk was not told to write */
    uint64_t saved_ms; /* when the journal was written last */
    bool named;        /* its name in the directory is synced */
};

#define PARTIAL_INIT                                                           \
    {                                                                          \
        .fd = -1, .live = -1, .have = RANGES_INIT, .hash = HASH_INIT           \
    }

/*
 * partial_open - open or create it, of full size, with what the journal
 * vouches for; space is reserved where the file system can
 * journal  "": it has none, and is gone with the process
 * Returns 0, or -1 with *e: NOSPACE, IO, REFUSED (not a regular file)
 */
int partial_open(struct partial *p, const char *path, const char *journal,
    const struct digest *want, uint64_t size, struct err *e);

/* partial_kept - what a journal and its partial file vouch for, unopened. */
int partial_kept(const char *path, const char *journal,
    const struct digest *want, uint64_t size, uint64_t *kept,
    uint64_t *allocated, struct err *e);

/*
 * partial_write - bytes at offset; those that are there already are skipped
 * out_new  how many were new
 * Returns  0, or -1 with *e: NOSPACE, IO, NOMEM
 */
int partial_write(struct partial *p, uint64_t offset, const void *bytes,
    size_t len, uint64_t *out_new, struct err *e);

/* partial_lags - there are bytes on disk that continue the digest. */
bool partial_lags(const struct partial *p);

/*
 * partial_hash - continue the digest from disk by at most room_len bytes
 * room is for the bytes.
 */
int partial_hash(struct partial *p, void *room, size_t room_len, struct err *e);

/* partial_done - all bytes are there, and in the digest. */
bool partial_done(const struct partial *p);

/*
 * partial_save - sync the bytes, then write the journal; cheap if nothing is
 * new, or the name is another file's by now
 * A sync that fails is final: from then on the journal stays as it was.
 */
int partial_save(struct partial *p, struct err *e);

/*
 * partial_publish - check the digest, sync, and give it the blob's name
 * got      its digest, right or wrong
 * Returns  0, or -1 with *e: CORRUPT (nothing was published), IO, NOSPACE
 */
int partial_publish(struct partial *p, const char *blob, unsigned mode,
    struct digest *got, struct err *e);

/*
 * partial_note - write the live journal when enough is new: what a kill
 * costs then, as long as the machine goes on. Never fails.
 */
void partial_note(struct partial *p);

/* partial_drop - forget and remove what there is of it; it stays closed. */
void partial_drop(struct partial *p);

/* partial_close - close; what is on disk stays. Idempotent. */
void partial_close(struct partial *p);

#endif
