/*
 * hubdir.h - the official hub cache layout: the one home of where a
 * repository's refs, blobs, snapshots and listings are on disk.
 *
 *   ROOT/models--org--name/refs/main            commit, 40 bytes, no newline
 *                          blobs/<etag>         git SHA-1 or SHA-256
 *                          snapshots/<commit>/<path> -> ../../blobs/<etag>
 *                          trees/<commit>.json  listing of the commit
 *                          .no_exist/<commit>/<path>
 *   ROOT/.locks/models--org--name/<etag>.lock
 *   ROOT/CACHEDIR.TAG
 *
 * Ours, inside a repository's folder where no other tool looks:
 *                          ml/uniform/<key>/    conversions (find.h)
 *                          ml/journal/<etag>    ranges of a partial download
 *                          ml/journal/<etag>.live   the same, not yet synced
 *                          blobs/<etag>.ml.incomplete   its bytes
 *                          ml/quarantine/<etag>  found wrong (quarantine.h)
 *                          ml/{pins,used,pulling,removing}/<commit>
 *                          ml/trash/             of who removes (reaper.h)
 *
 * Order of writing: blob, snapshot entries, tree listing, ref: a reader that
 * follows ref -> snapshot -> blob never meets a half. Everything is synced
 * before the name that leads to it appears. Nothing else is ever created at
 * ROOT (and never ROOT/blobs, which newer official clients own).
 * Source: hub protocol, sections 10 to 12.
 */
#ifndef CACHE_HUBDIR_H
#define CACHE_HUBDIR_H

#include <limits.h>

#include "base/arena.h"
#include "base/hash.h"

enum repo_type { REPO_MODEL, REPO_DATASET, REPO_SPACE, REPO_TYPES };

/* Their names, "model" first, and NULL: also the choices of an option. */
extern const char *const repo_type_names[REPO_TYPES + 1];

/* A repository and a revision, as the user wrote them. */
struct repo {
    enum repo_type type;
    char id[160];       /* "org/name", or a legacy "name" */
    char revision[256]; /* branch, tag, refs/pr/N or commit; "main" */
    char folder[192];   /* "models--org--name" */
};

/* One file of a commit's listing. */
struct tree_file {
    struct str path;   /* checked by path_check */
    uint64_t size;     /* bytes */
    struct digest oid; /* git SHA-1: of the blob, or of the LFS pointer */
    bool lfs;
    struct digest sha256; /* LFS: of the bytes */
};

struct tree {
    struct tree_file *files; /* sorted by path */
    uint64_t n;
};

/* tree_etag - the digest that names the file's blob and checks its bytes. */
static inline const struct digest *tree_etag(const struct tree_file *f)
{
    return f->lfs ? &f->sha256 : &f->oid;
}

struct hubdir {
    char root[PATH_MAX];
};

enum have { HAVE_NOT, HAVE, HAVE_DAMAGED };

/*
 * repo_parse - "org/name", "org/name@revision", "hf://org/name@revision"
 * Returns 0, or -1 with *e: USAGE, saying what an id may be.
 */
int repo_parse(
    struct repo *out, enum repo_type type, const char *text, struct err *e);

/* repo_is_commit - 40 hexadecimal digits: the revision cannot move. */
bool repo_is_commit(const char *revision);

/* repo_of_folder - "models--org--name"; false when it is not one. */
bool repo_of_folder(struct repo *out, const char *folder);

/* hubdir_default - HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub,
 * XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub. */
int hubdir_default(struct hubdir *out, struct err *e);

/* hubdir_init - create ROOT and CACHEDIR.TAG where they are missing. */
int hubdir_init(const struct hubdir *h, struct err *e);

/* Paths, into out of PATH_MAX bytes. */
int hubdir_blob(const struct hubdir *h, const struct repo *r,
    const struct digest *etag, char *out, struct err *e);
int hubdir_partial(const struct hubdir *h, const struct repo *r,
    const struct digest *etag, char *out, struct err *e);
int hubdir_journal(const struct hubdir *h, const struct repo *r,
    const struct digest *etag, char *out, struct err *e);
