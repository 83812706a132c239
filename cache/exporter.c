/* The bytes of an archive, in order. */
#include "cache/exporter.h"
#include "cache/exporter_internal.h"

#include <stdio.h>
#include <unistd.h>

#include "cache/frames.h"
#include "cache/grouping.h"

#include "base/file.h"
#include "base/path.h"

/* What is to come before the next member is looked at. */
enum { QUEUE = 3 };

struct writing {
    struct exporter *x;
    const struct member *member; /* the next one */
    const struct member *end;
    enum { AT_MANIFEST, AT_MEMBERS, AT_SEAL, AT_END } stage;
    struct buf head; /* of the member that is under way */
    struct buf seal;
    struct str queue[QUEUE]; /* bytes in memory, in order */
    size_t queued;
    uint64_t at; /* in the tar archive */

    const struct archive_content *content; /* read from a file, or NULL */
    char path[PATH_MAX];
    int fd;
    uint64_t done;  /* of it */
    uint8_t *plain; /* a block of it, as it is and grouped; or NULL */
    uint8_t *block;
    size_t block_n, block_at;
    struct hash hash;
    struct progress *progress;
    struct progress_item *item;
};

static const char zeroes[TAR_END];

static void queue(struct writing *w, struct str bytes)
{
    if (bytes.len > 0)
        w->queue[w->queued++] = bytes;
}

static int queue_head(
    struct writing *w, const struct tar_member *t, struct err *e)
{
    buf_clear(&w->head);
    tar_head(&w->head, t);
    queue(w, buf_str(&w->head));
    return buf_check(&w->head, e);
}

static int queue_text(struct writing *w, const struct tar_member *t,
    struct str text, struct err *e)
{
    if (queue_head(w, t, e) != 0)
        return -1;
    queue(w, text);
    queue(w, (struct str){ zeroes, (size_t)tar_padding(text.len) });
    return 0;
}

/* ---- contents ---- */

int exporter_path(const struct exporter *x, const struct archive_content *c,
    char *out, struct err *e)
{
    const struct archive_revision *r;
    struct volume_entry entry;
    char root[PATH_MAX];

    if (c->file == NULL) {
        entry =
            (struct volume_entry){ .name = c->put->name, .sha256 = c->digest };
        return volume_path(&x->place->volume, &entry, out, e);
    }
    r = &x->archive.revisions[c->revision];
    if (hubdir_snapshot(&x->place->hub, &r->repo, r->commit, root, e) != 0)
        return -1;
    return path_fmt(out, e, "%s/%.*s", root, STR_ARG(c->file->f.path));
}

static int damaged(const struct writing *w, const char *what, struct err *e)
{
    err_set(e, ERR_CORRUPT, "%s: %s", w->path, what);
    return err_hint(e, "mlcache verify --repair finds and mends what is wrong");
}

static int open_content(
    struct writing *w, const struct archive_content *c, struct err *e)
{
    struct str name = c->file != NULL ? c->file->f.path : c->put->name;
    uint64_t size;

    if (exporter_path(w->x, c, w->path, e) != 0)
        return -1;
    w->fd = file_open(w->path, &size, e);
    if (w->fd < 0)
        return -1;
    if (size != c->size)
        return damaged(w, "it has another size than is written down", e);
    if (hash_begin(&w->hash, c->digest.kind, c->size, e) != 0)
        return -1;
    w->content = c;
    w->done = 0;
    w->item = progress_item(w->progress, name.p, c->size);
    return 0;
}

static int close_content(struct writing *w, struct err *e)
{
    const struct archive_content *c = w->content;
    struct digest found;

    hash_end(&w->hash, &found);
    fd_close(&w->fd);
    progress_done(w->item);
    w->content = NULL;
    if (!digest_eq(&found, &c->digest))
        return damaged(w, "its bytes are not those that are written down", e);
    queue(w, (struct str){ zeroes, (size_t)tar_padding(c->size) });
    return 0;
}

/* The next n bytes of it, as they are. */
static int read_plain(struct writing *w, uint8_t *out, size_t n, struct err *e)
{
    if (file_read_at(w->fd, out, n, w->done, w->path, e) != 0)
        return -1;
    hash_add(&w->hash, out, n);
    progress_add(w->item, n);
    w->done += n;
    return 0;
}

/* The next block of it, grouped. */
static int read_block(struct writing *w, struct err *e)
{
    w->block_at = 0;
    w->block_n = size_min(GROUPING_BLOCK, w->content->size - w->done);
    if (read_plain(w, w->plain, w->block_n, e) != 0)
        return -1;
    grouping_split(w->block, w->plain, w->block_n, w->content->width);
    return 0;
}

