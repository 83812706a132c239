/*
 * map.h - a file mapped for reading.
 *
 * A file that another program shortens while it is mapped would end this
 * process with SIGBUS. The first map arms a handler that says which file it
 * was and exits with status 6, as for any other damaged input. In a scope
 * (scope.h) what is missing reads as zeros, and the scope is told.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/err.h"

struct map {
    const uint8_t *p; /* NULL when the file is empty or not open */
    uint64_t len;     /* bytes */
    int fd;           /* stays open: for reads that must not map */
    struct map_guard *guard;
};

#define MAP_INIT                                                               \
    {                                                                          \
        .fd = -1                                                               \
    }

/* map_open - 0, or -1 with *e: MISSING, IO, NOMEM, REFUSED (not a file). */
int map_open(struct map *m, const char *path, struct err *e);

/*
 * map_forget - let go of the pages of the map that p lies in
 * What was read of it no longer counts as memory of this process, and comes
 * back from the page cache when it is read again. Nothing happens when p lies
 * in no map.
 */
void map_forget(const void *p);

/*
 * map_fd - len bytes of an open file whose content is checked by who reads it
 * When another program shortens it, what is missing reads as zeros. The
 * descriptor stays the caller's.
 * Returns 0, or -1 with *e: IO, NOMEM
 */
int map_fd(struct map *m, int fd, uint64_t len, struct err *e);

/* map_alone - a page that is read brings no others from the disk. */
void map_alone(const struct map *m);

/* map_torn - was something missing when it was read? */
bool map_torn(const struct map *m);

/*
 * map_ready - bytes [from, to) can be read without waiting for the disk
 * Returns false when some of them are not in the page cache.
 */
bool map_ready(const struct map *m, uint64_t from, uint64_t to);

/* map_forget_part - map_forget of the whole pages in [from, to), if mapped. */
void map_forget_part(const struct map *m, uint64_t from, uint64_t to);

/* map_close - idempotent, for AUTO. */
void map_close(struct map *m);

#endif
