/* Files into a bucket, and names out of it, as one change each. */
#include "bucket/names.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/path.h"
#include "bucket/content.h"
#include "bucket/intent.h"

struct putting {
    struct bucket *b;
    const struct putlist_item *items;
    uint64_t n;
    struct catalog seen;
    struct catalog_file *files;
    struct content_file *content;
    struct arena *arena;
};

static int taken(const struct putting *p, uint64_t i, struct err *e)
{
    err_set(e, ERR_USAGE, "'%s' is in the volume already, with other content",
        p->items[i].name);
    return err_hint(e, "-f replaces it");
}

static int prepare(struct putting *p, bool force, struct err *e)
{
    p->files = arena_alloc(p->arena, p->n, sizeof(*p->files), e);
    p->content = arena_alloc(p->arena, p->n, sizeof(*p->content), e);
    if (p->files == NULL || p->content == NULL)
        return -1;
    for (uint64_t i = 0; i < p->n; i++) {
        struct str name = str_of(p->items[i].name);
        const struct catalog_file *is = catalog_find(&p->seen, name);

        if (is != NULL && !force && is->size != p->items[i].size)
            return taken(p, i, e);
        p->files[i] = (struct catalog_file){ .name = name,
            .size = p->items[i].size,
            .mtime = time(NULL),
            .held = true };
        p->content[i] = (struct content_file){ .file = p->items[i].file,
            .shown = p->items[i].name,
            .out = &p->files[i] };
    }
    return names_fit(&p->seen, p->files, p->n, p->arena, e);
}

/* What the digests tell: no other content without being asked. */
static int check_taken(const struct putting *p, struct err *e)
{
    for (uint64_t i = 0; i < p->n; i++) {
        const struct catalog_file *is =
            catalog_find(&p->seen, p->files[i].name);

        if (is != NULL && !catalog_same(is, &p->files[i]))
            return taken(p, i, e);
    }
    return 0;
}

static int claim_files(
    struct intent *claim, const struct putting *p, struct err *e)
{
    const struct digest **v = arena_alloc(p->arena, p->n, sizeof(*v), e);

    if (v == NULL)
        return -1;
    for (uint64_t i = 0; i < p->n; i++)
        v[i] = &p->files[i].sha256;
    return intent_add(claim, p->b, v, p->n, e);
}

int names_put(struct bucket *b, const struct putlist_item *items, uint64_t n,
    bool force, struct progress *progress, struct putlist_done *out,
    struct arena *arena, struct err *e)
{
    struct putting p = { .b = b, .items = items, .n = n, .arena = arena };
    struct intent claim AUTO(intent_drop) = INTENT_INIT;
    struct names_change change = {
        .ref = NAMES_FILES, .what = "put", .commit = "", .n = n, .seen = &p.seen
    };

    *out = (struct putlist_done){ .step = 0 };
    out->entries = arena_alloc(arena, n, sizeof(*out->entries), e);
    out->copied = arena_alloc(arena, n, sizeof(*out->copied), e);
    if (out->entries == NULL || out->copied == NULL)
        return -1;
    if (bucket_know(b, true, e) != 0 ||
        names_load(b, NAMES_FILES, arena, &p.seen, NULL, e) != 0 ||
        prepare(&p, force, e) != 0 ||
        content_hash(p.content, n, progress, arena, e) != 0 ||
        (!force && check_taken(&p, e) != 0) ||
        claim_files(&claim, &p, e) != 0 ||
        content_send(b, p.content, n, progress, e) != 0)
        return -1;
    change.files = p.files;
    change.claim = &claim;
    if (names_commit(b, &change, &out->step, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        out->entries[i] = names_entry(&p.files[i]);
        out->copied[i] = p.content[i].copied;
    }
    return 0;
}

/* ---- rm ---- */

/* Mark what goes by one name. */
static int mark(const struct bucket *b, const struct catalog *c,
    const char *text, bool folders, bool *gone, struct err *e)
{
    char name[PATH_MAX];
    uint64_t count = 0;
    bool file = false;

    if (path_clean(name, text, e) != 0)
        return -1;
    for (uint64_t i = 0; i < c->n; i++) {
        if (!volume_is_below(c->files[i].name, str_of(name)))
            continue;
        file = file || str_is(c->files[i].name, name);
        gone[i] = true;
        count++;
    }
    if (count == 0)
        return names_missing(b, name, e);
    if (file || folders)
        return 0;
    err_set(e, ERR_USAGE, "'%s' is a folder, with %llu %s", name,
        (unsigned long long)count, count == 1 ? "file" : "files");
    return err_hint(e, "-r removes it, with all in it");
}

int names_rm(struct bucket *b, char *const *names, size_t n, bool folders,
    struct step *out, struct arena *arena, struct err *e)
{
    struct catalog seen;
    struct names_change change = {
        .ref = NAMES_FILES, .what = "rm", .commit = "", .seen = &seen
    };
    bool *gone;

    *out = (struct step){ .number = 0 };
    if (bucket_need(b, e) != 0 ||
        names_load(b, NAMES_FILES, arena, &seen, NULL, e) != 0)
        return -1;
    gone = arena_alloc(arena, seen.n, sizeof(*gone), e);
    change.files = arena_alloc(arena, seen.n, sizeof(*change.files), e);
    out->changes = arena_alloc(arena, seen.n, sizeof(*out->changes), e);
    if (gone == NULL || change.files == NULL || out->changes == NULL)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (mark(b, &seen, names[i], folders, gone, e) != 0)
            return -1;
    for (uint64_t i = 0; i < seen.n; i++) {
        if (!gone[i])
            continue;
        change.files[change.n++] =
            (struct catalog_file){ .name = seen.files[i].name };
        out->changes[out->n++] = (struct change){ .name = seen.files[i].name,
            .was = true,
            .old = names_entry(&seen.files[i]) };
    }
    return names_commit(b, &change, &out->number, e);
}
