#include "fetch/space.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/human.h"
#include "base/log.h"
#include "base/path.h"

/* What one content of one repository needs. */
struct need {
    const char *folder;
    const char *etag;
    uint64_t bytes;
};

static int by_content(const void *a, const void *b)
{
    const struct need *x = a, *y = b;
    int c = strcmp(x->folder, y->folder);

    return c != 0 ? c : strcmp(x->etag, y->etag);
}

/* What the file takes beyond the blocks its partial has already. */
static int need_of(const struct space *s, const struct plan_file *f,
    struct need *out, struct err *e)
{
    uint64_t size = f->file->size;
    char path[PATH_MAX];
    struct stat st;

    out->folder = s->repo->folder;
    out->etag = tree_etag(f->file)->hex;
    out->bytes = size;
    if (hubdir_partial(s->dir, s->repo, tree_etag(f->file), path, e) != 0)
        return -1;
    if (stat(path, &st) == 0)
        out->bytes -= size_min(size, (uint64_t)st.st_blocks * 512);
    return 0;
}

static int sum(struct need *v, size_t n, uint64_t *out, struct err *e)
{
    qsort(v, n, sizeof(*v), by_content);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && by_content(&v[i - 1], &v[i]) == 0)
            continue;
        if (!size_add(*out, v[i].bytes, out))
            return err_set(
                e, ERR_REFUSED, "the listings' sizes are beyond all measure");
    }
    return 0;
}

int space_needed(const struct space *v, size_t n, uint64_t *out, struct err *e)
{
    size_t files = 0, at = 0;
    struct need *needs;
    int rc = 0;

    *out = 0;
    for (size_t i = 0; i < n; i++)
        files += v[i].plan->n_fetch;
    needs = calloc(files + 1, sizeof(*needs));
    if (needs == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (!size_add(*out, v[i].extra, out))
            rc = err_set(e, ERR_REFUSED, "sizes beyond all measure");
        for (size_t j = 0; j < v[i].plan->n_fetch && rc == 0; j++)
            rc = need_of(&v[i], &v[i].plan->files[j], &needs[at++], e);
    }
    if (rc == 0)
        rc = sum(needs, at, out, e);
    free(needs);
    return rc;
}

static int too_little(const struct space *v, size_t n, uint64_t need,
    uint64_t free_bytes, struct err *e)
{
    char a[HUMAN_MAX], b[HUMAN_MAX], c[HUMAN_MAX], what[200];

    if (n == 1)
        snprintf(what, sizeof(what), "%s", v->repo->id);
    else
        snprintf(what, sizeof(what), "%zu repositories", n);
    err_set(e, ERR_NOSPACE,
        "%s: %s is needed for %s, %s is free: %s too little", v->dir->root,
        human_size(a, need), what, human_size(b, free_bytes),
        human_size(c, need - size_min(need, free_bytes)));
    return err_hint(e, "free some space, or use a volume on another disk "
                       "(--volume)");
}

/* 0: taken, or there already; 1: this file system cannot; -1 with *e. */
static int reserve_file(
    const struct space *s, struct plan_file *f, struct err *e)
{
    const struct timespec never[2] = { { 0, 0 }, { 0, 0 } };
    char path[PATH_MAX];
    int fd AUTO(fd_close) = -1;
    int error;

    if (f->file->size == 0)
        return 0;
    if (hubdir_partial(s->dir, s->repo, tree_etag(f->file), path, e) != 0)
        return -1;
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return errno == EEXIST ? 0 : err_sys(e, "cannot create %s", path);
    f->reserved = true;
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)f->file->size) == 0) {
        /* Nobody is at work on it: see claim.h. */
        futimens(fd, never);
        return 0;
    }
    error = errno;
    unlink(path);
    f->reserved = false;
    errno = error;
    if (error == EOPNOTSUPP || error == ENOSYS || error == EINTR)
        return 1;
    return err_sys(e, "%s: reserving %llu bytes for %.*s", s->dir->root,
        (unsigned long long)f->file->size, STR_ARG(f->file->path));
}

static int reserve_all(const struct space *s, struct err *e)
{
    char path[PATH_MAX], dir[PATH_MAX];
    int rc = 0;

    if (s->plan->n_fetch == 0)
        return 0;
    if (hubdir_partial(
            s->dir, s->repo, tree_etag(s->plan->files[0].file), path, e) != 0)
        return -1;
    path_dir(dir, sizeof(dir), path);
    if (dir_make(dir, e) != 0)
        return -1;
    for (size_t i = 0; i < s->plan->n_fetch && rc == 0; i++)
        rc = reserve_file(s, &s->plan->files[i], e);
    return rc < 0 ? -1 : 0;
}

int space_check(const struct space *v, size_t n, struct err *e)
{
    uint64_t need, free_bytes;

    if (n == 0)
        return 0;
    if (space_needed(v, n, &need, e) != 0 ||
        dir_free_space(v->dir->root, &free_bytes, e) != 0)
        return -1;
    return need > free_bytes ? too_little(v, n, need, free_bytes, e) : 0;
}

int space_reserve(const struct space *v, size_t n, struct err *e)
{
    int rc = 0;

    if (space_check(v, n, e) != 0)
        return -1;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = reserve_all(&v[i], e);
    for (size_t i = 0; i < n && rc != 0; i++)
        space_release(&v[i]);
    return rc;
}

void space_release(const struct space *s)
{
    char path[PATH_MAX];
    struct err ignored = ERR_INIT;
    struct stat st;

    for (size_t i = 0; i < s->plan->n_fetch; i++) {
        struct plan_file *f = &s->plan->files[i];
        const struct digest *etag = tree_etag(f->file);
        int lock AUTO(fd_close) = -1;

        if (!f->reserved ||
            hubdir_partial(s->dir, s->repo, etag, path, &ignored) != 0)
            continue;
        f->reserved = false;
        if (lstat(path, &st) != 0 || st.st_size != 0)
            continue;
        /* Whoever holds the lock is about to write into it. */
        lock = hubdir_lock_now(s->dir, s->repo, etag);
        if (lock >= 0 && lstat(path, &st) == 0 && st.st_size == 0)
            unlink(path);
    }
}
