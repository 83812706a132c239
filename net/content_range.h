/* content_range.h - the headers that say which bytes of a file follow. */
#ifndef NET_CONTENT_RANGE_H
#define NET_CONTENT_RANGE_H

#include "base/sys.h"

struct content_range {
    uint64_t from;
    uint64_t to;   /* behind the last byte */
    uint64_t size; /* of the whole file, when sized */
    bool sized;    /* false: the server does not know ("*") */
};

/* content_range - "bytes 0-99/1000"; false for anything else. */
bool content_range(const char *text, struct content_range *out);

/* content_length - a decimal number and nothing else. */
bool content_length(const char *text, uint64_t *out);

#endif
