/* What killed runs left, and what only gc's options remove (collect.h). */
#include "cache/collect_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "cache/aside.h"
#include "cache/walk.h"

#include "base/file.h"
#include "base/hex.h"
#include "base/path.h"

static const char ours[] = ".ml.incomplete", any[] = ".incomplete";

/* A folder's entries, one after the other. */
struct sweep {
    struct collect *c;
    const struct repo *repo; /* NULL: the place's own */
    char root[PATH_MAX];     /* the folder */
    const char *part;        /* as it is shown */
    struct err *e;
};

static int each(struct sweep *s, int (*act)(struct sweep *, const char *name))
{
    DIR *d AUTO(dir_close) = NULL;
    struct dirent *entry;
    struct stat st;

    /* What a link leads to is not ours to sweep. */
    if (lstat(s->root, &st) != 0 || !S_ISDIR(st.st_mode))
        return 0;
    d = opendir(s->root);
    if (d == NULL)
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : err_sys(s->e, "%s", s->root);
    while ((entry = readdir(d)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 &&
            strcmp(entry->d_name, "..") != 0 && act(s, entry->d_name) != 0)
            return -1;
    return 0;
}

bool collect_old(const struct collect *c, const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 &&
           time(NULL) - st.st_ctime >= (time_t)c->grace_s;
}

/* What a file, or a folder with all below it, takes. */
static uint64_t measure(const struct collect *c, const char *path)
{
    struct err ignored = ERR_INIT;
    struct walk_entry *found;
    uint64_t n, bytes = 0;
    struct stat st;

    if (lstat(path, &st) != 0)
        return 0;
    if (!S_ISDIR(st.st_mode))
        return size_min((uint64_t)st.st_size, (uint64_t)st.st_blocks * 512);
    if (walk(path, c->arena, &found, &n, &ignored) != 0)
        return 0;
    for (uint64_t i = 0; i < n; i++)
        bytes += found[i].size;
    return bytes;
}

static int drop(struct sweep *s, enum collected_kind kind, const char *name)
{
    char path[PATH_MAX], shown[PATH_MAX];
    uint64_t bytes;

    if (path_join(path, s->root, name, s->e) != 0 ||
        path_join(shown, s->part, name, s->e) != 0)
        return -1;
    bytes = measure(s->c, path);
    if (!s->c->dry_run && aside_remove(path, s->e) != 0)
        return -1;
    return collect_note(s->c, kind, s->repo, str_of(shown), bytes, s->e);
}

static bool is_old(const struct sweep *s, const char *name)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];

    return path_join(path, s->root, name, &ignored) == 0 &&
           collect_old(s->c, path);
}

/* Is a living process at work on it? It has locked it then. */
static bool is_locked(const struct sweep *s, const char *name)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];
    int fd AUTO(fd_close) = -1;

    if (path_join(path, s->root, name, &ignored) != 0)
        return true;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

static int temporary(struct sweep *s, const char *name)
{
    if (!str_ends(str_of(name), ".tmp") || !is_old(s, name) ||
        is_locked(s, name))
        return 0;
    return drop(s, COLLECTED_LEFTOVER, name);
}

static int all_old(struct sweep *s, const char *name)
{
    if (!is_old(s, name) || is_locked(s, name))
        return 0;
    return drop(s, COLLECTED_LEFTOVER, name);
}

static int quarantined(struct sweep *s, const char *name)
{
    return s->c->quarantine ? drop(s, COLLECTED_QUARANTINE, name) : 0;
}

/* ---- unfinished downloads ---- */

/* "<root>/../<part>/<front of name>": is it there? */
static bool beside(
    const struct sweep *s, const char *part, const char *name, size_t front)
{
    struct err ignored = ERR_INIT;
    char dir[PATH_MAX], path[PATH_MAX];

    path_dir(dir, sizeof(dir), s->root);
    return path_fmt(path, &ignored, "%s/%s%.*s", dir, part, (int)front, name) ==
               0 &&
           access(path, F_OK) == 0;
}

/* A journal tells of bytes: without them it tells nothing. */
static int journal(struct sweep *s, const char *name)
{
    size_t n = strlen(name);
    char bytes[PATH_MAX];
    struct err ignored = ERR_INIT;

    if (str_ends(str_of(name), ".tmp"))
        return temporary(s, name);
    if (str_ends(str_of(name), ".live"))
        n -= strlen(".live");
    if (path_fmt(bytes, &ignored, "%.*s%s", (int)n, name, ours) != 0)
        return 0;
    if (beside(s, "../blobs/", bytes, strlen(bytes)) || !is_old(s, name))
        return 0;
    return drop(s, COLLECTED_LEFTOVER, name);
}

