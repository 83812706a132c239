/*
 * The emulator's runtime: memory of a device, streams, events and graphs. What
 * is put into a stream waits there until somebody waits for it, or by chance
 * runs at once, so that whoever forgets to wait is found out. Memory is handed
 * out exactly as large as asked for, full of what is no number. There are
 * EMULATE_DEVICES of them, all alike, of which number EMULATE_BUSY cannot be
 * used. Streams and memory are of the device that is the thread's own when
 * they are made, and kernels and events must be put into a stream from there.
 */
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <unistd.h>

#include "fibers.h"

struct work {
    std::function<void()> run;
    bool kernel = false, early = false;
};

struct emulated_stream {
    std::deque<work> queue;
    struct emulated_graph *captures;
    int device;
};

struct emulated_graph {
    std::vector<work> all;
};

struct emulated_event {
    uint64_t asked, done;
    struct emulated_stream *q;
};

static std::recursive_mutex lock;
static std::set<emulated_stream *> streams;
static std::map<void *, size_t> device, pinned;
static std::map<void *, int> home; /* by memory of a device */
static std::map<int, size_t> taken;
static bool lost; /* a failure that nobody was told of yet */
static thread_local int current;
static thread_local cudaError_t last = cudaSuccess;

#define LOCKED std::lock_guard<std::recursive_mutex> held(lock)

static size_t device_size(void)
{
    const char *text = getenv("EMULATE_MEMORY");

    return text != nullptr ? strtoull(text, nullptr, 10) : (size_t)96 << 20;
}

/* Who fails is remembered until cudaGetLastError asks. */
static cudaError_t fails(cudaError_t rc)
{
    last = rc;
    return rc;
}

static int number_of(const char *name, int otherwise)
{
    const char *text = getenv(name);

    return text != nullptr ? atoi(text) : otherwise;
}

static bool lies_in(
    const std::map<void *, size_t> &all, const void *p, size_t n)
{
    auto at = all.upper_bound(const_cast<void *>(p));

    if (at == all.begin())
        return false;
    --at;
    return (const char *)p + n <= (const char *)at->first + at->second;
}

bool emulated_holds(const void *p, size_t n)
{
    LOCKED;

    return lies_in(device, p, n);
}

/* Kernels in front of the one that runs: they are done when it waits. */
static std::vector<work> in_front;

static void run_with(work w, std::vector<work> before)
{
    in_front = std::move(before);
    w.run();
    before = std::move(in_front); /* for which it should have waited */
    in_front.clear();
    for (work &late : before)
        late.run();
}

static work take(emulated_stream *q)
{
    work w = std::move(q->queue.front());

    q->queue.pop_front();
    return w;
}

static bool run_one(emulated_stream *q)
{
    std::vector<work> before;

    if (q->queue.empty())
        return false;
    work w = take(q);

    while (w.kernel && !q->queue.empty() && q->queue.front().early &&
           emulated_chance(3) > 0) {
        before.push_back(w);
        w = take(q);
    }
    run_with(w, before);
    return true;
}

static void put(emulated_stream *q, work w)
{
    if (q->captures != nullptr) {
        q->captures->all.push_back(w);
        return;
    }
    q->queue.push_back(std::move(w));
    if (emulated_chance(8) == 0)
        while (run_one(q))
            ;
}

bool emulated_drops(const char *file, int line)
{
    static std::set<std::string> seen;
    static const char *drop = getenv("EMULATE_DROP");
    static const char *sites = getenv("EMULATE_SITES");
    if (drop == nullptr && sites == nullptr)
        return false;
    std::string at = std::string(file) + ":" + std::to_string(line);

    if (sites != nullptr && seen.insert(at).second) {
        FILE *f = fopen(sites, "a");

        if (f != nullptr) {
            fprintf(f, "%s\n", at.c_str());
            fclose(f);
        }
    }
    return drop != nullptr && at == drop;
}

void emulated_others(const char *file, int line)
{
    if (emulated_drops(file, line) || in_front.empty())
        return;
    emulated_aside([] {
        std::vector<work> before = std::move(in_front);
        work last = std::move(before.back());

        before.pop_back();
        run_with(last, before);
    });
}

