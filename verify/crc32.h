/*
 * crc32.h - the checksum of zip archives (reflected polynomial 0xEDB88320).
 */
#ifndef VERIFY_CRC32_H
#define VERIFY_CRC32_H

#include <stddef.h>
#include <stdint.h>

enum { CRC32_SLICES = 8 };

struct crc32 {
    uint32_t table[CRC32_SLICES][256];
};

/* crc32_init - build the tables; a few microseconds. */
void crc32_init(struct crc32 *c);

/* crc32_add - sum is 0 at first; gives the sum with len more bytes. */
uint32_t crc32_add(
    const struct crc32 *c, uint32_t sum, const void *bytes, size_t len);

#endif
