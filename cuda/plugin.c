/* The plugin: a model taken to a device, passes run there, all given back. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/blas.h"
#include "cuda/gpu_internal.h"

static void gpu_close(struct plugin_state *s)
{
    if (s == NULL)
        return;
    cudaDeviceSynchronize();
    blas_close(s->blas);
    gpu_free_weights(s);
    gpu_free_buffers(s);
    if (s->q != NULL)
        cudaStreamDestroy(s->q);
    free(s);
}

static int probe(struct err *e)
{
    int device;

    return gpu_choose_device(&device, e);
}

static int read_device(struct plugin_state *s, int device, struct err *e)
{
    int processors = 1;
    int shared = 48 << 10;
    cudaError_t rc = cudaDeviceGetAttribute(
        &processors, cudaDevAttrMultiProcessorCount, device);

    if (rc == cudaSuccess)
        rc = cudaDeviceGetAttribute(
            &shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    if (rc == cudaSuccess)
        rc = cudaStreamCreateWithFlags(&s->q, cudaStreamNonBlocking);
    if (rc != cudaSuccess)
        return gpu_failed(e, "the device", rc);
    s->device = (struct gpu_device){ (unsigned)processors, (size_t)shared };
    return 0;
}

/* Blocks that share a query's keys; a graph cannot change it later. */
static uint32_t splits_for(uint32_t capacity)
{
    enum { MOST = 16 };
    uint32_t n = (capacity + TUNE_SPLIT_KEYS - 1) / TUNE_SPLIT_KEYS;

    return n < MOST ? n : MOST;
}

static int take_in(
    struct plugin_state *s, char text[PLUGIN_DEVICE_MAX], struct err *e)
{
    const struct plugin_model *m = s->m;
    int device;

    if (m->head_dim > ATTENTION_HEAD_MAX)
        return err_set(e, ERR_UNSUPPORTED,
            "heads of %u: this backend has room for %d", m->head_dim,
            ATTENTION_HEAD_MAX);
    if (gpu_choose_device(&device, e) != 0)
        return -1;
    gpu_describe(device, text);
    s->block = m->capacity < TUNE_BLOCK ? m->capacity : TUNE_BLOCK;
    s->splits = splits_for(m->capacity);
    if (read_device(s, device, e) != 0 || gpu_upload(s, e) != 0)
        return -1;
    return gpu_make_buffers(s, e);
}

static struct plugin_state *gpu_open(
    const struct plugin_model *m, char text[PLUGIN_DEVICE_MAX], struct err *e)
{
    struct plugin_state *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        err_set(e, ERR_NOMEM, "out of memory for the backend");
        return NULL;
    }
    s->m = m;
    if (take_in(s, text, e) == 0)
        return s;
    gpu_close(s);
    return NULL;
}

/* ---- a pass ---- */

static int begin(struct plugin_state *s, struct err *e)
{
    cudaError_t rc = cudaMemsetAsync(s->out, 0, sizeof(*s->out), s->q);

    if (rc == cudaSuccess)
        rc = cudaMemsetAsync(
            &s->out->first_bad, 0xff, sizeof(s->out->first_bad), s->q);
    s->n_marks = 0;
    return rc == cudaSuccess ? 0 : gpu_failed(e, "pass", rc);
}

/* The input's pinned memory is free again once the last block is done. */
static int put_input(struct plugin_state *s, const struct backend_pass *p,
    uint32_t at, uint32_t n, struct err *e)
{
    cudaError_t rc = cudaStreamSynchronize(s->q);

    s->input[0] = p->pos + at;
    memcpy(s->input + 1, p->tokens + at, n * sizeof(*s->input));
    if (rc == cudaSuccess)
        rc = cudaMemcpyAsync(s->step, s->input,
            (1 + (size_t)n) * sizeof(*s->step), cudaMemcpyHostToDevice, s->q);
    return rc == cudaSuccess ? 0 : gpu_failed(e, "pass", rc);
}

/* Logits of all the block's n tokens, or of its last; the last row's place. */
static int make_logits(struct plugin_state *s, const struct backend_pass *p,
    uint32_t at, uint32_t n, uint32_t *last, struct err *e)
{
    size_t vocab = s->m->vocab;

    *last = 0;
    if (!p->all)
        return gpu_head(s, n - 1, 1, e);
    for (uint32_t i = 0; i < n; i += HEAD_BLOCK) {
        uint32_t part = n - i < HEAD_BLOCK ? n - i : HEAD_BLOCK;
        cudaError_t rc = cudaSuccess;

        if (gpu_head(s, i, part, e) != 0)
            return -1;
        if (p->logits != NULL)
            rc = cudaMemcpyAsync(p->logits + ((size_t)at + i) * vocab,
                s->head_out, part * vocab * sizeof(float),
                cudaMemcpyDeviceToHost, s->q);
        if (rc != cudaSuccess)
            return gpu_failed(e, "logits", rc);
        *last = part - 1;
    }
    return 0;
}