static int read_content(
    struct writing *w, uint8_t *out, size_t cap, size_t *n, struct err *e)
{
    size_t now = size_min(cap, w->content->size - w->done);

    if (w->content->width == 0) {
        if (read_plain(w, out, now, e) != 0)
            return -1;
    } else {
        if (w->block_at == w->block_n && read_block(w, e) != 0)
            return -1;
        now = size_min(cap, w->block_n - w->block_at);
        memcpy(out, w->block + w->block_at, now);
        w->block_at += now;
    }
    *n += now;
    return w->done == w->content->size && w->block_at == w->block_n
               ? close_content(w, e)
               : 0;
}

/* ---- in order ---- */

static int next_member(struct writing *w, struct err *e)
{
    const struct member *m = w->member++;

    if (m->tar.type != TAR_FILE || m->text.p != NULL)
        return queue_text(
            w, &m->tar, m->tar.type == TAR_FILE ? m->text : str_of(""), e);
    if (queue_head(w, &m->tar, e) != 0)
        return -1;
    return open_content(w, m->content, e);
}

static int next_seal(struct writing *w, struct err *e)
{
    const struct buf *manifest = &w->x->manifest;
    struct tar_member t = { .path = str_of(ARCHIVE_SEAL), .type = TAR_FILE };
    struct digest digest;

    if (hash_bytes(HASH_SHA256, manifest->p, manifest->len, &digest, e) != 0)
        return -1;
    archive_seal(&w->seal, &digest, w->x->members.n + 1, w->at);
    t.size = w->seal.len;
    return queue_text(w, &t, buf_str(&w->seal), e);
}

/* What comes next; AT_END when nothing does. */
static int next(struct writing *w, struct err *e)
{
    struct tar_member front = { .path = str_of(ARCHIVE_MANIFEST),
        .type = TAR_FILE,
        .size = w->x->manifest.len };

    w->queued = 0;
    if (w->stage == AT_MANIFEST) {
        w->stage = AT_MEMBERS;
        return queue_text(w, &front, buf_str(&w->x->manifest), e);
    }
    if (w->stage == AT_MEMBERS && w->member < w->end)
        return next_member(w, e);
    if (w->stage == AT_MEMBERS) {
        w->stage = AT_SEAL;
        return next_seal(w, e);
    }
    w->stage = AT_END;
    queue(w, (struct str){ zeroes, TAR_END });
    return 0;
}

/* Of what is in memory. */
static void take_queued(struct writing *w, uint8_t *out, size_t cap, size_t *n)
{
    struct str *s = &w->queue[0];
    size_t now = size_min(cap, s->len);

    memcpy(out, s->p, now);
    *n += now;
    s->p += now;
    s->len -= now;
    if (s->len > 0)
        return;
    w->queued--;
    memmove(s, s + 1, w->queued * sizeof(*s));
}

static int make(void *ctx, uint8_t *out, size_t cap, size_t *n, struct err *e)
{
    struct writing *w = ctx;

    *n = 0;
    while (*n < cap) {
        size_t before = *n;

        if (w->queued > 0)
            take_queued(w, out + *n, cap - *n, n);
        else if (w->content != NULL) {
            if (read_content(w, out + *n, cap - *n, n, e) != 0)
                return -1;
        } else if (w->stage == AT_END)
            return 0;
        else if (next(w, e) != 0)
            return -1;
        w->at += *n - before;
    }
    return 0;
}

static void close_all(struct writing *w)
{
    fd_close(&w->fd);
    hash_free(&w->hash);
    buf_free(&w->head);
    buf_free(&w->seal);
    progress_close(w->progress);
}

int exporter_run(struct exporter *x, int fd, const char *name, struct err *e)
{
    struct writing w AUTO(close_all) = { .x = x,
        .member = x->members.v,
        .end = x->members.v + x->members.n,
        .head = BUF_INIT(1 << 20),
        .seal = BUF_INIT(4096),
        .fd = -1,
        .hash = HASH_INIT };
    struct frames f = { .fd = fd,
        .name = name,
        .threads = x->threads,
        .level = x->level,
        .make = make,
        .ctx = &w };

    if (x->archive.n_groups > 0) {
        w.plain = arena_alloc(x->arena, 2, GROUPING_BLOCK, e);
        if (w.plain == NULL)
            return -1;
        w.block = w.plain + GROUPING_BLOCK;
    }
    w.progress =
        progress_open(x->progress, "exporting", x->members.content_bytes, e);
    if (w.progress == NULL || frames_pack(&f, e) != 0)
        return -1;
    x->packed = f.packed;
    return 0;
}
