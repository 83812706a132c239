/*
 * kernels.h - the steps of a pass on the device. Each call puts one kernel into
 * a stream, and what fails shows there. Pointers are the device's, vectors
 * float32. `watch` has the step under which a value that is no number is noted.
 */
#ifndef CUDA_KERNELS_H
#define CUDA_KERNELS_H

#include <cuda_runtime_api.h>

#include "cuda/tune.h"
#include "verify-run/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a kernel's shape depends on. */
struct gpu_device {
    unsigned processors; /* multiprocessors */
    size_t shared_max;   /* bytes a block may have */
    bool early;          /* kernels start before the one in front is done */
};

/* Where values that are no numbers are noted: ~step of the first; 0: none. */
struct gpu_watch {
    uint32_t *first;
    uint32_t step;
};

/* A matrix on the device. */
struct gpu_weight {
    const void *data;    /* (rows, cols) */
    const float *scales; /* (rows) of I8, or NULL */
    uint32_t rows, cols;
    enum dtype dtype;
};

/* x[t] = table[tokens[t]] * scale + places[offset + *pos + t] */
struct gpu_embed {
    struct gpu_weight table;
    struct gpu_weight places; /* data NULL: none */
    const uint32_t *tokens;   /* (n) */
    const uint32_t *pos;      /* of the first token */
    uint32_t offset;
    uint32_t n;
    float scale;
    float *x; /* (n, table.cols) */
    struct gpu_watch watch;
};
void gpu_embed(cudaStream_t q, const struct gpu_embed *a);

/* y[t] = norm(x[t]), or y[t] += scale * norm(x[t]) */
struct gpu_norm {
    enum norm_kind kind;
    const float *w, *b; /* (cols), or NULL */
    float eps;
    uint32_t n, cols;
    const float *x; /* (n, cols) */
    float *y;       /* (n, cols), may be x */
    bool add;
    float scale;    /* with add */
    bool watch_sum; /* with add: look at the new y, too */
    struct gpu_watch watch;
};
void gpu_norm(cudaStream_t q, const struct gpu_norm *a);

/* y[t][row] = finish(W[row] x[t]): one matrix, or up to three with the same
   vectors. */
enum { ROWS_PARTS = 3 };

struct gpu_rows_part {
    const void *data;
    const float *scales, *bias; /* (rows), or NULL */
    uint32_t rows;
    float *y; /* (n, y_step) */
};

/* What happens to a sum, after its scale of int8 and its bias. */
enum gpu_finish {
    FINISH_STORE, /* y = cap(scale * clip(sum)) */
    FINISH_ACT,   /* y = act(sum) */
    FINISH_ADD,   /* y = y + scale * also + scale * sum */
    FINISH_MUL,   /* y = y * sum */
    FINISH_GATE   /* y = act(sum of part 0) * sum of part 1 */
};

struct gpu_rows {
    struct gpu_rows_part part[ROWS_PARTS]; /* to gate: two of equal rows */
    uint32_t parts;
    enum dtype dtype; /* of all parts */
    uint32_t cols;    /* of all parts */
    uint32_t n;       /* vectors */
    uint32_t x_step, y_step;
    const float *x;              /* (n, x_step) */
    const struct gpu_norm *norm; /* what is multiplied is norm(x), cols long;
                                    NULL: x */
    enum gpu_finish finish;
    enum activation act;
    float clip; /* 0: none */
    float scale;
    float cap;         /* 0: none */
    const float *also; /* (n, y_step), or NULL */
    bool watch_sum;    /* to add: look at the new y, too */
    struct gpu_watch watch;
};

/* gpu_rows - every weight is read once for each vector. */
void gpu_rows(
    cudaStream_t q, const struct gpu_device *d, const struct gpu_rows *a);

/* gpu_rows_wait - are the kernels compiled so that they may start early? */
bool gpu_rows_wait(void);

/* gpu_rows_hold - is there room for a whole vector, as a norm needs it? */
bool gpu_rows_hold(const struct gpu_device *d, uint32_t cols);

/*
 * The heads of queries and keys: normed, turned, and put where attention
 * reads them; values with them.
 */
struct gpu_heads {
    const float *qkv; /* (n, step) */
    uint32_t step;
    uint32_t n, heads, kv_heads, head_dim, capacity;
    uint32_t q_at, k_at, v_at; /* of head 0 in a token's qkv */
    uint32_t q_group, kv_step; /* to the next key head's queries; key, value */
    const uint32_t *pos;       /* of the first token */
    const float *inv_freq;     /* (dims / 2), or NULL */
    uint32_t dims;
    float factor;
    bool adjacent;
    enum qk_norm norm;
    enum norm_kind kind;
    float eps;
    const float *q_norm, *k_norm; /* by norm: (head_dim) or (heads, head_dim) */
    float *q;                     /* (n, heads, head_dim) */
    float *keys, *values;         /* (kv_heads, capacity, head_dim) */
    bool early;                   /* as in gpu_device */
};
void gpu_heads(cudaStream_t q, const struct gpu_heads *a);

/* out[t][h] = softmax(cap(scale q K^T) - slope * distance + bias) V */
struct gpu_attention {
    const float *q;             /* (n, heads, head_dim) */
    const float *keys, *values; /* (kv_heads, capacity, head_dim) */
    const float *slopes;        /* (heads) */
    const float *bias;          /* (heads, capacity), or NULL */
    const uint32_t *pos;        /* of the first token */
    uint32_t n, heads, kv_heads, head_dim, capacity;
    uint32_t window; /* 0: all */
    float scale, cap;
    uint32_t splits;   /* blocks that share the keys of one query */
    float *parts;      /* (n, heads, splits, head_dim + 2), with splits > 1 */
    uint32_t *arrived; /* (n, heads), zero before and after */
    float *out;        /* (n, heads, head_dim) */
    bool early;        /* as in gpu_device */
};
void gpu_attention(cudaStream_t q, const struct gpu_attention *a);

enum { ATTENTION_HEAD_MAX = 512 /* entries of a head */ };

/* Tokens to experts: the best few of each, by the smaller expert first. */
struct gpu_choice {
    uint32_t expert;
    float weight; /* they sum to 1 */
};
void gpu_choose(cudaStream_t q, const float *routes, uint32_t n,
    uint32_t experts, uint32_t used, struct gpu_choice *out);

/* y[i] = x[rows[i]] of dim; and back: y[rows[i]] += weight[i] * x[i] */
void gpu_gather(cudaStream_t q, float *y, const float *x, const uint32_t *rows,
    uint32_t n, uint32_t dim);
void gpu_scatter(cudaStream_t q, float *y, const float *x, const uint32_t *rows,
    const float *weight, uint32_t n, uint32_t dim);

/* y[i] += scale * x[i] */
void gpu_add(cudaStream_t q, float *y, const float *x, float scale, size_t n,
    struct gpu_watch watch);

/*
 * gpu_argmax - *out has the index in its lower half, as ~index; the first of
 * equals. *out is 0 before.
 */
void gpu_argmax(
    cudaStream_t q, const float *x, uint32_t n, unsigned long long *out);

/* Partial minimum, maximum and sum of squares of x, one for each block. */
struct gpu_range {
    float min, max;
    double squares;
};
void gpu_ranges(cudaStream_t q, const float *x, size_t n,
    struct gpu_range out[TUNE_RANGE_BLOCKS]);

#ifdef __cplusplus
}
#endif

#endif