static void add_ranges(
    const struct plugin_state *s, struct value_range *to, uint32_t n)
{
    for (uint32_t i = 0; i <= s->m->layers; i++) {
        const struct gpu_range *v = s->seen + (size_t)i * TUNE_RANGE_BLOCKS;

        if (to[i].n == 0) {
            to[i].min = INFINITY;
            to[i].max = -INFINITY;
        }
        for (int k = 0; k < TUNE_RANGE_BLOCKS; k++) {
            to[i].min = fminf(to[i].min, v[k].min);
            to[i].max = fmaxf(to[i].max, v[k].max);
            to[i].squares += v[k].squares;
        }
        to[i].n += (uint64_t)n * s->m->dim;
    }
}

static int bring_ranges(
    struct plugin_state *s, struct backend_pass *p, uint32_t n, struct err *e)
{
    size_t bytes =
        ((size_t)s->m->layers + 1) * TUNE_RANGE_BLOCKS * sizeof(*s->seen);
    cudaError_t rc = cudaMemcpyAsync(
        s->seen, s->ranges, bytes, cudaMemcpyDeviceToHost, s->q);

    if (rc == cudaSuccess)
        rc = cudaStreamSynchronize(s->q);
    if (rc != cudaSuccess)
        return gpu_failed(e, "ranges", rc);
    add_ranges(s, p->ranges, n);
    return 0;
}

static int end(struct plugin_state *s, struct backend_pass *p, uint32_t last,
    struct err *e)
{
    size_t bytes = s->m->vocab * sizeof(float);
    const float *row = s->head_out + (size_t)last * s->m->vocab;
    cudaError_t rc = cudaSuccess;

    gpu_argmax(s->q, row, s->m->vocab, &s->out->best);
    if (p->logits != NULL && !p->all)
        rc = cudaMemcpyAsync(
            s->logits, row, bytes, cudaMemcpyDeviceToHost, s->q);
    if (rc == cudaSuccess)
        rc = cudaMemcpyAsync(s->answer, s->out, sizeof(*s->answer),
            cudaMemcpyDeviceToHost, s->q);
    if (rc == cudaSuccess)
        rc = cudaStreamSynchronize(s->q);
    if (rc == cudaSuccess)
        rc = cudaGetLastError();
    if (rc != cudaSuccess)
        return gpu_failed(e, "pass", rc);
    if (p->logits != NULL && !p->all)
        memcpy(p->logits, s->logits, bytes);
    return 0;
}

static void read_answer(const struct plugin_state *s, struct backend_pass *p)
{
    uint32_t step = s->answer->first_bad;

    p->argmax = ~(uint32_t)s->answer->best;
    p->fault = (struct backend_fault){ .found = step != UINT32_MAX };
    if (!p->fault.found)
        return;
    if (step >= s->n_marks)
        step = s->n_marks - 1;
    p->fault.layer = s->marks[step].layer;
    p->fault.role = s->marks[step].role;
}

static int gpu_forward(
    struct plugin_state *s, struct backend_pass *p, struct err *e)
{
    uint32_t last = 0;

    if (begin(s, e) != 0)
        return -1;
    for (uint32_t at = 0; at < p->n; at += s->block) {
        uint32_t n = p->n - at < s->block ? p->n - at : s->block;

        if (s->m->cancelled())
            return err_set(e, ERR_CANCELLED, "interrupted");
        if (put_input(s, p, at, n, e) != 0 ||
            gpu_block(s, n, p->ranges != NULL, e) != 0)
            return -1;
        if ((p->all || at + n == p->n) &&
            make_logits(s, p, at, n, &last, e) != 0)
            return -1;
        if (p->ranges != NULL && bring_ranges(s, p, n, e) != 0)
            return -1;
    }
    if (end(s, p, last, e) != 0)
        return -1;
    read_answer(s, p);
    return 0;
}

__attribute__((
    visibility("default"))) extern const struct plugin ml_backend_plugin;

const struct plugin ml_backend_plugin = {
    .abi = PLUGIN_ABI,
    .size = sizeof(struct plugin_model),
    .probe = probe,
    .open = gpu_open,
    .forward = gpu_forward,
    .close = gpu_close,
};
