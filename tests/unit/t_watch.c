/* Readers of a file on its way: what they get, when, and what they never get.
 */
#include "fetch/watch.h"

#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

enum { SIZE = 1 << 20, HELD = 64 << 10 };

static const struct digest want = { HASH_SHA256,
    "30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58" };

struct reader {
    struct watch_reader r;
    unsigned woken;
};

static void wake(struct watch_reader *r)
{
    ((struct reader *)r->arg)->woken++;
}

static struct reader reader(uint64_t at, uint64_t to)
{
    return (struct reader){ .r = { .at = at, .to = to, .wake = wake } };
}

static bool join(struct watch *w, struct reader *r)
{
    r->r.arg = r;
    return watch_join(w, &r->r);
}

static int64_t look(struct watch *w, struct reader *r, uint64_t at)
{
    struct err e = ERR_INIT;
    int fd;

    return watch_look(w, &r->r, at, &fd, &e);
}

static void open_file(struct partial *p, const char *name)
{
    struct err e = ERR_INIT;
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", scratch, name);
    ok(partial_open(p, path, "", &want, SIZE, &e) == 0, "%s is opened", name);
}

static void begin(struct watch *w, struct partial *p)
{
    struct err e = ERR_INIT;

    is_int(watch_begin(w, p, &e), 0, "a round begins");
}

static void a_reader_is_woken(void)
{
    struct partial p = PARTIAL_INIT;
    struct reader a = reader(0, SIZE);
    struct watch w;

    watch_init(&w, SIZE, HELD);
    ok(join(&w, &a), "a reader joins before there is anything");
    is_int(look(&w, &a, 0), 0, "there is nothing yet");
    watch_wait(&w, &a.r, 0);
    open_file(&p, "one");
    begin(&w, &p);
    is_int(a.woken, 0, "an empty file wakes nobody");
    watch_came(&w, 4096, 8192);
    is_int(a.woken, 0, "nor do bytes elsewhere");
    watch_came(&w, 0, 4096);
    is_int(a.woken, 1, "its byte does");
    is_int(look(&w, &a, 0), 8192, "and all behind it is there");
    watch_wait(&w, &a.r, 100);
    is_int(a.woken, 2, "who waits for what is there is woken at once");
    watch_wait(&w, &a.r, 8192);
    watch_unwait(&w, &a.r);
    watch_came(&w, 8192, 9000);
    is_int(a.woken, 2, "who does not wait any more is not");
    watch_leave(&w, &a.r);
    partial_drop(&p);
    watch_free(&w);
}

static void the_end_is_held_back(void)
{
    struct partial p = PARTIAL_INIT;
    struct reader a = reader(0, SIZE), small = reader(0, 10);
    struct err fine = ERR_INIT;
    struct watch w, tiny;

    watch_init(&w, SIZE, HELD);
    join(&w, &a);
    open_file(&p, "two");
    begin(&w, &p);
    watch_came(&w, 0, SIZE);
    is_int(look(&w, &a, 0), SIZE - HELD, "all is there but the end");
    is_int(look(&w, &a, SIZE - HELD), 0, "which is not given out");
    watch_wait(&w, &a.r, SIZE - HELD);
    is_int(a.woken, 0, "nor is one woken for it");
    watch_right(&w);
    is_int(a.woken, 1, "before the digest is right");
    is_int(look(&w, &a, SIZE - HELD), HELD, "then it is there");
    watch_end(&w, &fine);
    is_int(look(&w, &a, SIZE - 1), 1, "also when the transfer has ended");
    ok(!join(&w, &small), "whom nobody can join");
    watch_leave(&w, &a.r);

    watch_init(&tiny, 10, HELD);
    join(&tiny, &small);
    ok(tiny.whole, "of a small file all is wanted");
    begin(&tiny, &p);
    watch_came(&tiny, 0, 10);
    is_int(look(&tiny, &small, 0), 0, "and nothing is given out before");
    watch_leave(&tiny, &small.r);
    partial_drop(&p);
    watch_free(&tiny);
    watch_free(&w);
}

