/* stamp.h - the two ways in which stores write a time. */
#ifndef S3_STAMP_H
#define S3_STAMP_H

#include <stdint.h>

#include "base/str.h"

/*
 * stamp_iso - "2026-01-31T23:59:59.000Z", with or without the fraction
 * stamp_http - "Sat, 31 Jan 2026 23:59:59 GMT"
 * false: it is no such time; out is left alone.
 */
bool stamp_iso(struct str text, int64_t *out);
bool stamp_http(struct str text, int64_t *out);

#endif
