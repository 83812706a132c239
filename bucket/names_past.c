/* What the put files were: catalogs lead back to what they were made from. */
#include "bucket/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "bucket/content.h"
#include "cache/past.h"

/* ---- from one catalog to the next ---- */

static struct change change_of(
    const struct catalog_file *was, const struct catalog_file *is)
{
    struct change c = { .name = was != NULL ? was->name : is->name,
        .was = was != NULL,
        .is = is != NULL };

    if (was != NULL)
        c.old = names_entry(was);
    if (is != NULL)
        c.now = names_entry(is);
    return c;
}

/* Of the names below one; in arena, but the texts are the catalogs'. */
static int compare(const struct catalog *from, const struct catalog *to,
    struct str below, struct arena *arena, struct step *out, struct err *e)
{
    uint64_t i = 0, k = 0;

    out->n = 0;
    out->changes =
        arena_alloc(arena, from->n + to->n, sizeof(*out->changes), e);
    if (out->changes == NULL)
        return -1;
    while (i < from->n || k < to->n) {
        const struct catalog_file *a = i < from->n ? &from->files[i] : NULL;
        const struct catalog_file *b = k < to->n ? &to->files[k] : NULL;
        int order = a == NULL ? 1 : b == NULL ? -1 : str_cmp(a->name, b->name);

        if (order > 0)
            a = NULL;
        if (order < 0)
            b = NULL;
        i += a != NULL;
        k += b != NULL;
        if (!catalog_same(a, b) &&
            volume_is_below(a != NULL ? a->name : b->name, below))
            out->changes[out->n++] = change_of(a, b);
    }
    return 0;
}

static int keep_change(struct change *c, struct arena *arena, struct err *e)
{
    c->name = arena_str(arena, c->name, e);
    c->old.name = c->now.name = c->name;
    return c->name.p != NULL ? 0 : -1;
}

/* As a step of a log, with nothing in it that is the catalogs'. */
static int step_of(const struct catalog *from, const struct catalog *to,
    struct arena *arena, struct step *out, struct err *e)
{
    struct arena some AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    struct change *changes;

    *out = (struct step){ .number = to->number, .when = to->when };
    out->what = arena_str(arena, str_of(to->what), e);
    out->who = arena_str(arena, str_of(to->who), e);
    if (out->what.p == NULL || out->who.p == NULL ||
        compare(from, to, str_of(""), &some, out, e) != 0)
        return -1;
    changes = arena_alloc(arena, out->n, sizeof(*changes), e);
    if (changes == NULL)
        return -1;
    for (uint64_t i = 0; i < out->n; i++) {
        changes[i] = out->changes[i];
        if (keep_change(&changes[i], arena, e) != 0)
            return -1;
    }
    out->changes = changes;
    return 0;
}

/* ---- back ---- */

/* 0: *out is what of was made from; 1: that is not kept; -1 with *e. */
static int load_before(struct bucket *b, const struct catalog *of,
    struct arena *arena, struct catalog *out, struct err *e)
{
    struct err why = ERR_INIT;
    struct digest sha256;

    *out = (struct catalog){ .n = 0 };
    if (of->parent[0] == '\0')
        return 0;
    if (!digest_parse(&sha256, str_of(of->parent)))
        return 1;
    if (names_catalog(b, &sha256, of->parent_size, arena, out, &why) == 0)
        return out->number < of->number ? 0 : 1;
    if (why.kind == ERR_CORRUPT)
        return 1;
    *e = why;
    return -1;
}

/* Two catalogs at a time are in memory: those before them are gone again. */
struct walk {
    struct arena arena[2];
    struct catalog at, before;
    int nth;
};

static void walk_free(struct walk *w)
{
    arena_free(&w->arena[0]);
    arena_free(&w->arena[1]);
}

static int walk_back(struct bucket *b, struct walk *w, struct err *e)
{
    struct arena *arena = &w->arena[++w->nth % 2];

    arena_free(arena);
    *arena = (struct arena)ARENA_INIT(NAMES_ARENA_MAX);
    return load_before(b, &w->at, arena, &w->before, e);
}

int names_history(struct bucket *b, uint64_t most, struct arena *arena,
    struct history *out, struct err *e)
{
    struct walk w AUTO(walk_free) = { .arena = { ARENA_INIT(NAMES_ARENA_MAX),
                                          ARENA_INIT(NAMES_ARENA_MAX) } };
    uint64_t room = 0;

