/* From a manifest to everything that follows it. */
#include "cache/archive.h"
#include "cache/hubdir_internal.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/listing.h"
#include "cache/walk.h"

#include "base/path.h"

/* A tree of 100,000 files is about 20 MB. */
enum { TREE_TEXT_MAX = 256 << 20 };

struct making {
    const struct archive *a;
    struct members *out;
    struct arena *arena;
    uint64_t cap, contents_cap;
    uint64_t *table;   /* content's index + 1, by digest */
    uint64_t slots;    /* a power of two */
    struct str *paths; /* of contents: their first member */
    uint64_t grouped;  /* contents */
    struct err *e;
};

static int add(struct making *m, struct member member)
{
    struct member *v =
        arena_grow(m->arena, m->out->v, m->out->n, &m->cap, sizeof(*v), m->e);

    if (v == NULL)
        return -1;
    m->out->v = v;
    v[m->out->n++] = member;
    return 0;
}

/* The path in the archive, kept. */
PRINTF_LIKE(3, 4)
static int path_of(struct making *m, struct str *out, const char *fmt, ...)
{
    char text[PATH_MAX];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof(text))
        return err_set(m->e, ERR_REFUSED, "'%.100s...': too long", text);
    *out = arena_str(m->arena, (struct str){ text, (size_t)n }, m->e);
    return out->p == NULL ? -1 : 0;
}

static int add_text(struct making *m, struct str path, struct str text)
{
    return add(
        m, (struct member){
               .tar = { .path = path, .type = TAR_FILE, .size = text.len },
               .text = text.p != NULL ? text : str_of("") });
}

/* ---- contents ---- */

static uint64_t slot_of(const struct making *m, const struct digest *d)
{
    uint64_t h = 0;

    for (unsigned i = 0; i < 16; i++)
        h = 16 * h + (unsigned char)d->hex[i] % 32;
    return (h ^ h >> 29) & (m->slots - 1);
}

/* Where it is in the table, or belongs. */
static uint64_t *find(const struct making *m, const struct digest *d)
{
    uint64_t at = slot_of(m, d);

    while (m->table[at] != 0 &&
           !digest_eq(&m->out->contents[m->table[at] - 1].digest, d))
        at = (at + 1) & (m->slots - 1);
    return &m->table[at];
}

static int by_group(const void *key, const void *group)
{
    const struct digest *d = key;
    const struct archive_group *g = group;

    return strcmp(d->hex, g->digest.hex);
}

/* Grouped bytes are not what their name says: they stand apart. */
static int set_width(
    struct making *m, struct archive_content *content, struct str *path)
{
    const struct archive *a = m->a;
    const struct archive_group *g = a->n_groups > 0
                                        ? bsearch(&content->digest, a->groups,
                                              a->n_groups, sizeof(*g), by_group)
                                        : NULL;

    if (g == NULL)
        return 0;
    content->width = g->width;
    return path_of(m, path, "grouped/%.*s", STR_ARG(*path));
}

/* Its bytes, or, when they are there, a link to them. */
static int add_content(struct making *m, struct str path,
    struct archive_content *content, const struct repo *blob_of)
{
    uint64_t *at = find(m, &content->digest), i = m->out->n_contents;
    struct member member = { .tar = { .type = TAR_HARD }, .blob_of = blob_of };

    if (set_width(m, content, &path) != 0)
        return -1;
    member.tar.path = path;
    if (*at != 0) {
        const struct archive_content *first = &m->out->contents[*at - 1];

        if (first->size != content->size)
            return err_set(m->e, ERR_REFUSED,
                "'%.*s': two sizes for one digest", STR_ARG(path));
        member.tar.link = m->paths[*at - 1];
        member.content = first;
        return add(m, member);
    }
    if (!size_add(m->out->content_bytes, content->size, &m->out->content_bytes))
        return err_set(m->e, ERR_REFUSED, "more bytes than can be counted");
    m->grouped += content->width > 0;
    m->out->contents[i] = *content;
    m->paths[i] = path;
    *at = ++m->out->n_contents;
    member.tar.type = TAR_FILE;
    member.tar.size = content->size;
    member.content = &m->out->contents[i];
    return add(m, member);
}

