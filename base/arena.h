/*
 * arena.h - a bump allocator with a limit, freed in one call.
 *
 * One arena per parsed file. Memory comes back zeroed and aligned for any
 * type. Not for threads: one owner at a time.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/err.h"
#include "base/str.h"

struct arena_block;

struct arena {
    struct arena_block *head;
    uint64_t used;  /* bytes handed out */
    uint64_t limit; /* used never passes this */
};

#define ARENA_INIT(max)                                                        \
    {                                                                          \
        .limit = (max)                                                         \
    }

void arena_free(struct arena *a);

/*
 * arena_alloc - n items of size bytes, zeroed
 * Returns  memory, or NULL with *e: NOMEM, or REFUSED when over the limit.
 *          n == 0 gives a valid pointer.
 */
void *arena_alloc(struct arena *a, uint64_t n, size_t size, struct err *e);

/* arena_str - a copy of s, terminated; .p is NULL with *e on failure. */
struct str arena_str(struct arena *a, struct str s, struct err *e);

/*
 * arena_grow - room for one more item in a list that lives in an arena
 * n of *cap items are in use. Returns the list, moved when it was full, or
 * NULL with *e.
 */
void *arena_grow(struct arena *arena, void *list, uint64_t n, uint64_t *cap,
    size_t size, struct err *e);

#endif
