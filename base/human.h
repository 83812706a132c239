/*
 * human.h - sizes, rates and times as people read and write them. Decimal
 * units, as the Hub and the disk makers use: 1.5 GB is 1,500,000,000 bytes.
 */
#ifndef BASE_HUMAN_H
#define BASE_HUMAN_H

#include "base/sys.h"

enum { HUMAN_MAX = 32 };

/* human_size - "0 B", "999 B", "1.50 kB", "12.3 MB", "1.00 GB"; in out. */
char *human_size(char out[HUMAN_MAX], uint64_t bytes);

/* human_time - "0.4 s", "12 s", "3:07", "1:02:03"; in out. */
char *human_time(char out[HUMAN_MAX], double seconds);

/*
 * human_date - "2026-11-21 09:30:00 UTC" for seconds since 1970, or their
 * number where no calendar goes; in out.
 */
char *human_date(char out[HUMAN_MAX], int64_t when);

/* human_count - "1,234,567"; in out. */
char *human_count(char out[HUMAN_MAX], uint64_t n);

/*
 * human_parse_size - "500", "10k", "1.5GB", "4GiB", "2M"; a bare letter is
 * decimal. Returns false for anything else or when it does not fit.
 */
bool human_parse_size(const char *text, uint64_t *out);

#endif
