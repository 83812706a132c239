/*
 * partial.h - one unfinished file on disk: its bytes in blobs/
 * <etag>.ml.incomplete, and its journal in ml/journal/<etag>.
 *
 * Bytes may arrive in any order. Nothing gets a blob's name before the digest
 * of all of it was found right and it was synced.
 *
 * Large files are written past the page cache, whole pages at a time, where
 * the file system lets it; what is left, and everything elsewhere, goes
 * through it.
 *
 * For threads: have, unsaved and saved_ms are under the lock of who shares
 * the partial (intake.h). These may run at the same time, each line of them in
 * one thread only:
 *     partial_put, partial_put_row, partial_note
 *     partial_get, partial_get_row, partial_lend
 *     partial_forget
 *     partial_sync
 */
#ifndef FETCH_PARTIAL_H
#define FETCH_PARTIAL_H

#include <limits.h>

#include "base/boot.h"
#include "base/hash.h"
#include "base/map.h"
#include "fetch/journal.h"
#include "fetch/ranges.h"

struct watch;

struct partial {
    int fd;
    int direct; /* the same file, past the page cache; -1: refused */
    int live;   /* the live journal; -1 while there is none */
    char path[PATH_MAX];
    char journal[PATH_MAX];
    char boot[BOOT_ID_MAX];
    struct digest want;
    uint64_t size;
    struct ranges have;       /* bytes written */
    uint64_t unsaved;         /* of them, the journal does not know of */
    uint64_t saved_ms;        /* when the journal was written last */
    bool named;               /* its name in the directory is synced */
    bool thin;                /* no room is reserved; the owner's */
    _Atomic uint64_t unnoted; /* of them, the live journal does not know of */
    _Atomic bool lost;        /* a sync failed: nothing more is vouched for */
    _Atomic bool plain;  /* not past the page cache: refused, or not wanted */
    struct watch *watch; /* who reads it meanwhile; NULL: nobody */
    struct map lent;     /* all of it, once some was */
    uint64_t forgotten;  /* up to there */
};

#define PARTIAL_INIT                                                           \
    {                                                                          \
        .fd = -1, .direct = -1, .live = -1, .have = RANGES_INIT,               \
        .lent = MAP_INIT                                                       \
    }

/*
 * partial_open - open or create it, of full size, with what the journal
 * vouches for; space is reserved where the file system can
 * journal  "": it has none, and is gone with the process
 * Returns 0, or -1 with *e: NOSPACE, IO, REFUSED (not a regular file)
 */
int partial_open(struct partial *p, const char *path, const char *journal,
    const struct digest *want, uint64_t size, struct err *e);

/*
 * partial_open_thin - the same, without room for what has not come: perhaps
 * only a part of it is wanted
 */
int partial_open_thin(struct partial *p, const char *path, const char *journal,
    const struct digest *want, uint64_t size, struct err *e);

/* partial_reserve - room for all of it, where the file system can. */
int partial_reserve(struct partial *p, struct err *e);

/* partial_kept - what a journal and its partial file vouch for, unopened. */
int partial_kept(const char *path, const char *journal,
    const struct digest *want, uint64_t size, uint64_t *kept,
    uint64_t *allocated, struct err *e);

/*
 * partial_put - write bytes [from, to) at their place
 * bytes  aligned in memory as from is in the file, to 4096
 * Returns 0, or -1 with *e: NOSPACE, IO
 */
int partial_put(struct partial *p, const void *bytes, uint64_t from,
    uint64_t to, struct err *e);

/* partial_row - so many blocks may be put at once: 1, or PARTIAL_ROW. */
enum { PARTIAL_ROW = 4 };
size_t partial_row(const struct partial *p);

/*
 * partial_put_row - whole blocks that follow each other from byte from on, in
 * one write: each has its cost
 * Returns false: it went wrong; each is to be put on its own, which tells why
 */
bool partial_put_row(
    struct partial *p, uint8_t *const *row, size_t n, uint64_t from);

/* partial_took - they are there now. 0, or -1 with *e: NOMEM. */
int partial_took(struct partial *p, uint64_t from, uint64_t to, struct err *e);

/*
 * partial_get - read bytes [from, to) of one block
 * room  BLOCK_BYTES, aligned; byte x comes to room + x % BLOCK_BYTES
 */
int partial_get(struct partial *p, uint8_t *room, uint64_t from, uint64_t to,
    struct err *e);

/*
 * partial_get_row - n whole blocks that follow each other, from byte from on,
 * at once; n is PARTIAL_ROW at most
 * Returns false when they were not read, or not all: partial_get, then.
 */
bool partial_get_row(
    struct partial *p, uint8_t *const *row, size_t n, uint64_t from);

/*
 * partial_lend - bytes [from, to) where they lie in the page cache
 * Hashing them there spares a copy. For the thread of partial_get.
 * Returns NULL when some are not there: partial_get, then
 */
const uint8_t *partial_lend(struct partial *p, uint64_t from, uint64_t to);

/*
 * partial_forget - of what was lent, up to byte to, nothing is needed
 * Returns 0, or -1 with *e: IO, some of it could not be read
 */
int partial_forget(struct partial *p, uint64_t to, struct err *e);

/*
 * partial_note - write the live journal when so many bytes are new: what a
 * kill costs then, as long as the machine goes on. Never fails.
 */
void partial_note(struct partial *p, uint64_t behind);

/*
 * partial_sync - sync the bytes, then claim the ranges, all of which were
 * written before the call; nothing if the name is another file's by now
 * A sync that fails is final: from then on the journal stays as it was.
 */
int partial_sync(struct partial *p, const struct ranges *have, struct err *e);

/* partial_save - the same with all it has; cheap if nothing is new. */
int partial_save(struct partial *p, struct err *e);

/*
 * partial_publish - check the digest, sync, and give it the blob's name
 * When the sync fails, what the journal vouched for before is kept.
 * got      the digest of its bytes, right or wrong
 * Returns  0, or -1 with *e: CORRUPT (nothing was published), IO, NOSPACE
 */
int partial_publish(struct partial *p, const char *blob, unsigned mode,
    const struct digest *got, struct err *e);

/*
 * The same in steps, for many files that share one sync: partial_mode of
 * each, partial_syncfs of one of them, partial_check and partial_rename of
 * each, and a sync of the folder of the blobs. The digests were found right
 * before.
 */
int partial_mode(struct partial *p, unsigned mode, struct err *e);

/*
 * partial_syncfs - all files of its file system are on disk
 * Returns false when some may not be, anybody's: each must be synced then.
 */
bool partial_syncfs(const struct partial *p);

/*
 * partial_check - was nothing of it lost on its way to the disk?
 * Before Linux 5.8 only the file tells, not syncfs. A failure is final.
 */
int partial_check(struct partial *p, struct err *e);

/* partial_rename - close it, and give it the blob's name. */
int partial_rename(struct partial *p, const char *blob, struct err *e);

/* partial_drop - forget and remove what there is of it; it stays closed. */
void partial_drop(struct partial *p);

/* partial_close - close; what is on disk stays. Idempotent. */
void partial_close(struct partial *p);

#endif
