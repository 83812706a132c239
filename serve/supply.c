#include "serve/supply.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/walk.h"

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"

void source_free(struct source *s)
{
    fd_close(&s->fd);
    feed_close(s->feed);
    s->feed = NULL;
}

/* ---- which commit ---- */

static bool is_held(const struct supply *s, const struct repo *r)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];
    struct stat st;

    return path_join(path, s->hub.root, r->folder, &ignored) == 0 &&
           stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int lacks_repo(const struct repo *r, enum lack *lack, struct err *e)
{
    *lack = LACK_REPO;
    return err_set(e, ERR_MISSING, "%s is not held", r->id);
}

static int lacks_revision(const struct repo *r, enum lack *lack, struct err *e)
{
    *lack = LACK_REVISION;
    return err_set(
        e, ERR_MISSING, "%s has no revision '%s' here", r->id, r->revision);
}

static bool is_short(int why)
{
    return why == EMFILE || why == ENFILE || why == ENOMEM;
}

static int lacks_room(enum lack *lack, struct err *e)
{
    *lack = LACK_LIMIT;
    return err_set(e, ERR_IO, "too many files are open here: come again");
}

/* What the hub cache says: 0, or -1. */
static int held_commit(const struct supply *s, const struct repo *r,
    char out[41], enum lack *lack, struct err *e)
{
    int have = hubdir_ref(&s->hub, r, out, e);

    if (have == HAVE)
        return 0;
    if (have >= 0)
        return is_held(s, r) ? lacks_revision(r, lack, e)
                             : lacks_repo(r, lack, e);
    if (is_short(e->sys))
        return lacks_room(lack, e);
    *lack = LACK_FAULT;
    return -1;
}

/*
 * A commit is what it is. Of what may move, the supplier knows best, where he
 * has a word about it.
 */
static int find_commit(struct supply *s, const struct repo *r,
    enum supply_wait how, char out[41], enum lack *lack, struct err *e)
{
    const struct supplier *from = s->supplier;
    struct err why = ERR_INIT, held = ERR_INIT;
    enum lack ignored;
    int rc;

    if (from == NULL || repo_is_commit(r->revision))
        return held_commit(s, r, out, lack, e);
    rc = from->commit(from->self, r, how, out, lack, &why);
    if (rc >= 0)
        return rc;
    if (!lack_is_word(*lack) && held_commit(s, r, out, &ignored, &held) == 0)
        return 0;
    *e = why;
    return -1;
}

static int fetch_edition(struct supply *s, const struct repo *r,
    const char *commit, enum supply_wait how, struct edition **out,
    enum lack *lack, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT((uint64_t)2 << 30);
    const struct supplier *from = s->supplier;
    struct tree tree;
    int rc;

    if (from == NULL)
        return is_held(s, r) ? lacks_revision(r, lack, e)
                             : lacks_repo(r, lack, e);
    rc = from->tree(from->self, r, commit, how, &arena, &tree, lack, e);
    if (rc != 0)
        return rc;
    *lack = LACK_FAULT;
    return edition_keep(s->editions, r, commit, &tree, out, e);
}

/*
 * Links alone do not tell what a commit does not have: they are believed where
 * nobody can tell.
 */
static int ask_for_listing(
    struct supply *s, enum supply_wait how, struct edition **ed)
{
    struct edition *links = *ed;
    struct err ignored = ERR_INIT;
    enum lack lack;
    int rc;

    *ed = NULL;
    rc =
        fetch_edition(s, &links->repo, links->commit, how, ed, &lack, &ignored);
    if (rc < 0) {
        *ed = links;
        return 0;
    }
    edition_drop(links);
    return rc;
}

int supply_resolve(struct supply *s, const struct repo *r, enum supply_wait how,
    struct edition **out, enum lack *lack, struct err *e)
{
    char commit[41];
    int rc;

    *out = NULL;
    rc = find_commit(s, r, how, commit, lack, e);
    if (rc != 0)
        return rc;
    rc = edition_held(
        s->editions, &s->hub, r, commit, how != SUPPLY_NOW, out, e);
    if (rc == HAVE)
        return s->supplier == NULL || (*out)->whole
                   ? 0
                   : ask_for_listing(s, how, out);
    if (rc == EDITION_UNREAD)
        return SUPPLY_WAIT;
    /* A listing that a power cut has spoilt is asked for anew. */
    if (rc < 0 && e->kind == ERR_CORRUPT && s->supplier != NULL) {
        log_warn("%s", e->msg);
        err_clear(e);
        rc = HAVE_NOT;
    }
    if (rc == HAVE_NOT)
        return fetch_edition(s, r, commit, how, out, lack, e);
    *lack = LACK_FAULT;
    return -1;
}

/* ---- which bytes ---- */

/*
 * Where have links led to? Who may write to the cache must not be given what
 * only the mirror may read: it is the file that is named by its digest,
 * wherever blobs are kept, or at least one of the cache.
 */
static bool is_of_cache(const struct supply *s, const char *hex, int fd)
{
    char link[64], place[PATH_MAX], root[PATH_MAX];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, place, sizeof(place) - 1);
    if (n <= 0)
        return false;
    place[n] = '\0';
    return strcmp(path_base(place), hex) == 0 ||
           (realpath(s->hub.root, root) != NULL &&
               str_starts(str_of(place), root) && place[strlen(root)] == '/');
}

