#include "cache/pin.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "cache/hubdir_internal.h"

#include "base/file.h"
#include "base/path.h"

static int pins_of(
    const struct hubdir *h, const struct repo *r, char *out, struct err *e)
{
    return path_fmt(out, e, "%s/%s/ml/pins", h->root, r->folder);
}

int pin_set(const struct hubdir *h, const struct repo *r, const char *commit,
    struct err *e)
{
    char dir[PATH_MAX], path[PATH_MAX];

    if (pins_of(h, r, dir, e) != 0 || path_join(path, dir, commit, e) != 0)
        return -1;
    return hubdir_put(h, r, path, str_of(""), e);
}

int pin_clear(const struct hubdir *h, const struct repo *r, const char *commit,
    struct err *e)
{
    char dir[PATH_MAX], path[PATH_MAX];

    if (pins_of(h, r, dir, e) != 0 || path_join(path, dir, commit, e) != 0)
        return -1;
    if (unlink(path) != 0)
        return errno == ENOENT ? 0 : err_sys(e, "cannot remove %s", path);
    return dir_sync(dir, e);
}

static bool any_pin(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    bool found = false;

    while (d != NULL && !found && (entry = readdir(d)) != NULL)
        found = repo_is_commit(entry->d_name);
    if (d != NULL)
        closedir(d);
    return found;
}

bool pin_is(const struct hubdir *h, const struct repo *r, const char *commit)
{
    struct err ignored = ERR_INIT;
    char dir[PATH_MAX], path[PATH_MAX];

    if (pins_of(h, r, dir, &ignored) != 0)
        return false;
    if (commit == NULL)
        return any_pin(dir);
    return path_join(path, dir, commit, &ignored) == 0 &&
           access(path, F_OK) == 0;
}