    *out = (struct history){ .last = 0 };
    if (bucket_need(b, e) != 0 ||
        names_load(b, NAMES_FILES, &w.arena[0], &w.at, NULL, e) != 0)
        return -1;
    out->last = w.at.number;
    while (w.at.number > 0 && out->n < most) {
        int rc = walk_back(b, &w, e);
        struct step *v;

        v = rc < 0
                ? NULL
                : arena_grow(arena, out->steps, out->n, &room, sizeof(*v), e);
        if (v == NULL)
            return -1;
        out->steps = v;
        /* What the oldest one that is kept has changed is not known. */
        if (step_of(
                rc > 0 ? &w.at : &w.before, &w.at, arena, &v[out->n++], e) != 0)
            return -1;
        if (rc > 0)
            break;
        w.at = w.before;
    }
    for (uint64_t i = 0; i < out->n / 2; i++) {
        struct step s = out->steps[i];

        out->steps[i] = out->steps[out->n - 1 - i];
        out->steps[out->n - 1 - i] = s;
    }
    return 0;
}

/* ---- and there again ---- */

static int not_kept(const struct bucket *b, const char *to, struct err *e)
{
    err_set(e, ERR_MISSING, "%s: what it was at '%s' is not kept, or damaged",
        b->shown, to);
    return err_hint(e,
        "mlcache gc removes what no name has led to for a day; "
        "see mlfetch log %s",
        b->shown);
}

/* Was a step of that time before the point? */
static int is_before(const char *point, int64_t when, bool *out, struct err *e)
{
    struct step step = { .number = 1, .when = when };
    struct history h = { .steps = &step, .n = 1, .last = 1 };
    uint64_t to;

    if (past_point(&h, point, &to, e) != 0)
        return -1;
    *out = to != 0;
    return 0;
}

/* The same by the store's clock, of a catalog. */
static int was_before(struct bucket *b, const char *point, const char *sha256,
    bool *out, struct err *e)
{
    struct s3_info info = { .found = false };
    char key[S3_KEY_MAX + 1];
    struct digest is;

    *out = false;
    if (!digest_parse(&is, str_of(sha256)))
        return 0;
    if (content_key(b, CONTENT_MANIFEST, &is, key, e) != 0 ||
        s3_head(b->s3, key, &info, e) != 0)
        return -1;
    return info.found ? is_before(point, info.modified_s, out, e) : 0;
}

/* From the oldest on, as a volume of this machine reads its log. */
static int point_of(const struct bucket *b, struct step *v, uint64_t n,
    bool cut, const char *point, uint64_t *to, struct err *e)
{
    struct history h = { .steps = v, .n = n, .last = n > 0 ? v[0].number : 0 };

    for (uint64_t i = 0; i < n / 2; i++) {
        struct step s = v[i];

        v[i] = v[n - 1 - i];
        v[n - 1 - i] = s;
    }
    if (past_point(&h, point, to, e) != 0)
        return -1;
    return *to == 0 && cut ? not_kept(b, point, e) : 0;
}

/*
 * The last step before a moment. A writer's clock may be wrong, so one of an
 * earlier date may have come later: it goes back until the store says so, too.
 */
static int find_moment(struct bucket *b, struct walk *w, char is[65],
    const char *point, uint64_t *to, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    struct step *v = NULL;
    uint64_t n = 0, room = 0;
    int rc = 0;

    while (w->at.number > 0 && rc == 0) {
        bool before;

        v = arena_grow(&arena, v, n, &room, sizeof(*v), e);
        if (v == NULL || is_before(point, w->at.when, &before, e) != 0 ||
            (before && was_before(b, point, is, &before, e) != 0))
            return -1;
        if (before) {
            *to = w->at.number;
            return 0;
        }
        v[n++] = (struct step){ .number = w->at.number, .when = w->at.when };
        memcpy(is, w->at.parent, 65);
        rc = walk_back(b, w, e);
        w->at = w->before;
    }
    return rc < 0 ? -1 : point_of(b, v, n, rc > 0, point, to, e);
}

/* The number of the step that was meant. */
static int find_point(
    struct bucket *b, const char *point, uint64_t *to, struct err *e)
{
    struct walk w AUTO(walk_free) = { .arena = { ARENA_INIT(NAMES_ARENA_MAX),
                                          ARENA_INIT(NAMES_ARENA_MAX) } };
    struct history h = { .n = 0 };
    struct tip head;
    char is[65];

