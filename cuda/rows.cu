/*
 * Matrices times a vector: the kernel that one token's time is made of.
 *
 * A warp sums two rows at a time, each lane 16 bytes of each, several loads
 * under way before the first is used. The vector lies in shared memory in the
 * order in which the lanes ask for it, so that no two of them meet in a bank;
 * a norm in front of the matrix is made there by every block for itself,
 * which costs less than a kernel of its own. Blocks take rows in turns until
 * there are none left.
 */
#include "cuda/finish.h"
#include "cuda/occupancy.h"
#include "cuda/widen.h"

enum {
    DEEP = 4,      /* loads of a row under way, and TUNE_AHEAD before */
    ROWS_ROOM = 36 /* REDUCE_ROOM, and the vector at 16 bytes */
};

/* Columns that a lane, and a warp, take at a time. */
template <typename W, bool WIDE> struct lane {
    static constexpr uint32_t n = pack<W, WIDE>::n;
    static constexpr uint32_t warp = WARP * n;
};

/*
 * Where column c of the vector lies. Lane l has n columns that follow each
 * other; the first 4 of every lane stand together, then the next 4, ...
 */
template <uint32_t N>
__host__ __device__ static inline uint32_t place(uint32_t c)
{
    uint32_t group = c / (WARP * N);
    uint32_t lane = c % (WARP * N) / N;
    uint32_t j = c % N;

    if (N == 1)
        return c;
    return group * WARP * N + j / 4 * (WARP * 4) + lane * 4 + j % 4;
}

/* Adds the products of one load of each row, and of the vector from x on. */
template <typename W, bool WIDE>
__device__ static inline void add_pack(const pack<W, WIDE> &a,
    const pack<W, WIDE> &b, const float *x, float sum[2])
{
    if constexpr (WIDE) {
#pragma unroll
        for (uint32_t j = 0; j < lane<W, WIDE>::n / 4; j++) {
            float4 v = *reinterpret_cast<const float4 *>(x + j * WARP * 4);
            float wa[4], wb[4];

            widen_four<W>(a.v, j, wa);
            widen_four<W>(b.v, j, wb);
            sum[0] += wa[0] * v.x;
            sum[0] += wa[1] * v.y;
            sum[0] += wa[2] * v.z;
            sum[0] += wa[3] * v.w;
            sum[1] += wb[0] * v.x;
            sum[1] += wb[1] * v.y;
            sum[1] += wb[2] * v.z;
            sum[1] += wb[3] * v.w;
        }
    } else {
        sum[0] += widen(a.v) * *x;
        sum[1] += widen(b.v) * *x;
    }
}

/*
 * What a lane adds up of two rows: DEEP loads of each, from column c on; of
 * the last ones those before `end`.
 */
template <typename W, bool WIDE, bool LAST>
__device__ static inline void add_products(const W *a, const W *b,
    const float *x, uint32_t c, uint32_t end, float sum[2])
{
    constexpr uint32_t step = lane<W, WIDE>::warp;
    pack<W, WIDE> wa[DEEP], wb[DEEP];

#pragma unroll
    for (int d = 0; d < DEEP; d++)
        if (!LAST || c + d * step < end) {
            wa[d] = load_pack<W, WIDE>(a + c + d * step);
            wb[d] = load_pack<W, WIDE>(b + c + d * step);
        }
    HOLD_LOADS();
#pragma unroll
    for (int d = 0; d < DEEP; d++)
        if (!LAST || c + d * step < end)
            add_pack<W, WIDE>(
                wa[d], wb[d], x + place<lane<W, WIDE>::n>(c + d * step), sum);
}

