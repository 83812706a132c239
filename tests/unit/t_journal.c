#include <time.h>

#include "base/boot.h"
#include "fetch/journal.h"

#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

static const struct digest etag = { HASH_GIT_SHA1,
    "ce013625030ba8dba906f756967f9e9ca394464a" };
static const struct digest other = { HASH_GIT_SHA1,
    "ce013625030ba8dba906f756967f9e9ca394464b" };

enum { SIZE = 1000 };

static void fill(struct ranges *r)
{
    struct err e = ERR_INIT;

    ranges_add(r, 0, 100, &e);
    ranges_add(r, 200, 201, &e);
    ranges_add(r, 999, 1000, &e);
}

static bool reads(struct str text, const char *boot)
{
    struct ranges r AUTO(ranges_free) = RANGES_INIT;
    bool good = journal_parse(text, boot, &etag, SIZE, &r);

    return good ? true : (r.n != 0); /* a bad one must add nothing */
}

static void round_trip(void)
{
    struct ranges have AUTO(ranges_free) = RANGES_INIT;
    struct ranges got AUTO(ranges_free) = RANGES_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(10000);
    struct err e = ERR_INIT;

    fill(&have);
    is_int(journal_text(NULL, &etag, SIZE, &have, &b, &e), 0, "written");
    ok(journal_parse(buf_str(&b), NULL, &etag, SIZE, &got), "read");
    ok(got.n == 3 && got.v[2].from == 999 && ranges_sum(&got) == 102,
        "the same ranges");
    ok(!journal_parse(buf_str(&b), NULL, &other, SIZE, &got) &&
            !journal_parse(buf_str(&b), NULL, &etag, SIZE + 1, &got) &&
            !journal_parse(buf_str(&b), "boot", &etag, SIZE, &got),
        "of another content, size or kind: nothing");
    ok(got.n == 3, "and nothing was added");
}

/* Cut or damaged anywhere, it must not be believed. */
static void damage(const char *boot)
{
    struct ranges have AUTO(ranges_free) = RANGES_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(10000);
    struct err e = ERR_INIT;
    bool cut = false, changed = false;

    fill(&have);
    journal_text(boot, &etag, SIZE, &have, &b, &e);
    for (size_t n = 0; n < b.len; n++)
        cut = cut || reads((struct str){ b.p, n }, boot);
    ok(!cut, "cut at every byte: nothing%s", boot ? " (live)" : "");
    for (size_t i = 0; i < b.len; i++)
        for (int bit = 0; bit < 8; bit++) {
            b.p[i] ^= (char)(1 << bit);
            changed = changed || reads(buf_str(&b), boot);
            b.p[i] ^= (char)(1 << bit);
        }
    ok(!changed, "any bit flipped: nothing%s", boot ? " (live)" : "");
    buf_puts(&b, "range 5 6\n");
    ok(reads(buf_str(&b), boot) == (boot != NULL), "more behind the sum: %s",
        boot ? "an older text" : "nothing");
}

static bool reads_lines(const char *ranges)
{
    struct ranges r AUTO(ranges_free) = RANGES_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(10000);
    struct err e = ERR_INIT;
    struct digest sum;

    buf_printf(&b, "ml-journal 1\netag %s\nsize 1000\n%s", etag.hex, ranges);
    hash_bytes(HASH_SHA256, b.p, b.len, &sum, &e);
    buf_printf(&b, "sum %s\n", sum.hex);
    return journal_parse(buf_str(&b), NULL, &etag, SIZE, &r);
}

/* With a right sum, but lines that nobody wrote so. */
static void nonsense(void)
{
    static const char *const bad[] = { "range 0 1001\n", "range 5 5\n",
        "range 6 5\n", "range 5 10\nrange 7 12\n", "range 5 10\nrange 10 12\n",
        "range 50 60\nrange 5 10\n", "range -1 5\n", "range 1 5 \n",
        "range 1  5\n", "range 01 5\n", "range 1\n", "range 1 x\n",
        "range 1 18446744073709551616\n", "rage 1 2\n", "\n", "range 1 2\r\n" };

    ok(reads_lines("") && reads_lines("range 0 1\nrange 2 1000\n"),
        "what the program writes is read");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ok(!reads_lines(bad[i]), "refused: range case %zu", i);
}

