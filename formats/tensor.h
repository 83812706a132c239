/*
 * tensor.h - one tensor of a checkpoint: what it is called, what it looks
 * like, where its bytes are. No data, no ownership: names, shapes and
 * strides live in the arena of the table they stand in.
 */
#ifndef FORMATS_TENSOR_H
#define FORMATS_TENSOR_H

#include "formats/dtype.h"

enum { TENSOR_RANK_MAX = 64, TENSOR_NAME_MAX = 4096 };

struct tensor_quant;

struct tensor {
    struct str name;  /* dotted path */
    enum dtype dtype; /* of what checkpoint_read gives */
    uint32_t rank;
    const uint64_t *shape;  /* rank sizes, outermost first */
    const uint64_t *stride; /* rank steps [elements]; NULL: dense row-major */
    uint64_t n;             /* elements: the product of shape; 1 for rank 0 */
    uint32_t file;          /* index into the checkpoint's files */
    uint64_t offset;        /* of its first element in that file [bytes] */
    /*
     * The storage it looks into: two tensors of one file with the same
     * storage_at share memory. For safetensors, the tensor itself.
     */
    uint64_t storage_at;  /* [bytes] from the start of the file */
    uint64_t storage_len; /* [bytes] */
    bool big_endian;      /* elements must be swapped when read */
    bool no_data;         /* a shape without bytes (torch's meta device) */
    /* Not NULL: its storage lies here, in memory, and in no file. */
    const uint8_t *held;
    bool aside; /* in a TorchScript archive: no parameter, no buffer */
    const struct tensor_quant *quant; /* integers for numbers, or NULL */
    /*
     * What it is ("sparse (torch.sparse_coo)") when its elements cannot be
     * read, or NULL; then no_data is set, and dtype may be DTYPE_NONE.
     */
    const char *alien;
    const char *alien_hint; /* what to do about that, or NULL */
    bool malformed;         /* with alien: of a kind that is read, but not so */
};

/*
 * A quantised tensor: dtype is F32, the file holds integers q, and a number
 * is (q - zero) * scale, rounded as torch's dequantize() does.
 */
struct tensor_quant {
    const char *name;  /* "qint8" */
    enum dtype stored; /* I8, U8 or I32 */
    bool per_channel;
    double scale;
    int32_t zero;
    /* Per channel: one of each for every index of dimension axis. */
    uint32_t axis;
    struct tensor scales; /* F64, or F32; dense */
    struct tensor zeros;  /* I64, or F32; dense */
};

/* tensor_bytes - size of the dense form [bytes]. */
uint64_t tensor_bytes(const struct tensor *t);

/*
 * tensor_count - the product of a shape
 * Returns false on overflow or a result above 2^62.
 */
bool tensor_count(const uint64_t *shape, uint32_t rank, uint64_t *out);

/* tensor_dense - its elements lie in row-major order without gaps. */
bool tensor_dense(const struct tensor *t);

/* tensor_same_bytes - a and b are the very same view of one storage. */
bool tensor_same_bytes(const struct tensor *a, const struct tensor *b);

/* tensor_shape_text - "[2, 3]"; out is always terminated. Returns out. */
char *tensor_shape_text(char *out, size_t out_len, const struct tensor *t);

#endif
