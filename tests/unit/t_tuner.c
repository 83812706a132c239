/* How many connections, how much of a file, how fast: against made-up links. */
#include "fetch/pace.h"
#include "fetch/spare.h"
#include "fetch/tuner.h"

#include "tests/unit/tap.h"

enum { MIB = 1 << 20 };

/*
 * A link of so many bytes a second, and so many for each connection, for
 * some seconds. Returns how many connections there were at the end.
 */
static unsigned settle(
    struct tuner *t, double link, double each, unsigned seconds)
{
    double bytes = 0;

    for (unsigned ms = 0; ms < seconds * 1000; ms += 10) {
        double rate = each * t->want < link ? each * t->want : link;

        bytes += rate / 100;
        tuner_look(t, ms, (uint64_t)bytes, true, true);
    }
    return t->want;
}

static void growth(void)
{
    struct tuner t = tuner_begin(32, 0);

    is_int(t.want, TUNER_NEAR, "a few at first");
    is_int(settle(&t, 1e9, 1e9, 3), TUNER_NEAR,
        "one connection fills the link: no more are kept");
    t = tuner_begin(32, 0);
    is_int(settle(&t, 1e9, 1e7, 5), 32, "each has its own limit: all");
    t = tuner_begin(32, 0);
    is_int(settle(&t, 8e7, 1e7, 5) >= 8, true, "as many as fill the link");
    ok(t.want < 16, "and not many more: %u", t.want);
    t = tuner_begin(3, 0);
    is_int(settle(&t, 1e9, 1e7, 5), 3, "never more than the user said");
    t = tuner_begin(1, 0);
    is_int(settle(&t, 1e9, 1e7, 5), 1, "not even two");
}

/* A link that each connection brings more of, to a machine that is busy. */
static void no_spare(void)
{
    struct tuner t = tuner_begin(32, 0);
    uint64_t ms = 0;

    for (; ms < 3000; ms += 10)
        tuner_look(&t, ms, ms * 10000 * t.want, true, false);
    is_int(t.want, TUNER_NEAR, "nothing to spare: no more connections");
    for (; ms < 4000; ms += 10)
        tuner_look(&t, ms, ms * 10000 * t.want, true, true);
    ok(t.want > TUNER_NEAR, "until there is: %u", t.want);
}

/* After a second in which so much was done. */
static bool spares(uint64_t process_ms, uint64_t thread_ms, unsigned cores)
{
    struct spare was = { .process_ns = 7, .thread_ns = 5, .at_ns = 1 };
    struct spare now = { .process_ns = 7 + process_ms * 1000000,
        .thread_ns = 5 + thread_ms * 1000000,
        .at_ns = 1 + 1000000000 };

    return spare_between(&was, &now, cores);
}

static void spare(void)
{
    struct spare s = { .at_ns = 0 };

    ok(spares(999, 500, 2), "a bit less than one core of two");
    ok(!spares(1000, 500, 2), "one of two");
    ok(spares(1900, 890, 4), "a thread that rests a little");
    ok(!spares(1900, 900, 4), "one that is at work all the time");
    ok(spare_look(&s) && s.at_ns > 0, "nothing is known at first");
}

static void distance(void)
{
    struct tuner t = tuner_begin(32, 0);

    tuner_rtt(&t, 100);
    is_int(t.want, TUNER_NEAR, "a near server");
    tuner_rtt(&t, 50000);
    is_int(t.want, TUNER_FAR, "a far one");
    t = tuner_begin(6, 0);
    tuner_rtt(&t, 50000);
    is_int(t.want, 6, "and never more than the user said");
}

static void refusals(void)
{
    struct tuner t = tuner_begin(32, 0);

    tuner_refused(&t, 0, 1);
    is_int(t.want, 1, "the second is refused: one");
    tuner_refused(&t, 0, 0);
    is_int(t.want, 1, "never none");
    is_int(settle(&t, 1e9, 1e7, 9), 1, "not tried for a while");
    ok(settle(&t, 1e9, 1e7, 30) > 1, "and then again");
}

static void pieces(void)
{
    struct tuner t = tuner_begin(1, 0);
    uint64_t big = (uint64_t)1 << 40;

    ok(tuner_piece(&t, big, 32 * MIB) >= big, "one connection: all at once");
    t = tuner_begin(8, 0);
    t.want = 8;
    is_int((long long)tuner_piece(&t, big, 32 * MIB), 4 * MIB,
        "all in hand fit into memory");
    is_int((long long)tuner_piece(&t, 20 * MIB, 32 * MIB), 20 * MIB / 16,
        "less towards the end");
    is_int((long long)tuner_piece(&t, 1, 32 * MIB), TUNER_PIECE_MIN,
        "but not too little");
    tuner_rtt(&t, 50000);
    t.want = 8;
    t.rate = 400e6;
    ok(tuner_piece(&t, big, 32 * MIB) == 20000000,
        "far away: many round trips long");
    ok(tuner_ending(&t, 2400000) && !tuner_ending(&t, 2600000),
        "the next one is asked for a round trip early");
    t.rate = 1e12;
    is_int((long long)tuner_piece(&t, big, 32 * MIB), TUNER_PIECE_MAX,
        "but not too much");
}

/* Three takers for ten seconds; how many bytes did they get? */
static uint64_t taken(uint64_t rate, uint64_t each)
{
    struct pace p = pace_begin(rate, 0);
    uint64_t sum = 0;

    for (uint64_t ms = 0; ms < 10000; ms++)
        for (int i = 0; i < 3; i++)
            if (pace_take(&p, each, ms))
                sum += each;
    return sum;
}

