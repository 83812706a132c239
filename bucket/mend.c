#include "bucket/mend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/rd.h"
#include "bucket/content.h"
#include "bucket/tip_internal.h"
#include "s3/list.h"

/* So many catalogs back it is looked for one that is whole. */
enum { STEPS_MAX = 64, UNLIKE_MAX = 2 };

struct mending {
    struct bucket *b;
    const char *ref;
    struct tip_left left;
    struct str *damaged; /* catalogs: keys */
    uint64_t n_damaged, room;
    struct catalog catalog; /* that it falls back to */
    struct tip_side at;
    uint64_t steps; /* so many catalogs came behind it, at least */
    struct arena arena;
};

/* Into quarantine/, under a name of its own. */
static int set_aside(struct bucket *b, const char *key, struct err *e)
{
    char random[17], to[S3_KEY_MAX + 1];
    struct s3_copy c = { .from = key, .to = to };
    struct s3_info info = { .found = false };
    const char *tail = key + strlen(b->prefix) + strlen("v1/");

    if (bucket_random(random, e) != 0 ||
        bucket_key(b, to, e, "quarantine/%s-%s", tail, random) != 0 ||
        s3_head(b->s3, key, &info, e) != 0)
        return -1;
    c.size = info.size;
    return s3_copy(b->s3, &c, e);
}

/* ---- one catalog ---- */

/* The one that a damaged one says it was made from; its size is not known. */
static bool parent_of(const struct buf *text, struct digest *out)
{
    struct rd lines = rd_of(text->p, text->len);

    for (int i = 0; i < 8; i++) {
        struct str line = rd_line(&lines);

        if (lines.bad)
            return false;
        if (str_starts(line, "parent ") && line.len > 7 + 64) {
            struct str hex = { line.p + 7, 64 };

            return hex_is(hex, 64) && digest_parse(out, hex);
        }
    }
    return false;
}

static int note_damaged(struct mending *w, const char *key, struct err *e)
{
    struct str *v;

    for (uint64_t i = 0; i < w->n_damaged; i++)
        if (str_is(w->damaged[i], key))
            return 0;
    v = arena_grow(
        &w->arena, w->damaged, w->n_damaged, &w->room, sizeof(*v), e);
    if (v == NULL)
        return -1;
    w->damaged = v;
    v[w->n_damaged] = arena_str(&w->arena, str_of(key), e);
    return v[w->n_damaged++].p != NULL ? 0 : -1;
}

/* 0: it is whole; 1: it is not, and perhaps which was before it; -1 with *e. */
static int try_catalog(struct mending *w, const struct digest *sha256,
    struct digest *before, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(CATALOG_MAX);
    struct s3_info info = { .found = false };
    struct err why = ERR_INIT;
    char key[S3_KEY_MAX + 1];

    before->hex[0] = '\0';
    if (content_key(w->b, CONTENT_MANIFEST, sha256, key, e) != 0 ||
        s3_head(w->b->s3, key, &info, e) != 0)
        return -1;
    if (!info.found)
        return 1;
    if (names_catalog(w->b, sha256, info.size, &w->arena, &w->catalog, &why) ==
        0) {
        w->at = (struct tip_side){ .catalog = *sha256, .size = info.size };
        return 0;
    }
    /* Only bytes that were read, and are wrong, are damage. */
    if (why.kind != ERR_CORRUPT) {
        *e = why;
        return -1;
    }
    if (note_damaged(w, key, e) != 0)
        return -1;
    err_clear(&why);
    if (bucket_read(w->b->s3, key, &text, NULL, &why) == 0)
        parent_of(&text, before);
    if (why.kind == ERR_NONE || why.kind == ERR_CORRUPT)
        return 1;
    *e = why;
    return -1;
}

/* It, or one of those that it came from. */
static int try_chain(struct mending *w, struct digest at, struct err *e)
{
    for (int i = 0; i < STEPS_MAX && at.hex[0] != '\0'; i++) {
        struct digest before;
        int rc = try_catalog(w, &at, &before, e);

        if (rc <= 0)
            return rc;
        w->steps++;
        at = before;
    }
    return 1;
}

/* ---- a digest with a wrong digit ---- */

struct alike {
    const struct digest *to;
    struct digest is;
    uint64_t n;
};

