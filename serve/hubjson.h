/*
 * hubjson.h - what the Hub's programs read: one commit, its files, branches.
 * Nothing that would send a client elsewhere is ever in it (xetHash, links).
 * Source: mirror and S3, section 1.3.
 */
#ifndef SERVE_HUBJSON_H
#define SERVE_HUBJSON_H

#include "base/buf.h"
#include "serve/supply.h"

/* hubjson_info - a repository at one commit; blobs: with sizes and digests. */
void hubjson_info(struct buf *out, const struct edition *ed, bool blobs);

/*
 * hubjson_tree - the entries of a folder, "" is the top
 * recursive  all below it, too
 * expand     with the last commit of each
 * Returns    false: there is no such folder; nothing was written
 */
bool hubjson_tree(struct buf *out, const struct edition *ed, struct str folder,
    bool recursive, bool expand);

/* hubjson_paths - those of the names of a form that exist, and its "expand". */
void hubjson_paths(struct buf *out, const struct edition *ed, struct str form);

void hubjson_refs(struct buf *out, const struct supply_ref *refs, uint64_t n);

/* hubjson_commits - the one commit that is known. */
void hubjson_commits(struct buf *out, const struct edition *ed);

/* hubjson_user - for who asks who it is. */
void hubjson_user(struct buf *out, const char *name);

/* hubjson_error - {"error": "..."} */
void hubjson_error(struct buf *out, const char *text);

#endif
