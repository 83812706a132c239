/* Volumes of the public header, and where things are. */
#include "lib/caller.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "cache/find.h"
#include "cache/putlist.h"

enum { ENTRIES_MAX = 1 << 30 };

/* The working folder of the process may change. */
static int make_absolute(char *path, struct err *e)
{
    char here[PATH_MAX], whole[PATH_MAX];

    if (path[0] == '/')
        return 0;
    if (getcwd(here, sizeof(here)) == NULL)
        return err_sys(e, "the working folder");
    if (path_join(whole, here, path, e) != 0)
        return -1;
    memcpy(path, whole, sizeof(whole));
    return 0;
}

/* Those are the programs'. */
static int no_bucket(const char *volume, struct err *e)
{
    if (strncmp(volume, "s3://", 5) != 0)
        return 0;
    err_set(e, ERR_USAGE,
        "%s: the library takes volumes of this machine, not those in object "
        "storage",
        volume);
    return err_hint(e, "mlfetch put, get and pull take them");
}

static int locate(
    struct volume *v, const char *text, unsigned flags, struct err *e)
{
    bool created;

    if (work_flags(flags, MLFETCH_CREATE, e) != 0 || no_bucket(text, e) != 0 ||
        volume_locate(v, text, e) != 0 || make_absolute(v->root, e) != 0)
        return -1;
    return flags & MLFETCH_CREATE ? volume_create(v, &created, e)
                                  : volume_check(v, e);
}

enum mlfetch_status mlfetch_volume_open(struct mlfetch *m, const char *volume,
    unsigned flags, struct mlfetch_volume **out, struct mlfetch_error *e)
{
    struct mlfetch_volume *v = NULL;
    struct work w;

    *out = NULL;
    if (work_begin(&w, m, e)) {
        v = calloc(1, sizeof(*v));
        if (v == NULL)
            err_set(&w.e, ERR_NOMEM, "out of memory");
        else if (locate(&v->volume, volume, flags, &w.e) == 0)
            *out = v;
    }
    if (*out == NULL)
        free(v);
    else
        v->session = m;
    return work_end(&w);
}

void mlfetch_volume_free(struct mlfetch_volume *v)
{
    free(v);
}

const char *mlfetch_volume_folder(const struct mlfetch_volume *v)
{
    return v->volume.root;
}

/* ---- what was put ---- */

static int list(const struct mlfetch_volume *v, const char *prefix,
    int (*fn)(void *user, const struct mlfetch_entry *entry), void *user,
    struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ENTRIES_MAX);
    struct volume_entry *entries;
    uint64_t n;

    if (volume_list(&v->volume, prefix, &arena, &entries, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        struct mlfetch_entry entry = { .size = entries[i].size,
            .sha256 = entries[i].sha256.hex,
            .time = entries[i].mtime };

        entry.name = arena_str(&arena, entries[i].name, e).p;
        if (entry.name == NULL)
            return -1;
        if (fn(user, &entry) != 0)
            return err_set(e, ERR_CANCELLED, "interrupted");
    }
    return 0;
}

enum mlfetch_status mlfetch_volume_list(struct mlfetch_volume *v,
    const char *prefix,
    int (*fn)(void *user, const struct mlfetch_entry *entry), void *user,
    struct mlfetch_error *e)
{
    struct work w;

    if (work_begin(&w, v->session, e))
        list(v, prefix, fn, user, &w.e);
    return work_end(&w);
}

static int put(const struct mlfetch_volume *v, const char *path,
    const char *name, unsigned flags, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ENTRIES_MAX);
    struct progress *progress AUTO(progress_close_auto) = NULL;
    struct putlist_item *items;
    struct putlist_done done;
    uint64_t n, total;

    if (work_flags(flags, MLFETCH_REPLACE, e) != 0 ||
        putlist_make(&v->volume, path, name, &arena, &items, &n, &total, e) !=
            0)
        return -1;
    progress = progress_open(PROGRESS_SCOPE, "putting", total, e);
    if (progress == NULL)
        return -1;
    return putlist_run(&v->volume, items, n, flags & MLFETCH_REPLACE, progress,
        &done, &arena, e);
}

enum mlfetch_status mlfetch_volume_put(struct mlfetch_volume *v,
    const char *path, const char *name, unsigned flags, struct mlfetch_error *e)
{
    struct work w;

    if (work_begin(&w, v->session, e))
        put(v, path, name, flags, &w.e);
    return work_end(&w);
}

static int get(const struct mlfetch_volume *v, const char *name,
    const char *path, unsigned flags, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ENTRIES_MAX);
    struct progress *progress AUTO(progress_close_auto) = NULL;
    struct volume_entry entry;
    struct stat st;

    if (work_flags(flags, MLFETCH_REPLACE, e) != 0 ||
        volume_find(&v->volume, name, &arena, &entry, e) != 0)
        return -1;
    if (lstat(path, &st) == 0 && !(flags & MLFETCH_REPLACE))
        return err_set(e, ERR_USAGE, "%s: is there already", path);
    if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return err_set(e, ERR_USAGE, "%s: is no regular file", path);
    progress = progress_open(PROGRESS_SCOPE, "getting", entry.size, e);
    if (progress == NULL)
        return -1;
    return volume_save(&v->volume, &entry, path, progress, e);
}

enum mlfetch_status mlfetch_volume_get(struct mlfetch_volume *v,
    const char *name, const char *path, unsigned flags, struct mlfetch_error *e)
{
    struct work w;

    if (work_begin(&w, v->session, e))
        get(v, name, path, flags, &w.e);
    return work_end(&w);
}

enum mlfetch_status mlfetch_volume_path(struct mlfetch_volume *v,
    const char *name, char out[MLFETCH_PATH_MAX], struct mlfetch_error *e)
{
    struct found found;
    struct work w;

    out[0] = '\0';
    if (work_begin(&w, v->session, e) &&
        find_put(&v->volume, name, &found, &w.e) == 0) {
        if (found.kind == FOUND_PUT)
            path_fmt(out, &w.e, "%s", found.path);
        else
            err_set(&w.e, ERR_USAGE, "%s: a folder, not a file", name);
    }
    return work_end(&w);
}

enum mlfetch_status mlfetch_repository_path(struct mlfetch *m,
    struct mlfetch_volume *v, const char *repository,
    char out[MLFETCH_PATH_MAX], struct mlfetch_error *e)
{
    struct hubdir dir;
    struct found found;
    struct work w;

    out[0] = '\0';
    if (work_begin(&w, m, e) && session_hub(m, v, &dir, &w.e) == 0 &&
        find_held(&dir, repository, true, &found, &w.e) == 0)
        path_fmt(out, &w.e, "%s", found.path);
    return work_end(&w);
}
