#include "bucket/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/cancel.h"
#include "base/log.h"
#include "bucket/content.h"
#include "cache/edit.h"

/* So often a ref is read again when others move it at the same time. */
enum { MOVE_TRIES = 64, NAP_MS_MAX = 400, WHO_MAX = 1 << 20 };

/* ---- reading ---- */

int names_catalog(struct bucket *b, const struct digest *sha256, uint64_t size,
    struct arena *arena, struct catalog *out, struct err *e)
{
    uint64_t most = size_min(size, size_min(CATALOG_MAX, arena->limit));
    struct buf text AUTO(buf_free) = BUF_INIT(most);

    if (size > CATALOG_MAX)
        return err_set(e, ERR_CORRUPT, "%s: a catalog of %llu bytes", b->shown,
            (unsigned long long)size);
    if (content_read(b, CONTENT_MANIFEST, sha256, size, &text, e) != 0 ||
        catalog_parse(out, buf_str(&text), arena, e) != 0)
        return err_ctx(e, "%s", b->shown);
    return 0;
}

static int load_parent(struct bucket *b, const struct catalog *of,
    struct arena *arena, struct catalog *out, struct err *e)
{
    struct digest sha256;

    *out = (struct catalog){ .n = 0 };
    if (of->parent[0] == '\0' || !digest_parse(&sha256, str_of(of->parent)))
        return 0;
    return names_catalog(b, &sha256, of->parent_size, arena, out, e);
}

/* What a side has in common with those that are put together already; several
 * moves, none made from another, are put together for it in turn. */
static int load_base(struct bucket *b, const char *ref,
    const struct tip_side *s, const struct catalog *first,
    const struct catalog *side, struct arena *arena, struct catalog *out,
    struct err *e)
{
    const struct tip bases = { .sides = s->bases, .n = s->n_bases };

    *out = (struct catalog){ .n = 0 };
    if (bases.n > 0)
        return names_sides(b, ref, &bases, arena, out, e);
    /* Nothing: what either has is there. */
    return strcmp(side->parent, first->parent) == 0
               ? load_parent(b, first, arena, out, e)
               : 0;
}

/* Writers moved the ref who did not know of each other. */
static int load_sides(struct bucket *b, const char *ref, const struct tip *head,
    struct arena *arena, struct catalog *out, struct err *e)
{
    struct catalog base, side;
    struct str clash = { NULL, 0 };

    for (size_t i = 1; i < head->n; i++) {
        const struct tip_side *s = &head->sides[i];
        struct catalog first = *out;

        if (names_catalog(b, &s->catalog, s->size, arena, &side, e) != 0)
            return -1;
        /* A repository that one has emptied and another has brought is
           there: a listing is all of a commit, or none. */
        if (side.commit[0] == '\0' && first.commit[0] != '\0')
            continue;
        if (side.commit[0] != '\0' && first.commit[0] == '\0') {
            *out = side;
            continue;
        }
        if (load_base(b, ref, s, &first, &side, arena, &base, e) != 0 ||
            catalog_merge(out, &base, &first, &side, &clash, arena, e) != 0)
            return -1;
    }
    if (clash.len > 0)
        log_warn("%s: '%.*s' was changed twice at the same time (%s); the "
                 "first of them counts: put it again if it is not the right "
                 "one",
            b->shown, STR_ARG(clash), ref);
    return 0;
}

int names_sides(struct bucket *b, const char *ref, const struct tip *head,
    struct arena *arena, struct catalog *out, struct err *e)
{
    if (names_catalog(b, &head->sides[0].catalog, head->sides[0].size, arena,
            out, e) != 0)
        return -1;
    return head->n > 1 ? load_sides(b, ref, head, arena, out, e) : 0;
}

int names_load(struct bucket *b, const char *ref, struct arena *arena,
    struct catalog *out, struct tip *head, struct err *e)
{
    struct tip here;

    *out = (struct catalog){ .n = 0 };
    if (tip_read(b, ref, arena, &here, e) != 0)
        return -1;
    if (head != NULL)
        *head = here;
    return here.n == 0 ? 0 : names_sides(b, ref, &here, arena, out, e);
}

