/*
 * A block's threads as fibers. Each runs until it meets others, and which one
 * goes on is drawn by chance, so that what a missing barrier would leave to
 * luck comes out in every order. A thread that waits for one that has left,
 * or warps that wait at two places for each other, end the program.
 */
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "fibers.h"

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifdef WITH_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

enum { STACK = 128 << 10, WARP = 32 };

enum state { READY, AT_BLOCK, AT_WARP, GONE };

struct fiber : emulated_thread {
    enum state state;
    const char *file; /* where it waits */
    int line;
    void *sp;
    void *fake; /* of the address sanitizer */
    std::unique_ptr<char[]> stack;
#if !defined(__x86_64__)
    ucontext_t context;
#endif
};

struct warp {
    unsigned alive, waiting, turn;
    uint32_t haste; /* of two warps that can go on, who has more does */
    std::vector<unsigned> ready;
    uint64_t brought[2][WARP];
};

struct emulated_thread *emulated_self;
dim3 blockIdx, blockDim, gridDim;

struct running {
    std::vector<fiber> fibers;
    std::vector<warp> warps;
    bool hasty;
    unsigned n, alive, waiting, ready;
    fiber home; /* whoever started the block */
    const void *home_stack;
    size_t home_size;
    std::function<void()> *body;
    void *shared;
    uint64_t chance;
};

static struct running now;

[[noreturn]] static void stop(const char *what, const fiber *f)
{
    fprintf(stderr, "emulator: %s (%s:%d, block %u %u %u, thread %u)\n", what,
        f->file != nullptr ? f->file : "?", f->line, blockIdx.x, blockIdx.y,
        blockIdx.z, f->index.x);
    abort();
}

static fiber *self(void)
{
    return static_cast<fiber *>(emulated_self);
}

uint32_t emulated_chance(uint32_t below)
{
    if (now.chance == 0) {
        const char *seed = getenv("EMULATE_SEED");

        now.chance = 0x9e3779b97f4a7c15u ^
                     (seed != nullptr ? strtoull(seed, nullptr, 10) : 0) * 77;
    }
    now.chance ^= now.chance << 13;
    now.chance ^= now.chance >> 7;
    now.chance ^= now.chance << 17;
    return (uint32_t)((now.chance >> 16) % below);
}

/* ---- from one stack to another ---- */

#if defined(__x86_64__)
extern "C" void emulated_switch(void **save, void *to);
asm(".text\n"
    ".type emulated_switch,@function\n"
    "emulated_switch:\n"
    "  push %rbp\n  push %rbx\n  push %r12\n"
    "  push %r13\n  push %r14\n  push %r15\n"
    "  mov %rsp, (%rdi)\n"
    "  mov %rsi, %rsp\n"
    "  pop %r15\n  pop %r14\n  pop %r13\n"
    "  pop %r12\n  pop %rbx\n  pop %rbp\n"
    "  ret\n");
#endif

static void jump(fiber *from, fiber *to, bool leaving)
{
#ifdef WITH_ASAN
    bool home = to == &now.home;

    __sanitizer_start_switch_fiber(leaving ? nullptr : &from->fake,
        home ? now.home_stack : to->stack.get(), home ? now.home_size : STACK);
#else
    (void)leaving;
#endif
    emulated_self = to;
#if defined(__x86_64__)
    emulated_switch(&from->sp, to->sp);
#else
    swapcontext(&from->context, &to->context);
#endif
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(from->fake, nullptr, nullptr);
#endif
}

/* One of the `ready`: any, or one of the warp with the most haste. */
static unsigned draw(void)
{
    std::vector<unsigned> *from = nullptr;
    uint32_t most = 0;
    unsigned at = emulated_chance(now.ready);

    for (warp &w : now.warps) {
        if (!now.hasty && at < w.ready.size() && from == nullptr)
            from = &w.ready;
        else if (!now.hasty && from == nullptr)
            at -= (unsigned)w.ready.size();
        else if (now.hasty && !w.ready.empty() &&
                 (from == nullptr || w.haste > most)) {
            from = &w.ready;
            most = w.haste;
        }
    }
    at %= (unsigned)from->size();
    unsigned out = (*from)[at];

    (*from)[at] = from->back();
    from->pop_back();
    now.ready--;
    return out;
}

static void make_ready(unsigned i)
{
    now.fibers[i].state = READY;
    now.warps[i / WARP].ready.push_back(i);
    now.ready++;
}

/* The next that can go on, or the end of the block. */
static void go_on(bool leaving)
{
    fiber *from = self();

    if (now.ready == 0) {
        if (now.alive > 0)
            for (unsigned i = 0; i < now.n; i++)
                if (now.fibers[i].state == AT_BLOCK ||
                    now.fibers[i].state == AT_WARP)
                    stop("waits for threads that do not come", &now.fibers[i]);
        jump(from, &now.home, leaving);
        return;
    }
    fiber *to = &now.fibers[draw()];

    if (to != from)
        jump(from, to, leaving);
}