    if (names_load(b, NAMES_FILES, &w.arena[0], &w.at, &head, e) != 0)
        return -1;
    h.last = w.at.number;
    if (past_point(&h, point, to, e) != 0)
        return -1;
    if (strchr(point, '-') == NULL || head.n == 0)
        return 0;
    snprintf(is, sizeof(is), "%.64s", head.sides[0].catalog.hex);
    return find_moment(b, &w, is, point, to, e);
}

/* The catalog that counted after step number; 0: none yet. */
static int load_then(struct bucket *b, const struct catalog *now,
    const char *point, uint64_t number, struct arena *arena,
    struct catalog *out, struct err *e)
{
    struct walk w AUTO(walk_free) = { .arena = { ARENA_INIT(NAMES_ARENA_MAX),
                                          ARENA_INIT(NAMES_ARENA_MAX) } };
    int rc;

    w.at = *now;
    *out = *now;
    if (now->number == number)
        return 0;
    while (w.at.number > 0) {
        struct digest sha256;

        rc = walk_back(b, &w, e);
        if (rc != 0)
            return rc < 0 ? -1 : not_kept(b, point, e);
        if (w.before.number > number) {
            w.at = w.before;
            continue;
        }
        *out = (struct catalog){ .n = 0 };
        if (w.before.number == 0)
            return 0;
        digest_parse(&sha256, str_of(w.at.parent));
        return names_catalog(b, &sha256, w.at.parent_size, arena, out, e);
    }
    return not_kept(b, point, e);
}

/* What is to come back must be there still, and stay. */
static int claim_all(struct bucket *b, const struct names_change *c,
    struct arena *arena, struct err *e)
{
    const struct digest **v = arena_alloc(arena, c->n, sizeof(*v), e);
    struct catalog_file **files = arena_alloc(arena, c->n, sizeof(*files), e);
    uint64_t n = 0;

    if (v == NULL || files == NULL)
        return -1;
    for (uint64_t i = 0; i < c->n; i++) {
        if (!c->files[i].held)
            continue;
        files[n] = &c->files[i];
        v[n++] = &c->files[i].sha256;
    }
    if (intent_add(c->claim, b, v, n, e) != 0 ||
        content_held(b, files, n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        if (files[i]->held)
            continue;
        err_set(e, ERR_MISSING, "'%.*s': its content of then is no longer held",
            STR_ARG(files[i]->name));
        return err_hint(e,
            "mlcache gc removes what no name has led to for a day; put the "
            "file again, or roll back other names only");
    }
    return 0;
}

static int set_files(struct names_change *c, const struct catalog *then,
    const struct step *s, struct arena *arena, struct err *e)
{
    c->files = arena_alloc(arena, s->n, sizeof(*c->files), e);
    if (c->files == NULL)
        return -1;
    for (c->n = 0; c->n < s->n; c->n++) {
        const struct catalog_file *f =
            catalog_find(then, s->changes[c->n].name);

        c->files[c->n] =
            f != NULL ? *f
                      : (struct catalog_file){ .name = s->changes[c->n].name };
    }
    return 0;
}

static bool has_below(const struct catalog *c, struct str name)
{
    for (uint64_t i = 0; i < c->n; i++)
        if (volume_is_below(c->files[i].name, name))
            return true;
    return false;
}

int names_rollback(struct bucket *b, const char *point, const char *name,
    struct step *out, struct arena *arena, struct err *e)
{
    struct intent claim AUTO(intent_drop) = INTENT_INIT;
    struct str below = str_of(name != NULL ? name : "");
    struct catalog now, then;
    struct names_change change = {
        .ref = NAMES_FILES, .commit = "", .seen = &now, .claim = &claim
    };
    char what[STEP_WHAT_MAX];
    uint64_t to;

    *out = (struct step){ .number = 0 };
    if ((name != NULL && path_check(below, e) != 0) || bucket_need(b, e) != 0 ||
        find_point(b, point, &to, e) != 0 ||
        names_load(b, NAMES_FILES, arena, &now, NULL, e) != 0 ||
        load_then(b, &now, point, to, arena, &then, e) != 0 ||
        compare(&now, &then, below, arena, out, e) != 0)
        return -1;
    if (name != NULL && !has_below(&now, below) && !has_below(&then, below))
        return names_missing(b, name, e);
    snprintf(what, sizeof(what), "rollback %llu", (unsigned long long)to);
    change.what = what;
    if (out->n == 0)
        return 0;
    return set_files(&change, &then, out, arena, e) != 0 ||
                   claim_all(b, &change, arena, e) != 0
               ? -1
               : names_commit(b, &change, &out->number, e);
}