int names_missing(const struct bucket *b, const char *name, struct err *e)
{
    err_set(e, ERR_MISSING, "%s: no file '%s' in this volume", b->shown, name);
    return err_hint(e, "see what is there: mlfetch ls %s", b->shown);
}

int names_list(struct bucket *b, const char *name, struct arena *arena,
    struct catalog_file **out, uint64_t *n, struct err *e)
{
    struct str below = str_of(name != NULL ? name : "");
    struct catalog all;
    uint64_t count = 0;

    if (bucket_need(b, e) != 0 ||
        names_load(b, NAMES_FILES, arena, &all, NULL, e) != 0)
        return -1;
    for (uint64_t i = 0; i < all.n; i++)
        if (volume_is_below(all.files[i].name, below))
            all.files[count++] = all.files[i];
    *out = all.files;
    *n = count;
    return 0;
}

struct volume_entry names_entry(const struct catalog_file *f)
{
    return (struct volume_entry){
        .name = f->name, .size = f->size, .sha256 = f->sha256, .mtime = f->mtime
    };
}

/* ---- changing ---- */

static const struct catalog_file *meant(const struct catalog_file *f)
{
    return catalog_goes(f) ? NULL : f;
}

/* What is to be done still, with what is there now. */
static int still_to_do(const struct bucket *b, const struct names_change *c,
    const struct catalog *now, bool *out, struct err *e)
{
    *out = false;
    for (uint64_t i = 0; i < c->n; i++) {
        const struct catalog_file *f = &c->files[i];
        const struct catalog_file *is = catalog_find(now, f->name);

        if (catalog_same(is, meant(f)))
            continue;
        *out = true;
        if (c->seen == NULL || catalog_same(is, catalog_find(c->seen, f->name)))
            continue;
        err_set(e, ERR_BUSY, "'%.*s' was %s by another process meanwhile",
            STR_ARG(f->name), is == NULL ? "removed" : "put");
        return err_hint(e,
            "nothing was changed: see mlfetch ls %s, then do it again",
            b->shown);
    }
    return 0;
}

