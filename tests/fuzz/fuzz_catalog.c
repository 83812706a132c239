/*
 * What stands in a bucket: a catalog has safe names, sorted and once; what
 * was read is written as it stood; two of one parent are put together, and
 * nothing of either is lost. A ref is one with its sum, or none. Whatever
 * moves there are, one counts, and what two have in common is below neither.
 */
// seeds: tests/fuzz/catalog/*
#include "kit.h"

#include <stdio.h>

#include "bucket/catalog.h"
#include "bucket/lineage.h"
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

static void id_of(uint8_t byte, char out[MOVE_ID + 1])
{
    snprintf(out, MOVE_ID + 1, "%016x", byte);
}

/* Of four bytes each: a number, an id, and two that it was put on top of. */
static void check_lineage(const uint8_t *data, size_t size)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    struct lineage l = { .arena = &arena };
    struct move *count[2] = { NULL, NULL };
    struct err e = ERR_INIT;

    for (size_t i = 0; i + 4 <= size && i < 4096; i += 4) {
        char tail[MOVE_TAIL_MAX + 1], id[3][MOVE_ID + 1];
        const char *const over[] = { id[1], id[2] };

        for (size_t k = 0; k < 3; k++)
            id_of(data[i + 1 + k], id[k]);
        move_tail(tail, data[i], id[0], over, 2);
        must(lineage_add(&l, str_of(tail), (int64_t)i, &e) == 0);
    }
    must(lineage_sort(&l, 100, &e) == 0);
    for (uint64_t i = 0; i < l.n; i++)
        if (!l.v[i].covered) {
            count[1] = count[0];
            count[0] = &l.v[i];
        }
    must((l.n > 0) == (count[0] != NULL));
    if (count[1] != NULL) {
        const struct move *bases[MOVE_OVER_MAX];
        unsigned n = lineage_bases(&l, count, 2, bases);

        for (unsigned i = 0; i < n; i++)
            must(bases[i]->covered);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = { (const char *)data, size };

    check_catalog(text);
    check_ref(text);
    check_lineage(data, size);
    return 0;
}