/* Room for every file there is. */
static int open_table(struct making *m)
{
    uint64_t n = m->a->n_puts;

    for (uint64_t i = 0; i < m->a->n_revisions; i++)
        n += m->a->revisions[i].n_files;
    for (m->slots = 16; m->slots < 2 * n;)
        m->slots *= 2;
    m->table = arena_alloc(m->arena, m->slots, sizeof(*m->table), m->e);
    m->paths = arena_alloc(m->arena, n, sizeof(*m->paths), m->e);
    m->out->contents =
        arena_alloc(m->arena, n, sizeof(*m->out->contents), m->e);
    return m->table != NULL && m->paths != NULL && m->out->contents != NULL
               ? 0
               : -1;
}

/* ---- repositories ---- */

static int by_digest(const void *a, const void *b)
{
    const struct archive_content *x = a, *y = b;

    return strcmp(x->digest.hex, y->digest.hex);
}

/* The blobs of revisions from up to to, all of one repository. */
static int add_blobs(struct making *m, uint64_t from, uint64_t to)
{
    const struct archive_revision *v = m->a->revisions;
    struct archive_content *list;
    uint64_t n = 0;

    for (uint64_t i = from; i < to; i++)
        n += v[i].n_files;
    list = arena_alloc(m->arena, n, sizeof(*list), m->e);
    if (list == NULL)
        return -1;
    n = 0;
    for (uint64_t i = from; i < to; i++)
        for (uint64_t k = 0; k < v[i].n_files; k++)
            if (!v[i].files[k].absent)
                list[n++] = (struct archive_content){ .digest = *tree_etag(
                                                          &v[i].files[k].f),
                    .size = v[i].files[k].f.size,
                    .revision = i,
                    .file = &v[i].files[k] };
    if (n > 1)
        qsort(list, n, sizeof(*list), by_digest);
    for (uint64_t i = 0; i < n; i++) {
        struct str path;

        if (i > 0 && digest_eq(&list[i].digest, &list[i - 1].digest)) {
            if (list[i].size != list[i - 1].size)
                return err_set(m->e, ERR_REFUSED,
                    "'%.*s': two sizes for one digest",
                    STR_ARG(list[i].file->f.path));
            continue;
        }
        if (path_of(m, &path, "hub/%s/blobs/%s", v[from].repo.folder,
                list[i].digest.hex) != 0 ||
            add_content(m, path, &list[i], &v[from].repo) != 0)
            return -1;
    }
    return 0;
}

static int add_links(struct making *m, const struct archive_revision *r)
{
    uint64_t n = 0;
    char target[PATH_MAX];
    struct member member = { .tar = { .type = TAR_LINK } };

    for (uint64_t i = 0; i < r->n_files; i++) {
        if (r->files[i].absent)
            continue;
        n++;
        if (hubdir_link_text(&r->files[i].f, target, m->e) != 0 ||
            path_of(m, &member.tar.path, "hub/%s/snapshots/%s/%.*s",
                r->repo.folder, r->commit, STR_ARG(r->files[i].f.path)) != 0)
            return -1;
        member.tar.link = arena_str(m->arena, str_of(target), m->e);
        if (member.tar.link.p == NULL || add(m, member) != 0)
            return -1;
    }
    if (n > 0)
        return 0;
    member.tar.type = TAR_FOLDER;
    if (path_of(m, &member.tar.path, "hub/%s/snapshots/%s/", r->repo.folder,
            r->commit) != 0)
        return -1;
    return add(m, member);
}

static int add_listing(struct making *m, const struct archive_revision *r)
{
    struct buf b AUTO(buf_free) = BUF_INIT(TREE_TEXT_MAX);
    struct str path, text;
    struct tree tree;

    if (!r->listed)
        return 0;
    if (archive_lists(r, &tree, m->arena, m->e) != 0 ||
        hubdir_tree_text(&b, &tree, m->e) != 0 ||
        path_of(m, &path, "hub/%s/trees/%s.json", r->repo.folder, r->commit) !=
            0)
        return -1;
    text = arena_str(m->arena, buf_str(&b), m->e);
    return text.p == NULL ? -1 : add_text(m, path, text);
}

static int add_refs(struct making *m, const struct archive_revision *r)
{
    struct str path;

    for (uint64_t i = 0; i < r->n_refs; i++)
        if (path_of(m, &path, "hub/%s/refs/%.*s", r->repo.folder,
                STR_ARG(r->refs[i])) != 0 ||
            add_text(m, path, str_of(r->commit)) != 0)
            return -1;
    return 0;
}

