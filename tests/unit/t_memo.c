/* What another server said: how long it is believed, what is forgotten. */
#include "serve/memo.h"

#include "tests/unit/tap.h"

static void ages(void)
{
    struct memos m = MEMOS_INIT;
    struct err e = ERR_INIT;
    struct memo *a;

    is_int(memos_open(&m, &e), 0, "there is room");
    ok(memo_find(&m, "a", 1) == NULL, "nothing is known");
    ok(!memo_fresh(NULL, 1), "and nothing is not to be believed");
    a = memo_make(&m, "a", 1);
    a->until_ms = 10;
    ok(memo_find(&m, "a", 2) == a, "it is found again");
    ok(memo_fresh(a, 9), "and believed");
    ok(!memo_fresh(a, 10), "up to its time");
    a->asking = true;
    ok(!memo_fresh(a, 9), "not while somebody asks");
    memos_free(&m);
    memos_free(&m);
}

static void is_bounded(void)
{
    char key[MEMO_KEY_MAX + 1];
    struct memos m = MEMOS_INIT;
    struct err e = ERR_INIT;

    memos_open(&m, &e);
    for (unsigned i = 0; i < MEMO_ENTRIES; i++) {
        snprintf(key, sizeof(key), "key %u", i);
        memo_make(&m, key, 10 + i);
    }
    memo_find(&m, "key 0", 5000);
    memo_find(&m, "key 1", 5000)->asking = true;
    memo_make(&m, "one more", 6000);
    ok(memo_find(&m, "key 0", 6000) != NULL, "what was asked for last stays");
    ok(memo_find(&m, "key 2", 6000) == NULL, "the oldest goes");
    for (unsigned i = 0; i < 2 * MEMO_ENTRIES; i++) {
        snprintf(key, sizeof(key), "other %u", i);
        memo_make(&m, key, 7000 + i);
    }
    ok(memo_find(&m, "key 1", 0) != NULL, "what is being asked stays");
    for (unsigned i = 0; i < MEMO_ENTRIES; i++)
        m.v[i].asking = true;
    ok(memo_make(&m, "too many", 9000) == NULL,
        "when all are, there is no room");
    memset(key, 'x', MEMO_KEY_MAX);
    key[MEMO_KEY_MAX] = '\0';
    ok(memo_make(&m, key, 9000) == NULL, "a key that is too long is none");
    memos_free(&m);
}

int main(void)
{
    ages();
    is_bounded();
    return done();
}