/* The first file below the folder of that name, or NULL. */
static const struct catalog_file *first_below(
    const struct catalog *c, struct str folder)
{
    uint64_t from = 0, to = c->n;

    while (from < to) {
        uint64_t mid = from + (to - from) / 2;
        struct str name = c->files[mid].name;
        struct str front = { name.p, size_min(name.len, folder.len) };
        int order = str_cmp(front, folder);

        if (order == 0)
            order = name.len > folder.len
                        ? (unsigned char)name.p[folder.len] - '/'
                        : -1;
        if (order < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return from < c->n && c->files[from].name.len > folder.len &&
                   volume_is_below(c->files[from].name, folder)
               ? &c->files[from]
               : NULL;
}

/* A name is a file or a folder. */
static int check_folders(const struct catalog *c,
    const struct catalog_file *files, uint64_t n, struct err *e)
{
    for (uint64_t i = 0; i < n; i++) {
        struct str name = files[i].name;
        const struct catalog_file *below = first_below(c, name);

        if (catalog_goes(&files[i]))
            continue;
        if (below != NULL)
            return err_set(e, ERR_REFUSED,
                "'%.*s' is a folder in this volume: it has '%.*s'",
                STR_ARG(name), STR_ARG(below->name));
        for (size_t k = 1; k < name.len; k++) {
            struct str above = { name.p, k };

            if (name.p[k] == '/' && catalog_find(c, above) != NULL)
                return err_set(e, ERR_REFUSED,
                    "'%.*s' is a file in this volume: nothing can be below it",
                    STR_ARG(above));
        }
    }
    return 0;
}

int names_fit(const struct catalog *now, const struct catalog_file *files,
    uint64_t n, struct arena *arena, struct err *e)
{
    struct catalog next = { .n = 0 };

    if (catalog_lay(&next, now, files, n, arena, e) != 0)
        return -1;
    return check_folders(&next, files, n, e);
}

/* gc must not take it before the ref leads to it. */
static int write_catalog(struct bucket *b, struct catalog *next,
    const struct tip_side *parent, struct intent *claim, struct tip_side *out,
    struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(CATALOG_MAX);
    struct arena arena AUTO(arena_free) = ARENA_INIT(WHO_MAX);
    struct str who = edit_who(&arena, e);
    const struct digest *claimed;
    struct digest sum;

    if (who.p == NULL)
        return -1;
    claimed = &sum;
    next->when = time(NULL);
    snprintf(next->who, sizeof(next->who), "%.*s", STR_ARG(who));
    next->parent[0] = '\0';
    if (parent != NULL) {
        memcpy(next->parent, parent->catalog.hex, sizeof(next->parent));
        next->parent_size = parent->size;
    }
    if (catalog_text(next, &text, e) != 0 ||
        hash_bytes(HASH_SHA256, text.p, text.len, &sum, e) != 0 ||
        intent_add(claim, b, &claimed, 1, e) != 0 ||
        content_add(b, CONTENT_MANIFEST, buf_str(&text), &out->catalog, e) != 0)
        return -1;
    out->size = text.len;
    return 0;
}

static int add_catalog(struct bucket *b, const struct names_change *c,
    const struct catalog *now, const struct tip *head, struct arena *arena,
    struct tip_side *out, struct err *e)
{
    const struct catalog none = { .n = 0 };
    struct catalog next = { .number = head->number + 1 };

    if (catalog_lay(&next, c->all ? &none : now, c->files, c->n, arena, e) !=
            0 ||
        check_folders(&next, c->files, c->n, e) != 0)
        return -1;
    snprintf(next.what, sizeof(next.what), "%s", c->what);
    memcpy(next.commit, c->commit, size_min(strlen(c->commit), 40));
    return write_catalog(
        b, &next, head->n > 0 ? &head->sides[0] : NULL, c->claim, out, e);
}

int names_restore(struct bucket *b, const char *ref, const struct tip *seen,
    const struct catalog *c, const struct tip_side *at, struct err *e)
{
    struct intent claim AUTO(intent_drop) = INTENT_INIT;
    struct catalog next = *c;
    struct tip_side side = { .size = 0 };
    int rc;

    next.number = seen->number + 1;
    snprintf(next.what, sizeof(next.what), "repair");
    if (write_catalog(b, &next, at, &claim, &side, e) != 0)
        return -1;
    rc = tip_move(b, ref, seen, &side, e);
    if (rc <= 0)
        return rc;
    return err_set(
        e, ERR_BUSY, "%s: '%s' is changed by another program", b->shown, ref);
}

/* ---- beside others ---- */

/* So many moved at once that one move cannot cover all: some, as they are. */
static int cover_some(struct bucket *b, const struct names_change *c,
    struct tip head, struct arena *arena, struct err *e)
{
    struct names_change as_is = {
        .ref = c->ref, .what = "merge", .claim = c->claim
    };
    struct tip_side next = { .size = 0 };
    struct catalog now;

    head.n = MOVE_OVER_MAX;
    if (names_sides(b, c->ref, &head, arena, &now, e) != 0)
        return -1;
    as_is.commit = now.commit;
    return add_catalog(b, &as_is, &now, &head, arena, &next, e) != 0 ||
                   tip_move(b, c->ref, &head, &next, e) < 0
               ? -1
               : 1;
}

/* Do others, who did not know of it, mean something else by a name of it? */
static bool clashes(const struct names_change *c, const struct catalog *before,
    const struct catalog *others)
{
    struct err why = ERR_INIT;

    for (uint64_t i = 0; i < c->n; i++) {
        struct str name = c->files[i].name;
        const struct catalog_file *is = catalog_find(others, name);

        if (!catalog_same(is, catalog_find(before, name)) &&
            !catalog_same(is, meant(&c->files[i])))
            return true;
    }
    return check_folders(others, c->files, c->n, &why) != 0;
}

/* One more move, to what counts without ours. Beside too many ours stays. */
static int take_back(struct bucket *b, const struct names_change *c,
    const struct tip *others, const struct catalog *as_is,
    const struct tip_side *ours, uint64_t number, struct arena *arena,
    struct err *e)
{
    const struct names_change none = { .ref = c->ref,
        .what = "withdraw",
        .commit = as_is->commit,
        .claim = c->claim };
    struct tip all = *others;
    struct tip_side next = { .size = 0 };

    if (others->n >= MOVE_OVER_MAX)
        return 0;
    all.sides = arena_alloc(arena, others->n + 1, sizeof(*all.sides), e);
    if (all.sides == NULL)
        return -1;
    for (size_t i = 0; i < others->n; i++)
        all.sides[i] = others->sides[i];
    all.sides[all.n++] = *ours;
    all.number = size_max(others->number, number);
    return add_catalog(b, &none, as_is, &all, arena, &next, e) != 0 ||
                   tip_move(b, c->ref, &all, &next, e) < 0
               ? -1
               : 0;
}

/*
 * The move was made, and others count beside it. Where one of them means
 * something else by a name of it, each who sees the other takes his back.
 * 0: it stands; 1: once more, on top of the others; -1 with *e.
 */
static int stand(struct bucket *b, const struct names_change *c,
    const struct catalog *before, const struct tip_side *ours, uint64_t number,
    struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    struct catalog now;
    struct tip others;

    if (names_load(b, c->ref, &arena, &now, NULL, e) != 0)
        return -1;
    if (strcmp(now.commit, c->commit) != 0)
        return 1;
    if (tip_read_without(b, c->ref, ours->id, &arena, &others, e) != 0)
        return -1;
    if (others.n == 0)
        return 0;
    if (names_sides(b, c->ref, &others, &arena, &now, e) != 0)
        return -1;
    if (!clashes(c, before, &now))
        return 0;
    return take_back(b, c, &others, &now, ours, number, &arena, e) != 0 ? -1
                                                                        : 1;
}

/* 0 with *number; 1: once more; -1 with *e. */
static int try_commit(struct bucket *b, const struct names_change *c,
    uint64_t *number, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    struct tip_side next = { .size = 0 };
    struct catalog now;
    struct tip head;
    bool todo, beside;
    int rc;

    *number = 0;
    if (names_load(b, c->ref, &arena, &now, &head, e) != 0)
        return -1;
    if (head.n > MOVE_OVER_MAX)
        return cover_some(b, c, head, &arena, e);
    if (c->only != NULL && strcmp(now.commit, c->only) != 0)
        return 0;
    if (still_to_do(b, c, &now, &todo, e) != 0)
        return -1;
    if (!todo && strcmp(now.commit, c->commit) == 0 &&
        (!c->all || now.n == c->n) && head.n > 0)
        return 0;
    if (!todo && head.n == 0 && !c->all)
        return 0;
    if (add_catalog(b, c, &now, &head, &arena, &next, e) != 0)
        return -1;
    rc = tip_move(b, c->ref, &head, &next, e);
    if (rc != 0)
        return rc;
    if (tip_beside(b, c->ref, &head, next.id, &beside, e) != 0)
        return tip_unsure(e);
    *number = head.number + 1;
    rc = beside ? stand(b, c, &now, &next, *number, e) : 0;
    return rc < 0 ? tip_unsure(e) : rc;
}

/* Longer and longer, and never as long as another one. */
static int nap(int tries, struct err *e)
{
    unsigned char random = 0;
    long ms = 10L << (tries < 5 ? tries : 5);
    struct timespec t = { .tv_sec = 0 };

    if (getrandom(&random, 1, 0) != 1)
        random = (unsigned char)tries;
    t.tv_nsec = (ms + NAP_MS_MAX * random / 255 * (tries > 2)) * 1000000L / 2 +
                random * 40000L;
    nanosleep(&t, NULL);
    return cancel_check(e);
}

int names_commit(struct bucket *b, const struct names_change *asked,
    uint64_t *number, struct err *e)
{
    struct intent claim AUTO(intent_drop) = INTENT_INIT;
    struct names_change with = *asked;
    const struct names_change *change = &with;

    if (with.claim == NULL)
        with.claim = &claim;
    for (int tries = 0; tries < MOVE_TRIES; tries++) {
        int rc = try_commit(b, change, number, e);

        if (rc <= 0)
            return rc;
        if (nap(tries, e) != 0)
            return -1;
    }
    err_set(e, ERR_BUSY, "%s: others change it faster than this process can",
        b->shown);
    return err_hint(
        e, "see what is there, mlfetch ls %s, and do it again", b->shown);
}
