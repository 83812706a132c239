/*
 * zipscraps.h - the pickles of a zip archive whose directory cannot be
 * trusted: local headers are searched for, as a repair tool would.
 */
#ifndef VERIFY_ZIPSCRAPS_H
#define VERIFY_ZIPSCRAPS_H

#include "base/str.h"

struct zip_scrap {
    uint64_t next;    /* where to search; 0 at first */
    unsigned found;   /* so far; no more than 64 */
    struct str name;  /* points into the bytes; may hold any byte */
    uint64_t data_at; /* [bytes] */
};

/*
 * zip_scrap_next - the next stored entry that is a pickle by its name
 * Returns  false when there is none
 * Cost     linear in the bytes, all calls together
 */
bool zip_scrap_next(struct zip_scrap *s, const uint8_t *bytes, uint64_t len);

/* zip_name_is_pickle - an entry that a Python program would unpickle. */
bool zip_name_is_pickle(struct str name);

#endif
