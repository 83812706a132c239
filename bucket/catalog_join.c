/* What several catalogs of one ref mean together. */
#include "bucket/catalog.h"

/* The name that comes first of all lists, and each one's meaning of it. */
struct row {
    const struct catalog *sides;
    size_t n;
    uint64_t *at;
    const struct catalog_file **is;
};

static bool next_name(struct row *r)
{
    const struct catalog_file *first = NULL;

    for (size_t k = 0; k < r->n; k++) {
        const struct catalog *c = &r->sides[k];

        r->is[k] = r->at[k] < c->n ? &c->files[r->at[k]] : NULL;
        if (r->is[k] != NULL &&
            (first == NULL || str_cmp(r->is[k]->name, first->name) < 0))
            first = r->is[k];
    }
    for (size_t k = 0; k < r->n && first != NULL; k++) {
        if (r->is[k] != NULL && !str_eq(r->is[k]->name, first->name))
            r->is[k] = NULL;
        r->at[k] += r->is[k] != NULL;
    }
    return first != NULL;
}

static bool better(const struct kin *kin, const struct catalog_file *a,
    const struct catalog_file *b)
{
    if (b == NULL || a->held != b->held)
        return b == NULL || a->held;
    return kin_order(kin, a->from, b->from) < 0;
}

const struct catalog_file *catalog_by(
    const struct catalog_file *f, const struct origin *of)
{
    while (f != NULL && !origin_same(f->from, of))
        f = f->beside;
    return f;
}

bool catalog_split(const struct catalog_file *f)
{
    for (const struct catalog_file *o = f->beside; o != NULL; o = o->beside)
        if (!catalog_same(f, o))
            return true;
    return false;
}

/* Has a side that knew of it given the name another meaning, or none? */
static bool replaced(
    const struct row *r, const struct kin *kin, const struct catalog_file *f)
{
    for (size_t k = 0; k < r->n; k++)
        if (catalog_by(r->is[k], f->from) == NULL && kin_knows(kin, k, f->from))
            return true;
    return false;
}

/* Has one removed it that knew of it? */
static bool removed(
    const struct row *r, const struct kin *kin, const struct catalog_file *f)
{
    for (size_t k = 0; k < r->n; k++)
        if (r->is[k] == NULL && kin_knows(kin, k, f->from))
            return true;
    return false;
}

static bool is_plain(const struct row *r)
{
    for (size_t k = 0; k < r->n; k++)
        if (r->is[k] == NULL || r->is[k]->beside != NULL || r->is[0] == NULL ||
            !origin_same(r->is[k]->from, r->is[0]->from))
            return false;
    return true;
}

/* One more meaning, behind those that are better. */
static int insert(struct catalog_file **list, const struct catalog_file *f,
    const struct kin *kin, struct arena *arena, struct err *e)
{
    struct catalog_file *own;

    if (catalog_by(*list, f->from) != NULL)
        return 0;
    own = arena_alloc(arena, 1, sizeof(*own), e);
    if (own == NULL)
        return -1;
    while (*list != NULL && !better(kin, f, *list))
        list = &(*list)->beside;
    *own = *f;
    own->beside = *list;
    *list = own;
    return 0;
}

/* A file of a commit means the same to all: once is enough. */
static void drop_alike(struct catalog_file *list)
{
    for (struct catalog_file *at = list; at->beside != NULL;)
        if (catalog_alike(list, at->beside))
            at->beside = at->beside->beside;
        else
            at = at->beside;
}

static int insert_all(const struct row *r, const struct kin *kin, bool all,
    struct arena *arena, struct catalog_file **out, struct err *e)
{
    for (size_t k = 0; k < r->n; k++)
        for (const struct catalog_file *f = r->is[k]; f != NULL; f = f->beside)
            if ((all ? !removed(r, kin, f) : !replaced(r, kin, f)) &&
                insert(out, f, kin, arena, e) != 0)
                return -1;
    return 0;
}

/* *out: NULL where it is gone. */
static int choose(const struct row *r, const struct kin *kin,
    struct arena *arena, struct catalog_file **out, struct err *e)
{
    *out = NULL;
    if (insert_all(r, kin, false, arena, out, e) != 0)
        return -1;
    /* Each in place of the other: two writers have left it to each other. */
    if (*out == NULL && insert_all(r, kin, true, arena, out, e) != 0)
        return -1;
    if (*out != NULL)
        drop_alike(*out);
    return 0;
}

int catalog_join(struct catalog *out, const struct sides *sides,
    struct arena *arena, struct err *e)
{
    struct row r = { .sides = sides->v, .n = sides->n };
    struct catalog_file *v;
    uint64_t room = 0, count = 0;

    for (size_t k = 0; k < r.n; k++)
        room += r.sides[k].n;
    r.at = arena_alloc(arena, r.n, sizeof(*r.at), e);
    r.is = arena_alloc(arena, r.n, sizeof(struct catalog_file *), e);
    v = arena_alloc(arena, room, sizeof(*v), e);
    if (r.at == NULL || r.is == NULL || v == NULL)
        return -1;
    *out = sides->v[0];
    while (next_name(&r)) {
        struct catalog_file *chosen;

        if (is_plain(&r)) {
            v[count++] = *r.is[0];
            continue;
        }
        if (choose(&r, &sides->kin, arena, &chosen, e) != 0)
            return -1;
        if (chosen != NULL)
            v[count++] = *chosen;
    }
    out->files = v;
    out->n = count;
    return 0;
}

/* Has a side that does not have it because of own replaced it? */
static bool replaced_beside(const struct sides *s,
    const struct catalog_file *was, const struct origin *own)
{
    for (size_t k = 0; k < s->n; k++) {
        const struct catalog_file *is = catalog_find(&s->v[k], was->name);

        if (catalog_by(is, own) == NULL && catalog_by(is, was->from) == NULL &&
            kin_knows(&s->kin, k, was->from))
            return true;
    }
    return false;
}

int catalog_leave(const struct sides *sides, const struct catalog_file *is,
    const struct catalog_file *was, const struct origin *own,
    struct arena *arena, struct catalog_file *out, struct err *e)
{
    struct catalog_file *list = NULL;

    *out = (struct catalog_file){ .name = is->name };
    for (; is != NULL; is = is->beside)
        if (!origin_same(is->from, own) &&
            insert(&list, is, &sides->kin, arena, e) != 0)
            return -1;
    for (; was != NULL; was = was->beside)
        if (!replaced_beside(sides, was, own) &&
            insert(&list, was, &sides->kin, arena, e) != 0)
            return -1;
    if (list != NULL)
        *out = *list;
    return 0;
}
