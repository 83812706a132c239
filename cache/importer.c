/*
 * An archive, byte after byte: what the manifest does not call for at this
 * place is refused, so nothing of what tar can say needs to be understood.
 */
#include "cache/importer.h"
#include "cache/importer_internal.h"

#include <stdio.h>
#include <sys/stat.h>

#include "cache/frames.h"
#include "cache/grouping.h"
#include "cache/volume_internal.h"

enum { DESCRIBED_MAX = 160 };

struct reading {
    struct importer *m;
    enum {
        AT_FRONT,    /* the header of the manifest */
        AT_MANIFEST, /* its text */
        AT_HEAD,     /* of a member, or of the seal */
        AT_TEXT,     /* bytes that are known */
        AT_CONTENT,
        AT_PADDING,
        AT_END /* zeroes, then nothing */
    } stage;
    struct buf head;     /* the bytes that must come: of a header, the seal */
    struct buf manifest; /* as far as it came */
    uint64_t manifest_size;
    struct digest manifest_digest;
    struct str want; /* what must come next, of known bytes */
    uint64_t done;   /* of want, of a content, or of the padding */
    uint64_t padding;
    uint64_t member; /* the one that is under way; n: the seal */
    uint64_t at;     /* in the tar archive */
    uint8_t block[TAR_BLOCK];
    uint8_t *grouped; /* a block of a content, and as it is; or NULL */
    uint8_t *plain;
    struct progress *progress;
    struct progress_item *item;
};

/* Before the first member. */
static const uint64_t none_yet = UINT64_MAX;

static const struct member *member_of(const struct reading *r)
{
    return &r->m->members.v[r->member];
}

static bool is_seal(const struct reading *r)
{
    return r->member == r->m->members.n;
}

static struct str path_of(const struct reading *r)
{
    if (r->member == none_yet)
        return str_of(ARCHIVE_MANIFEST);
    return is_seal(r) ? str_of(ARCHIVE_SEAL) : member_of(r)->tar.path;
}

/* "FILE: byte N of the tar archive", before what went wrong there. */
static int at_fault(const struct reading *r, uint64_t at, struct err *e)
{
    return err_ctx(e, "%s: byte %llu of the tar archive", r->m->name,
        (unsigned long long)at);
}

static int not_it(const struct reading *r, struct err *e)
{
    const char *what = r->stage == AT_PADDING ? "zeroes are wanted behind"
                                              : "not the bytes that belong to";
    struct str path = path_of(r);

    err_set(e, ERR_REFUSED, "%s '%.*s'", what, STR_ARG(path));
    return at_fault(r, r->at, e);
}

/* Another member than the one that the manifest calls for here. */
static int other_member(
    const struct reading *r, const uint8_t *block, uint64_t at, struct err *e)
{
    struct str path = path_of(r);
    char found[DESCRIBED_MAX];

    tar_describe(block, found, sizeof(found));
    err_set(e, ERR_REFUSED,
        "%s stands where the manifest calls for '%.*s', or its header is not "
        "as mlcache export writes it",
        found, STR_ARG(path));
    return at_fault(r, at, e);
}

/* ---- the manifest ---- */

static int take_front(struct reading *r, struct err *e)
{
    struct tar_member t = { .path = str_of(ARCHIVE_MANIFEST),
        .type = TAR_FILE };

    if (!tar_size((const uint8_t *)r->head.p, &t.size) ||
        t.size > ARCHIVE_MANIFEST_MAX) {
        err_set(e, ERR_REFUSED, "no archive of mlcache export");
        return at_fault(r, 0, e);
    }
    memcpy(r->block, r->head.p, TAR_BLOCK);
    buf_clear(&r->head);
    tar_head(&r->head, &t);
    if (r->head.len != TAR_BLOCK ||
        memcmp(r->head.p, r->block, TAR_BLOCK) != 0) {
        err_set(e, ERR_REFUSED,
            "no archive of mlcache export: its first member is not "
            "'" ARCHIVE_MANIFEST "'");
        return at_fault(r, 0, e);
    }
    r->manifest_size = t.size;
    r->stage = AT_MANIFEST;
    return 0;
}

static int begin_padding(struct reading *r, uint64_t size)
{
    r->padding = tar_padding(size);
    r->done = 0;
    r->stage = AT_PADDING;
    return 0;
}

static int take_manifest(struct reading *r, struct err *e)
{
    struct importer *m = r->m;
    struct str text = buf_str(&r->manifest);

    if (hash_bytes(HASH_SHA256, text.p, text.len, &r->manifest_digest, e) != 0)
        return -1;
    if (archive_parse(&m->archive, text, &m->arena, e) != 0 ||
        archive_members(&m->members, &m->archive, &m->arena, e) != 0)
        return err_ctx(e, "%s: " ARCHIVE_MANIFEST, m->name);
    buf_free(&r->manifest);
    if (importer_meet(m, e) != 0)
        return -1;
    r->progress = progress_open(m->progress,
        m->dry_run ? "checking" : "importing", m->members.content_bytes, e);
    if (r->progress == NULL)
        return -1;
    return begin_padding(r, r->manifest_size);
}

