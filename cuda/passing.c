/*
 * Layers that do not stay on the device. Each is brought into one of two
 * slots right before its kernels are put into the stream: the host runs ahead,
 * so the device computes one layer while the next is copied. A slot is not
 * written before the last kernel that reads it is done, and not read before
 * its copies are.
 */
#include "cuda/gpu_internal.h"
#include "cuda/ring.h"

enum { SLOTS = 2 };

uint32_t gpu_slot(const struct plugin_state *s, uint32_t layer)
{
    return (layer - s->stay) % SLOTS;
}

bool gpu_passes(const struct plugin_state *s)
{
    return s->stay < s->m->layers;
}

uint64_t gpu_passing_bytes(const struct plugin_state *s)
{
    uint64_t bytes = 0;
    size_t last = s->group[1 + s->m->layers].first;

    for (size_t i = s->group[1 + s->stay].first; i < last; i++)
        bytes += s->pieces[i].len;
    return bytes;
}

int gpu_passing_open(struct plugin_state *s, struct err *e)
{
    cudaError_t rc = cudaSuccess;

    if (!gpu_passes(s)) {
        gpu_passing_close(s);
        return 0;
    }
    s->again = gpu_passing_bytes(s) <= s->m->host_memory;
    for (int i = 0; i < SLOTS && rc == cudaSuccess; i++)
        rc = cudaEventCreateWithFlags(&s->read[i], cudaEventDisableTiming);
    return rc == cudaSuccess ? 0 : gpu_failed(e, "weights", rc);
}

void gpu_passing_close(struct plugin_state *s)
{
    ring_close(s->ring);
    s->ring = NULL;
    for (int i = 0; i < SLOTS; i++)
        if (s->read[i] != NULL)
            cudaEventDestroy(s->read[i]);
}

int gpu_layer_comes(struct plugin_state *s, uint32_t layer, struct err *e)
{
    size_t first = s->group[1 + layer].first;
    size_t n = s->group[2 + layer].first - first;

    if (layer < s->stay)
        return 0;
    if (ring_copy(s->ring, s->weights, s->pieces + first, n,
            s->read[gpu_slot(s, layer)], s->again, e) != 0)
        return -1;
    return ring_wait(s->ring, s->q, e);
}

int gpu_layer_goes(struct plugin_state *s, uint32_t layer, struct err *e)
{
    cudaError_t rc = cudaSuccess;

    if (layer >= s->stay)
        rc = cudaEventRecord(s->read[gpu_slot(s, layer)], s->q);
    return rc == cudaSuccess ? 0 : gpu_failed(e, "weights", rc);
}
