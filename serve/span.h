/*
 * span.h - which bytes of a file a Range header asks for: "bytes=a-b",
 * "bytes=a-", "bytes=-n". Pure.
 */
#ifndef SERVE_SPAN_H
#define SERVE_SPAN_H

#include "base/str.h"

enum span_kind {
    SPAN_ALL,  /* none that is understood, or several: the whole file */
    SPAN_PART, /* [from, to), not empty */
    SPAN_REST, /* the same as "a-": who asks may have what is in front */
    SPAN_NONE  /* all of it lies past the end */
};

/* span_parse - header NULL: none was sent; size: of the file. */
enum span_kind span_parse(
    const char *header, uint64_t size, uint64_t *from, uint64_t *to);

#endif
