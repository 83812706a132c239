/*
 * safetensors.h - the tensor table at the front of a safetensors file.
 * Pure and strict: everything the reference refuses, and also duplicate
 * names, array-form entries, control characters in names and rank > 64.
 * Source: checkpoint formats, section 10; ml-safetensors(5).
 */
#ifndef FORMATS_SAFETENSORS_H
#define FORMATS_SAFETENSORS_H

#include "base/arena.h"
#include "formats/tensor.h"

enum { SAFETENSORS_HEADER_MAX = 100000000 };

struct safetensors {
    struct tensor *tensors; /* in order of their bytes */
    uint64_t n;
    uint64_t data_at;   /* where the data region starts: 8 + header */
    struct str format;  /* __metadata__.format, or "" */
    struct str uniform; /* __metadata__.ml-safetensors: the version of
                           the uniform form, or "" */
};

/*
 * safetensors_parse - read the header of a safetensors file
 * bytes     the file, or at least its first 8 + header bytes
 * len       bytes there
 * file_size of the whole file; every offset is checked against it [bytes]
 * Returns   0, or -1 with *e: REFUSED, naming the tensor or the offset;
 *           CORRUPT when the file is shorter than it says; NOMEM
 * Owns      nothing; out lives as long as arena
 */
int safetensors_parse(const void *bytes, uint64_t len, uint64_t file_size,
    struct arena *arena, struct safetensors *out, struct err *e);

#endif
