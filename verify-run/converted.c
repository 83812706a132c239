#include "verify-run/converted.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/path.h"
#include "cache/find.h"
#include "formats/manifest.h"

static bool newer(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec
                                  : a->tv_nsec > b->tv_nsec;
}

/* A finished conversion of the right snapshot, and when it was finished. */
static bool usable(const char *path, const char *commit, struct timespec *when)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT((uint64_t)1 << 30);
    char file[PATH_MAX];
    struct manifest m;
    struct err e = ERR_INIT;
    struct stat st;

    if (path_join(file, path, MANIFEST_NAME, &e) != 0 || stat(file, &st) != 0 ||
        manifest_read(&m, file, &arena, &e) != 0)
        return false;
    *when = st.st_mtim;
    return m.commit.len == 0 || commit[0] == '\0' || str_is(m.commit, commit);
}

bool converted_find(const char *folder, const char *commit, char out[PATH_MAX])
{
    DIR *dir = folder[0] != '\0' ? opendir(folder) : NULL;
    struct timespec best = { 0 };
    bool found = false;
    struct dirent *d;

    if (dir == NULL)
        return false;
    while ((d = readdir(dir)) != NULL) {
        char path[PATH_MAX];
        struct timespec when;
        struct err e = ERR_INIT;

        if (d->d_name[0] == '.' || path_join(path, folder, d->d_name, &e) != 0)
            continue;
        if (!usable(path, commit, &when) || (found && !newer(&when, &best)))
            continue;
        found = true;
        best = when;
        snprintf(out, PATH_MAX, "%s", path);
    }
    closedir(dir);
    return found;
}

int converted_place(const char *model, const char *volume, char out[PATH_MAX],
    bool *converted, struct err *e)
{
    struct found found;

    if (find_model(model, volume, &found, e) != 0)
        return -1;
    *converted = converted_find(found.converted, found.commit, out);
    if (*converted)
        log_info("using the converted form in %s", out);
    else
        snprintf(out, PATH_MAX, "%s", found.path);
    return 0;
}
