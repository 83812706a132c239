/*
 * gguf.h - the front of a GGUF file, version 3: named values and a table of
 * tensors. A writer that makes it, a strict reader that checks it; neither
 * opens files.
 *
 * The reader refuses all that ggml refuses, and also a boolean that is not
 * 0 or 1. Nothing is read past the bytes given, and memory is bounded by
 * them.
 * Source: checkpoint formats, sections 11 and 12.6.
 */
#ifndef FORMATS_GGUF_H
#define FORMATS_GGUF_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/rd.h"

enum {
    GGUF_VERSION = 3,
    GGUF_ALIGN = 32, /* of tensors, where no value says otherwise */
    GGUF_ALIGN_MAX = 1 << 24,
    GGUF_RANK_MAX = 4,
    GGUF_NAME_MAX = 63 /* bytes of a tensor's name */
};

enum gguf_kind {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_KINDS
};

/* The element types that are written; the reader knows the others too. */
enum ggml_type { GGML_F32 = 0, GGML_F16 = 1, GGML_Q8_0 = 8, GGML_BF16 = 30 };

/* Elements and bytes of one block; false when there is no such type. */
bool ggml_block(uint32_t type, uint32_t *count, uint32_t *bytes);

struct gguf_tensor {
    struct str name;
    uint32_t type; /* ggml's number */
    uint32_t rank;
    uint64_t ne[GGUF_RANK_MAX]; /* sizes, innermost first; 1 beyond rank */
    uint64_t bytes;             /* of its data */
    uint64_t offset;            /* from the start of the file [bytes] */
};

/* A named value as it stands in the file. */
struct gguf_value {
    struct str key;
    enum gguf_kind kind;
    enum gguf_kind of; /* elements of an array, else as kind */
    uint64_t n;        /* of an array, else 1 */
    struct str raw;    /* the bytes of the value, or of all elements */
};

struct gguf {
    struct gguf_value *values; /* in file order */
    uint64_t n_values;
    struct gguf_tensor *tensors; /* in file order */
    uint64_t n_tensors;
    uint32_t align;
    uint64_t data_at; /* where the first tensor is or would be */
};

/*
 * gguf_parse - read the front of a file
 * bytes     the file, or at least all of it before the tensor data
 * file_size of the whole file; tensors must lie inside it [bytes]
 * Returns   0, or -1 with *e: REFUSED, UNSUPPORTED (another version, big
 *           endian), CORRUPT (the file is shorter than it says), NOMEM
 * Owns      nothing; names and values point into bytes, tables into arena
 */
int gguf_parse(const void *bytes, uint64_t len, uint64_t file_size,
    struct arena *arena, struct gguf *out, struct err *e);

/* gguf_find - a value by its key, or NULL. */
const struct gguf_value *gguf_find(const struct gguf *g, const char *key);

/* Values of just this kind; false, and *out left alone, for any other. */
bool gguf_u32(const struct gguf_value *v, uint32_t *out);
bool gguf_f32(const struct gguf_value *v, float *out);
bool gguf_bool(const struct gguf_value *v, bool *out);
bool gguf_str(const struct gguf_value *v, struct str *out);

/*
 * gguf_next_str - the next element of an array of strings
 * r        rd_of(v->raw.p, v->raw.len) to begin with; bad past the last
 */
struct str gguf_next_str(struct rd *r);

/* The named values of a file in the making. */
struct gguf_writer {
    struct buf kv;
    uint64_t n;
};

#define GGUF_WRITER_INIT(max)                                                  \
    {                                                                          \
        .kv = BUF_INIT(max)                                                    \
    }

void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v);
void gguf_put_f32(struct gguf_writer *w, const char *key, float v);
void gguf_put_bool(struct gguf_writer *w, const char *key, bool v);
void gguf_put_str(struct gguf_writer *w, const char *key, struct str v);

/* gguf_put_array - and its n elements follow, by the three below. */
void gguf_put_array(
    struct gguf_writer *w, const char *key, enum gguf_kind of, uint64_t n);
void gguf_add_str(struct gguf_writer *w, struct str v);
void gguf_add_f32(struct gguf_writer *w, float v);
void gguf_add_i32(struct gguf_writer *w, int32_t v);

/*
 * gguf_finish - all bytes in front of the tensor data, which is aligned to
 * GGUF_ALIGN
 * tensors   name, type, rank and ne are read; bytes and offset are set
 * file_size gets the size of the whole file, the last tensor padded too
 * Returns   0, or -1 with *e: REFUSED (what the reader would refuse), NOMEM
 */
int gguf_finish(const struct gguf_writer *w, struct gguf_tensor *tensors,
    uint64_t n, struct buf *header, uint64_t *file_size, struct err *e);

void gguf_writer_free(struct gguf_writer *w); /* idempotent, for AUTO */

#endif
