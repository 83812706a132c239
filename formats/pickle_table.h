/*
 * pickle_table.h - text to pointer, for names that a hostile file chooses:
 * the hash is seeded per process, memory comes from an arena.
 */
#ifndef FORMATS_PICKLE_TABLE_H
#define FORMATS_PICKLE_TABLE_H

#include "base/arena.h"

struct pickle_slot {
    struct str key;
    uint64_t hash;
    void *value; /* NULL: the slot is free */
};

struct pickle_table {
    struct pickle_slot *v;
    uint64_t n;
    uint64_t cap; /* 0 or a power of two */
};

#define PICKLE_TABLE_INIT                                                      \
    {                                                                          \
        .n = 0                                                                 \
    }

/* pickle_table_get - the value under key, or NULL. */
void *pickle_table_get(const struct pickle_table *t, struct str key);

/*
 * pickle_table_put - add a key that is not there yet
 * key      must outlive the table
 * value    not NULL
 * Returns  0, or -1 with *e: NOMEM, REFUSED (the arena's limit)
 */
int pickle_table_put(struct pickle_table *t, struct str key, void *value,
    struct arena *arena, struct err *e);

#endif
