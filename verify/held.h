/*
 * held.h - what a hub cache says about the files of a snapshot: the names
 * of the blobs its links lead to, and the listing of the commit.
 */
#ifndef VERIFY_HELD_H
#define VERIFY_HELD_H

#include "verify/filelist.h"

/*
 * held_expect_links - promises from the chain of links behind every file
 * A name of 40 or 64 hexadecimal digits in a folder called blobs, or in a
 * store's sha256/ab folder, is the digest of the bytes. All hops count.
 */
void held_expect_links(const struct filelist *l);

/*
 * held_expect_listing - sizes and digests from trees/<commit>.json
 * folder   where the files are; anything but a snapshot of a hub cache is
 *          left alone
 * Sizes that differ fail at once; files that were never pulled are a note.
 * Returns  0, or -1 with *e: NOMEM, IO
 */
int held_expect_listing(const struct filelist *l, const char *folder,
    struct findings *report, struct err *e);

#endif
