/*
 * storing.h - contents on their way into a volume's store. Many are synced and
 * read back together before any of them has its place there; the folders of
 * all, once, at the end. Only then may names lead to them.
 */
#ifndef CACHE_STORING_H
#define CACHE_STORING_H

#include "base/file.h"
#include "base/hash.h"
#include "base/progress.h"
#include "cache/volume.h"

enum {
    STORING_BATCH = 64,             /* files */
    STORING_BATCH_BYTES = 64 << 20, /* with so many in it a batch goes */
    STORING_SHARDS = 256            /* folders of the store */
};

struct storing_item {
    struct file_new f; /* in the volume's tmp/ */
    struct digest sha256;
    const char *shown;
    struct progress_item *progress;
};

struct storing {
    const struct volume *v;
    struct storing_item batch[STORING_BATCH]; /* whole, not yet durable */
    size_t n;
    uint64_t bytes;
    bool shards[STORING_SHARDS]; /* to be synced */
};

/* storing_open - nothing is on its way yet. */
void storing_open(struct storing *s, const struct volume *v);

/*
 * storing_put - a file's bytes, as volume_store says
 * shown    stays where it is until storing_end
 * Returns  as volume_store; it may be an earlier one that has failed
 */
int storing_put(struct storing *s, const char *file, const char *shown,
    bool likely, struct progress *progress, struct volume_entry *out,
    bool *copied, struct err *e);

/*
 * storing_touch - this content is, or will be, in the store: its folder is
 * synced at the end
 * Whoever stored it may not have come to that, and never may.
 * Returns 0, or -1 with *e: BUG (not a SHA-256)
 */
int storing_touch(
    struct storing *s, const struct digest *sha256, struct err *e);

/* storing_end - all of it is durable, in its place. 0, or -1 with *e: IO ... */
int storing_end(struct storing *s, struct err *e);

void storing_free(struct storing *s); /* idempotent, for AUTO */

#endif
