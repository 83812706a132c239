/*
 * intake_world.h - one file's bytes on their way through the threads of an
 * intake, for tests that put a disk of their own in front of the system's.
 */
#ifndef TESTS_UNIT_INTAKE_WORLD_H
#define TESTS_UNIT_INTAKE_WORLD_H

#include "fetch/intake.h"

#include <time.h>

#include "base/file.h"

#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

enum { SIZE = (12 << 20) + 4321, PIECE = 1 << 20, LANES = 4 };

static uint8_t data[SIZE];
static struct digest want;
static char path[PATH_MAX], journal[PATH_MAX];
static _Atomic int woken;

struct world {
    struct intake *in;
    struct partial partial;
    struct sink sink;
};

static inline void nap(void)
{
    struct timespec t = { .tv_nsec = 200000 };

    nanosleep(&t, NULL);
}

static inline void wake(void *arg)
{
    (void)arg;
    woken++;
}

/* The names of the file and its journal, and what its bytes will be. */
static inline void make_world(void)
{
    struct err e = ERR_INIT;
    uint32_t x = 12345;

    snprintf(path, sizeof(path), "%s", at("blob.ml.incomplete"));
    snprintf(journal, sizeof(journal), "%s", at("journal"));
    for (size_t i = 0; i < SIZE; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        data[i] = (uint8_t)x;
    }
    hash_bytes(HASH_SHA256, data, SIZE, &want, &e);
}

static inline void enter(
    struct world *w, size_t blocks, unsigned lanes, struct err *e)
{
    struct intake_opts o = { .blocks = blocks, .lanes = lanes, .wake = wake };

    w->in = intake_open(&o, e);
    partial_open(&w->partial, path, journal, &want, SIZE, e);
    sink_begin(&w->sink, w->in, &w->partial, e);
}

/*
 * n files of so many bytes that share the threads, with a lane each; of the
 * first ones all bytes are there.
 */
static inline struct intake *enter_many(
    struct world *w, unsigned n, unsigned there, uint64_t size, struct err *e)
{
    struct intake_opts o = { .blocks = 160, .lanes = n, .wake = wake };
    struct intake *in = intake_open(&o, e);

    for (unsigned i = 0; i < n; i++) {
        char file[PATH_MAX], name[PATH_MAX];

        snprintf(file, sizeof(file), "%.4000s.%u", path, i);
        snprintf(name, sizeof(name), "%.4000s.%u", journal, i);
        w[i].in = in;
        partial_open(&w[i].partial, file, name, &want, size, e);
        if (i < there)
            ranges_add(&w[i].partial.have, 0, size, e);
        sink_begin(&w[i].sink, in, &w[i].partial, e);
    }
    return in;
}

/* What there is stays, for the next one. */
static inline void leave(struct world *w, struct err *e)
{
    sink_end(&w->sink);
    is_int(partial_save(&w->partial, e), 0, "saved");
    sink_free(&w->sink);
    partial_close(&w->partial);
    intake_close(w->in);
}

static inline void finish(struct world *w)
{
    sink_end(&w->sink);
    sink_free(&w->sink);
    partial_drop(&w->partial);
    intake_close(w->in);
}

/*
 * A lane's bytes up to byte to, through *b, 16 kB at a time; it waits, but
 * naps no more often than it may. False when not all were taken.
 */
static inline bool feed_lane(struct world *w, struct block **b, uint64_t *at,
    uint64_t to, int naps, struct err *e)
{
    uint64_t new = 0;

    while (*at < to) {
        enum sink_took took = sink_put(
            &w->sink, b, at, data + *at, size_min(16384, to - *at), &new, e);

        if (took == SINK_FAILED)
            return false;
        while (took == SINK_FULL && !intake_room(w->in) && naps-- > 0)
            nap();
        if (naps < 0)
            break;
    }
    return *at == to;
}

/* The same, and what is in the lane's hand is handed over. */
static inline bool feed_within(
    struct world *w, int naps, uint64_t from, uint64_t to, struct err *e)
{
    struct block *b = NULL;
    bool all = feed_lane(w, &b, &from, to, naps, e);

    sink_flush(&w->sink, &b);
    return all;
}

static inline bool feed(
    struct world *w, uint64_t from, uint64_t to, struct err *e)
{
    return feed_within(w, 200000, from, to, e);
}

static inline enum sink_state wait_end(struct world *w, struct err *e)
{
    enum sink_state state = SINK_OPEN;

    for (int i = 0; i < 50000 && state == SINK_OPEN; i++) {
        state = sink_look(&w->sink, e);
        nap();
    }
    return state;
}

static inline bool on_disk(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(SIZE);
    struct err e = ERR_INIT;

    return file_slurp(path, &b, &e) == 0 && b.len == SIZE &&
           memcmp(b.p, data, SIZE) == 0;
}

/* Done, and right in every way. */
static inline void check(struct world *w, const char *name)
{
    struct err e = ERR_INIT;
    struct digest got = { .hex = "" };

    ok(wait_end(w, &e) == SINK_DONE, "%s: done %s", name, e.msg);
    sink_end(&w->sink);
    sink_digest(&w->sink, &got);
    ok(digest_eq(&got, &want), "%s: the digest is right", name);
    ok(on_disk(), "%s: so is the file", name);
    ok(ranges_sum(&w->partial.have) == SIZE, "%s: all is there", name);
    finish(w);
}

#endif