/* So many, far up: their text would be longer than a journal may be. */
static void scattered(void)
{
    const uint64_t front = (uint64_t)1 << 62, size = UINT64_MAX;
    const size_t most = 3 * (size_t)JOURNAL_RANGES;
    struct ranges have AUTO(ranges_free) = RANGES_INIT;
    struct ranges got AUTO(ranges_free) = RANGES_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(JOURNAL_MAX);
    struct err e = ERR_INIT;
    bool true_ones = true;

    for (size_t i = 0; i < most; i++)
        ranges_add(&have, front + i * 8192,
            front + i * 8192 + (i % 1000 == 0 ? 8000 : 5 + i % 3), &e);
    ok(journal_text(NULL, &etag, size, &have, &b, &e) == 0,
        "scattered ranges do not end it %s", e.msg);
    ok(journal_parse(buf_str(&b), NULL, &etag, size, &got), "it is read");
    is_int((int)got.n, JOURNAL_RANGES, "as many as there is room for");
    for (size_t i = 0; i < most; i += 1000)
        true_ones = true_ones && ranges_end(&got, front + i * 8192) ==
                                     front + i * 8192 + 8000;
    ok(true_ones, "the longest among them");
    for (size_t i = 0; i < got.n; i++) {
        uint64_t at = (got.v[i].from - front) / 8192;

        true_ones = true_ones && have.v[at].from == got.v[i].from &&
                    have.v[at].to == got.v[i].to;
    }
    ok(true_ones, "and none that is not there");
}

static void on_disk(void)
{
    struct ranges have AUTO(ranges_free) = RANGES_INIT;
    struct ranges got AUTO(ranges_free) = RANGES_INIT;
    struct ranges more AUTO(ranges_free) = RANGES_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(10000);
    struct err e = ERR_INIT;
    char boot[BOOT_ID_MAX], live[PATH_MAX];
    const char *path = at("journal");
    bool used = true;

    journal_read(path, &etag, SIZE, &got, &used);
    ok(got.n == 0 && !used, "no journal claims nothing");
    fill(&have);
    is_int(journal_write(path, &etag, SIZE, &have, &e), 0, "written");
    journal_read(path, &etag, SIZE, &got, &used);
    ok(ranges_sum(&got) == 102 && !used, "read again");
    boot_id(boot);
    ok(strlen(boot) == 36, "this start of the machine has an id");
    ranges_add(&have, 300, 400, &e);
    journal_text(boot, &etag, SIZE, &have, &b, &e);
    journal_live(path, live);
    write_file(live, b.p, b.len);
    ranges_free(&got);
    journal_read(path, &etag, SIZE, &got, &used);
    ok(ranges_sum(&got) == 202 && used, "the live one adds to it");
    buf_clear(&b);
    journal_text("another-start", &etag, SIZE, &have, &b, &e);
    write_file(live, b.p, b.len);
    journal_read(path, &etag, SIZE, &more, &used);
    ok(ranges_sum(&more) == 102 && !used, "but not after another start");
    journal_remove(path);
    ok(access(path, F_OK) != 0 && access(live, F_OK) != 0, "both removed");
}

/* As many as a journal can hold. */
static void many(void)
{
    struct ranges r AUTO(ranges_free) = RANGES_INIT;
    clock_t start = clock();
    struct err e = ERR_INIT;
    int rc = 0;

    for (uint64_t i = 0; i < 200000 && rc == 0; i++)
        rc = ranges_add(&r, 3 * i, 3 * i + 1, &e);
    ok(rc == 0 && r.n == 200000, "200000 ranges");
    ok(clock() - start < 5 * CLOCKS_PER_SEC, "are added soon");
}

int main(void)
{
    scratch_open();
    round_trip();
    damage(NULL);
    damage("0123-boot");
    nonsense();
    scattered();
    on_disk();
    scratch_close();
    many();
    return done();
}
