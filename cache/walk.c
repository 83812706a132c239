#include "cache/walk.h"

#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/path.h"

void *walk_grow(struct arena *arena, void *list, uint64_t n, uint64_t *cap,
    size_t size, struct err *e)
{
    uint64_t more = *cap == 0 ? 16 : 2 * *cap;
    void *p;

    if (n < *cap)
        return list;
    p = arena_alloc(arena, more, size, e);
    if (p == NULL)
        return NULL;
    if (n > 0)
        memcpy(p, list, n * size);
    *cap = more;
    return p;
}

static void walk_close(FTS **f)
{
    if (*f != NULL)
        fts_close(*f);
}

static int cmp_entries(const void *a, const void *b)
{
    const struct walk_entry *x = a, *y = b;

    return str_cmp(x->path, y->path);
}

/* Is it an entry? 1 yes, 0 no (a folder), -1 with *e. */
static int kind_of(const FTSENT *at, enum walk_kind *out, struct err *e)
{
    switch (at->fts_info) {
    case FTS_D:
    case FTS_DP:
        return 0;
    case FTS_F:
        *out = WALK_FILE;
        return 1;
    case FTS_SL:
    case FTS_SLNONE:
        *out = WALK_LINK;
        return 1;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        errno = at->fts_errno;
        return errno == ENOENT ? 0 : err_sys(e, "%s", at->fts_path);
    default:
        *out = WALK_OTHER;
        return 1;
    }
}

static int walk_all(FTS *f, size_t skip, struct arena *arena,
    struct walk_entry **out, uint64_t *out_n, struct err *e)
{
    uint64_t cap = 0;
    FTSENT *at;

    for (errno = 0; (at = fts_read(f)) != NULL; errno = 0) {
        struct walk_entry *w;
        enum walk_kind kind = WALK_OTHER;
        int rc = cancel_check(e) != 0 ? -1 : kind_of(at, &kind, e);

        if (rc < 0)
            return -1;
        if (rc == 0)
            continue;
        w = walk_grow(arena, *out, *out_n, &cap, sizeof(*w), e);
        if (w == NULL)
            return -1;
        *out = w;
        w += *out_n;
        w->kind = kind;
        w->size = kind == WALK_FILE ? (uint64_t)at->fts_statp->st_size : 0;
        w->path = arena_str(arena, str_of(at->fts_path + skip), e);
        if (w->path.p == NULL)
            return -1;
        ++*out_n;
    }
    return errno != 0 ? err_sys(e, "reading a folder") : 0;
}

int walk(const char *root, struct arena *arena, struct walk_entry **out,
    uint64_t *out_n, struct err *e)
{
    char top[PATH_MAX];
    char *roots[] = { top, NULL };
    FTS *f AUTO(walk_close) = NULL;
    struct stat st;
    size_t n;

    *out = NULL;
    *out_n = 0;
    if (path_fmt(top, e, "%s", root) != 0)
        return -1;
    for (n = strlen(top); n > 1 && top[n - 1] == '/'; n--)
        top[n - 1] = '\0';
    if (stat(top, &st) != 0)
        return errno == ENOENT ? 0 : err_sys(e, "%s", root);
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return err_sys(e, "%s", root);
    }
    f = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
    if (f == NULL)
        return err_sys(e, "%s", root);
    if (walk_all(f, strcmp(top, "/") == 0 ? 1 : n + 1, arena, out, out_n, e) !=
        0)
        return -1;
    if (*out_n > 1)
        qsort(*out, *out_n, sizeof(**out), cmp_entries);
    return 0;
}
