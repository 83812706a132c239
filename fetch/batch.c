#include "fetch/batch.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/path.h"

/* From so many on, one syncfs is cheaper than a sync for each. */
enum { SYNCFS_MIN = 4 };

void batch_add(struct batch *b, struct download *d, uint64_t now_ms)
{
    if (b->n == 0)
        b->since_ms = now_ms;
    partial_note(&d->partial, BATCH_NOTED);
    b->unnoted += d->partial.unnoted;
    b->v[b->n++] = d;
}

bool batch_due(const struct batch *b, uint64_t now_ms)
{
    return b->n >= size_min(b->most, BATCH_FILES) ||
           b->unnoted >= BATCH_BYTES ||
           (b->n > 0 && now_ms - b->since_ms >= BATCH_MS);
}

void batch_free(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        download_close(b->v[i]);
        free(b->v[i]);
    }
    b->n = 0;
    b->unnoted = 0;
}

static int one_by_one(struct batch *b, struct err *e)
{
    for (size_t i = 0; i < b->n; i++)
        if (download_finish(b->v[i], e) != 0)
            return -1;
    return 0;
}

/* Is one sync for all of them cheaper, and does it reach the disk? */
static bool may_syncfs(const struct batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        if (!b->v[i]->held && !b->v[i]->claim.honest)
            return false;
    return b->n >= SYNCFS_MIN;
}

/* 1: they are on disk; 0: each must be synced by itself; -1: *e. */
static int sync_bytes(struct batch *b, struct err *e)
{
    const struct partial *one = NULL;

    for (size_t i = 0; i < b->n; i++) {
        if (b->v[i]->held)
            continue;
        one = &b->v[i]->partial;
        if (partial_mode(&b->v[i]->partial, hubdir_mode(), e) != 0)
            return -1;
    }
    if (one != NULL && !partial_syncfs(one))
        return 0;
    for (size_t i = 0; i < b->n; i++)
        if (!b->v[i]->held && partial_check(&b->v[i]->partial, e) != 0)
            return -1;
    return 1;
}

static int name_blobs(struct batch *b, struct err *e)
{
    char blob[PATH_MAX], dir[PATH_MAX] = "";

    for (size_t i = 0; i < b->n; i++) {
        const struct transfer_opts *o = b->v[i]->opts;

        if (b->v[i]->held)
            continue;
        if (download_name(b->v[i], e) != 0 ||
            hubdir_blob(
                o->dir, o->repo, tree_etag(b->v[i]->file->file), blob, e) != 0)
            return -1;
        path_dir(dir, sizeof(dir), blob);
    }
    return dir[0] == '\0' ? 0 : dir_sync(dir, e);
}

static int link_all(struct batch *b, struct err *e)
{
    const struct transfer_opts *o = b->v[0]->opts;
    const struct tree_file *files[BATCH_FILES];

    for (size_t i = 0; i < b->n; i++)
        files[i] = b->v[i]->file->file;
    if (!o->bare &&
        hubdir_link_all(o->dir, o->repo, o->commit, files, b->n, e) != 0)
        return -1;
    for (size_t i = 0; i < b->n; i++)
        progress_done(b->v[i]->item);
    return 0;
}

int batch_flush(struct batch *b, struct err *e)
{
    int rc = may_syncfs(b) ? sync_bytes(b, e) : 0;

    if (rc > 0)
        rc = name_blobs(b, e) != 0 || link_all(b, e) != 0 ? -1 : 0;
    else if (rc == 0)
        rc = one_by_one(b, e);
    batch_free(b);
    return rc;
}