/* ---- members ---- */

static int next_head(struct reading *r, struct err *e)
{
    struct tar_member t = { .path = str_of(ARCHIVE_SEAL), .type = TAR_FILE };
    struct buf seal AUTO(buf_free) = BUF_INIT(4096);

    buf_clear(&r->head);
    if (is_seal(r)) {
        archive_seal(&seal, &r->manifest_digest, r->m->members.n + 1, r->at);
        t.size = seal.len;
        tar_head(&r->head, &t);
        buf_put(&r->head, seal.p, seal.len);
    } else {
        tar_head(&r->head, &member_of(r)->tar);
    }
    r->want = buf_str(&r->head);
    r->done = 0;
    r->stage = AT_HEAD;
    return buf_check(&r->head, e);
}

static int next_member(struct reading *r, struct err *e)
{
    r->member++;
    if (r->member <= r->m->members.n)
        return next_head(r, e);
    r->padding = TAR_END;
    r->done = 0;
    r->stage = AT_END;
    return 0;
}

static struct str name_of(const struct archive_content *c)
{
    return c->file != NULL ? c->file->f.path : c->put->name;
}

static int end_content(struct reading *r, struct err *e)
{
    struct importer *m = r->m;
    const struct archive_content *c = member_of(r)->content;
    enum landed *landed = &m->landed[c - m->members.contents];

    progress_done(r->item);
    if (landing_end(&m->landing, landed, e) != 0) {
        err_ctx(e, "'%.*s'", STR_ARG(member_of(r)->tar.path));
        return at_fault(r, r->at, e);
    }
    if (*landed == LANDED_FRESH || *landed == LANDED_SEEN) {
        m->fresh++;
        m->fresh_bytes += c->size;
    }
    return begin_padding(r, c->size);
}

static int begin_content(struct reading *r, struct err *e)
{
    struct importer *m = r->m;
    const struct archive_content *c = member_of(r)->content;
    char held[PATH_MAX];

    if (importer_held(m, c, held, e) != 0 ||
        landing_begin(&m->landing, &c->digest, c->size, held, e) != 0)
        return -1;
    if (c->width > 0 && r->grouped == NULL) {
        r->grouped = arena_alloc(&m->arena, 2, GROUPING_BLOCK, e);
        if (r->grouped == NULL)
            return -1;
        r->plain = r->grouped + GROUPING_BLOCK;
    }
    r->item = progress_item(r->progress, name_of(c).p, c->size);
    r->done = 0;
    r->stage = AT_CONTENT;
    return c->size > 0 ? 0 : end_content(r, e);
}

/* The header was right; what follows it? */
static int after_head(struct reading *r, struct err *e)
{
    const struct member *m;

    if (is_seal(r))
        return begin_padding(r, r->head.len);
    m = member_of(r);
    if (m->tar.type == TAR_FILE && m->text.p == NULL)
        return begin_content(r, e);
    if (m->tar.type != TAR_FILE || m->text.len == 0)
        return begin_padding(r, 0);
    r->want = m->text;
    r->done = 0;
    r->stage = AT_TEXT;
    return 0;
}

/* ---- bytes ---- */

/* A header is compared when a block of it is whole, to say what came. */
static size_t take_head(
    struct reading *r, const uint8_t *p, size_t n, struct err *e)
{
    uint64_t in_block = r->done % TAR_BLOCK;
    size_t now =
        size_min(n, size_min(TAR_BLOCK - in_block, r->want.len - r->done));

    memcpy(r->block + in_block, p, now);
    r->done += now;
    if (r->done % TAR_BLOCK == 0 || r->done == r->want.len) {
        uint64_t len = (r->done - 1) % TAR_BLOCK + 1;

        if (memcmp(r->block, r->want.p + r->done - len, len) != 0 &&
            len == TAR_BLOCK)
            other_member(r, r->block, r->at + now - len, e);
        else if (memcmp(r->block, r->want.p + r->done - len, len) != 0)
            not_it(r, e);
    }
    return now;
}

static size_t take_text(
    struct reading *r, const uint8_t *p, size_t n, struct err *e)
{
    size_t now = size_min(n, r->want.len - r->done);

    if (memcmp(p, r->want.p + r->done, now) != 0)
        not_it(r, e);
    r->done += now;
    return now;
}

/* A grouped content lands block by block. */
static size_t take_grouped(
    struct reading *r, const uint8_t *p, size_t n, struct err *e)
{
    const struct archive_content *c = member_of(r)->content;
    size_t at = r->done % GROUPING_BLOCK;
    size_t block = size_min(GROUPING_BLOCK, c->size - (r->done - at));
    size_t now = size_min(n, block - at);

    memcpy(r->grouped + at, p, now);
    r->done += now;
    if (at + now < block)
        return now;
    grouping_join(r->plain, r->grouped, block, c->width);
    if (landing_add(&r->m->landing, r->plain, block, e) == 0)
        progress_add(r->item, block);
    return now;
}

static size_t take_content(
    struct reading *r, const uint8_t *p, size_t n, struct err *e)
{
    size_t now = size_min(n, member_of(r)->tar.size - r->done);

