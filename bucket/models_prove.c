#include "bucket/models.h"

#include <string.h>

#include "bucket/content.h"

static int lacks(const struct bucket *b, const struct repo *r, struct str path,
    const char *commit, struct err *e)
{
    err_set(e, ERR_NET, "%s: '%.*s' of %s@%s is not in it", b->shown,
        STR_ARG(path), r->id, commit);
    return err_hint(e, "without --offline it is brought");
}

static int find(struct bucket *b, const struct repo *r, const char *commit,
    struct arena *arena, struct model *m, struct err *e)
{
    struct err why = ERR_INIT;

    if (models_find(b, r, arena, m, &why) != 0) {
        if (why.kind == ERR_MISSING)
            why.kind = ERR_NET;
        *e = why;
        return -1;
    }
    if (strcmp(m->commit, commit) == 0)
        return 0;
    err_set(e, ERR_NET, "%s: %s@%s is commit %s there, not %s", b->shown, r->id,
        r->revision, m->commit, commit);
    return err_hint(e, "without --offline it is made so");
}

/* Which objects these files are. */
static int gather(const struct bucket *b, const struct repo *r,
    const struct model *m, const struct tree *some, struct content_proof *v,
    struct err *e)
{
    for (uint64_t i = 0; i < some->n; i++) {
        const struct tree_file *t = &some->files[i];
        const struct catalog_file *f = catalog_find(&m->catalog, t->path);
        const struct digest *is;

        if (f == NULL || !f->held)
            return lacks(b, r, t->path, m->commit, e);
        is = t->lfs ? &f->sha256 : &f->oid;
        if (f->size != t->size || !digest_eq(is, tree_etag(t)))
            return err_set(e, ERR_CORRUPT, "%s: its '%.*s' of %s@%s is not %s",
                b->shown, STR_ARG(t->path), r->id, m->commit,
                tree_etag(t)->hex);
        v[i] = (struct content_proof){ .kind = CONTENT_BLOB,
            .sha256 = &f->sha256,
            .size = f->size,
            .oid = t->lfs ? NULL : &t->oid,
            .shown = f->name.p };
    }
    return 0;
}

static int unread(void *arg, uint64_t i, const struct err *why, struct err *e)
{
    (void)arg;
    (void)i;
    *e = *why;
    return -1;
}

int models_prove(struct bucket *b, const struct repo *r, const char *commit,
    const struct tree *some, enum progress_mode progress, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    struct content_proof *v = arena_alloc(&arena, some->n, sizeof(*v), e);
    struct model m;

    if (v == NULL || find(b, r, commit, &arena, &m, e) != 0 ||
        gather(b, r, &m, some, v, e) != 0 ||
        content_prove(b, v, some->n, progress, unread, NULL, e) != 0)
        return -1;
    for (uint64_t i = 0; i < some->n; i++) {
        struct str path = some->files[i].path;

        if (v[i].state == CONTENT_GONE)
            return lacks(b, r, path, commit, e);
        if (v[i].state == CONTENT_RIGHT)
            continue;
        err_set(e, ERR_CORRUPT,
            "%s: '%.*s' of %s@%s is damaged there: it is "
            "not %s",
            b->shown, STR_ARG(path), r->id, commit,
            tree_etag(&some->files[i])->hex);
        return err_hint(e,
            "mlcache verify --volume %s sets it aside, then it "
            "can be brought again",
            b->shown);
    }
    return 0;
}