static void begin(void)
{
#ifdef WITH_ASAN
    const void *stack;
    size_t size;

    __sanitizer_finish_switch_fiber(nullptr, &stack, &size);
    if (now.home_stack == nullptr) {
        now.home_stack = stack;
        now.home_size = size;
    }
#endif
    (*now.body)();

    fiber *f = self();

    f->state = GONE;
    now.alive--;
    now.warps[f->index.x / WARP].alive--;
    if (now.waiting > 0)
        stop("has left where others wait at a barrier", f);
    if (now.warps[f->index.x / WARP].waiting > 0)
        stop("has left its warp, which waits", f);
    go_on(true);
    abort();
}

static void prepare(fiber *f)
{
    if (f->stack == nullptr)
        f->stack.reset(new char[STACK]);
    f->fake = nullptr;
#if defined(__x86_64__)
    uintptr_t top = ((uintptr_t)f->stack.get() + STACK) & ~(uintptr_t)15;
    void **sp = (void **)top;

    *--sp = nullptr; /* as if begin had been called */
    *--sp = (void *)begin;
    for (int i = 0; i < 6; i++)
        *--sp = nullptr;
    f->sp = sp;
#else
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack.get();
    f->context.uc_stack.ss_size = STACK;
    f->context.uc_link = nullptr;
    makecontext(&f->context, begin, 0);
#endif
}

/* ---- blocks ---- */

void emulated_block(std::function<void()> *body, void *shared)
{
    now.n = now.alive = blockDim.x;
    now.waiting = 0;
    now.body = body;
    now.shared = shared;
    now.home_stack = nullptr;
    if (now.fibers.size() < now.n)
        now.fibers.resize(now.n);
    now.warps.resize((now.n + WARP - 1) / WARP);
    now.hasty = emulated_chance(2) == 0;
    now.ready = 0;
    for (warp &w : now.warps) {
        w.alive = w.waiting = w.turn = 0;
        w.haste = emulated_chance(1000);
        w.ready.clear();
    }
    for (unsigned i = 0; i < now.n; i++) {
        fiber *f = &now.fibers[i];

        prepare(f);
        f->index = dim3(i, 0, 0);
        f->lane = i % WARP;
        f->file = nullptr;
        make_ready(i);
        now.warps[i / WARP].alive++;
    }
    emulated_self = &now.home;
    go_on(false);
    emulated_self = nullptr;
}

void emulated_aside(const std::function<void()> &f)
{
    static std::vector<running> spare; /* they keep their stacks */
    running here = std::move(now);
    emulated_thread *thread = emulated_self;
    dim3 at = blockIdx, block = blockDim, grid = gridDim;

    now = running();
    if (!spare.empty()) {
        now = std::move(spare.back());
        spare.pop_back();
    }
    now.chance = here.chance;
    f();
    here.chance = now.chance;
    spare.push_back(std::move(now));
    now = std::move(here);
    emulated_self = thread;
    blockIdx = at;
    blockDim = block;
    gridDim = grid;
}

void *emulated_shared(void)
{
    return now.shared;
}

void emulated_meet_block(const char *file, int line)
{
    fiber *f = self();

    if (emulated_drops(file, line))
        return;
    f->file = file;
    f->line = line;
    if (now.alive != now.n)
        stop("waits for threads that have left", f);
    if (++now.waiting < now.n) {
        f->state = AT_BLOCK;
        go_on(false);
        return;
    }
    now.waiting = 0;
    for (unsigned i = 0; i < now.n; i++) {
        fiber *other = &now.fibers[i];

        if (other != f && (other->file != file || other->line != line))
            stop("waits at another barrier", other);
        make_ready(i);
    }
    go_on(false);
}

/* All of the warp are there: who came last lets the others go on. */
static void meet(fiber *f)
{
    unsigned w = f->index.x / WARP;
    warp *all = &now.warps[w];

    if (++all->waiting < WARP) {
        f->state = AT_WARP;
        go_on(false);
        return;
    }
    all->waiting = 0;
    for (unsigned i = w * WARP; i < (w + 1) * WARP; i++)
        make_ready(i);
    go_on(false);
}

void emulated_meet_warp(const char *file, int line)
{
    fiber *f = self();

    if (emulated_drops(file, line))
        return;
    f->file = file;
    f->line = line;
    meet(f);
}

uint64_t emulated_exchange(uint64_t mine, unsigned from)
{
    fiber *f = self();
    warp *all = &now.warps[f->index.x / WARP];
    unsigned turn = all->turn;

    f->file = "a shuffle";
    f->line = 0;
    if (all->alive != WARP)
        stop("shuffles with lanes that have left", f);
    all->brought[turn][f->lane] = mine;
    if (all->waiting + 1 == WARP)
        all->turn = !turn; /* the next one fills the other half */
    meet(f);
    return all->brought[turn][from % WARP];
}
