/*
 * list.h - what is in a bucket: keys in byte order, from all pages.
 *
 * A list may be late on some stores: that a key is not in it proves nothing,
 * s3_head does.
 */
#ifndef S3_LIST_H
#define S3_LIST_H

#include "s3/client.h"

struct s3_entry {
    const char *key; /* or, with folder, a common prefix: "a/b/" */
    bool folder;
    uint64_t size;
    const char *etag;   /* without quotes */
    int64_t modified_s; /* 0: unknown */
};

struct s3_list {
    const char *prefix; /* NULL or "": all */
    bool folders;       /* what is below the next '/' is one entry */
    const char *after;  /* only keys behind this one; NULL: from the first */
    unsigned page_max;  /* keys asked for at once; 0: the store's number */
    /* Non-zero with *e ends it as a failure; S3_LIST_ENOUGH ends it well. */
    int (*entry)(void *arg, const struct s3_entry *entry, struct err *e);
    void *arg;
};

enum { S3_LIST_ENOUGH = 2 };

/*
 * s3_list - 0 when all were told or it was enough; entries live for a call,
 * which may ask the same client something
 */
int s3_list(struct s3 *s, const struct s3_list *l, struct err *e);

#endif
