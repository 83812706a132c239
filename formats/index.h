/*
 * index.h - model.safetensors.index.json and pytorch_model.bin.index.json:
 * which shard holds which tensor. Pure; only weight_map is believed.
 * Source: checkpoint formats, section 9.
 */
#ifndef FORMATS_INDEX_H
#define FORMATS_INDEX_H

#include "base/arena.h"
#include "base/str.h"

enum { INDEX_BYTES_MAX = 64 << 20 };

struct index_entry {
    struct str tensor;
    uint32_t shard; /* into shards */
};

struct weight_index {
    struct index_entry *entries; /* sorted by tensor */
    uint64_t n;
    struct str *shards; /* plain file names, sorted, each once */
    uint32_t n_shards;
};

/*
 * index_parse - read the text of an index
 * Returns  0, or -1 with *e: REFUSED (malformed JSON, no weight_map, a shard
 *          name that is not a plain file name), NOMEM
 * Owns     nothing; out lives as long as arena
 */
int index_parse(struct weight_index *out, struct str text, struct arena *arena,
    struct err *e);

#endif
