/*
 * localdir.h - a folder with the files of a repository as plain files, for
 * people who do not want a cache. The official client's layout:
 *
 *   D/<path>                                   the files
 *   D/.cache/huggingface/download/<path>.metadata
 *                                commit, etag, time: what was put there, when
 *   D/.cache/huggingface/ml/     ours: a hub cache for what is on its way
 *
 * A file is ours as long as nothing happened to it after that time (its own
 * time does not count: mv and cp -p keep it), or its bytes are those of the
 * record. Any other file is the user's, unless its bytes are what is wanted.
 * Source: hub protocol, section 13.
 */
#ifndef FETCH_LOCALDIR_H
#define FETCH_LOCALDIR_H

#include "cache/hubdir.h"

struct localdir {
    char root[PATH_MAX]; /* absolute */
    struct hubdir work;
};

/* localdir_at - where things are; nothing is made. 0, or -1: USAGE, IO. */
int localdir_at(struct localdir *out, const char *path, struct err *e);

/* localdir_init - make the folders, and the tags of the official client. */
int localdir_init(const struct localdir *l, struct err *e);

/*
 * localdir_enter - wait until no other process fills the folder
 * waited   there was one: what is there may have changed
 * Returns  a descriptor to close when done (also where the file system has no
 *          locks), -1 with *e: CANCELLED, IO
 */
int localdir_enter(const struct localdir *l, bool *waited, struct err *e);

/*
 * localdir_have - what stands under the file's name
 * A file that was touched since its record, or has none, is hashed.
 * Returns HAVE, HAVE_NOT (nothing, or an older one of ours), HAVE_DAMAGED (a
 *         file of the user's), -1 with *e: REFUSED (its folder is a symbolic
 *         link, or that of the records), IO, CANCELLED
 */
int localdir_have(
    const struct localdir *l, const struct tree_file *f, struct err *e);

enum localdir_how {
    LOCALDIR_MOVE,  /* blob is taken away: it is ours alone */
    LOCALDIR_SHARE, /* reflink, or a hard link where its mode protects the
                       blob from this user; else a copy */
    LOCALDIR_COPY   /* reflink or copy */
};

/* localdir_put - blob's bytes become the file, whatever stood there. */
int localdir_put(const struct localdir *l, const struct tree_file *f,
    const char *blob, enum localdir_how how, struct err *e);

/* localdir_note - record that the file is the commit's; cheap if it is. */
int localdir_note(const struct localdir *l, const struct tree_file *f,
    const char *commit, struct err *e);

/* localdir_shares - could the bytes at blob be in here without a copy? */
bool localdir_shares(const struct localdir *l, const char *blob);

#endif
