#include "serve/doubt.h"

#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"

/* Beside the locks: gc, which may take the repository away, leaves it. */
static int doubt_path(const struct hubdir *h, const struct repo *r,
    const struct digest *etag, char *out, struct err *e)
{
    return path_fmt(
        out, e, "%s/.locks/%s/%s.doubt", h->root, r->folder, etag->hex);
}

/*
 * A new file takes the old one's place: that may be another user's, or a link
 * to anywhere. No descriptor is needed for it, as there may be none left.
 */
int doubt_note(const struct hubdir *h, const struct repo *r,
    const struct digest *etag, struct err *e)
{
    char path[PATH_MAX], dir[PATH_MAX], fresh[PATH_MAX];

    if (doubt_path(h, r, etag, path, e) != 0)
        return -1;
    path_dir(dir, sizeof(dir), path);
    if (dir_make(dir, e) != 0 || file_temp_name(fresh, dir, path, e) != 0)
        return -1;
    if (mknod(fresh, S_IFREG | 0664, 0) != 0)
        return err_sys(e, "%s", path);
    if (rename(fresh, path) == 0)
        return 0;
    err_sys(e, "%s", path);
    unlink(fresh);
    return -1;
}

/* One that is over stays: it could be a new one by the time it is removed. */
bool doubt_is(
    const struct hubdir *h, const struct repo *r, const struct digest *etag)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];
    struct stat st;

    return doubt_path(h, r, etag, path, &ignored) == 0 &&
           stat(path, &st) == 0 && time(NULL) - st.st_mtime < DOUBT_S;
}