void emulated_launch(const char *name, dim3 grid, dim3 block, size_t shared,
    cudaStream_t q, std::function<void()> body, bool early)
{
    LOCKED;

    if (grid.x * grid.y * grid.z == 0 || grid.y > 65535 || grid.z > 65535 ||
        block.x == 0 || block.x > 1024 || block.y * block.z != 1 ||
        (block.x > 1 && block.x % 32 != 0) || shared > 96 << 10) {
        fprintf(stderr, "emulator: %s cannot be started like this\n", name);
        abort();
    }
    if (q->device != current) {
        fails(cudaErrorInvalidResourceHandle);
        return;
    }
    put(q, { [=]() mutable {
                unsigned n = grid.x * grid.y * grid.z;
                unsigned first = emulated_chance(n);

                blockDim = block;
                gridDim = grid;
                for (unsigned i = 0; i < n; i++) {
                    unsigned at = (first + i) % n; /* any order will do */
                    void *room = malloc(shared);

                    memset(room, 0xff, shared);
                    blockIdx = dim3(at % grid.x, at / grid.x % grid.y,
                        at / grid.x / grid.y);
                    if (block.x == 1)
                        body(); /* a product of the library */
                    else
                        emulated_block(&body, room);
                    free(room);
                }
            },
               true, early });
}

void emulated_fetch(const void *p, size_t n)
{
    if ((uintptr_t)p % 16 != 0 || n % 16 != 0 || !emulated_holds(p, n)) {
        fprintf(stderr, "emulator: what is fetched ahead is not there\n");
        abort();
    }
}