static void wrong_bytes(void)
{
    struct partial p = PARTIAL_INIT, q = PARTIAL_INIT;
    struct reader misled = reader(0, SIZE), patient = reader(0, SIZE);
    struct err e = ERR_INIT, why = ERR_INIT;
    struct watch w;
    int fd;

    watch_init(&w, SIZE, HELD);
    join(&w, &misled);
    join(&w, &patient);
    open_file(&p, "three");
    begin(&w, &p);
    watch_came(&w, 0, SIZE);
    ok(look(&w, &misled, 0) > 0, "one has read of what is wrong");
    watch_wait(&w, &misled.r, SIZE - HELD);
    open_file(&q, "four");
    begin(&w, &q);
    is_int(misled.woken, 1, "it is woken when another round begins");
    is_int(watch_look(&w, &misled.r, SIZE - HELD, &fd, &e), -1,
        "and gets no more");
    is_int(e.kind, ERR_CORRUPT, "for the bytes were wrong");
    is_int(look(&w, &patient, 0), 0, "who had read nothing goes on waiting");
    watch_came(&w, 0, SIZE);
    watch_right(&w);
    is_int(look(&w, &misled, SIZE - HELD), -1, "the first one never gets any");
    is_int(look(&w, &patient, 0), SIZE, "the second one all");
    is_int(watch_begin(&w, &q, &why), -1, "there is no third round");
    watch_leave(&w, &misled.r);
    watch_leave(&w, &patient.r);
    partial_drop(&p);
    partial_drop(&q);
    watch_free(&w);
}

/* Wrong, and it cannot be fetched anew: no room for it, say. */
static void wrong_for_good(void)
{
    struct partial p = PARTIAL_INIT;
    struct reader misled = reader(0, SIZE), patient = reader(0, SIZE);
    struct reader part = reader(0, 4096);
    struct err e = ERR_INIT;
    struct watch w;

    watch_init(&w, SIZE, HELD);
    join(&w, &misled);
    join(&w, &patient);
    join(&w, &part);
    open_file(&p, "six");
    begin(&w, &p);
    watch_came(&w, 0, SIZE);
    ok(look(&w, &misled, 0) > 0, "one has read of what is wrong");
    ok(!watch_doubtful(&w), "which nobody knows yet");
    watch_wait(&w, &misled.r, SIZE - HELD);
    watch_wait(&w, &patient.r, SIZE - HELD);
    watch_wrong(&w);
    is_int(misled.woken, 1, "it is woken when it is known");
    is_int(patient.woken, 0, "who has read nothing is not");
    ok(watch_doubtful(&w), "somebody may have wrong bytes");
    is_int(look(&w, &misled, 8192), -1, "nobody is given more of them");
    is_int(look(&w, &part, 0), 0, "nor a part of them");
    err_set(&e, ERR_NOSPACE, "the disk is full");
    watch_end(&w, &e);
    is_int(look(&w, &part, 0), -1, "at the end neither");
    is_int(look(&w, &patient, 0), -1, "nor all of them");
    ok(watch_doubtful(&w), "it stays in doubt");
    watch_leave(&w, &misled.r);
    watch_leave(&w, &patient.r);
    watch_leave(&w, &part.r);
    partial_drop(&p);
    watch_free(&w);
}

static void a_failure(void)
{
    struct partial p = PARTIAL_INIT;
    struct reader a = reader(0, SIZE);
    struct err e = ERR_INIT, got = ERR_INIT;
    struct watch w;
    int fd;

    watch_init(&w, SIZE, HELD);
    join(&w, &a);
    open_file(&p, "five");
    begin(&w, &p);
    watch_came(&w, 0, 4096);
    watch_wait(&w, &a.r, 4096);
    err_set(&e, ERR_NET, "the host is gone");
    watch_end(&w, &e);
    is_int(a.woken, 1, "its end wakes who waits");
    is_int(watch_look(&w, &a.r, 4096, &fd, &got), -1, "for nothing");
    is_str(got.msg, "the host is gone", "and says why");
    is_int(look(&w, &a, 0), 4096, "what had come can be read");
    watch_leave(&w, &a.r);
    partial_drop(&p);
    watch_free(&w);
}

static void next(struct watch *w, uint64_t from, uint64_t to,
    uint64_t want_from, uint64_t want_to, const char *name)
{
    uint64_t reach;

    if (!ok(watch_next(w, &from, &to, &reach), "%s: there is something", name))
        return;
    is_int((long long)from, (long long)want_from, name);
    is_int((long long)to, (long long)want_to, name);
}

