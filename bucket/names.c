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
enum { MOVE_TRIES = 64, NAP_MS_MAX = 400, WHO_MAX = 1 << 20, OPEN_S = 600 };

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

/* Writers moved the ref who did not know of each other. */
static int load_sides(struct bucket *b, struct tip head, struct arena *arena,
    struct sides *out, struct err *e)
{
    const struct tip_side *from = head.sides;
    size_t with_commit = 0;

    *out = (struct sides){ .n = 0 };
    out->v = arena_alloc(arena, head.n, sizeof(*out->v), e);
    head.sides = arena_alloc(arena, head.n, sizeof(*head.sides), e);
    if (out->v == NULL || head.sides == NULL)
        return -1;
    for (size_t i = 0; i < head.n; i++) {
        if (names_catalog(
                b, &from[i].catalog, from[i].size, arena, &out->v[i], e) != 0)
            return -1;
        with_commit += out->v[i].commit[0] != '\0';
    }
    /* A repository that one has emptied and another has brought is there: a
       listing is all of a commit, or none. */
    for (size_t i = 0; i < head.n; i++)
        if (with_commit == 0 || out->v[i].commit[0] != '\0') {
            head.sides[out->n] = from[i];
            out->v[out->n++] = out->v[i];
        }
    head.n = out->n;
    return tip_kin(&head, &out->kin, e);
}

static int join_sides(struct bucket *b, const struct tip *head,
    struct arena *arena, struct catalog *out, struct err *e)
{
    struct sides sides;

    return load_sides(b, *head, arena, &sides, e) != 0
               ? -1
               : catalog_join(out, &sides, arena, e);
}

static void warn_split(
    const struct bucket *b, const char *ref, const struct catalog *c)
{
    for (uint64_t i = 0; i < c->n; i++)
        if (catalog_split(&c->files[i])) {
            log_warn("%s: '%.*s' was put twice at the same time (%s); one of "
                     "them counts: put it again if it is not the right one",
                b->shown, STR_ARG(c->files[i].name), ref);
            return;
        }
}

int names_sides(struct bucket *b, const char *ref, const struct tip *head,
    struct arena *arena, struct catalog *out, struct err *e)
{
    int rc = head->n > 1 ? join_sides(b, head, arena, out, e)
                         : names_catalog(b, &head->sides[0].catalog,
                               head->sides[0].size, arena, out, e);