extern "C" {

const char *cudaGetErrorString(cudaError_t e)
{
    return e == cudaErrorMemoryAllocation        ? "out of memory"
           : e == cudaErrorInvalidResourceHandle ? "invalid resource handle"
                                                 : "failed";
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t rc = last;

    last = cudaSuccess;
    return rc;
}

cudaError_t cudaGetDeviceCount(int *n)
{
    *n = number_of("EMULATE_DEVICES", 1);
    return *n > 0 ? cudaSuccess : fails(cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int d)
{
    if (d < 0 || d >= number_of("EMULATE_DEVICES", 1) ||
        d == number_of("EMULATE_BUSY", -1))
        return fails(cudaErrorInvalidValue);
    current = d;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *out, enum cudaDeviceAttr a, int)
{
    *out = a == cudaDevAttrMultiProcessorCount            ? 2
           : a == cudaDevAttrComputeCapabilityMajor       ? 9
           : a == cudaDevAttrMaxSharedMemoryPerBlockOptin ? 2400
                                                          : 0;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *out, int)
{
    snprintf(out->name, sizeof(out->name), "emulated");
    out->totalGlobalMem = device_size();
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *out)
{
    *out = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *left, size_t *all)
{
    LOCKED;

    *all = device_size();
    *left = *all - std::min(taken[current], *all);
    return cudaSuccess;
}

static cudaError_t allocate(std::map<void *, size_t> *in, void **out, size_t n)
{
    if (n == 0 || posix_memalign(out, 256, n) != 0)
        return fails(cudaErrorMemoryAllocation);
    memset(*out, 0xff, n);
    (*in)[*out] = n;
    return cudaSuccess;
}

static cudaError_t release(std::map<void *, size_t> *in, void *p)
{
    if (p == nullptr)
        return cudaSuccess;
    if (in->erase(p) == 0) {
        fprintf(stderr, "emulator: what is freed was not allocated\n");
        abort();
    }
    free(p);
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **out, size_t n)
{
    LOCKED;

    if (taken[current] + n > device_size())
        return fails(cudaErrorMemoryAllocation);
    taken[current] += n;
    cudaError_t rc = allocate(&device, out, n);

    home[*out] = current;
    return rc;
}

cudaError_t cudaFree(void *p)
{
    LOCKED;

    if (p != nullptr && device.count(p) == 1)
        taken[home[p]] -= device[p];
    return release(&device, p);
}

cudaError_t cudaHostAlloc(void **out, size_t n, unsigned)
{
    LOCKED;

    return allocate(&pinned, out, n);
}

cudaError_t cudaFreeHost(void *p)
{
    LOCKED;

    return release(&pinned, p);
}

cudaError_t cudaStreamSynchronize(cudaStream_t q)
{
    LOCKED;

    while (run_one(q))
        ;
    return lost ? fails(cudaErrorUnknown) : cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void)
{
    LOCKED;

    for (emulated_stream *q : streams)
        while (q->device == current && run_one(q))
            ;
    return cudaSuccess;
}

/*
 * What goes wrong with the Nth copy to the device: EMULATE_FAIL_COPY refuses
 * it and all after it, EMULATE_LOSE_COPY says so only when somebody waits, and
 * EMULATE_CUT shortens the file that is named there, "N:PATH", before it.
 */
static cudaError_t go_wrong(cudaStream_t q)
{
    static uint64_t count;
    static const char *fail = getenv("EMULATE_FAIL_COPY");
    static const char *lose = getenv("EMULATE_LOSE_COPY");
    static const char *cut = getenv("EMULATE_CUT");

    count++;
    if (cut != nullptr && count == strtoull(cut, nullptr, 10) &&
        truncate(strchr(cut, ':') + 1, 4096) != 0)
        abort();
    if (lose != nullptr && count == strtoull(lose, nullptr, 10))
        put(q, { [] { lost = true; } });
    return fail != nullptr && count >= strtoull(fail, nullptr, 10)
               ? cudaErrorUnknown
               : cudaSuccess;
}

/* Pageable memory is read before the call returns, or written. */
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n,
    enum cudaMemcpyKind kind, cudaStream_t q)
{
    LOCKED;
    bool in = kind == cudaMemcpyHostToDevice;
    const void *there = in ? to : from;
    const void *here = in ? from : to;

    if (!lies_in(device, there, n)) {
        fprintf(stderr, "emulator: a copy past the end of device memory\n");
        abort();
    }
    if (in && go_wrong(q) != cudaSuccess)
        return fails(cudaErrorUnknown);
    if (kind == cudaMemcpyDeviceToDevice || lies_in(pinned, here, n)) {
        put(q, { [=] { memcpy(to, from, n); } });
    } else if (in) {
        std::vector<char> kept((const char *)from, (const char *)from + n);

        put(q, { [=] { memcpy(to, kept.data(), n); } });
    } else {
        put(q, { [=] { memcpy(to, from, n); } });
        cudaStreamSynchronize(q);
    }
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t n, cudaStream_t q)
{
    LOCKED;

    put(q, { [=] { memset(p, value, n); } });
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned)
{
    LOCKED;

    *out = new emulated_stream();
    (*out)->device = current;
    streams.insert(*out);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t q)
{
    LOCKED;

    cudaStreamSynchronize(q);
    streams.erase(q);
    delete q;
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned)
{
    *out = new emulated_event();
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    delete e;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t q)
{
    LOCKED;

    if (q->device != current)
        return fails(cudaErrorInvalidResourceHandle);
    uint64_t n = ++e->asked;

    e->q = q;
    put(q, { [=] { e->done = n; } });
    return cudaSuccess;
}

static void wait_for(cudaEvent_t e, uint64_t n)
{
    while (e->done < n && run_one(e->q))
        ;
}

cudaError_t emulated_meet(const char *file, int line, cudaEvent_t e)
{
    LOCKED;

    if (!emulated_drops(file, line))
        wait_for(e, e->asked);
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t, cudaEvent_t)
{
    *ms = 1;
    return cudaSuccess;
}

cudaError_t emulated_wait(
    const char *file, int line, cudaStream_t q, cudaEvent_t e)
{
    LOCKED;
    uint64_t n = e->asked;

    if (!emulated_drops(file, line))
        put(q, { [=] { wait_for(e, n); } });
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t q, enum cudaStreamCaptureMode)
{
    LOCKED;

    q->captures = new emulated_graph();
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t q, cudaGraph_t *out)
{
    LOCKED;

    *out = q->captures;
    q->captures = nullptr;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(
    cudaGraphExec_t *out, cudaGraph_t g, unsigned long long)
{
    *out = new emulated_graph(*g);
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t g, cudaStream_t q)
{
    LOCKED;

    for (const work &w : g->all)
        put(q, w);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t g)
{
    delete g;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t g)
{
    delete g;
    return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void *, enum cudaFuncAttribute, int)
{
    return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(
    int *out, const void *, int, size_t)
{
    *out = 1;
    return cudaSuccess;
}
}
