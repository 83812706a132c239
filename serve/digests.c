#include "serve/digests.h"

#include <stdio.h>
#include <stdlib.h>

struct digests_pair {
    char oid[41];
    char sha256[65];
};

void digests_name(
    char out[DIGESTS_NAME_MAX], const char *folder, const char *commit)
{
    snprintf(out, DIGESTS_NAME_MAX, "%s %s", folder, commit);
}

static void forget(struct digests_of *of)
{
    free(of->v);
    *of = (struct digests_of){ .name = "" };
}

void digests_free(struct digests *d)
{
    for (size_t i = 0; i < DIGESTS_COMMITS; i++)
        forget(&d->v[i]);
}

static struct digests_of *find_of(struct digests *d, const char *name)
{
    for (size_t i = 0; i < DIGESTS_COMMITS; i++)
        if (d->v[i].name[0] != '\0' && strcmp(d->v[i].name, name) == 0)
            return &d->v[i];
    return NULL;
}

static struct digests_of *least_used(struct digests *d)
{
    struct digests_of *found = &d->v[0];

    for (size_t i = 1; i < DIGESTS_COMMITS; i++)
        if (d->v[i].used < found->used)
            found = &d->v[i];
    return found;
}

/* Room for n more files: what was used least lately goes, if all of it must. */
static struct digests_of *make_room(struct digests *d, size_t n)
{
    for (size_t tries = 0; tries < DIGESTS_COMMITS; tries++) {
        struct digests_of *first = NULL;
        size_t sum = n;

        for (size_t i = 0; i < DIGESTS_COMMITS; i++) {
            struct digests_of *of = &d->v[i];

            sum += of->n;
            if (of->n > 0 && (first == NULL || of->used < first->used))
                first = of;
        }
        if (sum <= DIGESTS_FILES || first == NULL)
            break;
        forget(first);
    }
    return least_used(d);
}

static bool counts(const struct catalog_file *f)
{
    return !f->lfs && f->held && f->oid.hex[0] != '\0' &&
           f->sha256.hex[0] != '\0';
}

static int cmp_pairs(const void *a, const void *b)
{
    const struct digests_pair *x = a, *y = b;

    return strcmp(x->oid, y->oid);
}

int digests_keep(struct digests *d, const char *folder, const char *commit,
    const struct catalog *c, uint64_t now_ms, struct err *e)
{
    struct digests_of of = { .read_ms = now_ms, .used = ++d->uses }, *at;

    digests_name(of.name, folder, commit);
    for (uint64_t i = 0; i < c->n; i++)
        of.n += counts(&c->files[i]);
    if (of.n > DIGESTS_FILES)
        return err_set(e, ERR_REFUSED, "%s has more than %d small files",
            of.name, DIGESTS_FILES);
    of.v = calloc(of.n + 1, sizeof(*of.v));
    if (of.v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    of.n = 0;
    for (uint64_t i = 0; i < c->n; i++) {
        const struct catalog_file *f = &c->files[i];

        if (!counts(f))
            continue;
        memcpy(of.v[of.n].oid, f->oid.hex, sizeof(of.v->oid));
        memcpy(of.v[of.n].sha256, f->sha256.hex, sizeof(of.v->sha256));
        of.n++;
    }
    qsort(of.v, of.n, sizeof(*of.v), cmp_pairs);
    at = find_of(d, of.name);
    if (at != NULL)
        forget(at);
    at = make_room(d, of.n);
    forget(at);
    *at = of;
    return 0;
}

bool digests_find(struct digests *d, const char *folder, const char *commit,
    const struct digest *oid, struct digest *out, uint64_t *read_ms)
{
    char name[DIGESTS_NAME_MAX];
    struct digests_pair key;
    const struct digests_pair *found;
    struct digests_of *of;

    snprintf(name, sizeof(name), "%s %s", folder, commit);
    of = find_of(d, name);
    *read_ms = of != NULL ? of->read_ms : 0;
    if (of == NULL)
        return false;
    of->used = ++d->uses;
    memcpy(key.oid, oid->hex, sizeof(key.oid));
    found = bsearch(&key, of->v, of->n, sizeof(key), cmp_pairs);
    if (found == NULL)
        return false;
    out->kind = HASH_SHA256;
    memcpy(out->hex, found->sha256, sizeof(found->sha256));
    return true;
}
