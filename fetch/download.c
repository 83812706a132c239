#include "fetch/download.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "fetch/tuner.h"

enum { PAGE = 4096 };

/* All that is missing, in as few segments as can be. */
static int cut(struct download *d, struct err *e)
{
    struct range *gaps = NULL;
    size_t n = 0;
    int rc = plan_gaps(&d->sink.got, d->partial.size, &gaps, &n, e);

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
    bool whole = watch_whole(o->watch);
    char path[PATH_MAX], journal[PATH_MAX];

    if (hubdir_partial(o->dir, o->repo, tree_etag(f), path, e) != 0 ||
        hubdir_journal(o->dir, o->repo, tree_etag(f), journal, e) != 0 ||
        claim_partial(&d->claim, d->lock, path, journal, e) != 0 ||
        (whole ? partial_open : partial_open_thin)(&d->partial, d->claim.path,
            d->claim.journal, tree_etag(f), f->size, e) != 0)
        return -1;
    if (o->watch != NULL) {
        /* They read it out of the page cache, right after it was written. */
        d->partial.plain = true;
        d->partial.watch = o->watch;
        if (watch_begin(o->watch, &d->partial, e) != 0)
            return -1;
    }
    if (sink_begin(&d->sink, d->intake, &d->partial, e) != 0)
        return -1;
    return cut(d, e);
}

int download_open(struct download *d, const struct transfer_opts *opts,
    struct intake *intake, const struct plan_file *file, int lock,
    struct err *e)
{
    const struct tree_file *f = file->file;
    char name[1025];
    int have;

    *d = (struct download)DOWNLOAD_INIT;
    d->opts = opts;
    d->intake = intake;
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
    progress_held(d->item, ranges_sum(&d->sink.got));
    return 0;
}

uint64_t download_todo(const struct download *d)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < d->n_todo; i++)
        sum += d->todo[i].to - d->todo[i].from;
    return sum;
}

/* What of a segment to fetch first, and whether somebody stands before it. */
static bool choose(const struct download *d, const struct segment *s,
    struct range *out, uint64_t *reach)
{
    *out = (struct range){ s->from, s->to };
    *reach = 0;
    if (d->opts->watch == NULL || d->stream)
        return true;
    if (!watch_next(d->opts->watch, &out->from, &out->to, reach))
        return false;
    out->from = size_max(s->from, out->from - out->from % PAGE);
    return true;
}

bool download_wanted(const struct download *d, bool *now)
{
    bool wanted = false;
    struct range part;
    uint64_t reach;

    *now = false;
    for (size_t i = 0; i < d->n_todo; i++) {
        if (!choose(d, &d->todo[i], &part, &reach))
            continue;
        wanted = true;
        *now = *now || reach == 0;
    }
    return wanted;
}

/* The segment whose turn it is: the one that is the first to be read. */
static size_t find_turn(
    const struct download *d, uint64_t now_ms, struct range *part)
{
    uint64_t nearest = UINT64_MAX, reach;
    size_t found = d->n_todo;
    struct range r;

    for (size_t i = 0; i < d->n_todo; i++) {
        if (d->todo[i].not_before_ms > now_ms ||
            !choose(d, &d->todo[i], &r, &reach) ||
            (found < d->n_todo && reach >= nearest))
            continue;
        found = i;
        nearest = reach;
        *part = r;
    }
    return found;
}

int download_take(struct download *d, uint64_t now_ms, uint64_t piece,
    struct segment *out, struct err *e)
{
    struct range part = { 0, 0 };
    struct segment before, rest;
    size_t i;

    if ((d->stream || !d->resolved) && d->lanes > 0)
        return 0;
    i = find_turn(d, now_ms, &part);
    if (i == d->n_todo)
        return 0;
    *out = before = rest = d->todo[i];
    memmove(d->todo + i, d->todo + i + 1, (--d->n_todo - i) * sizeof(*d->todo));
    out->from = before.to = part.from;
    out->to = rest.from =
        d->stream ? out->to : tuner_cut(part.from, part.to, piece);
    if (download_give(d, before, e) != 0 || download_give(d, rest, e) != 0)
        return -1;
    d->lanes++;
    return 1;
}

int download_give(struct download *d, struct segment rest, struct err *e)
{
    size_t i = d->n_todo;
    struct segment *v;

    /* Another lane may have brought the front of it, in a stream. */
    rest.from = size_max(rest.from, ranges_end(&d->sink.got, rest.from));
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
    sink_free(&d->sink);
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

/* Somebody who did not see our lock was faster: that will do. */
static int named(struct download *d, int rc, struct err *e)
{
    const struct transfer_opts *o = d->opts;
    struct err ignored = ERR_INIT;

    if (rc == 0) {
        d->claim.path[0] = '\0';
        return 0;
    }
    if (e->kind != ERR_BUSY ||
        hubdir_have_blob(o->dir, o->repo, d->file->file, &ignored) != HAVE)
        return err_ctx(e, "%.*s", STR_ARG(d->file->file->path));
    err_clear(e);
    return 0;
}

int download_name(struct download *d, struct err *e)
{
    char blob[PATH_MAX];

    if (hubdir_blob(d->opts->dir, d->opts->repo, tree_etag(d->file->file), blob,
            e) != 0)
        return -1;
    return named(d, partial_rename(&d->partial, blob, e), e);
}

static int publish(struct download *d, struct err *e)
{
    char blob[PATH_MAX];

    if (hubdir_blob(d->opts->dir, d->opts->repo, tree_etag(d->file->file), blob,
            e) != 0)
        return -1;
    return named(
        d, partial_publish(&d->partial, blob, hubdir_mode(), &d->got, e), e);
}

int download_seal(struct download *d, struct err *e)
{
    const struct digest *want = tree_etag(d->file->file);

    if (d->held)
        return 0;
    sink_end(&d->sink);
    sink_digest(&d->sink, &d->got);
    if (digest_eq(&d->got, want))
        return 0;
    return err_set(e, ERR_CORRUPT,
        "%.*s: the bytes received have digest %s, "
        "not %s",
        STR_ARG(d->file->file->path), d->got.hex, want->hex);
}

int download_finish(struct download *d, struct err *e)
{
    const struct transfer_opts *o = d->opts;
    const struct tree_file *f = d->file->file;

    if (!d->held && publish(d, e) != 0)
        return -1;
    if (!o->bare && hubdir_link(o->dir, o->repo, o->commit, f, e) != 0)
        return -1;
    progress_done(d->item);
    return 0;
}

void download_close(struct download *d)
{
    struct err ignored = ERR_INIT;

    sink_end(&d->sink);
    sink_free(&d->sink);
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
