/*
 * archive.h - what an archive of mlcache export holds: ml-archive(5). The
 * manifest, its first member, says it all: every other member, in order, and
 * every byte that is not content, follows from it. Pure.
 */
#ifndef CACHE_ARCHIVE_H
#define CACHE_ARCHIVE_H

#include "base/arena.h"
#include "base/buf.h"
#include "cache/hubdir.h"
#include "cache/tar.h"

#define ARCHIVE_MANIFEST "ml-archive/manifest.json"
#define ARCHIVE_SEAL "ml-archive/seal.json"

enum {
    ARCHIVE_MANIFEST_MAX = 256 << 20, /* bytes */
    ARCHIVE_VALUES_MAX = 4 << 20,     /* in it; about five for each file */
    ARCHIVE_LOCK_MAX = 64 << 20       /* of the text of a lock */
};

/* A file of a commit. */
struct archive_file {
    struct tree_file f; /* oid may be unknown of an LFS file: hex "" */
    bool absent;        /* listed, but not in the archive */
};

/* A commit of a repository. Its repo's revision says nothing. */
struct archive_revision {
    struct repo repo;
    char commit[41];
    struct str *refs; /* branches, tags ... that name it; sorted */
    uint64_t n_refs;
    bool listed; /* files are the whole listing of the commit */
    struct archive_file *files;
    uint64_t n_files; /* sorted by path */
};

/* A file that was put into a volume. */
struct archive_put {
    struct str name;
    uint64_t size;
    struct digest sha256;
};

/* A content that stands in the archive grouped (grouping.h). */
struct archive_group {
    struct digest digest;
    unsigned width;
};

struct archive {
    struct archive_revision *revisions; /* by type, id, commit */
    uint64_t n_revisions;
    struct archive_put *puts; /* by name */
    uint64_t n_puts;
    struct archive_group *groups; /* by digest */
    uint64_t n_groups;
    /* The lock that it was made from, or lock_name.len 0. */
    struct str lock_name;
    struct str lock_text;
    struct str signature; /* the text of its signature's file; or "" */
};

/*
 * archive_text - append the manifest; everything is put in order first
 * Returns 0, or -1 with *e: REFUSED (more than can be held, or twice the
 *         same), NOMEM
 */
int archive_text(struct buf *out, struct archive *a, struct err *e);

/*
 * archive_parse - of a manifest; strict: no other text of this meaning is
 * taken than the one archive_text writes
 * Returns 0 with all of it in arena, or -1 with *e: REFUSED, UNSUPPORTED,
 *         NOMEM
 */
int archive_parse(
    struct archive *out, struct str text, struct arena *arena, struct err *e);

/* archive_lists - the files of a revision, as the listing of its commit. */
int archive_lists(const struct archive_revision *r, struct tree *out,
    struct arena *arena, struct err *e);

/* ---- members ---- */

/* Something that is stored: the same bytes only once. */
struct archive_content {
    struct digest digest;
    uint64_t size;
    unsigned width;    /* grouped by it; 0: as it is */
    uint64_t revision; /* one of a's, if file is not NULL */
    const struct archive_file *file;
    const struct archive_put *put; /* else */
};

struct member {
    struct tar_member tar;
    struct str text; /* TAR_FILE: its bytes; .p NULL: those of content */
    const struct archive_content *content;
    const struct repo *blob_of; /* whose blob it is, or NULL */
};

struct members {
    struct member *v; /* without the manifest and the seal */
    uint64_t n;
    struct archive_content *contents; /* in order */
    uint64_t n_contents;
    uint64_t content_bytes;
};

/*
 * archive_members - what follows the manifest, in arena
 * Returns 0, or -1 with *e: REFUSED (a contradiction), NOMEM
 */
int archive_members(struct members *out, const struct archive *a,
    struct arena *arena, struct err *e);

/*
 * archive_seal - the text of the last member
 * manifest  the SHA-256 of the manifest
 * n         members before it, the manifest counted
 * bytes     of the tar archive before its header
 */
void archive_seal(
    struct buf *out, const struct digest *manifest, uint64_t n, uint64_t bytes);

#endif