    if (member_of(r)->content->width > 0)
        return take_grouped(r, p, n, e);
    if (landing_add(&r->m->landing, p, now, e) == 0)
        progress_add(r->item, now);
    r->done += now;
    return now;
}

static size_t take_zeroes(
    struct reading *r, const uint8_t *p, size_t n, struct err *e)
{
    size_t now = size_min(n, r->padding - r->done);

    for (size_t i = 0; i < now; i++)
        if (p[i] != 0 && r->stage == AT_END) {
            err_set(e, ERR_REFUSED, "the end of the archive is not empty");
            at_fault(r, r->at, e);
        } else if (p[i] != 0) {
            not_it(r, e);
        }
    r->done += now;
    return now;
}

static size_t take_some(
    struct reading *r, const uint8_t *p, size_t n, struct err *e)
{
    size_t now;

    switch (r->stage) {
    case AT_FRONT:
        now = size_min(n, TAR_BLOCK - r->head.len);
        buf_put(&r->head, p, now);
        return now;
    case AT_MANIFEST:
        now = size_min(n, r->manifest_size - r->manifest.len);
        buf_put(&r->manifest, p, now);
        buf_check(&r->manifest, e);
        return now;
    case AT_HEAD:
        return take_head(r, p, n, e);
    case AT_TEXT:
        return take_text(r, p, n, e);
    case AT_CONTENT:
        return take_content(r, p, n, e);
    default:
        return take_zeroes(r, p, n, e);
    }
}

/* Is the stage done? Then on to the next. */
static int go_on(struct reading *r, struct err *e)
{
    switch (r->stage) {
    case AT_FRONT:
        return r->head.len < TAR_BLOCK ? 0 : take_front(r, e);
    case AT_MANIFEST:
        return r->manifest.len < r->manifest_size ? 0 : take_manifest(r, e);
    case AT_HEAD:
        return r->done < r->want.len ? 0 : after_head(r, e);
    case AT_TEXT:
        return r->done < r->want.len ? 0 : begin_padding(r, r->want.len);
    case AT_CONTENT:
        return r->done < member_of(r)->tar.size ? 0 : end_content(r, e);
    default:
        return 0;
    }
}

static int take(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
    struct reading *r = ctx;

    while (n > 0) {
        size_t now;

        if (r->stage == AT_END && r->done == r->padding) {
            err_set(e, ERR_REFUSED, "something behind the end of the archive");
            return at_fault(r, r->at, e);
        }
        now = take_some(r, p, n, e);
        if (e->kind != ERR_NONE)
            return -1;
        p += now;
        n -= now;
        r->at += now;
        if (go_on(r, e) != 0)
            return -1;
        while (r->stage == AT_PADDING && r->done == r->padding)
            if (next_member(r, e) != 0)
                return -1;
    }
    return 0;
}

/* ---- all of it ---- */

static void reading_close(struct reading *r)
{
    buf_free(&r->head);
    buf_free(&r->manifest);
    progress_close(r->progress);
}

static int read_all(struct importer *m, int fd, bool *cut, struct err *e)
{
    struct reading r AUTO(reading_close) = { .m = m,
        .member = none_yet,
        .head = BUF_INIT(1 << 20),
        .manifest = BUF_INIT(ARCHIVE_MANIFEST_MAX) };
    struct frames f = { .fd = fd,
        .name = m->name,
        .threads = m->threads,
        .take = take,
        .ctx = &r };
    int rc = frames_unpack(&f, e);

    *cut = f.cut;
    m->packed = f.packed;
    if (rc != 0)
        return -1;
    if (r.stage == AT_END && r.done == r.padding)
        return m->dry_run ? 0 : landing_sync(&m->landing, e);
    err_set(e, ERR_CORRUPT, "the archive ends before its seal");
    return at_fault(&r, r.at, e);
}

/* A pipe that broke is not the archive's fault. */
static bool at_its_fault(int fd, bool cut, const struct err *why)
{
    struct stat st;

    return (why->kind == ERR_CORRUPT || why->kind == ERR_REFUSED) &&
           (!cut || fstat(fd, &st) != 0 || S_ISREG(st.st_mode));
}

/* Nothing of it stays. */
static void forget(struct importer *m)
{
    for (uint64_t i = 0; m->landed != NULL && i < m->members.n_contents; i++)
        if (m->landed[i] == LANDED_FRESH)
            landing_drop(&m->landing, &m->members.contents[i].digest);
    landing_close(&m->landing);
    if (m->created)
        volume_unmake(&m->place.volume);
}

int importer_run(struct importer *m, int fd, const char *name, struct err *e)
{
    bool cut = false;

    m->name = name;
    if (read_all(m, fd, &cut, e) != 0) {
        if (at_its_fault(fd, cut, e))
            forget(m);
        else
            landing_keep(&m->landing);
        return -1;
    }
    return m->dry_run ? 0 : importer_publish(m, e);
}

void importer_free(struct importer *m)
{
    for (uint64_t i = 0; i < m->n_leases; i++)
        lease_free(&m->leases[i]);
    m->n_leases = 0;
    landing_close(&m->landing);
    arena_free(&m->arena);
}