int hubdir_snapshot(const struct hubdir *h, const struct repo *r,
    const char *commit, char *out, struct err *e);
int hubdir_converted(
    const struct hubdir *h, const struct repo *r, char *out, struct err *e);

/*
 * hubdir_ref - the commit a revision names here; a commit names itself
 * Returns HAVE with out filled in, HAVE_NOT, HAVE_DAMAGED, or -1 with *e.
 */
int hubdir_ref(
    const struct hubdir *h, const struct repo *r, char out[41], struct err *e);

/* hubdir_set_ref - the revision names commit from now on; a commit: no-op. */
int hubdir_set_ref(const struct hubdir *h, const struct repo *r,
    const char *commit, struct err *e);

/*
 * hubdir_have - is the file of this commit there, reachable and of its size?
 * Follows links of every official layout (two hops, real files, copies).
 * A blob whose size is wrong is HAVE_DAMAGED. Digests are not computed.
 */
int hubdir_have(const struct hubdir *h, const struct repo *r,
    const char *commit, const struct tree_file *f, struct err *e);

/* hubdir_have_blob - the same of the blob alone, whatever commit has it. */
int hubdir_have_blob(const struct hubdir *h, const struct repo *r,
    const struct tree_file *f, struct err *e);

/*
 * hubdir_link - make the snapshot's entry point at the file's blob
 * Folders are made as needed. Refuses (REFUSED) when a component of the
 * entry's folder is a symbolic link: nothing is ever written through one.
 */
int hubdir_link(const struct hubdir *h, const struct repo *r,
    const char *commit, const struct tree_file *f, struct err *e);

/*
 * hubdir_link_all - the same for n files, sorted by path on the way; each
 * folder is synced once, and all are before it returns
 */
int hubdir_link_all(const struct hubdir *h, const struct repo *r,
    const char *commit, const struct tree_file **files, size_t n,
    struct err *e);

/*
 * hubdir_tree - the listing of a commit kept here
 * Returns HAVE, HAVE_NOT (also when it is not readable or not version 1),
 * or -1 with *e: NOMEM. A listing that does not parse is HAVE_DAMAGED.
 */
int hubdir_tree(const struct hubdir *h, const struct repo *r,
    const char *commit, struct arena *arena, struct tree *out, struct err *e);

/* hubdir_set_tree - keep a listing (format_version 1, mode as umask says). */
int hubdir_set_tree(const struct hubdir *h, const struct repo *r,
    const char *commit, const struct tree *t, struct err *e);

/*
 * hubdir_lock - wait for the exclusive right to download one blob
 * A lock saves work, it protects nothing. who is told once when it has to
 * wait (log line naming the holder where the system knows it).
 * Returns a descriptor to close, -1 with *e (CANCELLED, IO). A file system
 * without locks gives a descriptor all the same.
 */
int hubdir_lock(const struct hubdir *h, const struct repo *r,
    const struct digest *etag, struct err *e);

/*
 * hubdir_try_lock - the same without waiting; without locks it is given, too
 * Returns 0 with the descriptor in *out, which is -1 when another has the
 * right; or -1 with *e: IO.
 */
int hubdir_try_lock(const struct hubdir *h, const struct repo *r,
    const struct digest *etag, int *out, struct err *e);

/* hubdir_lock_now - one that is held for certain; -1: perhaps not. */
int hubdir_lock_now(
    const struct hubdir *h, const struct repo *r, const struct digest *etag);

/* hubdir_idle - is no blob being downloaded? 0, or -1 with *e: BUSY. */
int hubdir_idle(const struct hubdir *h, const struct repo *r, struct err *e);

/*
 * hubdir_folders - make the folders between root and the file path below it
 * Refuses (REFUSED) one that is a symbolic link.
 */
int hubdir_folders(const char *root, struct str path, struct err *e);

/*
 * hubdir_repos - every repository held, sorted by id
 * out_n repositories in *out, in arena.
 */
int hubdir_repos(const struct hubdir *h, struct arena *arena, struct repo **out,
    uint64_t *out_n, struct err *e);

/* hubdir_mode - the mode a new blob gets: 0444 masked by the umask. */
unsigned hubdir_mode(void);

#endif
