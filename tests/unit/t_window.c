/* Blocks of memory, and the window of a file: against a map of bytes. */
#include "fetch/window.h"

#include "tests/unit/tap.h"

enum { N = 24, UNIT = 1000 };

static void slab(void)
{
    struct slab s AUTO(slab_free) = SLAB_INIT;
    struct err e = ERR_INIT;
    struct block *b[3];
    bool aligned = true;

    is_int(slab_open(&s, 3, &e), 0, "three blocks");
    for (int i = 0; i < 3; i++) {
        b[i] = slab_take(&s);
        aligned = aligned && (uintptr_t)b[i]->room % 4096 == 0;
        memset(b[i]->room, i, BLOCK_BYTES);
    }
    ok(aligned, "are aligned as pages are");
    ok(slab_take(&s) == NULL && s.n_idle == 0, "there is no fourth");
    ok(b[0]->room[BLOCK_BYTES - 1] == 0 && b[1]->room[0] == 1 &&
            b[2]->room[BLOCK_BYTES - 1] == 2,
        "they do not overlap");
    slab_give(&s, b[1]);
    slab_give(&s, b[0]);
    ok(slab_take(&s) == b[0] && slab_take(&s) == b[1],
        "the last one given is the first one taken");
    ok(block_at(b[2], 5 * (uint64_t)BLOCK_BYTES + 7) == b[2]->room + 7,
        "a byte's place is its place in the file");
    ok(block_end(0) == BLOCK_BYTES &&
            block_end(BLOCK_BYTES - 1) == BLOCK_BYTES &&
            block_end(BLOCK_BYTES) == 2 * BLOCK_BYTES,
        "where a stretch ends");
}

/* Some of N blocks of UNIT bytes each are in; what must the window say? */
static bool agrees(const struct window *w, const bool *in, uint64_t at)
{
    uint64_t run = at, next = N * UNIT;

    while (run < N * UNIT && in[run / UNIT])
        run += UNIT;
    for (uint64_t i = N; i-- > 0;)
        if (in[i] && i * UNIT >= at)
            next = i * UNIT;
    return window_run(w, at) == run && window_next(w, at, N * UNIT) == next;
}

static void model(void)
{
    struct window w AUTO(window_free) = WINDOW_INIT;
    struct block blocks[N];
    bool in[N] = { false }, good = true;
    struct err e = ERR_INIT;
    uint32_t seed = 7;

    for (int turn = 0; turn < 20000 && good; turn++) {
        uint64_t i;

        seed = seed * 1664525 + 1013904223;
        i = (seed >> 8) % N;
        if (!in[i]) {
            blocks[i] = (struct block){
                .from = i * UNIT, .to = (i + 1) * UNIT, .written = seed >> 31
            };
            good = window_add(&w, &blocks[i], &e) == 0;
            in[i] = true;
        } else if (seed & (1 << 30)) {
            bool spares = window_spares(&w, i * UNIT);
            struct block *b = window_evict(&w, i * UNIT);
            uint64_t last = N;

            while (last-- > i + 1)
                if (in[last] && blocks[last].written)
                    break;
            good = spares == (b != NULL) &&
                   (last > i ? b == &blocks[last] : b == NULL);
            if (b != NULL)
                in[b - blocks] = false;
        } else {
            bool first = true;

            for (uint64_t j = 0; j < i; j++)
                first = first && !in[j];
            good = (window_pop(&w, i * UNIT) == &blocks[i]) == first;
            in[i] = !first;
        }
        for (uint64_t j = 0; j < N && good; j++)
            good = agrees(&w, in, j * UNIT);
    }
    ok(good, "the window is what a map says, 20000 times");
}

int main(void)
{
    slab();
    model();
    return done();
}
