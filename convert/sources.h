/*
 * sources.h - the digests of what a conversion is made from. A blob of a hub
 * cache or a volume's store is named by its SHA-256; anything else has to be
 * read, a step at a time so that it hides behind the conversion.
 */
#ifndef CONVERT_SOURCES_H
#define CONVERT_SOURCES_H

#include <sys/stat.h>

#include "base/buf.h"
#include "cache/find.h"
#include "formats/checkpoint.h"
#include "formats/manifest.h"

struct source {
    char path[PATH_MAX];
    struct manifest_file file; /* sha256.hex is "" while unknown */
    bool named;                /* its digest is known from where it is kept */
    struct stat seen;          /* when it was listed */
};

struct sources {
    struct arena arena;
    struct source *v; /* weights and index first, then the company */
    uint64_t n;
    uint64_t n_open; /* the first ones, that the checkpoint keeps open */
    uint64_t unread; /* bytes that steps still have to hash */
    uint64_t now;    /* the one being hashed */
    uint64_t at;     /* bytes of it done */
    struct hash hash;
    struct buf room;
    int fd;
};

#define SOURCES_INIT                                                           \
    {                                                                          \
        .fd = -1, .room = {.p = buf_empty }                                    \
    }

/*
 * sources_list - the files of c and the company beside them
 * found    where they are kept, for digests that are known there; or NULL
 * Returns  0, or -1 with *e: IO, MISSING, NOMEM, CORRUPT (a file of c is not
 *          the one that was opened)
 */
int sources_list(struct sources *s, const struct checkpoint *c,
    const struct found *found, struct err *e);

/*
 * sources_step - hash up to bytes more
 * Returns  0, or -1 with *e: IO, CORRUPT, CANCELLED
 */
int sources_step(struct sources *s, uint64_t bytes, struct err *e);

/* sources_left - is there a digest that steps still have to make? */
static inline bool sources_left(const struct sources *s)
{
    return s->now < s->n;
}

/* sources_skip - unknown digests stay unknown. */
void sources_skip(struct sources *s);

/*
 * sources_check - are they still the files that were listed? c stays open.
 * Asked when everything has been read: what was written into meanwhile is in
 * the result as a mixture, whatever the digests say.
 * Returns  0, or -1 with *e: CORRUPT, MISSING, IO
 */
int sources_check(const struct sources *s, struct err *e);

/*
 * sources_key - 32 hexadecimal digits that name this conversion: of the
 * sources' names, sizes and digests, and the recipe. Everything is hashed.
 */
struct recipe;
int sources_key(const struct sources *s, const struct recipe *r, char out[33],
    struct err *e);

/* sources_free - idempotent, for AUTO. */
void sources_free(struct sources *s);

#endif