    if (rc == 0)
        warn_split(b, ref, out);
    return rc;
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

/*
 * Is it not sure that it stays? Two have meant it, or the one who did may not
 * have looked yet who else has.
 */
static bool is_open(const struct tip *head, const struct catalog_file *is)
{
    const struct move *m;

    if (is == NULL || is->from == NULL || is->beside != NULL ||
        head->moves == NULL)
        return is != NULL && is->beside != NULL;
    m = lineage_find(head->moves, is->from->id);
    return m != NULL && m->written_s > time(NULL) - OPEN_S;
}

/* What is to be done still, with what is there now. */
static int still_to_do(const struct names_change *c, const struct catalog *now,
    const struct tip *head, bool *out, struct err *e)
{
    *out = false;
    for (uint64_t i = 0; i < c->n; i++) {
        const struct catalog_file *f = &c->files[i];
        const struct catalog_file *is = catalog_find(now, f->name);

        if (catalog_same(is, meant(f)) &&
            (c->commit[0] != '\0' || !is_open(head, is)))
            continue;
        *out = true;
        if (c->seen == NULL || catalog_same(is, catalog_find(c->seen, f->name)))
            continue;
        if (catalog_same(is, meant(f)))
            continue;
        return err_set(e, ERR_BUSY,
            "'%.*s' was %s by another process meanwhile", STR_ARG(f->name),
            is == NULL ? "removed" : "put");
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

/* What is replaced by the same is the writer's from then on, too. */
static void set_origin(const struct names_change *c, const struct origin *own)
{
    for (uint64_t i = 0; i < c->n && !c->left; i++) {
        c->files[i].from = own;
        c->files[i].beside = NULL;
    }
}

static int add_catalog(struct bucket *b, const struct names_change *c,
    const struct catalog *now, const struct tip *head, struct arena *arena,
    struct tip_side *out, struct err *e)
{
    const struct catalog none = { .n = 0 };
    struct catalog next = { .number = head->number + 1 };
    const struct origin *own;

    if (tip_origin(b, c->ref, head, arena, &own, e) != 0)
        return -1;
    set_origin(c, own);
    if (catalog_lay(&next, c->all ? &none : now, c->files, c->n, arena, e) !=
            0 ||
        (!c->left && check_folders(&next, c->files, c->n, e) != 0))
        return -1;
    snprintf(next.what, sizeof(next.what), "%s", c->what);
    memcpy(next.commit, c->commit, size_min(strlen(c->commit), 40));
    snprintf(out->id, sizeof(out->id), "%s", own != NULL ? own->id : "");
    return write_catalog(
        b, &next, head->n > 0 ? &head->sides[0] : NULL, c->claim, out, e);
}

int names_restore(struct bucket *b, const char *ref, const struct tip *seen,
    const struct catalog *c, const struct tip_side *at, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(WHO_MAX);
    struct intent claim AUTO(intent_drop) = INTENT_INIT;
    struct catalog next = *c;
    struct tip_side side = { .size = 0 };
    const struct origin *own;
    int rc;

    if (tip_origin(b, ref, seen, &arena, &own, e) != 0)
        return -1;
    snprintf(side.id, sizeof(side.id), "%s", own != NULL ? own->id : "");
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

/* Did others, who did not know of ours, mean something else by the name? */
static bool is_clash(const struct catalog *now, const struct catalog_file *f,
    const struct catalog_file *is, const struct catalog_file *ours)
{
    struct err why = ERR_INIT;

    for (; is != NULL; is = is->beside)
        if (is != ours && !catalog_same(is, ours) && !catalog_alike(is, ours))
            return true;
    return check_folders(now, f, 1, &why) != 0;
}

/* What the move of own has given, and is to be left to others. */
static int find_clashes(const struct names_change *c, const struct sides *sides,
    const struct catalog *now, const struct catalog *before,
    const struct origin *own, struct arena *arena, struct names_change *out,
    struct err *e)
{
    out->files = arena_alloc(arena, c->n, sizeof(*out->files), e);
    if (out->files == NULL)
        return -1;
    for (uint64_t i = 0; i < c->n; i++) {
        struct str name = c->files[i].name;
        const struct catalog_file *is = catalog_find(now, name);
        const struct catalog_file *ours = catalog_by(is, own);

        /* Who replaced it knew of it. */
        if (ours == NULL || !is_clash(now, &c->files[i], is, ours))
            continue;
        if (catalog_leave(sides, is, catalog_find(before, name), own, arena,
                &out->files[out->n++], e) != 0)
            return -1;
    }
    return 0;
}

/* Those that one move can cover, ours among them. */
static void cover_ours(struct tip *all, const char *id)
{
    for (size_t i = 0; i < all->n; i++)
        if (strcmp(all->sides[i].id, id) == 0) {
            struct tip_side s = all->sides[i];

            all->sides[i] = all->sides[0];
            all->sides[0] = s;
        }
    all->n = size_min(all->n, MOVE_OVER_MAX);
}

static int left_to_others(const struct bucket *b, const struct names_change *c,
    const struct names_change *left, struct err *e)
{
    err_set(e, ERR_BUSY, "'%.*s' was put by another process at the same time",
        STR_ARG(left->files[0].name));
    return err_hint(e, "%ssee mlfetch ls %s, then do it again",
        left->n < c->n ? "the rest was done: " : "", b->shown);
}

/*
 * The move was made, and others count beside it. A name that one of them means
 * something else by is left to that by one more move: they may not know of
 * ours, and have told their user that all is well.
 * 0: it stands; 1: another commit counts; -1 with *e.
 */
static int stand(struct bucket *b, const struct names_change *c,
    const struct catalog *before, const struct origin *own, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    struct names_change left = {
        .ref = c->ref, .what = "yield", .left = true, .claim = c->claim
    };
    struct tip_side next = { .size = 0 };
    struct sides sides;
    struct catalog now;
    struct tip all;

    if (tip_read(b, c->ref, &arena, &all, e) != 0)
        return -1;
    if (all.n == 0)
        return 0;
    if (load_sides(b, all, &arena, &sides, e) != 0 ||
        catalog_join(&now, &sides, &arena, e) != 0)
        return -1;
    if (strcmp(now.commit, c->commit) != 0)
        return 1;
    if (find_clashes(c, &sides, &now, before, own, &arena, &left, e) != 0)
        return -1;
    if (left.n == 0)
        return 0;
    left.commit = now.commit;
    cover_ours(&all, own->id);
    return add_catalog(b, &left, &now, &all, &arena, &next, e) != 0 ||
                   tip_move(b, c->ref, &all, &next, e) < 0
               ? -1
               : left_to_others(b, c, &left, e);
}

/* An error does not undo it. */
static int after_move(struct bucket *b, struct err *e)
{
    if (e->kind == ERR_BUSY)
        return -1;
    if (e->kind == ERR_NET || e->kind == ERR_CANCELLED)
        return tip_unsure(e);
    return err_ctx(e,
        "%s: done, but what others did at the same time is not known",
        b->shown);
}

/* 0; 1: once more; -1 with *e. *number: a move was made. */
static int try_commit(struct bucket *b, const struct names_change *c,
    uint64_t *number, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    struct tip_side next = { .size = 0 };
    struct catalog now;
    struct tip head;
    struct origin own;
    bool todo, beside;
    int rc;

    if (names_load(b, c->ref, &arena, &now, &head, e) != 0)
        return -1;
    if (head.n > MOVE_OVER_MAX)
        return cover_some(b, c, head, &arena, e);
    if (c->only != NULL && strcmp(now.commit, c->only) != 0) {
        *number = 0;
        return 0;
    }
    if (still_to_do(c, &now, &head, &todo, e) != 0)
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
    *number = own.number = head.number + 1;
    memcpy(own.id, next.id, sizeof(own.id));
    if (tip_beside(b, c->ref, &head, next.id, &beside, e) != 0)
        return after_move(b, e);
    rc = beside ? stand(b, c, &now, &own, e) : 0;
    return rc < 0 ? after_move(b, e) : rc;
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

    *number = 0;
    if (with.claim == NULL)
        with.claim = &claim;
    for (int tries = 0; tries < MOVE_TRIES; tries++) {
        int rc = try_commit(b, change, number, e);

        if (rc < 0 && e->kind == ERR_BUSY)
            err_hint(e, "%ssee mlfetch ls %s, then do it again",
                *number > 0 ? "" : "nothing was changed: ", b->shown);
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