/* A regular file of the right size, or -1; errno: why. */
static int open_whole(
    const struct supply *s, const char *path, const struct tree_file *f)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        (uint64_t)st.st_size == f->size &&
        is_of_cache(s, tree_etag(f)->hex, fd))
        return fd;
    close(fd);
    errno = ENOENT;
    return -1;
}

/*
 * The blob has its name when it is whole. Layouts without blobs of their own
 * have the file in the snapshot.
 * Returns 0 with *fd, which is -1 when it is not held; or -1 with *lack and
 *         *e: LACK_LIMIT, it may be held
 */
static int open_held(const struct supply *s, const struct edition *ed,
    const struct tree_file *f, int *fd, enum lack *lack, struct err *e)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX], dir[PATH_MAX];

    *fd = -1;
    errno = ENOENT;
    if (hubdir_blob(&s->hub, &ed->repo, tree_etag(f), path, &ignored) == 0)
        *fd = open_whole(s, path, f);
    if (*fd < 0 && !is_short(errno) &&
        hubdir_snapshot(&s->hub, &ed->repo, ed->commit, dir, &ignored) == 0 &&
        path_join(path, dir, f->path.p, &ignored) == 0)
        *fd = open_whole(s, path, f);
    if (*fd >= 0)
        edition_note_use(ed, &s->hub);
    if (*fd >= 0 || !is_short(errno))
        return 0;
    return lacks_room(lack, e);
}

static int lacks_bytes(const struct edition *ed, const struct tree_file *f,
    enum lack *lack, struct err *e)
{
    *lack = LACK_BYTES;
    err_set(e, ERR_NET,
        "'%s' of %s@%.12s is not held, and there is no upstream", f->path.p,
        ed->repo.id, ed->commit);
    return err_hint(e, "pull it into the mirror's volume: mlfetch pull %s@%s",
        ed->repo.id, ed->commit);
}

int supply_check(struct supply *s, const struct edition *ed,
    const struct tree_file *f, enum lack *lack, struct err *e)
{
    int fd;

    if (s->supplier != NULL)
        return 0;
    if (open_held(s, ed, f, &fd, lack, e) != 0)
        return -1;
    if (fd < 0)
        return lacks_bytes(ed, f, lack, e);
    close(fd);
    return 0;
}

int supply_open(struct supply *s, const struct edition *ed,
    const struct tree_file *f, uint64_t from, uint64_t to, struct source *out,
    enum lack *lack, struct err *e)
{
    *out = (struct source)SOURCE_INIT;
    if (open_held(s, ed, f, &out->fd, lack, e) != 0)
        return -1;
    if (out->fd >= 0)
        return 0;
    if (s->supplier == NULL)
        return lacks_bytes(ed, f, lack, e);
    return s->supplier->open(
        s->supplier->self, ed, f, from, to, &out->feed, lack, e);
}

/* ---- branches and tags ---- */

static int held_refs(struct supply *s, const struct repo *r,
    struct arena *arena, struct supply_ref **out, uint64_t *n, struct err *e)
{
    struct walk_entry *found;
    char root[PATH_MAX];
    uint64_t files;

    if (path_fmt(root, e, "%s/%s/refs", s->hub.root, r->folder) != 0 ||
        walk(root, arena, &found, &files, e) != 0)
        return -1;
    *out = arena_alloc(arena, files, sizeof(**out), e);
    if (*out == NULL)
        return -1;
    for (uint64_t i = 0; i < files; i++) {
        struct supply_ref *ref = &(*out)[*n];
        struct err ignored = ERR_INIT;
        struct repo named = *r;

        if (found[i].path.len >= sizeof(named.revision))
            continue;
        memcpy(named.revision, found[i].path.p, found[i].path.len + 1);
        ref->name = found[i].path;
        if (!repo_is_commit(named.revision) &&
            hubdir_ref(&s->hub, &named, ref->commit, &ignored) == HAVE)
            (*n)++;
    }
    return 0;
}

int supply_refs(struct supply *s, const struct repo *r, enum supply_wait how,
    struct arena *arena, struct supply_ref **out, uint64_t *n, enum lack *lack,
    struct err *e)
{
    const struct supplier *from = s->supplier;
    enum lack lacks = LACK_NONE;
    struct err why = ERR_INIT;
    int rc;

    *out = NULL;
    *n = 0;
    if (from != NULL) {
        rc = from->refs(from->self, r, how, arena, out, n, &lacks, &why);
        if (rc >= 0)
            return rc;
        *n = 0;
    }
    *lack = LACK_FAULT;
    if (from == NULL && !is_held(s, r))
        return lacks_repo(r, lack, e);
    if ((from == NULL || !lack_is_word(lacks)) &&
        held_refs(s, r, arena, out, n, e) != 0)
        return -1;
    if (from == NULL || *n > 0)
        return 0;
    /* No list is no answer: whose it is knows of branches, perhaps. */
    *lack = lacks;
    *e = why;
    return -1;
}