/* The whole warp's sums of two rows over `cols` columns. */
template <typename W, bool WIDE>
__device__ static inline void sum_rows(
    const W *a, const W *b, const float *x, uint32_t cols, float sum[2])
{
    constexpr uint32_t deep = DEEP * lane<W, WIDE>::warp;
    uint32_t at = threadIdx.x % WARP * lane<W, WIDE>::n;
    uint32_t c = 0;

    for (; c + deep <= cols; c += deep)
        add_products<W, WIDE, false>(a, b, x, c + at, cols, sum);
    if (c < cols)
        add_products<W, WIDE, true>(a, b, x, c + at, cols, sum);
}

/* Columns from .. from+cols-1 of the vector, normed if that is asked for. */
template <uint32_t N>
__device__ static inline void take_vector(const struct gpu_rows &a,
    const struct gpu_norm &norm, bool has_norm, uint32_t t, uint32_t from,
    uint32_t cols, float *x, float *room)
{
    const float *in = a.x + (size_t)t * a.x_step + from;

    for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x)
        x[place<N>(c)] = in[c];
    if (has_norm) {
        struct normal m = normal_of(norm.kind, norm.eps, cols, room,
            [=](uint32_t c) { return x[place<N>(c)]; });

        for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) {
            float v = normal_value(norm.kind, m, x[place<N>(c)],
                norm.w != nullptr ? norm.w + c : nullptr,
                norm.b != nullptr ? norm.b + c : nullptr);

            watch_value(watch_of(norm.watch), v);
            x[place<N>(c)] = v;
        }
    }
    __syncthreads();
}

/* The two rows of turn i, which may be one twice. */
struct two_rows {
    struct row_at a, b;
    bool both;
};

__device__ static inline struct two_rows rows_of(
    const struct gpu_rows &a, uint32_t i, uint32_t rows)
{
    if (a.finish == FINISH_GATE)
        return { { 0, i }, { 1, i }, true };
    if (2 * i + 1 == rows)
        return { row_find(a, 2 * i), row_find(a, 2 * i), false };
    return { row_find(a, 2 * i), row_find(a, 2 * i + 1), true };
}

__device__ static inline void finish_two(const struct gpu_rows &a,
    const struct two_rows &r, uint32_t t, const float sum[2])
{
    float va = row_value(a.part[r.a.part], r.a.row, sum[0]);
    float vb = row_value(a.part[r.b.part], r.b.row, sum[1]);

    if (a.finish == FINISH_GATE) {
        row_gate(a, r.a.row, t, va, vb);
        return;
    }
    row_finish(a, r.a, t, va);
    if (r.both)
        row_finish(a, r.b, t, vb);
}

/*
 * The beginning of what the warp reads first: while it is brought, the kernel
 * in front ends, and its values become the vector.
 */
template <typename W, bool WIDE>
__device__ static inline void fetch_first(
    const struct gpu_rows &a, uint32_t rows, uint32_t turns)
{
    uint32_t i = (blockIdx.x * blockDim.x + threadIdx.x) / WARP;

    if (!WIDE || gridDim.y > 1 || threadIdx.x % WARP != 0 || i >= turns)
        return;

    struct two_rows r = rows_of(a, i, rows);
    size_t all = (size_t)a.cols * sizeof(W);
    uint32_t n = all < TUNE_AHEAD ? (uint32_t)all : TUNE_AHEAD;

    fetch_ahead((const W *)a.part[r.a.part].data + (size_t)r.a.row * a.cols, n);
    fetch_ahead((const W *)a.part[r.b.part].data + (size_t)r.b.row * a.cols, n);
}

/*
 * span     columns that fit in shared memory; a norm wants them all. With
 *          fewer the vector is taken in pieces again for every turn.
 */
