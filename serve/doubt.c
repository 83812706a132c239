#include "serve/doubt.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"

enum { DOUBT_S = 600 };

/* Beside the locks: gc, which may take the repository away, leaves it. */
static int doubt_path(const struct hubdir *h, const struct repo *r,
    const struct digest *etag, char *out, struct err *e)
{
    return path_fmt(
        out, e, "%s/.locks/%s/%s.doubt", h->root, r->folder, etag->hex);
}

/* The folder is there: the content's lock lies in it. */
void doubt_note(
    const struct hubdir *h, const struct repo *r, const struct digest *etag)
{
    int fd AUTO(fd_close) = -1;
    struct err e = ERR_INIT;
    char path[PATH_MAX];

    if (doubt_path(h, r, etag, path, &e) == 0)
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0664);
    if (fd < 0 || futimens(fd, NULL) != 0)
        log_warn("%s: who goes on behind wrong bytes of %s will not be noticed",
            r->id, etag->hex);
}

bool doubt_is(
    const struct hubdir *h, const struct repo *r, const struct digest *etag)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];
    struct stat st;

    if (doubt_path(h, r, etag, path, &ignored) != 0 || stat(path, &st) != 0)
        return false;
    if (time(NULL) - st.st_mtime < DOUBT_S)
        return true;
    unlink(path);
    return false;
}
