#include "bucket/survey.h"

#include <stdlib.h>
#include <string.h>

#include "bucket/intent.h"

/* So many catalogs back a ref is followed at most. */
enum { STEPS_MAX = 100000 };

static int cmp_needs(const void *a, const void *b)
{
    const struct need *x = a, *y = b;

    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return strcmp(x->sha256.hex, y->sha256.hex);
}

static void sort(struct survey *s)
{
    uint64_t n = 0;

    if (s->n > 1)
        qsort(s->v, s->n, sizeof(*s->v), cmp_needs);
    for (uint64_t i = 0; i < s->n; i++) {
        if (n > 0 && cmp_needs(&s->v[n - 1], &s->v[i]) == 0) {
            struct need *is = &s->v[n - 1], *more = &s->v[i];
            uint64_t names = is->names + more->names;
            bool claimed = is->claimed || more->claimed;

            if (is->ref.len == 0)
                *is = *more;
            is->names = names;
            is->claimed = claimed;
            continue;
        }
        s->v[n++] = s->v[i];
    }
    s->n = n;
}

static int add(struct survey *s, const struct need *n, struct err *e)
{
    struct need *v = s->v;

    /* Catalogs name mostly what others name, too. */
    if (s->n == s->room) {
        sort(s);
        if (s->n >= s->room / 2)
            v = arena_grow(s->arena, s->v, s->room, &s->room, sizeof(*v), e);
    }
    if (v == NULL)
        return -1;
    s->v = v;
    s->v[s->n++] = *n;
    return 0;
}

const struct need *survey_find(
    const struct survey *s, enum content_kind kind, const struct digest *sha256)
{
    const struct need key = { .kind = kind, .sha256 = *sha256 };

    return s->n == 0 ? NULL
                     : bsearch(&key, s->v, s->n, sizeof(*s->v), cmp_needs);
}

static int add_file(struct survey *s, struct str ref,
    const struct catalog_file *f, bool named, struct err *e)
{
    struct need n = { .kind = CONTENT_BLOB,
        .sha256 = f->sha256,
        .size = f->size,
        .ref = ref,
        .names = 1 };

    if (named)
        n.name = f->name;
    return f->held ? add(s, &n, e) : 0;
}

/* With the names, which the catalog has, or without. */
static int add_catalog(struct survey *s, struct str ref,
    const struct catalog *c, bool named, struct err *e)
{
    for (uint64_t i = 0; i < c->n; i++)
        for (const struct catalog_file *f = &c->files[i]; f != NULL;
             f = f->beside)
            if (add_file(s, ref, f, named, e) != 0)
                return -1;
    return 0;
}

static int add_manifest(struct survey *s, struct str ref,
    const struct digest *sha256, uint64_t size, struct err *e)
{
    struct need n = { .kind = CONTENT_MANIFEST,
        .sha256 = *sha256,
        .size = size,
        .ref = ref,
        .names = 1 };

    return add(s, &n, e);
}

/* What the ref meant before, as long as it is not long ago. */
static int add_past(struct bucket *b, struct survey *s, struct str ref,
    const struct catalog *from, int64_t written_s, int64_t since_s,
    struct err *e)
{
    struct catalog c = *from;

    for (int i = 0; i < STEPS_MAX && written_s >= since_s; i++) {
        struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
        struct s3_info info = { .found = false };
        struct err why = ERR_INIT;
        char key[S3_KEY_MAX + 1];
        struct digest parent;
        uint64_t size = c.parent_size;

        if (c.parent[0] == '\0' || !digest_parse(&parent, str_of(c.parent)))
            return 0;
        if (content_key(b, CONTENT_MANIFEST, &parent, key, e) != 0 ||
            s3_head(b->s3, key, &info, e) != 0)
            return -1;
        /* Gone, or damaged: nobody can be reading by it. */
        if (!info.found ||
            names_catalog(b, &parent, size, &arena, &c, &why) != 0) {
            if (why.kind == ERR_NONE || why.kind == ERR_CORRUPT)
                return 0;
            *e = why;
            return -1;
        }
        if (add_manifest(s, ref, &parent, size, e) != 0 ||
            add_catalog(s, ref, &c, false, e) != 0)
            return -1;
        written_s = info.modified_s;
    }
    return 0;
}

/* What a move meant that counted since, whoever else has covered it. */
static int add_recent(struct bucket *b, struct survey *s, struct str ref,
    int64_t since_s, struct err *e)
{
    struct tip_side *v;
    uint64_t n;

    if (tip_recent(b, ref.p, since_s, s->arena, &v, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
        struct err why = ERR_INIT;
        struct catalog c;

        if (names_catalog(b, &v[i].catalog, v[i].size, &arena, &c, &why) == 0) {
            if (add_manifest(s, ref, &v[i].catalog, v[i].size, e) != 0 ||
                add_catalog(s, ref, &c, false, e) != 0)
                return -1;
        } else if (why.kind != ERR_CORRUPT) {
            *e = why;
            return -1;
        }
    }
    return 0;
}

static int add_ref(struct bucket *b, struct survey *s, struct str ref,
    int64_t since_s, struct err *e)
{
    struct catalog c;
    struct tip head;

    if (names_load(b, ref.p, s->arena, &c, &head, e) != 0)
        return -1;
    if (head.n == 0)
        return 0;
    for (size_t i = 0; i < head.n; i++)
        if (add_manifest(
                s, ref, &head.sides[i].catalog, head.sides[i].size, e) != 0)
            return -1;
    if (add_catalog(s, ref, &c, true, e) != 0 ||
        add_recent(b, s, ref, since_s, e) != 0)
        return -1;
    return add_past(
        b, s, ref, &c, head.sides[head.n - 1].written_s, since_s, e);
}

static int note_bad(
    struct survey *s, struct str ref, struct err *why, struct err *e)
{
    struct bad_ref *bad = &s->bad[s->n_bad];

    if (why->kind != ERR_CORRUPT) {
        *e = *why;
        return -1;
    }
    bad->ref = ref;
    bad->why = arena_str(s->arena, str_of(why->msg), e);
    s->n_bad++;
    return bad->why.p != NULL ? 0 : -1;
}

int survey_run(
    struct bucket *b, int64_t since_s, struct survey *s, struct err *e)
{
    if (tip_names(b, "", s->arena, &s->refs, &s->n_refs, e) != 0)
        return -1;
    s->bad = arena_alloc(s->arena, s->n_refs, sizeof(*s->bad), e);
    if (s->bad == NULL)
        return -1;
    for (uint64_t i = 0; i < s->n_refs; i++) {
        struct err why = ERR_INIT, ignored = ERR_INIT;

        /* Whoever removes asks again, and then it counts. */
        if (s->turn != NULL)
            turn_check(s->turn, &ignored);
        if (add_ref(b, s, s->refs[i], since_s, &why) != 0 &&
            note_bad(s, s->refs[i], &why, e) != 0)
            return -1;
    }
    sort(s);
    return 0;
}

static int add_claim(void *arg, const struct digest *sha256, struct err *e)
{
    struct need n = {
        .kind = CONTENT_BLOB, .sha256 = *sha256, .claimed = true
    };

    if (add(arg, &n, e) != 0)
        return -1;
    n.kind = CONTENT_MANIFEST;
    return add(arg, &n, e);
}

int survey_claims(
    struct bucket *b, int64_t now_s, struct survey *s, struct err *e)
{
    return intent_all(b, now_s, s->turn != NULL, add_claim, s, e);
}