static int look_at(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct alike *a = arg;
    size_t len = strlen(entry->key);
    struct digest is;
    int unlike = 0;

    (void)e;
    if (len < 64 || !digest_parse(&is, str_of(entry->key + len - 64)))
        return 0;
    for (size_t i = 0; i < 64; i++)
        unlike += is.hex[i] != a->to->hex[i];
    if (unlike <= UNLIKE_MAX) {
        a->is = is;
        a->n++;
    }
    return 0;
}

/* The only catalog there is that it can have been. */
static int find_alike(struct mending *w, struct digest *at, struct err *e)
{
    char prefix[S3_KEY_MAX + 1];
    struct alike a = { .to = at };
    struct s3_list l = { .prefix = prefix, .entry = look_at, .arg = &a };

    if (bucket_key(w->b, prefix, e, "manifests/") != 0 ||
        s3_list(w->b->s3, &l, e) != 0)
        return -1;
    if (a.n == 1)
        *at = a.is;
    return 0;
}

/* ---- all ---- */

/*
 * What its moves that count meant together, as far as they are whole: each is
 * another writer's. before gets what the others were made from.
 */
static int find_top(
    struct mending *w, struct digest *before, bool *last, struct err *e)
{
    struct tip whole = { .moves = w->left.tip.moves };

    whole.sides = arena_alloc(&w->arena, w->left.top, sizeof(*whole.sides), e);
    if (whole.sides == NULL)
        return -1;

    for (size_t i = 0; i < w->left.top; i++) {
        struct digest at = w->left.tip.sides[i].catalog;
        int rc;

        before[i].hex[0] = '\0';
        if (w->left.n_damaged > 0 && find_alike(w, &at, e) != 0)
            return -1;
        if (!hex_is(str_of(at.hex), 64))
            continue;
        rc = try_catalog(w, &at, &before[i], e);
        if (rc < 0)
            return -1;
        if (rc > 0)
            continue;
        w->at.written_s = w->left.tip.sides[i].written_s;
        memcpy(w->at.id, w->left.tip.sides[i].id, sizeof(w->at.id));
        whole.sides[whole.n++] = w->at;
    }
    if (whole.n == 0)
        return 1;
    *last = whole.n == w->left.top;
    qsort(whole.sides, whole.n, sizeof(*whole.sides), tip_order);
    w->at = whole.sides[0];
    return names_sides(w->b, w->ref, &whole, &w->arena, &w->catalog, e);
}

static int find(struct mending *w, bool *last, struct err *e)
{
    struct digest before[TIP_SALVAGE_MAX];
    const struct tip *was = &w->left.tip;
    int rc = was->n == 0 ? 1 : find_top(w, before, last, e);

    for (size_t i = 0; i < w->left.top && i < was->n && rc > 0; i++) {
        w->steps = 1;
        rc = try_chain(w, before[i], e);
    }
    for (size_t i = w->left.top; i < was->n && rc > 0; i++) {
        w->steps = 1;
        if (hex_is(str_of(was->sides[i].catalog.hex), 64))
            rc = try_chain(w, was->sides[i].catalog, e);
    }
    return rc;
}

static int mend(struct mending *w, struct mended *out, struct err *e)
{
    struct tip seen;
    int rc;

    if (tip_salvage(w->b, w->ref, &w->arena, &w->left, e) != 0)
        return -1;
    rc = find(w, &out->last, e);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < w->left.n_damaged; i++)
        if (set_aside(w->b, w->left.damaged[i].p, e) != 0)
            return -1;
    for (uint64_t i = 0; i < w->n_damaged; i++)
        if (set_aside(w->b, w->damaged[i].p, e) != 0)
            return -1;
    out->number = w->catalog.number;
    out->when = w->catalog.when;
    out->files = w->catalog.n;
    seen = w->left.tip;
    seen.n = w->left.top;
    /* A number is never another's again, also where the ref's is not known. */
    if (seen.number < w->catalog.number + w->steps)
        seen.number = w->catalog.number + w->steps;
    return names_restore(w->b, w->ref, &seen, &w->catalog, &w->at, e);
}

int mend_ref(
    struct bucket *b, const char *ref, struct mended *out, struct err *e)
{
    struct mending w = {
        .b = b, .ref = ref, .arena = ARENA_INIT(NAMES_ARENA_MAX)
    };
    int rc;

    *out = (struct mended){ .last = false };
    rc = mend(&w, out, e);
    arena_free(&w.arena);
    return rc;
}