/* The official client, which has no lease, locks what it is fetching. */
static bool is_fetched(const struct sweep *s, const char *name, size_t front)
{
    struct err ignored = ERR_INIT;
    int fd AUTO(fd_close) = -1;
    struct digest etag;

    /* <etag>.<8 hex>.incomplete is the official client's, too. */
    front = size_min(front, strcspn(name, "."));
    if (!digest_parse(&etag, (struct str){ name, front }))
        return false;
    return hubdir_try_lock(&s->c->place->hub, s->repo, &etag, &fd, &ignored) !=
               0 ||
           fd < 0;
}

static int drop_partial(
    struct sweep *s, const char *name, size_t front, enum collected_kind kind)
{
    struct err ignored = ERR_INIT;
    char dir[PATH_MAX], path[PATH_MAX];

    if (s->c->dry_run ? false : is_fetched(s, name, front))
        return 0;
    if (drop(s, kind, name) != 0)
        return -1;
    path_dir(dir, sizeof(dir), s->root);
    for (int live = 0; live < 2 && !s->c->dry_run; live++)
        if (path_fmt(path, &ignored, "%s/ml/journal/%.*s%s", dir, (int)front,
                name, live ? ".live" : "") == 0)
            unlink(path);
    return 0;
}

static int partial(struct sweep *s, const char *name)
{
    struct str text = str_of(name);
    char path[PATH_MAX];
    size_t front;

    if (!str_ends(text, any))
        return 0;
    front = text.len - (str_ends(text, ours) ? strlen(ours) : strlen(any));
    /* One of a process where locks lie: it has no journal. */
    if (strstr(name, ".ml.incomplete.") != NULL)
        return is_old(s, name) ? drop(s, COLLECTED_LEFTOVER, name) : 0;
    if (beside(s, "blobs/", name, front) && is_old(s, name))
        return drop_partial(s, name, front, COLLECTED_LEFTOVER);
    /* Another tool's may be at work without a lock; then it is young. */
    if (s->c->partial && (str_ends(text, ours) || is_old(s, name)))
        return drop_partial(s, name, front, COLLECTED_PARTIAL);
    if (path_join(path, s->root, name, s->e) != 0)
        return -1;
    s->c->kept_partial_bytes += measure(s->c, path);
    return 0;
}

/* ---- marks ---- */

/* Of a commit that is not here any more. */
static int mark(struct sweep *s, const char *name)
{
    char path[PATH_MAX];

    if (!hex_is(str_of(name), 40))
        return 0;
    if (path_fmt(path, s->e, "%s/%s/snapshots/%s", s->c->place->hub.root,
            s->repo->folder, name) != 0)
        return -1;
    if (access(path, F_OK) == 0 || !is_old(s, name) || s->c->dry_run)
        return 0;
    if (path_join(path, s->root, name, s->e) != 0)
        return -1;
    unlink(path);
    return 0;
}

int collect_leftovers(struct collect *c, const struct repo *repo, struct err *e)
{
    static const struct {
        const char *part;
        int (*act)(struct sweep *, const char *);
    } parts[] = {
        { "blobs", partial },
        { "ml", temporary },
        { "ml/uniform", temporary },
        { "ml/journal", journal },
        { "ml/quarantine", quarantined },
        { "ml/used", mark },
        { "ml/pulling", mark },
    };

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        struct sweep s = {
            .c = c, .repo = repo, .part = parts[i].part, .e = e
        };

        if (path_fmt(s.root, e, "%s/%s/%s", c->place->hub.root, repo->folder,
                parts[i].part) != 0 ||
            each(&s, parts[i].act) != 0)
            return -1;
    }
    return 0;
}

/* A repository that was being removed when its process was killed. */
static int trashed(struct sweep *s, const char *name)
{
    if (strncmp(name, "ml-trash", 8) == 0)
        return drop(s, COLLECTED_LEFTOVER, name);
    return temporary(s, name);
}

int collect_place_leftovers(struct collect *c, struct err *e)
{
    static const struct {
        const char *part;
        int (*act)(struct sweep *, const char *);
    } parts[] = {
        { "tmp", all_old },
        { "uniform", temporary },
        { "quarantine", quarantined },
    };
    struct sweep s = { .c = c, .part = ".locks", .e = e };

    if (path_join(s.root, c->place->hub.root, ".locks", e) != 0 ||
        each(&s, trashed) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(parts) && c->place->has_volume; i++) {
        s.part = parts[i].part;
        if (path_join(s.root, c->place->volume.root, parts[i].part, e) != 0 ||
            each(&s, parts[i].act) != 0)
            return -1;
    }
    return 0;
}