static void paces(void)
{
    struct pace p = pace_begin(0, 0);
    uint64_t sum = taken(1000000, 16384);

    ok(pace_take(&p, UINT32_MAX, 0) && pace_wait_ms(&p, 0) == 0, "no limit");
    ok(sum >= 9900000 && sum <= 10250000, "a megabyte a second: %llu",
        (unsigned long long)sum);
    sum = taken(1000, 16384);
    ok(sum <= 10000 + 16384, "a kilobyte a second: %llu",
        (unsigned long long)sum);
    sum = taken(1500, 7);
    ok(sum >= 14900 && sum <= 15400, "no fraction is lost: %llu",
        (unsigned long long)sum);
    p = pace_begin(1000, 0);
    ok(!pace_take(&p, 1, 0), "nothing at once");
    ok(pace_take(&p, 500, 100), "then as much as there is");
    ok(pace_wait_ms(&p, 100) >= 400, "and a wait for what was too much");
    pace_undo(&p, 500);
    is_int((long long)pace_wait_ms(&p, 100), 0, "unless it is given back");
}

static void far_pieces(void)
{
    struct tuner t = tuner_begin(16, 0);
    uint64_t near = tuner_piece(&t, (uint64_t)384 * MIB, 24 * MIB);

    is_int(near, 6 * MIB, "nothing is known: what fits into memory");
    tuner_rtt(&t, 50000);
    t.want = 16;
    is_int(tuner_piece(&t, (uint64_t)384 * MIB, 6 * MIB), TUNER_FAR_PIECE,
        "far away: no small requests while the rate is not known");
}

/*
 * A far server: nothing comes for four round trips, then twice as much with
 * each, until the line is full.
 */
static uint64_t far_bytes(uint64_t ms, double line)
{
    double sum = 0, per_ms = 1000;

    for (uint64_t at = 200; at < ms; at++) {
        sum += per_ms;
        if (at % 50 == 49)
            per_ms = per_ms * 2 < line / 1000 ? per_ms * 2 : line / 1000;
    }
    return (uint64_t)sum;
}

static void ramp(void)
{
    struct tuner t = tuner_begin(64, 0);
    uint64_t ms = 0;

    tuner_rtt(&t, 50000);
    for (; t.rate == 0 && ms < 5000; ms += 10)
        tuner_look(&t, ms, far_bytes(ms, 1e8), true, true);
    ok(ms > 600, "what comes before all are at speed says nothing: %llu ms",
        (unsigned long long)ms);
    ok(t.rate > 9.8e7 && t.rate < 1.02e8, "what comes then does: %.0f", t.rate);
    ok(t.want > TUNER_FAR, "more are tried");
    ms += 400;
    tuner_look(&t, ms, far_bytes(ms, 1e8), true, true);
    ok(t.want > TUNER_FAR, "and get as long to be at speed");
    for (uint64_t end = ms + 1000; ms < end; ms += 10)
        tuner_look(&t, ms, far_bytes(ms, 1e8), true, true);
    is_int(t.want, TUNER_FAR, "they brought nothing");
}

static void dials(void)
{
    struct tuner t = tuner_begin(32, 0);

    ok(tuner_dial(&t, 0), "nothing is known: go on");
    t.rate = 1e8;
    tuner_rtt(&t, 50000);
    ok(tuner_dial(&t, 60000000), "a second is to come: another connection");
    ok(!tuner_dial(&t, 50000000), "it would be there too late");
    tuner_rtt(&t, 100);
    ok(tuner_dial(&t, 200000), "a near server's is there at once");
}

static void shares(void)
{
    struct tuner t = tuner_begin(4, 0);
    uint64_t at;

    t.rate = 40.0 * MIB; /* 10 MiB/s each */
    at = tuner_share(&t, 0, 8 * MIB, MIB / 10, 1000);
    ok(at > 0 && at < MIB, "a slow one gives away nearly all: from %llu on",
        (unsigned long long)at);
    is_int(at % (256 << 10), 0, "whole blocks");
    is_int(tuner_share(&t, 0, 8 * MIB, 9 * MIB, 1000), 8 * MIB,
        "one that is done soon keeps it");
    is_int(tuner_share(&t, 0, 64 * MIB, 10 * MIB, 1000), 32 * MIB + (256 << 10),
        "one as fast as others gives half away, if it is long");
    is_int(tuner_share(&t, 0, 8 * MIB, MIB / 10, 500), 8 * MIB,
        "too soon to tell");
    is_int(tuner_share(&t, 0, MIB / 16, MIB / 10, 1000), MIB / 16,
        "and one that is done soon");
    at = tuner_share(&t, MIB, 8 * MIB, 0, 2000);
    is_int(at, MIB + (256 << 10), "one that brings nothing keeps a block");
    ok(!tuner_silent(&t, 3000, 0) && tuner_silent(&t, 5000, 0),
        "one that says nothing for seconds is not waited for");
    ok(!tuner_silent(&t, 5000, 1) && tuner_silent(&t, 9000, 1),
        "the next attempt gets longer");
    t.rate = 0;
    ok(!tuner_silent(&t, 60000, 0), "but if all are silent, it stays");
    is_int(tuner_share(&t, 0, 8 * MIB, 0, 5000), 8 * MIB,
        "nobody is fast: nothing is known");
}

int main(void)
{
    growth();
    no_spare();
    spare();
    distance();
    refusals();
    far_pieces();
    ramp();
    dials();
    shares();
    pieces();
    paces();
    return done();
}
