/*
 * zip.h - the table of contents of a zip archive, from its central directory
 * and checked against every local header. No data is read or inflated.
 *
 * Refused: anything that two readers could understand differently
 * (duplicate names, overlapping entries, names that differ between the two
 * headers, bytes behind the end record, encryption, several disks).
 * Source: checkpoint formats, sections 2.2 to 2.5 and 12.2.
 */
#ifndef FORMATS_ZIP_H
#define FORMATS_ZIP_H

#include "base/arena.h"

enum { ZIP_ENTRIES_MAX = 1000000, ZIP_NAME_MAX = 4096 };

struct zip_entry {
    struct str name;    /* points into the bytes; UTF-8, relative, no ".." */
    uint64_t header_at; /* of the local header [bytes] */
    uint64_t data_at;   /* of its data [bytes] */
    uint64_t size;      /* uncompressed [bytes] */
    uint64_t packed;    /* as it lies in the file; == size when stored */
    uint32_t crc;       /* as written; 0 may mean "not computed" */
    uint16_t method;    /* 0: stored */
};

struct zip {
    struct zip_entry *v; /* sorted by name without regard to ASCII case */
    uint64_t n;          /* folder entries are left out */
    struct str folder;   /* the first path part all names share, or "" */
};

/*
 * zip_read - read the directory
 * bytes    the whole file
 * Returns  0, or -1 with *e: REFUSED, naming the entry and the offset; NOMEM
 * Cost     n log n; touches one page per entry
 */
int zip_read(const void *bytes, uint64_t len, struct arena *arena,
    struct zip *out, struct err *e);

/* zip_find - the entry folder/record, or NULL. Cost: log n. */
const struct zip_entry *zip_find(const struct zip *z, const char *record);

/* zip_record - the entry's name without the common folder. */
struct str zip_record(const struct zip *z, const struct zip_entry *entry);

#endif