static void where_to_go(void)
{
    struct reader a = reader(100000, 200000), b = reader(500000, 600000);
    struct reader all = reader(0, SIZE);
    uint64_t from = 0, to = SIZE, reach;
    struct watch w;

    watch_init(&w, SIZE, HELD);
    ok(!watch_next(&w, &from, &to, &reach), "nobody wants anything");
    join(&w, &a);
    join(&w, &b);
    next(&w, 0, SIZE, 500000, 600000, "one who came last is as near");
    next(&w, 150000, SIZE, 500000, 600000, "one stands there");
    next(&w, 150000, 400000, 150000, 200000, "another will come there");
    from = 200000;
    to = 400000;
    ok(!watch_next(&w, &from, &to, &reach), "none comes between them");
    ok(!w.whole, "parts do not make a whole");
    join(&w, &all);
    ok(w.whole, "who wants the end wants all");
    watch_leave(&w, &all.r);
    next(&w, 200000, 400000, 200000, 400000, "then all is fetched");
    ok(!watch_spent(&w, UINT64_MAX, 0), "to its end");
    watch_leave(&w, &a.r);
    watch_leave(&w, &b.r);
    watch_free(&w);
}

static void nobody_is_left(void)
{
    struct reader a = reader(0, 100);
    struct watch w;

    watch_init(&w, SIZE, HELD);
    join(&w, &a);
    ok(!watch_spent(&w, UINT64_MAX, 0), "it is read");
    watch_leave(&w, &a.r);
    ok(!watch_spent(&w, w.left_ms + 999, 1000), "the last one has just left");
    ok(join(&w, &a), "and can come again");
    watch_leave(&w, &a.r);
    ok(watch_spent(&w, w.left_ms + 1000, 1000), "it stayed away");
    ok(!join(&w, &a), "too late");
    watch_free(&w);
}

/* Who reads slowly what is there needs nobody to stay for it. */
static void nothing_is_lacking(void)
{
    struct partial p = PARTIAL_INIT;
    struct reader slow = reader(0, 4096), none = reader(0, 0);
    struct watch w, empty;
    uint64_t now;

    watch_init(&w, SIZE, HELD);
    join(&w, &slow);
    now = w.left_ms;
    ok(!watch_spent(&w, now + 5000, 1000), "nothing is there yet");
    open_file(&p, "seven");
    begin(&w, &p);
    watch_came(&w, 0, 4000);
    ok(!watch_spent(&w, now + 9000, 1000), "not all of a part");
    watch_came(&w, 4000, 4096);
    ok(!watch_spent(&w, now + 9999, 1000), "all of it, since a moment");
    ok(watch_spent(&w, now + 10000, 1000), "for long enough");
    is_int(look(&w, &slow, 100), 3996, "its reader goes on reading");
    watch_leave(&w, &slow.r);
    partial_drop(&p);
    watch_free(&w);

    watch_init(&w, SIZE, HELD);
    w.left_ms = now + 1;
    ok(!watch_spent(&w, now, 1000), "who left while the clock was read");
    watch_free(&w);

    watch_init(&empty, 0, HELD);
    join(&empty, &none);
    ok(!watch_spent(&empty, now + 5000, 1000), "an empty file is made");
    watch_leave(&empty, &none.r);
    ok(!watch_spent(&empty, now + 9000, 1000), "also when nobody is left");
    watch_free(&empty);
}

static void early_bytes(void)
{
    struct reader a = reader(0, SIZE);
    struct watch w;

    watch_init(&w, SIZE, HELD);
    join(&w, &a);
    ok(!watch_hungry(&w, 0, 10, 1000), "it does not wait yet");
    watch_wait(&w, &a.r, 5);
    ok(!watch_hungry(&w, 6, 10, 1000), "not for these bytes");
    ok(watch_hungry(&w, 0, 10, 1000), "for these it does");
    ok(!watch_hungry(&w, 0, 10, 1000 + WATCH_FLUSH_MS - 1), "not too often");
    ok(watch_hungry(&w, 0, 10, 1000 + WATCH_FLUSH_MS), "again after a while");
    watch_wait(&w, &a.r, SIZE - HELD);
    ok(!watch_hungry(&w, 0, SIZE, 5000), "what is held back is in no hurry");
    watch_leave(&w, &a.r);
    watch_free(&w);
}

int main(void)
{
    scratch_open();
    a_reader_is_woken();
    the_end_is_held_back();
    wrong_bytes();
    wrong_for_good();
    a_failure();
    where_to_go();
    nobody_is_left();
    nothing_is_lacking();
    early_bytes();
    scratch_close();
    return done();
}
