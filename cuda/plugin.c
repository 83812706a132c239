/* The plugin: a model taken to a device, and given back. */
#include <stdlib.h>

#include "cuda/blas.h"
#include "cuda/gpu_internal.h"

static void gpu_close(struct plugin_state *s)
{
    if (s == NULL)
        return;
    if (s->q != NULL && gpu_use(s) == cudaSuccess)
        cudaDeviceSynchronize();
    blas_close(s->blas);
    gpu_free_graphs(s);
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

static int read_device(struct plugin_state *s, struct err *e)
{
    int processors = 1;
    int shared = 48 << 10;
    int major = 0;
    cudaError_t rc = cudaDeviceGetAttribute(
        &processors, cudaDevAttrMultiProcessorCount, s->number);

    if (rc == cudaSuccess)
        rc = cudaDeviceGetAttribute(
            &shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, s->number);
    if (rc == cudaSuccess)
        rc = cudaDeviceGetAttribute(
            &major, cudaDevAttrComputeCapabilityMajor, s->number);
    if (rc == cudaSuccess)
        rc = cudaStreamCreateWithFlags(&s->q, cudaStreamNonBlocking);
    if (rc != cudaSuccess)
        return gpu_failed(e, "the device", rc);
    s->device =
        (struct gpu_device){ (unsigned)processors, (size_t)shared, false };
    s->early = TUNE_EARLY && major >= 9 && gpu_rows_wait();
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
    struct plugin_state *s, struct backend_opened *out, struct err *e)
{
    const struct plugin_model *m = s->m;

    if (m->head_dim > ATTENTION_HEAD_MAX)
        return err_set(e, ERR_UNSUPPORTED,
            "heads of %u: this backend has room for %d", m->head_dim,
            ATTENTION_HEAD_MAX);
    if (gpu_choose_device(&s->number, e) != 0)
        return -1;
    gpu_describe(s->number, out->device);
    s->block = m->capacity < TUNE_BLOCK ? m->capacity : TUNE_BLOCK;
    s->splits = splits_for(m->capacity);
    if (read_device(s, e) != 0 || gpu_upload(s, out, e) != 0)
        return -1;
    out->passing_layers = m->layers - s->stay;
    out->passing = gpu_passing_bytes(s);
    return gpu_make_buffers(s, e);
}

static struct plugin_state *gpu_open(
    const struct plugin_model *m, struct backend_opened *out, struct err *e)
{
    struct plugin_state *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        err_set(e, ERR_NOMEM, "out of memory for the backend");
        return NULL;
    }
    s->m = m;
    if (take_in(s, out, e) == 0)
        return s;
    gpu_close(s);
    return NULL;
}

__attribute__((
    visibility("default"))) extern const struct plugin ml_backend_plugin;

const struct plugin ml_backend_plugin = {
    .abi = PLUGIN_ABI,
    .size = sizeof(struct plugin_model),
    .probe = probe,
    .open = gpu_open,
    .forward = gpu_forward,
    .facts = gpu_facts,
    .close = gpu_close,
};