template <typename W, bool WIDE>
static __global__ void __launch_bounds__(TUNE_ROWS_THREADS)
    rows_kernel(struct gpu_rows a, struct gpu_norm norm, uint32_t rows,
        uint32_t turns, uint32_t span)
{
    SHARED(float, room);
    float *x = room + ROWS_ROOM;
    constexpr uint32_t N = lane<W, WIDE>::n;
    uint32_t warps = blockDim.x / WARP;
    uint32_t t = blockIdx.y;
    bool whole = span >= a.cols;

    others_may_start();
    fetch_first<W, WIDE>(a, rows, turns);
    wait_for_others();
    if (whole)
        take_vector<N>(a, norm, a.norm != nullptr, t, 0, a.cols, x, room);
    for (uint32_t first = blockIdx.x * warps; first < turns;
         first += gridDim.x * warps) {
        uint32_t i = first + threadIdx.x / WARP;
        struct two_rows r = rows_of(a, i < turns ? i : turns - 1, rows);
        const W *wa =
            (const W *)a.part[r.a.part].data + (size_t)r.a.row * a.cols;
        const W *wb =
            (const W *)a.part[r.b.part].data + (size_t)r.b.row * a.cols;
        float sum[2] = { 0, 0 };

        for (uint32_t from = 0; from < a.cols; from += span) {
            uint32_t cols = a.cols - from < span ? a.cols - from : span;

            if (!whole) {
                __syncthreads(); /* everybody is done with the last piece */
                take_vector<N>(
                    a, norm, a.norm != nullptr, t, from, cols, x, room);
            }
            sum_rows<W, WIDE>(wa + from, wb + from, x, cols, sum);
        }
        sum[0] = warp_sum(sum[0]);
        sum[1] = warp_sum(sum[1]);
        if (threadIdx.x % WARP == 0 && i < turns)
            finish_two(a, r, t, sum);
    }
}

/* Floats of a vector that a block has room for, in whole turns of a warp. */
static uint32_t span_max(const struct gpu_device *d, uint32_t warp)
{
    return (uint32_t)(d->shared_max / sizeof(float) - ROWS_ROOM) / warp * warp;
}

bool gpu_rows_hold(const struct gpu_device *d, uint32_t cols)
{
    return cols <= span_max(d, lane<int8_t, true>::warp);
}

template <typename W, bool WIDE>
static void launch(
    cudaStream_t q, const struct gpu_device *d, const struct gpu_rows *a)
{
    constexpr uint32_t warp = lane<W, WIDE>::warp;
    const uint32_t warps = TUNE_ROWS_THREADS / WARP;
    struct gpu_norm norm = {};
    uint32_t rows = 0, turns, span, most, blocks;
    size_t shared;

    for (uint32_t i = 0; i < a->parts; i++)
        rows += a->part[i].rows;
    turns = a->finish == FINISH_GATE ? a->part[0].rows : (rows + 1) / 2;
    span = (a->cols + warp - 1) / warp * warp;
    most = span_max(d, warp);
    if (span > most)
        span = most;
    shared = (ROWS_ROOM + span) * sizeof(float);
    blocks = gpu_blocks(
        (const void *)rows_kernel<W, WIDE>, TUNE_ROWS_THREADS, shared, d);
    if (blocks > (turns + warps - 1) / warps)
        blocks = (turns + warps - 1) / warps;
    if (a->norm != nullptr)
        norm = *a->norm;
    LAUNCH_EARLY(d->early, (rows_kernel<W, WIDE>), dim3(blocks, a->n),
        TUNE_ROWS_THREADS, shared, q, *a, norm, rows, turns, span);
}

bool gpu_rows_wait(void)
{
    return knows_waiting((const void *)rows_kernel<float, true>);
}

/* May every row be read 16 bytes at a time? */
static bool is_wide(const struct gpu_rows *a, size_t size)
{
    if (a->cols * size % 16 != 0)
        return false;
    for (uint32_t i = 0; i < a->parts; i++)
        if ((uintptr_t)a->part[i].data % 16 != 0)
            return false;
    return true;
}

void gpu_rows(
    cudaStream_t q, const struct gpu_device *d, const struct gpu_rows *a)
{
    with_type(a->dtype, [=](auto tag) {
        using W = typename decltype(tag)::type;

        if (is_wide(a, sizeof(W)))
            launch<W, true>(q, d, a);
        else
            launch<W, false>(q, d, a);
    });
}
