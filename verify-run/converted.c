#include "verify-run/converted.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/path.h"
#include "formats/manifest.h"

#define CONFIG "config.json"

static bool newer(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec
                                  : a->tv_nsec > b->tv_nsec;
}

/* Is it made of what was found? In a volume all put files share a folder. */
static bool is_made_of(const struct manifest *m, const struct found *f)
{
    struct digest d;

    if (f->kind != FOUND_PUT)
        return m->commit.len == 0 || f->commit[0] == '\0' ||
               str_is(m->commit, f->commit);
    if (!found_digest(f, f->path, &d))
        return false;
    for (uint64_t i = 0; i < m->n_sources; i++)
        if (digest_eq(&m->sources[i].sha256, &d))
            return true;
    return false;
}

/* A config that was put beside it later is not in it. */
static bool lacks_config(
    const char *path, const struct timespec *when, const struct found *f)
{
    char dir[PATH_MAX], beside[PATH_MAX], within[PATH_MAX];
    struct err ignored = ERR_INIT;
    struct stat st;

    if (f->kind != FOUND_PUT)
        return false;
    path_dir(dir, sizeof(dir), f->path);
    if (path_join(beside, dir, CONFIG, &ignored) != 0 ||
        path_join(within, path, CONFIG, &ignored) != 0 ||
        stat(beside, &st) != 0)
        return false;
    return access(within, F_OK) != 0 || newer(&st.st_ctim, when);
}

/* A finished conversion of what was found, and when it was finished. */
static bool usable(
    const char *path, const struct found *f, struct timespec *when)
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
    return is_made_of(&m, f) && !lacks_config(path, when, f);
}

bool converted_find(const struct found *f, char out[PATH_MAX])
{
    DIR *dir = f->converted[0] != '\0' ? opendir(f->converted) : NULL;
    struct timespec best = { 0 };
    bool found = false;
    struct dirent *d;

    if (dir == NULL)
        return false;
    while ((d = readdir(dir)) != NULL) {
        char path[PATH_MAX];
        struct timespec when;
        struct err e = ERR_INIT;

        if (d->d_name[0] == '.' ||
            path_join(path, f->converted, d->d_name, &e) != 0)
            continue;
        if (!usable(path, f, &when) || (found && !newer(&when, &best)))
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
    *converted = converted_find(&found, out);
    if (*converted)
        log_info("using the converted form in %s", out);
    else
        snprintf(out, PATH_MAX, "%s", found.path);
    return 0;
}
