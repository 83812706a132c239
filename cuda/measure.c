/* How fast the device copies: what its other rates are held against. */
#include "cuda/gpu_internal.h"

enum { ROUNDS = 8 };

/* Best of some copies, in bytes a second; 0 when one fails. */
static double best_rate(struct plugin_state *s, void *to, const void *from,
    size_t bytes, enum cudaMemcpyKind kind)
{
    cudaEvent_t start = NULL;
    cudaEvent_t stop = NULL;
    double best = 0;

    if (cudaEventCreateWithFlags(&start, 0) != cudaSuccess ||
        cudaEventCreateWithFlags(&stop, 0) != cudaSuccess)
        return 0;
    for (int i = 0; i < ROUNDS; i++) {
        float ms = 0;

        cudaEventRecord(start, s->q);
        cudaMemcpyAsync(to, from, bytes, kind, s->q);
        cudaEventRecord(stop, s->q);
        if (cudaEventSynchronize(stop) != cudaSuccess ||
            cudaEventElapsedTime(&ms, start, stop) != cudaSuccess)
            break;
        if (ms > 0 && (double)bytes / ms * 1e3 > best)
            best = (double)bytes / ms * 1e3;
    }
    cudaEventDestroy(start);
    cudaEventDestroy(stop);
    return best;
}

/* Much more than any cache holds, but what may be taken and no more. */
static size_t copy_size(const struct plugin_state *s)
{
    size_t left = 0;
    size_t all = 0;
    size_t want = (size_t)1 << 30;

    cudaMemGetInfo(&left, &all);
    if (s->m->memory != 0)
        left = size_min(left, s->m->memory - size_min(s->m->memory, s->taken));
    return left / 4 < want ? left / 4 : want;
}

static double copy_rate(struct plugin_state *s, size_t bytes)
{
    void *a = NULL;
    void *b = NULL;
    double rate = 0;

    if (cudaMalloc(&a, bytes) == cudaSuccess &&
        cudaMalloc(&b, bytes) == cudaSuccess &&
        cudaMemsetAsync(b, 0x5a, bytes, s->q) == cudaSuccess)
        rate = 2 * best_rate(s, a, b, bytes, cudaMemcpyDeviceToDevice);
    cudaFree(a);
    cudaFree(b);
    return rate;
}

static double pinned_rate(struct plugin_state *s, size_t bytes)
{
    void *a = NULL;
    void *b = NULL;
    double rate = 0;

    if (cudaMalloc(&a, bytes) == cudaSuccess &&
        cudaHostAlloc(&b, bytes, 0) == cudaSuccess)
        rate = best_rate(s, a, b, bytes, cudaMemcpyHostToDevice);
    cudaFree(a);
    cudaFreeHost(b);
    return rate;
}

void gpu_facts(struct plugin_state *s, struct backend_facts *out)
{
    enum { PINNED = 256 << 20, LEAST = 1 << 20 };
    size_t bytes;

    gpu_use(s);
    bytes = copy_size(s);
    *out = (struct backend_facts){ .memory = s->taken,
        .uploaded = s->uploaded,
        .upload_seconds = s->upload_seconds };
    if (bytes >= LEAST) {
        out->copy_rate = copy_rate(s, bytes);
        out->pinned_rate = pinned_rate(s, bytes < PINNED ? bytes : PINNED);
    }
    cudaGetLastError(); /* what is not known is left out */
}
