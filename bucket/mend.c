#include "bucket/mend.h"

#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/rd.h"
#include "bucket/content.h"
#include "s3/list.h"

/* So many catalogs back it is looked for one that is whole. */
enum { STEPS_MAX = 64, UNLIKE_MAX = 2 };

struct mending {
    struct bucket *b;
    const char *ref;
    struct tip seen;
    struct str damaged[TIP_SALVAGE_MAX];
    uint64_t n_damaged;
    struct catalog catalog;
    struct tip_side at;
    struct arena arena;
};

/* Into quarantine/, under a name of its own. */
static int set_aside(struct bucket *b, const char *key, struct err *e)
{
    char random[17], to[S3_KEY_MAX + 1];
    const char *tail = key + strlen(b->prefix) + strlen("v1/");

    if (bucket_random(random, e) != 0 ||
        bucket_key(b, to, e, "quarantine/%s-%s", tail, random) != 0)
        return -1;
    return s3_copy(b->s3, key, to, e);
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
    if (why.kind != ERR_CORRUPT && why.kind != ERR_REFUSED) {
        *e = why;
        return -1;
    }
    if (set_aside(w->b, key, e) != 0)
        return -1;
    err_clear(&why);
    if (bucket_read(w->b->s3, key, &text, NULL, &why) == 0)
        parent_of(&text, before);
    return 1;
}

/* It, or one of those that it came from. */
static int try_chain(
    struct mending *w, struct digest at, bool *last, struct err *e)
{
    for (int i = 0; i < STEPS_MAX && at.hex[0] != '\0'; i++) {
        struct digest before;
        int rc = try_catalog(w, &at, &before, e);

        if (rc <= 0)
            return rc;
        *last = false;
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

static int find(struct mending *w, bool *last, struct err *e)
{
    for (size_t i = 0; i < w->seen.n; i++) {
        struct digest at = w->seen.sides[i].catalog;
        int rc;

        *last = i == 0;
        if (i == 0 && w->n_damaged > 0 && find_alike(w, &at, e) != 0)
            return -1;
        if (!hex_is(str_of(at.hex), 64))
            continue;
        rc = try_chain(w, at, last, e);
        if (rc <= 0)
            return rc;
    }
    return 1;
}

static int mend(struct mending *w, struct mended *out, struct err *e)
{
    int rc;

    if (tip_salvage(w->b, w->ref, &w->arena, &w->seen, w->damaged,
            &w->n_damaged, e) != 0)
        return -1;
    rc = find(w, &out->last, e);
    if (rc != 0)
        return rc;
    for (uint64_t i = 0; i < w->n_damaged; i++)
        if (set_aside(w->b, w->damaged[i].p, e) != 0)
            return -1;
    out->number = w->catalog.number;
    out->when = w->catalog.when;
    out->files = w->catalog.n;
    w->seen.n = 1;
    if (w->b->conditional)
        w->seen.number = w->catalog.number;
    return names_restore(w->b, w->ref, &w->seen, &w->catalog, &w->at, e);
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
