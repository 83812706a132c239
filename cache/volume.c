/* The volume as a folder: where it is, is it one, making it, sweeping it. */
#include "cache/volume.h"
#include "cache/volume_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/hubdir.h"
#include "cache/mode.h"

#include "base/env.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/path.h"

const char volume_marker[] = "ml-volume.json";
static const char marker_text[] = "{\"ml-volume\": 1}\n";

enum { MARKER_MAX = 4096, TMP_GRACE_S = 600 };

int volume_shelf(char *out, struct err *e)
{
    char base[PATH_MAX];

    if (env_path("MLFETCH_VOLUMES", out))
        return 0;
    if (env_path("XDG_DATA_HOME", base))
        return path_join(out, base, "mlfetch/volumes", e);
    return path_join(out, env_home(), ".local/share/mlfetch/volumes", e);
}

int volume_locate(struct volume *out, const char *text, struct err *e)
{
    struct err unsafe = ERR_INIT;
    char root[PATH_MAX];
    struct stat st;

    if (strncmp(text, "s3://", 5) == 0) {
        err_set(e, ERR_USAGE,
            "%s: this command takes a volume of this machine, not one in "
            "object storage",
            text);
        return err_hint(e,
            "s3://BUCKET/PREFIX is for mlfetch put, get, ls, rm, log, "
            "rollback, pull, warm, lock and serve, mlcache ls, rm, gc and "
            "verify");
    }
    if (text[0] == '\0')
        return err_set(e, ERR_USAGE, "the volume's name is empty");
    if (strchr(text, '/') != NULL ||
        (stat(text, &st) == 0 && S_ISDIR(st.st_mode))) {
        if (path_fmt(out->root, e, "%s", text) != 0)
            return -1;
        out->root[path_len(out->root)] = '\0';
        return 0;
    }
    if (path_check(str_of(text), &unsafe) != 0)
        return err_set(
            e, ERR_USAGE, "'%.200s' cannot be a volume's name", text);
    if (volume_shelf(root, e) != 0)
        return -1;
    return path_join(out->root, root, text, e);
}

bool volume_exists(const struct volume *v)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];
    struct stat st;

    return path_join(path, v->root, volume_marker, &ignored) == 0 &&
           stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

int volume_check(const struct volume *v, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    char path[PATH_MAX];
    uint64_t version;

    if (!volume_exists(v)) {
        err_set(e, ERR_MISSING, "%s: no volume there", v->root);
        return err_hint(e, "mlfetch volume ls lists those that have a name; "
                           "mlfetch put VOLUME FILE makes one");
    }
    if (path_join(path, v->root, volume_marker, e) != 0 ||
        json_read(&doc, path, MARKER_MAX, e) != 0)
        return -1;
    if (!json_u64(json_get(doc.root, "ml-volume"), &version))
        return err_set(e, ERR_REFUSED, "%s: no version in it", path);
    if (version != 1)
        return err_set(e, ERR_UNSUPPORTED,
            "%s: a volume of version %llu, this program knows 1", path,
            (unsigned long long)version);
    return 0;
}

/* What a new file system has, and what a killed creation may have left. */
static bool may_be_there(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
           strcmp(name, "lost+found") == 0 ||
           strncmp(name, volume_marker, strlen(volume_marker)) == 0;
}

static int check_empty(const struct volume *v, struct err *e)
{
    DIR *d AUTO(dir_close) = opendir(v->root);
    struct dirent *entry;

    if (d == NULL)
        return err_sys(e, "%s", v->root);
    while ((entry = readdir(d)) != NULL) {
        if (may_be_there(entry->d_name))
            continue;
        err_set(e, ERR_REFUSED, "%s: not a volume, and not empty ('%s')",
            v->root, entry->d_name);
        return err_hint(e, "name a folder that does not exist or is empty");
    }
    return 0;
}

/* A temporary file that is old and that no living process holds. */
static void sweep_one(int dir, const char *name)
{
    int fd AUTO(fd_close) =
        openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        S_ISDIR(st.st_mode) || st.st_mtime + TMP_GRACE_S > time(NULL))
        return;
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0)
        return;
    log_debug("removing the unfinished put %s", name);
    unlinkat(dir, name, 0);
}

static void sweep(const struct volume *v)
{
    struct err ignored = ERR_INIT;
    char tmp[PATH_MAX];
    struct dirent *entry;
    DIR *d AUTO(dir_close) = NULL;

    if (path_join(tmp, v->root, "tmp", &ignored) == 0)
        d = opendir(tmp);
    while (d != NULL && (entry = readdir(d)) != NULL)
        sweep_one(dirfd(d), entry->d_name);
}

int volume_create(const struct volume *v, bool *created, struct err *e)
{
    struct err why = ERR_INIT;
    char path[PATH_MAX];

    *created = !volume_exists(v);
    if (!*created) {
        if (volume_check(v, e) != 0)
            return -1;
        sweep(v);
        return 0;
    }
    if (dir_make(v->root, e) != 0)
        return -1;
    if (check_empty(v, &why) != 0) {
        /* Another process may have made it just now. */
        *created = !volume_exists(v);
        if (!*created)
            return volume_check(v, e);
        *e = why;
        return -1;
    }
    if (path_join(path, v->root, volume_marker, e) != 0)
        return -1;
    return file_put(
        path, marker_text, strlen(marker_text), mode_masked(0666), e);
}

void volume_unmake(const struct volume *v)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];

    if (check_empty(v, &ignored) == 0 &&
        path_join(path, v->root, volume_marker, &ignored) == 0 &&
        unlink(path) == 0)
        rmdir(v->root);
}

int volume_hub(const struct volume *v, struct hubdir *out, struct err *e)
{
    return path_join(out->root, v->root, "hub", e);
}

int volume_converted(const struct volume *v, char *out, struct err *e)
{
    return path_join(out, v->root, "uniform", e);
}

int volume_view(
    const struct volume *v, const char *name, char *out, struct err *e)
{
    if (path_check(str_of(name), e) != 0)
        return -1;
    return path_fmt(out, e, "%s/files/%s", v->root, name);
}

int volume_tmp(const struct volume *v, char *out, struct err *e)
{
    if (path_join(out, v->root, "tmp", e) != 0)
        return -1;
    return dir_make(out, e);
}

int volume_stored(const struct volume *v, const struct digest *sha256,
    char *out, struct err *e)
{
    return path_fmt(
        out, e, "%s/store/sha256/%.2s/%s", v->root, sha256->hex, sha256->hex);
}

int volume_path(const struct volume *v, const struct volume_entry *entry,
    char *out, struct err *e)
{
    return volume_stored(v, &entry->sha256, out, e);
}
