#include "fetch/tuner.h"

enum {
    PERIOD_MS = 300,
    HOLD_MS = 10000,
    /* Of a request's time, so many round trips: the gap is one of them. */
    PIECE_TRIPS = 8,
    /* Until a new connection brings bytes, and then until it is at speed. */
    DIAL_TRIPS = 3,
    RAMP_TRIPS = 8,
    GAIN_PERCENT = 8,
    CUT_BYTES = 1 << 20,
    /* It has been at work for so long, and would be for longer. */
    SHARE_MS = 1000,
    SHARE_BYTES = 256 << 10,
    SILENT_MS = 4000
};

struct tuner tuner_begin(unsigned most, uint64_t now_ms)
{
    return (struct tuner){ .most = most,
        .want = (unsigned)size_min(most, TUNER_NEAR),
        .since_ms = now_ms,
        .measured_ms = PERIOD_MS };
}

static void measure_anew(struct tuner *t, uint64_t now_ms, uint64_t bytes)
{
    t->since_ms = now_ms;
    t->since_bytes = bytes;
}

void tuner_rtt(struct tuner *t, uint64_t us)
{
    bool was_far = t->rtt_us >= TUNER_FAR_US;

    t->rtt_us = us;
    t->measured_ms = PERIOD_MS + 4 * us / 1000;
    if (us >= TUNER_FAR_US && !was_far)
        t->want = (unsigned)size_max(t->want, size_min(t->most, TUNER_FAR));
}

/* How long so many round trips take. */
static uint64_t trips_ms(const struct tuner *t, unsigned n)
{
    return n * t->rtt_us / 1000;
}

static void grow(struct tuner *t, uint64_t now_ms)
{
    t->speed_ms = now_ms + trips_ms(t, DIAL_TRIPS + RAMP_TRIPS);
    t->base = t->want;
    t->base_rate = t->rate;
    t->want = (unsigned)size_min(t->most, t->want + size_max(2, t->want / 2));
}

void tuner_look(
    struct tuner *t, uint64_t now_ms, uint64_t bytes, bool full, bool spare)
{
    uint64_t ms = now_ms - t->since_ms;

    if (bytes == 0)
        t->speed_ms = now_ms + trips_ms(t, RAMP_TRIPS);
    if (now_ms < t->speed_ms) {
        measure_anew(t, now_ms, bytes);
        return;
    }
    if (!full) {
        /* Too short to say anything; the rate may still be of use. */
        if (ms >= t->measured_ms)
            measure_anew(t, now_ms, bytes);
        return;
    }
    if (ms < t->measured_ms)
        return;
    t->rate = (double)(bytes - t->since_bytes) * 1000 / (double)ms;
    measure_anew(t, now_ms, bytes);
    if (t->base > 0 && t->rate < t->base_rate * (100 + GAIN_PERCENT) / 100) {
        t->want = t->base;
        t->base = 0;
        t->hold_ms = now_ms + HOLD_MS;
    } else if (spare && now_ms >= t->hold_ms && t->want < t->most) {
        grow(t, now_ms);
    } else {
        t->base = 0;
    }
}

void tuner_refused(struct tuner *t, uint64_t now_ms, unsigned busy)
{
    t->want = (unsigned)size_max(1, size_min(t->want, busy));
    t->base = 0;
    t->hold_ms = now_ms + HOLD_MS;
}

/* What one connection brings in so many round trips. */
static uint64_t trips(const struct tuner *t, unsigned n)
{
    return (uint64_t)(t->rate / t->want * (double)t->rtt_us * n / 1e6);
}

uint64_t tuner_piece(const struct tuner *t, uint64_t left, uint64_t memory)
{
    uint64_t piece, least;

    if (t->most == 1)
        return UINT64_MAX;
    /* All in hand fit into memory; or the gaps between them do not count. */
    piece = size_max(memory / t->want, trips(t, PIECE_TRIPS));
    /* So far away that a small request is over before it is asked for. */
    if (t->rate == 0 && t->rtt_us >= TUNER_FAR_US)
        piece = TUNER_FAR_PIECE;
    /* Towards the end less, so that all end at the same time. */
    least = size_max(TUNER_PIECE_MIN, trips(t, 2));
    piece = size_min(piece, size_max(least, left / (2 * (uint64_t)t->want)));
    return size_min(size_max(piece, TUNER_PIECE_MIN), TUNER_PIECE_MAX);
}

uint64_t tuner_cut(uint64_t from, uint64_t to, uint64_t piece)
{
    uint64_t at;

    if (!size_add(from, piece, &at) || at >= to)
        return to;
    at -= at % CUT_BYTES;
    return at > from ? at : to;
}

/* What one connection brings on average, in bytes a second. */
static double usual(const struct tuner *t)
{
    return t->rate / size_max(1, t->want);
}

uint64_t tuner_share(const struct tuner *t, uint64_t from, uint64_t to,
    uint64_t brought, uint64_t ms)
{
    double own = (double)brought * 1000 / (double)size_max(1, ms);
    double left = (double)(to - from);
    uint64_t at;

    if (ms < SHARE_MS || t->rate == 0 || left < own * SHARE_MS / 1000)
        return to;
    /* Both are to end at the same time. */
    at = from + (uint64_t)(left * own / (own + usual(t)));
    at += SHARE_BYTES - at % SHARE_BYTES;
    return at < to ? at : to;
}

bool tuner_silent(const struct tuner *t, uint64_t ms, unsigned attempts)
{
    return t->rate > 0 && ms >= (uint64_t)SILENT_MS << size_min(attempts, 8);
}

bool tuner_dial(const struct tuner *t, uint64_t left)
{
    return t->rate * (double)t->rtt_us * (DIAL_TRIPS + RAMP_TRIPS) / 1e6 <=
           (double)left;
}

bool tuner_ending(const struct tuner *t, uint64_t left)
{
    return left < trips(t, 1);
}
