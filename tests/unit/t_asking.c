/* What is made of an upstream's refusals, and what of them is remembered. */
#include "serve/asking.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#include "tests/unit/tap.h"

static struct asking *begin(void)
{
    struct err e = ERR_INIT;
    struct asking *a = asking_open("http://127.0.0.1:1", &e);

    ok(a != NULL, "somebody can be asked");
    return a;
}

static enum lack refuse(
    struct asking *a, const char *key, struct hub_refusal r, enum err_kind kind)
{
    struct err e = ERR_INIT;

    err_set(&e, kind, "as it is");
    return asking_refused(a, key, &r, clock_ms(), &e);
}

static int known(struct asking *a, const char *key)
{
    struct err e = ERR_INIT;
    enum lack lack;

    return asking_known(a, key, &lack, &e);
}

static bool down(struct asking *a)
{
    struct err e = ERR_INIT;
    enum lack lack;

    return asking_down(a, &lack, &e);
}

/* What one asks for is not told to others. */
static void only_to_who_asked(void)
{
    struct asking *a = begin();
    struct err e = ERR_INIT;
    enum lack lack;

    err_set(&e, ERR_NET, "no new byte: secret-plan.bin");
    asking_refused(
        a, "file a", &(struct hub_refusal){ .status = 0 }, clock_ms(), &e);
    err_clear(&e);
    is_int(asking_known(a, "file a", &lack, &e), -1, "it is known of one file");
    ok(strstr(e.msg, "secret-plan") != NULL, "with all that is known");
    err_clear(&e);
    ok(asking_down(a, &lack, &e), "so nobody is asked for others");
    ok(strstr(e.msg, "secret-plan") == NULL &&
            strstr(e.msg, asking_name(a)) != NULL,
        "of which no more is said than who was not reached");
    asking_close(a);
}

/* Whoever asks for what is not there, as often as he likes. */
static void memory_ends(void)
{
    struct asking *a = begin();
    char key[MEMO_KEY_MAX];

    for (int i = 0; i < 2 * MEMO_ENTRIES; i++) {
        snprintf(key, sizeof(key), "commit models--a--%d main", i);
        refuse(a, key, (struct hub_refusal){ .status = 404 }, ERR_MISSING);
    }
    is_int(known(a, key), -1, "the last refusal is known");
    is_int(known(a, "commit models--a--0 main"), 0, "the first is forgotten");
    asking_close(a);
}

static int says(struct question *q, unsigned nth, struct err *e)
{
    (void)nth, (void)e;
    memset(q->commit, 'a', 40);
    q->commit[40] = '\0';
    return 0;
}

static int put(struct asking *a, const char *key, char commit[41],
    int (*ask)(struct question *q, unsigned nth, struct err *e))
{
    struct question q = { .ask = ask };
    struct err e = ERR_INIT;
    enum lack lack = LACK_NONE;
    int rc;

    snprintf(q.key, sizeof(q.key), "%s", key);
    rc = asking_put(a, &q, true, &lack, &e);
    memcpy(commit, q.commit, 41);
    return rc == 0 ? 0 : (int)lack;
}

static void who_is_at_fault(void)
{
    struct asking *a = begin();
    struct err e = ERR_INIT;
    char commit[41];
    uint64_t begun;

    ok(!down(a), "nobody has failed");
    is_int(
        refuse(a, "file a", (struct hub_refusal){ .answered = true }, ERR_NET),
        LACK_BYTES, "a host that the upstream names fails");
    is_int(known(a, "file a"), -1, "that file is not asked for again");
    ok(!down(a), "all others are");
    refuse(a, "file b", (struct hub_refusal){ .status = 503 }, ERR_NET);
    ok(!down(a), "nor is one refusal the end of all");
    is_int(refuse(a, "file c", (struct hub_refusal){ .status = 0 }, ERR_NET),
        LACK_BYTES, "the upstream itself does not answer");
    ok(down(a), "nobody else is sent there");
    asking_close(a);
    a = begin();
    begun = clock_ms() - 5000;
    is_int(put(a, "commit x main", commit, says), 0, "others are answered");
    err_set(&e, ERR_NET, "nothing came for 15 s");
    asking_refused(
        a, "file d", &(struct hub_refusal){ .status = 0 }, begun, &e);
    ok(!down(a), "while one waits in vain: that is his matter");
    asking_close(a);
}

static int asks_to_wait(struct question *q, unsigned nth, struct err *e)
{
    (void)nth;
    q->refusal = (struct hub_refusal){ .status = 429, .wait_s = 60 };
    return err_set(e, ERR_NET, "too often");
}

