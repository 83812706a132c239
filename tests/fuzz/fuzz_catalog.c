/*
 * What stands in a bucket: a catalog has safe names, sorted and once; what
 * was read is written as it stood; two of one parent are put together, and
 * nothing of either is lost. A ref is one with its sum, or none.
 */
// seeds: tests/fuzz/catalog/*
#include "kit.h"

#include "bucket/catalog.h"
#include "bucket/tip.h"

#include "base/path.h"

#define ARENA_MAX ((uint64_t)256 << 20)

static void check_merge(const struct catalog *c, struct arena *arena)
{
    struct catalog half = *c, rest = *c, out;
    const struct catalog none = { .n = 0 };
    struct str clash = { NULL, 0 };
    struct err e = ERR_INIT;

    half.n = c->n / 2;
    rest.files = c->files + half.n;
    rest.n = c->n - half.n;
    must(catalog_merge(&out, &none, &half, &rest, &clash, arena, &e) == 0);
    must(out.n == c->n && clash.len == 0);
    for (uint64_t i = 0; i < c->n; i++)
        must(catalog_same(&c->files[i], catalog_find(&out, c->files[i].name)));
}

static void check_catalog(struct str text)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    struct buf again AUTO(buf_free) = BUF_INIT(4 << 20);
    struct err e = ERR_INIT;
    struct catalog c;

    if (catalog_parse(&c, text, &arena, &e) != 0)
        return;
    for (uint64_t i = 0; i < c.n; i++) {
        must(path_check(c.files[i].name, &e) == 0);
        must(i == 0 || str_cmp(c.files[i - 1].name, c.files[i].name) < 0);
    }
    must(catalog_text(&c, &again, &e) == 0);
    must(str_eq(buf_str(&again), text));
    check_merge(&c, &arena);
}

/* With the sum that it should have, it is a ref, if its lines are one's. */
static void check_ref(struct str text)
{
    struct buf mended AUTO(buf_free) = BUF_INIT(1 << 20);
    struct buf again AUTO(buf_free) = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct tip_side side;
    struct digest sum;
    uint64_t number;

    (void)tip_parse(text, &number, &side, &e);
    err_clear(&e);
    must(hash_bytes(HASH_SHA256, text.p, text.len, &sum, &e) == 0);
    buf_put(&mended, text.p, text.len);
    buf_printf(&mended, "sum %s\n", sum.hex);
    if (tip_parse(buf_str(&mended), &number, &side, &e) != 0)
        return;
    must(tip_text(&again, number, &side, &e) == 0);
    must(str_eq(buf_str(&again), buf_str(&mended)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = { (const char *)data, size };

    check_catalog(text);
    check_ref(text);
    return 0;
}
