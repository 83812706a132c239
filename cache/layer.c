#include "cache/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/aside.h"
#include "cache/lease.h"

#include "base/cancel.h"
#include "base/env.h"
#include "base/file.h"
#include "base/path.h"

enum { DIGITS_MAX = 12 };

static int epoch(int64_t *out, struct err *e)
{
    const char *text = env_get("SOURCE_DATE_EPOCH");

    *out = 0;
    if (text == NULL)
        return 0;
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] < '0' || text[i] > '9' || i == DIGITS_MAX) {
            err_set(e, ERR_USAGE,
                "SOURCE_DATE_EPOCH: '%.40s' is no number of seconds", text);
            return err_hint(e, "it counts from the start of 1970: date +%%s");
        }
        *out = 10 * *out + (text[i] - '0');
    }
    return 0;
}

/* That of its parents that is there; itself, where it is. */
static void nearest(char out[PATH_MAX], const char *root)
{
    char up[PATH_MAX];

    snprintf(out, PATH_MAX, "%s", root);
    while (access(out, F_OK) != 0 && strcmp(out, "/") != 0 &&
           strcmp(out, ".") != 0) {
        path_dir(up, sizeof(up), out);
        memcpy(out, up, sizeof(up));
    }
}

int layer_begin(struct layer *out, const struct hubdir *h, struct err *e)
{
    out->dir = h;
    nearest(out->under, h->root);
    return epoch(&out->time, e);
}

/* ---- times ---- */

static int date(const struct layer *l, const char *path, const struct stat *st)
{
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
        { .tv_sec = l->time } };

    if (st->st_mtim.tv_sec < l->time ||
        (st->st_mtim.tv_sec == l->time && st->st_mtim.tv_nsec == 0))
        return 0;
    return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}

static int date_one(const struct layer *l, const char *path, struct err *e)
{
    struct stat st;

    if (lstat(path, &st) == 0 && date(l, path, &st) != 0)
        return err_sys(e, "cannot set the time of %s", path);
    return 0;
}

static void tree_close(FTS **t)
{
    if (*t != NULL)
        fts_close(*t);
}

/* Of a folder of the root's, or a file, and all below it; links as links. */
static int date_tree(const struct layer *l, const char *part, struct err *e)
{
    char root[PATH_MAX];
    char *const roots[] = { root, NULL };
    FTS *t AUTO(tree_close) = NULL;
    FTSENT *f;

    if (path_join(root, l->dir->root, part, e) != 0)
        return -1;
    if (access(root, F_OK) != 0)
        return 0;
    t = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (t == NULL)
        return err_sys(e, "cannot read %s", root);
    while ((f = fts_read(t)) != NULL) {
        if (cancel_check(e) != 0)
            return -1;
        errno = f->fts_errno;
        if (f->fts_info == FTS_DNR || f->fts_info == FTS_ERR ||
            f->fts_info == FTS_NS)
            return err_sys(e, "cannot read %s", f->fts_path);
        /* A folder comes twice: the second time all in it is done. */
        if (f->fts_info != FTS_D && date(l, f->fts_path, f->fts_statp) != 0)
            return err_sys(e, "cannot set the time of %s", f->fts_path);
    }
    return errno != 0 ? err_sys(e, "cannot read %s", root) : 0;
}

/* ---- what is of no use in an image ---- */

/* rmdir takes none that holds something. */
static int prune(const struct layer *l, const struct repo *r, struct err *e)
{
    char ml[PATH_MAX], path[PATH_MAX];
    DIR *d AUTO(dir_close) = NULL;
    const struct dirent *entry;

    if (path_fmt(ml, e, "%s/%s/ml", l->dir->root, r->folder) != 0)
        return -1;
    d = opendir(ml);
    while (d != NULL && (entry = readdir(d)) != NULL)
        if (entry->d_name[0] != '.') {
            if (path_join(path, ml, entry->d_name, e) != 0)
                return -1;
            rmdir(path);
        }
    return 0;
}

int layer_settle(const struct layer *l, const struct repo *r, struct err *e)
{
    struct lease lease AUTO(lease_free) = LEASE_INIT;
    char part[PATH_MAX], path[PATH_MAX];

    if (lease_of_repo(l->dir, r, path, e) != 0 ||
        lease_take(&lease, path, r->id, e) != 0 ||
        hubdir_idle(l->dir, r, e) != 0 || prune(l, r, e) != 0 ||
        date_tree(l, r->folder, e) != 0 ||
        path_fmt(part, e, ".locks/%s", r->folder) != 0 ||
        aside_inside(l->dir->root, part, path, e) != 0)
        return -1;
    return aside_remove(path, e);
}

int layer_end(const struct layer *l, struct err *e)
{
    char path[PATH_MAX], up[PATH_MAX];

    if (path_join(path, l->dir->root, ".locks", e) != 0)
        return -1;
    /* It stays where a signature was remembered, or others' locks are. */
    rmdir(path);
    if (date_tree(l, ".locks/ml-warm", e) != 0 || date_one(l, path, e) != 0 ||
        date_tree(l, "CACHEDIR.TAG", e) != 0 ||
        date_one(l, l->dir->root, e) != 0)
        return -1;
    memcpy(path, l->dir->root, sizeof(path));
    while (strlen(path) > strlen(l->under)) {
        struct err why = ERR_INIT;

        path_dir(up, sizeof(up), path);
        memcpy(path, up, sizeof(path));
        /* The last one was there before, and may be another user's. */
        if (date_one(l, path, &why) != 0 && strcmp(path, l->under) != 0) {
            *e = why;
            return -1;
        }
    }
    return 0;
}
