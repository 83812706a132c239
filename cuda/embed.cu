/* The rows of the embedding, and of a table of learned positions. */
#include "cuda/normal.h"
#include "cuda/widen.h"

template <typename W, typename P>
static __global__ void embed_kernel(struct gpu_embed a)
{
    uint32_t t = blockIdx.x;
    uint32_t cols = a.table.cols;
    const W *row = (const W *)a.table.data + (size_t)a.tokens[t] * cols;
    const P *place = nullptr;

    if (a.places.data != nullptr)
        place =
            (const P *)a.places.data + (size_t)(a.offset + *a.pos + t) * cols;
    for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) {
        float v = widen(row[c]) * a.scale;

        if (place != nullptr)
            v += widen(place[c]);
        watch_value(watch_of(a.watch), v);
        a.x[(size_t)t * cols + c] = v;
    }
}

void gpu_embed(cudaStream_t q, const struct gpu_embed *a)
{
    with_type(a->table.dtype, [=](auto w) {
        using W = typename decltype(w)::type;

        with_type(a->places.dtype, [=](auto p) {
            using P = typename decltype(p)::type;

            LAUNCH((embed_kernel<W, P>), a->n, TUNE_THREADS, 0, q, *a);
        });
    });
}
