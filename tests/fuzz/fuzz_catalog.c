/*
 * What stands in a bucket: a catalog has safe names, sorted and once; what
 * was read is written as it stood; two writers' are put together, and nothing
 * of either is lost. A ref is one with its sum, or none. Whatever moves there
 * are, one counts, and each knows of itself and of what it covers.
 */
// seeds: tests/fuzz/catalog/*
#include "kit.h"

#include <stdio.h>
#include <string.h>

#include "bucket/catalog.h"
#include "bucket/lineage.h"
#include "bucket/tip.h"

#include "base/path.h"

#define ARENA_MAX ((uint64_t)256 << 20)

/* Half of it is one writer's, who knows of nothing, and half another's. */
static void check_join(const struct catalog *c, struct arena *arena)
{
    static const struct origin own[2] = { { 1, "0000000000000000" },
        { 1, "1111111111111111" } };
    struct lineage l = { .arena = arena };
    struct catalog half[2] = { *c, *c }, out;
    struct sides sides = { .v = half, .n = 2 };
    char tail[MOVE_TAIL_MAX + 1];
    struct err e = ERR_INIT;
    struct move *v[2];

    half[0].n = c->n / 2;
    half[1].files = c->files + half[0].n;
    half[1].n = c->n - half[0].n;
    for (int k = 0; k < 2; k++) {
        move_tail(tail, 1, own[k].id, NULL, 0);
        must(lineage_add(&l, str_of(tail), k, &e) == 0);
        for (uint64_t i = 0; i < half[k].n; i++) {
            half[k].files[i].from = &own[k];
            half[k].files[i].beside = NULL;
        }
    }
    must(lineage_sort(&l, 0, &e) == 0);
    for (int k = 0; k < 2; k++)
        v[k] = lineage_find(&l, own[k].id);
    must(lineage_kin(&l, v, 2, &sides.kin, &e) == 0);
    must(catalog_join(&out, &sides, arena, &e) == 0);
    must(out.n == c->n);
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
    check_join(&c, &arena);
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

static struct origin origin_of(const struct move *m)
{
    struct origin of = { .number = m->number };

    memcpy(of.id, move_id(m), MOVE_ID);
    return of;
}

/* Ids that are there twice mean one of the two. */
static void check_kin(struct lineage *l, struct move *const v[2])
{
    struct err e = ERR_INIT;
    struct kin kin;

    must(lineage_kin(l, v, 2, &kin, &e) == 0);
    for (size_t k = 0; k < 2; k++) {
        struct origin of = origin_of(v[k]);

        must(lineage_find(l, of.id) != v[k] || kin_knows(&kin, k, &of));
    }
    for (uint64_t i = 0; i < l->n; i++) {
        struct origin of = origin_of(&l->v[i]);

        must(kin_order(&kin, &of, &of) == 0);
        (void)kin_knows(&kin, 0, &of);
    }
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
    if (count[1] != NULL)
        check_kin(&l, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = { (const char *)data, size };

    check_catalog(text);
    check_ref(text);
    check_lineage(data, size);
    return 0;
}