static void what_was_said_stays(void)
{
    struct asking *a = begin();
    char commit[41];

    is_int(put(a, "commit x main", commit, says), 0, "a branch is known");
    is_int(put(a, "commit x main", commit, asks_to_wait), 0,
        "and stays what it was while one may not ask");
    is_int(commit[0], 'a', "as it was said");
    is_int(put(a, "commit y main", commit, asks_to_wait), LACK_LIMIT,
        "another one is not");
    asking_close(a);
}

/* ---- who does not wait for long ---- */

static int goes_slowly(struct question *q, unsigned nth, struct err *e)
{
    usleep(600 * 1000);
    return says(q, nth, e);
}

static int is_not_there(struct question *q, unsigned nth, struct err *e)
{
    (void)q, (void)nth;
    usleep(200 * 1000);
    return err_set(e, ERR_NET, "no connection");
}

static void drop(struct question *q)
{
    free(q);
}

/* 0, or the lack; and how long it took. */
static int put_soon(struct asking *a, const char *key, uint64_t ms,
    int (*ask)(struct question *q, unsigned nth, struct err *e), uint64_t *took)
{
    struct question *q = calloc(1, sizeof(*q));
    struct err e = ERR_INIT;
    enum lack lack = LACK_NONE;
    uint64_t begun = clock_ms();
    char commit[41];
    int rc;

    if (q == NULL)
        exit(1);
    q->ask = ask;
    q->drop = drop;
    q->good_ms = 60000;
    snprintf(q->key, sizeof(q->key), "%s", key);
    rc = asking_put_soon(a, q, ms, commit, &lack, &e);
    *took = clock_ms() - begun;
    return rc == 0 ? 0 : (int)lack;
}

static void late_answers(void)
{
    struct asking *a = begin();
    uint64_t took;
    char commit[41];

    is_int(put_soon(a, "commit x main", 200, goes_slowly, &took), LACK_BYTES,
        "there is no answer yet");
    ok(took < 500, "which is said in time");
    is_int(put_soon(a, "commit x main", 200, goes_slowly, &took), LACK_BYTES,
        "nor a moment later");
    ok(took < 100, "for that nobody waits as long again");
    is_int(put(a, "commit x main", commit, says), 0, "it came meanwhile");
    is_int(put_soon(a, "commit x main", 200, goes_slowly, &took), 0,
        "and is known");
    is_int(put_soon(a, "commit y main", 5000, goes_slowly, &took), 0,
        "who has the time is told the answer");
    asking_close(a);
}

/* Of what was under way for long when it fell silent. */
static void give_up(struct asking *a, const char *key)
{
    struct err e = ERR_INIT;

    err_set(&e, ERR_NET, "no new byte for 30 s");
    asking_refused(
        a, key, &(struct hub_refusal){ .status = 0 }, clock_ms() - 30000, &e);
}

/* Nobody waits twice for a host that does not answer. */
static void black_hole(void)
{
    struct asking *a = begin(), *b = begin();
    uint64_t took;
    char commit[41];

    is_int(put(a, "commit x main", commit, is_not_there), LACK_BYTES,
        "nobody is there");
    ok(down(a), "which is known");
    is_int(put(a, "commit y main", commit, says), LACK_BYTES,
        "nobody else is sent there");
    asking_close(a);
    a = begin();
    is_int(put_soon(a, "commit x main", 100, is_not_there, &took), LACK_BYTES,
        "who can do without goes on");
    usleep(400 * 1000);
    ok(down(a), "the question went on");
    give_up(b, "file a");
    give_up(b, "file b");
    ok(down(b), "two transfers end");
    usleep(5000 * 1000);
    ok(!down(a), "after a while one asks again");
    usleep(100 * 1000);
    ok(!down(b), "no later where several found out at once");
    asking_close(b);
    is_int(put_soon(a, "commit y main", 2000, goes_slowly, &took), LACK_BYTES,
        "not who can do without");
    ok(took < 200, "he does not wait at all");
    usleep(100 * 1000);
    is_int(put(a, "commit z main", commit, says), LACK_BYTES,
        "nor do others, while one finds out");
    usleep(800 * 1000);
    is_int(put(a, "commit z main", commit, says), 0,
        "who finds out that it is there again, for all");
    asking_close(a);
}

int main(void)
{
    memory_ends();
    who_is_at_fault();
    only_to_who_asked();
    what_was_said_stays();
    late_answers();
    black_hole();
    return done();
}
