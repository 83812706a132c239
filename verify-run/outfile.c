#include "verify-run/outfile.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"

int outfile_check(const char *option, const char *path, struct err *e)
{
    char folder[PATH_MAX];
    struct stat st;

    if (path == NULL)
        return 0;
    if (*path_base(path) == '\0')
        return err_set(
            e, ERR_USAGE, "%s '%s': no name for a file", option, path);
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return err_set(
            e, ERR_USAGE, "%s %s: is there, and no file", option, path);
    path_dir(folder, sizeof(folder), path);
    if (stat(folder, &st) != 0 || access(folder, W_OK | X_OK) != 0)
        return err_sys(e, "%s %s: %s", option, path, folder);
    if (!S_ISDIR(st.st_mode))
        return err_set(
            e, ERR_USAGE, "%s %s: %s is no folder", option, path, folder);
    return 0;
}
