#include "fetch/download.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"

/* All that is missing, cut into segments. */
static int cut(struct download *d, struct err *e)
{
    uint64_t size = d->partial.size;
    struct range *gaps = NULL;
    size_t n = 0;
    int rc = plan_segments(&d->partial.have, size,
        plan_segment_size(size, d->opts->jobs), &gaps, &n, e);

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = download_give(
            d, (struct segment){ .from = gaps[i].from, .to = gaps[i].to }, e);
    free(gaps);
    return rc;
}

static int open_partial(struct download *d, struct err *e)
{
    const struct transfer_opts *o = d->opts;
    const struct tree_file *f = d->file->file;
    char path[PATH_MAX], journal[PATH_MAX];

    if (hubdir_partial(o->dir, o->repo, tree_etag(f), path, e) != 0 ||
        hubdir_journal(o->dir, o->repo, tree_etag(f), journal, e) != 0 ||
        claim_partial(&d->claim, d->lock, path, journal, e) != 0 ||
        partial_open(&d->partial, d->claim.path, d->claim.journal, tree_etag(f),
            f->size, e) != 0)
        return -1;
    return cut(d, e);
}

int download_open(struct download *d, const struct transfer_opts *opts,
    const struct plan_file *file, int lock, struct err *e)
{
    const struct tree_file *f = file->file;
    char name[1025];
    int have;

    *d = (struct download)DOWNLOAD_INIT;
    d->opts = opts;
    d->file = file;
    d->lock = lock;
    if (d->lock < 0)
        d->lock = hubdir_lock(opts->dir, opts->repo, tree_etag(f), e);
    if (d->lock < 0)
        return -1;
    have =
        file->again ? HAVE_NOT : hubdir_have_blob(opts->dir, opts->repo, f, e);
    if (have < 0)
        return -1;
    snprintf(name, sizeof(name), "%.*s", STR_ARG(f->path));
    d->item = progress_item(opts->progress, name, f->size);
    if (have == HAVE) {
        d->held = true;
        progress_held(d->item, f->size);
        return 0;
    }
    if (open_partial(d, e) != 0)
        return -1;
    progress_held(d->item, ranges_sum(&d->partial.have));
    return 0;
}

bool download_take(struct download *d, uint64_t now_ms, struct segment *out)
{
    if ((d->stream || !d->resolved) && d->lanes > 0)
        return false;
    for (size_t i = 0; i < d->n_todo; i++) {
        if (d->todo[i].not_before_ms > now_ms)
            continue;
        *out = d->todo[i];
        memmove(
            d->todo + i, d->todo + i + 1, (--d->n_todo - i) * sizeof(*d->todo));
        d->lanes++;
        return true;
    }
    return false;
}

int download_give(struct download *d, struct segment rest, struct err *e)
{
    size_t i = d->n_todo;
    struct segment *v;

    /* Another lane may have brought the front of it, in a stream. */
    rest.from = size_max(rest.from, ranges_end(&d->partial.have, rest.from));
    if (rest.from >= rest.to)
        return 0;
    v = reallocarray(d->todo, d->n_todo + 1, sizeof(*v));
    if (v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    d->todo = v;
    for (; i > 0 && v[i - 1].from > rest.from; i--)
        v[i] = v[i - 1];
    v[i] = rest;
    d->n_todo++;
    return 0;
}

void download_stream(struct download *d)
{
    d->stream = true;
    d->n_todo = 0;
}

int download_restart(struct download *d, struct err *e)
{
    progress_undo(d->item, d->partial.size);
    partial_drop(&d->partial);
    d->n_todo = 0;
    d->fresh = true;
    d->stream = false;
    download_lost(d, d->generation);
    return open_partial(d, e);
}

int download_moved(struct download *d, const char *url, struct err *e)
{
    char *copy = strdup(url);

    if (copy == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    free(d->location);
    d->location = copy;
    d->generation++;
    d->resolved = true;
    return 0;
}

bool download_lost(struct download *d, unsigned generation)
{
    if (d->location == NULL || d->generation != generation)
        return false;
    free(d->location);
    d->location = NULL;
    d->resolved = false;
    return true;
}

static int publish(struct download *d, struct err *e)
{
    const struct transfer_opts *o = d->opts;
    const struct tree_file *f = d->file->file;
    struct err ignored = ERR_INIT;
    char blob[PATH_MAX];
    struct digest got;

    if (hubdir_blob(o->dir, o->repo, tree_etag(f), blob, e) != 0)
        return -1;
    if (partial_publish(&d->partial, blob, hubdir_mode(), &got, e) == 0) {
        d->claim.path[0] = '\0';
        return 0;
    }
    /* Somebody who did not see our lock was faster: that will do. */
    if (e->kind == ERR_BUSY &&
        hubdir_have_blob(o->dir, o->repo, f, &ignored) == HAVE) {
        err_clear(e);
        return 0;
    }
    return -1;
}

int download_finish(struct download *d, struct err *e)
{
    const struct transfer_opts *o = d->opts;
    const struct tree_file *f = d->file->file;

    if (!d->held && publish(d, e) != 0)
        return err_ctx(e, "%.*s", STR_ARG(f->path));
    if (!o->bare && hubdir_link(o->dir, o->repo, o->commit, f, e) != 0)
        return -1;
    progress_done(d->item);
    return 0;
}

void download_close(struct download *d)
{
    struct err ignored = ERR_INIT;

    if (d->partial.fd >= 0 && d->partial.have.n == 0)
        partial_drop(&d->partial);
    else if (partial_save(&d->partial, &ignored) != 0)
        log_debug("%s", ignored.msg);
    partial_close(&d->partial);
    claim_release(&d->claim);
    d->claim.path[0] = '\0';
    fd_close(&d->lock);
    free(d->todo);
    d->todo = NULL;
    d->n_todo = 0;
    free(d->location);
    d->location = NULL;
}
