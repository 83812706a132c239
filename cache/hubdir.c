/* Where things are, and the parts of the layout that are not one commit's. */
#include "cache/hubdir.h"
#include "cache/hubdir_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache/mode.h"
#include "cache/walk.h"

#include "base/env.h"
#include "base/file.h"
#include "base/path.h"

const char hubdir_tag[] =
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This file is a cache directory tag created by huggingface_hub.\n"
    "# For information about cache directory tags, see:\n"
    "#\thttps://bford.info/cachedir/\n";

int hubdir_default(struct hubdir *out, struct err *e)
{
    char base[PATH_MAX];
    int rc;

    if (env_path("HF_HUB_CACHE", out->root) ||
        env_path("HUGGINGFACE_HUB_CACHE", out->root))
        rc = 0;
    else if (env_path("HF_HOME", base))
        rc = path_join(out->root, base, "hub", e);
    else if (env_path("XDG_CACHE_HOME", base))
        rc = path_join(out->root, base, "huggingface/hub", e);
    else
        rc = path_join(out->root, env_home(), ".cache/huggingface/hub", e);
    if (rc == 0)
        out->root[path_len(out->root)] = '\0';
    return rc;
}

/* Write path by way of a temporary name in work. */
static int put_from(
    const char *work, const char *path, struct str bytes, struct err *e)
{
    struct file_new f AUTO(file_new_abandon) = FILE_NEW_INIT;

    if (file_new_begin_in(&f, work, path, e) != 0 ||
        file_write_at(f.fd, bytes.p, bytes.len, 0, path, e) != 0)
        return -1;
    return file_new_commit(&f, mode_masked(0666), e);
}

int hubdir_init(const struct hubdir *h, struct err *e)
{
    char locks[PATH_MAX], tag[PATH_MAX];

    if (path_join(locks, h->root, ".locks", e) != 0 ||
        path_join(tag, h->root, "CACHEDIR.TAG", e) != 0)
        return -1;
    if (access(tag, F_OK) == 0)
        return 0;
    if (dir_make(locks, e) != 0)
        return -1;
    return put_from(locks, tag, str_of(hubdir_tag), e);
}

int hubdir_blob(const struct hubdir *h, const struct repo *r,
    const struct digest *etag, char *out, struct err *e)
{
    return path_fmt(out, e, "%s/%s/blobs/%s", h->root, r->folder, etag->hex);
}

int hubdir_partial(const struct hubdir *h, const struct repo *r,
    const struct digest *etag, char *out, struct err *e)
{
    return path_fmt(
        out, e, "%s/%s/blobs/%s.ml.incomplete", h->root, r->folder, etag->hex);
}

int hubdir_journal(const struct hubdir *h, const struct repo *r,
    const struct digest *etag, char *out, struct err *e)
{
    return path_fmt(
        out, e, "%s/%s/ml/journal/%s", h->root, r->folder, etag->hex);
}

int hubdir_snapshot(const struct hubdir *h, const struct repo *r,
    const char *commit, char *out, struct err *e)
{
    return path_fmt(out, e, "%s/%s/snapshots/%s", h->root, r->folder, commit);
}

int hubdir_converted(
    const struct hubdir *h, const struct repo *r, char *out, struct err *e)
{
    return path_fmt(out, e, "%s/%s/ml/uniform", h->root, r->folder);
}

unsigned hubdir_mode(void)
{
    return mode_masked(0444);
}

int hubdir_work(
    const struct hubdir *h, const struct repo *r, char *out, struct err *e)
{
    if (path_fmt(out, e, "%s/%s/ml", h->root, r->folder) != 0)
        return -1;
    return dir_make(out, e);
}

int hubdir_put(const struct hubdir *h, const struct repo *r, const char *path,
    struct str bytes, struct err *e)
{
    char work[PATH_MAX], dir[PATH_MAX];

    path_dir(dir, sizeof(dir), path);
    if (hubdir_work(h, r, work, e) != 0 || dir_make(dir, e) != 0)
        return -1;
    return put_from(work, path, bytes, e);
}

static int ref_path(
    const struct hubdir *h, const struct repo *r, char *out, struct err *e)
{
    return path_fmt(out, e, "%s/%s/refs/%s", h->root, r->folder, r->revision);
}

int hubdir_ref(
    const struct hubdir *h, const struct repo *r, char out[41], struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(64);
    struct err why = ERR_INIT;
    char path[PATH_MAX];
    struct stat st;

    if (repo_is_commit(r->revision)) {
        memcpy(out, r->revision, 41);
        return HAVE;
    }
    if (ref_path(h, r, path, e) != 0)
        return -1;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return HAVE_NOT; /* others have their names below it */
    if (file_slurp(path, &b, &why) != 0) {
        if (why.kind == ERR_MISSING || why.sys == ENOTDIR ||
            why.sys == ENAMETOOLONG)
            return HAVE_NOT;
        if (why.kind == ERR_REFUSED || why.kind == ERR_CORRUPT)
            return HAVE_DAMAGED;
        *e = why;
        return -1;
    }
    /* Some tools end it with a newline. */
    while (b.len > 0 && (b.p[b.len - 1] == '\n' || b.p[b.len - 1] == '\r'))
        b.p[--b.len] = '\0';
    if (!repo_is_commit(b.p) || b.len != 40)
        return HAVE_DAMAGED;
    memcpy(out, b.p, 41);
    return HAVE;
}

int hubdir_set_ref(const struct hubdir *h, const struct repo *r,
    const char *commit, struct err *e)
{
    char path[PATH_MAX], old[41];
    struct err ignored = ERR_INIT;

    if (!repo_is_commit(commit))
        return err_set(e, ERR_BUG, "'%.60s' is not a commit", commit);
    if (repo_is_commit(r->revision))
        return 0;
    if (hubdir_ref(h, r, old, &ignored) == HAVE && strcmp(old, commit) == 0)
        return 0;
    if (ref_path(h, r, path, e) != 0)
        return -1;
    return hubdir_put(h, r, path, str_of(commit), e);
}

static int cmp_repos(const void *a, const void *b)
{
    const struct repo *x = a, *y = b;
    int c = strcmp(x->id, y->id);

    return c != 0 ? c : (int)x->type - (int)y->type;
}

int hubdir_repos(const struct hubdir *h, struct arena *arena, struct repo **out,
    uint64_t *out_n, struct err *e)
{
    DIR *d AUTO(dir_close) = opendir(h->root);
    uint64_t n = 0, cap = 0;
    struct dirent *entry;

    *out = NULL;
    *out_n = 0;
    if (d == NULL && errno == ENOENT)
        return 0;
    if (d == NULL)
        return err_sys(e, "%s", h->root);
    while ((entry = readdir(d)) != NULL) {
        struct repo r, *list;
        struct stat st;

        if (!repo_of_folder(&r, entry->d_name) ||
            fstatat(dirfd(d), entry->d_name, &st, 0) != 0 ||
            !S_ISDIR(st.st_mode))
            continue;
        list = arena_grow(arena, *out, n, &cap, sizeof(*list), e);
        if (list == NULL)
            return -1;
        list[n++] = r;
        *out = list;
    }
    if (n > 0)
        qsort(*out, n, sizeof(**out), cmp_repos);
    *out_n = n;
    return 0;
}
