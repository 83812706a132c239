/*
 * tar.h - members of a tar archive as POSIX has them (ustar, and pax where a
 * name or a size needs it). What stands in front of a member is a function of
 * what it is: there is no owner, and one time for all. So a reader need not
 * understand it; it compares.
 */
#ifndef CACHE_TAR_H
#define CACHE_TAR_H

#include "base/buf.h"

enum { TAR_BLOCK = 512, TAR_END = 2 * TAR_BLOCK /* zeroes, at its end */ };

enum tar_type {
    TAR_FILE = '0',
    TAR_HARD = '1', /* the same file as an earlier member */
    TAR_LINK = '2', /* a symbolic link */
    TAR_FOLDER = '5'
};

struct tar_member {
    struct str path;
    enum tar_type type;
    uint64_t size;   /* TAR_FILE: bytes that follow, padded to a block */
    struct str link; /* TAR_HARD: the path of the other; TAR_LINK: its text */
};

/* tar_head - append what stands in front of a member: whole blocks. */
void tar_head(struct buf *out, const struct tar_member *m);

/* tar_padding - zeroes behind so many bytes of a member. */
static inline uint64_t tar_padding(uint64_t size)
{
    return (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK;
}

/* tar_size - what a block says of the member's size; false: nothing sane. */
bool tar_size(const uint8_t block[static TAR_BLOCK], uint64_t *out);

/*
 * tar_describe - what a block that was not expected seems to be, in words:
 * "the symbolic link 'x'"; of out_len bytes
 */
void tar_describe(
    const uint8_t block[static TAR_BLOCK], char *out, size_t out_len);

#endif