/* One name, one commit; and no name is a folder of others. */
static int check_refs(struct making *m, uint64_t from, uint64_t to)
{
    struct listing list AUTO(listing_free) = LISTING_INIT;
    const struct archive_revision *v = m->a->revisions;
    struct tree ignored;

    for (uint64_t i = from; i < to; i++)
        for (uint64_t k = 0; k < v[i].n_refs; k++) {
            struct tree_file f = { .path = v[i].refs[k] };

            if (listing_put(&list, &f, m->e) != 0)
                return -1;
        }
    if (listing_end(&list, m->arena, &ignored, m->e) != 0)
        return err_ctx(m->e, "the references of %s", v[from].repo.id);
    return 0;
}

static int add_repository(struct making *m, uint64_t from, uint64_t to)
{
    const struct archive_revision *v = m->a->revisions;

    if (check_refs(m, from, to) != 0 || add_blobs(m, from, to) != 0)
        return -1;
    for (uint64_t i = from; i < to; i++)
        if (add_links(m, &v[i]) != 0 || add_listing(m, &v[i]) != 0 ||
            add_refs(m, &v[i]) != 0)
            return -1;
    return 0;
}

static int add_repositories(struct making *m)
{
    const struct archive_revision *v = m->a->revisions;
    uint64_t from = 0;

    if (m->a->n_revisions > 0 &&
        add_text(m, str_of("hub/CACHEDIR.TAG"), str_of(hubdir_tag)) != 0)
        return -1;
    for (uint64_t i = 1; i <= m->a->n_revisions; i++) {
        if (i < m->a->n_revisions &&
            strcmp(v[i].repo.folder, v[from].repo.folder) == 0)
            continue;
        if (add_repository(m, from, i) != 0)
            return -1;
        from = i;
    }
    return 0;
}

static int add_puts(struct making *m)
{
    for (uint64_t i = 0; i < m->a->n_puts; i++) {
        const struct archive_put *p = &m->a->puts[i];
        struct archive_content content = {
            .digest = p->sha256, .size = p->size, .put = p
        };
        struct str path;

        if (path_of(m, &path, "files/%.*s", STR_ARG(p->name)) != 0 ||
            add_content(m, path, &content, NULL) != 0)
            return -1;
    }
    return 0;
}

static int add_lock(struct making *m)
{
    const struct archive *a = m->a;
    struct str path;

    if (a->lock_name.len == 0)
        return 0;
    if (path_of(m, &path, "ml-archive/lock/%.*s", STR_ARG(a->lock_name)) != 0 ||
        add_text(m, path, a->lock_text) != 0)
        return -1;
    if (a->signature.len == 0)
        return 0;
    if (path_of(m, &path, "ml-archive/lock/%.*s.minisig",
            STR_ARG(a->lock_name)) != 0)
        return -1;
    return add_text(m, path, a->signature);
}

int archive_lists(const struct archive_revision *r, struct tree *out,
    struct arena *arena, struct err *e)
{
    out->n = r->n_files;
    out->files = arena_alloc(arena, r->n_files, sizeof(*out->files), e);
    if (out->files == NULL)
        return -1;
    for (uint64_t i = 0; i < r->n_files; i++)
        out->files[i] = r->files[i].f;
    return 0;
}

int archive_members(struct members *out, const struct archive *a,
    struct arena *arena, struct err *e)
{
    struct making m = { .a = a, .out = out, .arena = arena, .e = e };

    *out = (struct members){ .n = 0 };
    if (open_table(&m) != 0 || add_lock(&m) != 0 || add_repositories(&m) != 0 ||
        add_puts(&m) != 0)
        return -1;
    return m.grouped == a->n_groups
               ? 0
               : err_set(e, ERR_REFUSED,
                     "a content is grouped that no file of it has");
}

void archive_seal(
    struct buf *out, const struct digest *manifest, uint64_t n, uint64_t bytes)
{
    buf_printf(out,
        "{\"ml-archive-seal\": 1, \"manifest\": \"%s\", \"members\": %llu, "
        "\"bytes\": %llu}\n",
        manifest->hex, (unsigned long long)n, (unsigned long long)bytes);
}
