/*
 * shard.h - a layout cut into files: none holds more tensor data than asked
 * for, unless a single tensor does. ml-safetensors(5) is the normative text.
 */
#ifndef CONVERT_SHARD_H
#define CONVERT_SHARD_H

#include "convert/layout.h"

#define SHARD_INDEX "model.safetensors.index.json"

enum { SHARDS_MAX = 99999, SHARD_NAME_MAX = 48 };

struct shard {
    char name[SHARD_NAME_MAX]; /* model.safetensors when it is the only one */
    struct layout part;        /* of this file; its tensors are the whole's */
    uint64_t first;            /* of its tensors, in the whole */
};

struct shards {
    struct arena arena;
    struct shard *v;
    uint64_t n;
    uint64_t data_size; /* of all tensors [bytes] */
    uint64_t file_size; /* of all shards [bytes] */
};

#define SHARDS_INIT                                                            \
    {                                                                          \
        .n = 0                                                                 \
    }

/*
 * shards_cut - tensors in the order of the whole, a new file whenever the
 * next one would take the data of this one past most bytes
 * whole    gives its header away when one file is enough; otherwise the
 *          offsets of its tensors become those in the shards
 * Returns  0, or -1 with *e: USAGE (too many files), REFUSED, NOMEM
 * Owns     its own memory; borrows tensors from whole
 */
int shards_cut(
    struct shards *s, struct layout *whole, uint64_t most, struct err *e);

/* shards_index - the text of SHARD_INDEX, as the official tools write it. */
int shards_index(const struct shards *s, struct buf *out, struct err *e);

/* shard_is_ours - a file name that a conversion in shards may have made. */
bool shard_is_ours(const char *name);

/* shards_free - idempotent, for AUTO. */
void shards_free(struct shards *s);

#endif
