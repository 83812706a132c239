#include "verify-run/blank.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/cancel.h"

enum {
    PROBES = 17,
    PROBE = 512,      /* values of one look */
    RUN_LEAST = 4096, /* zeros in a row that are no accident */
    ELEMENT_MAX = 16  /* bytes */
};

struct look {
    const struct checkpoint *c;
    const struct tensor *t;
    size_t size; /* of an element [bytes] */
};

/* How many of the values first .. first+n-1 are like v before one is not,
   from the front or from the back; n is at most PROBE. */
static int alike(const struct look *l, uint64_t first, uint64_t n, bool back,
    const uint8_t *v, uint64_t *out, struct err *e)
{
    uint8_t got[PROBE * ELEMENT_MAX];
    uint64_t i = 0;

    if (cancel_check(e) != 0 ||
        checkpoint_read(l->c, l->t, first, n, got, e) != 0)
        return -1;
    while (i < n &&
           memcmp(got + (back ? n - 1 - i : i) * l->size, v, l->size) == 0)
        i++;
    *out = i;
    return 0;
}

/* Where the values like v end, from at on, or back from it begin. */
static int reach(const struct look *l, uint64_t at, bool back, const uint8_t *v,
    uint64_t *out, struct err *e)
{
    uint64_t n, same;

    do {
        n = size_min(PROBE, back ? at : l->t->n - at);
        same = 0;
        if (n > 0 && alike(l, back ? at - n : at, n, back, v, &same, e) != 0)
            return -1;
        at = back ? at - same : at + same;
    } while (n > 0 && same == n);
    *out = at;
    return 0;
}

static int whole(const struct look *l, const uint8_t *v, bool zero,
    char why[BLANK_TEXT], struct err *e)
{
    uint64_t end;

    if (reach(l, 0, false, v, &end, e) != 0)
        return -1;
    if (end == l->t->n)
        snprintf(why, BLANK_TEXT, "all %" PRIu64 " values are %s", end,
            zero ? "0" : "the same");
    return 0;
}

static int around(
    const struct look *l, uint64_t at, char why[BLANK_TEXT], struct err *e)
{
    static const uint8_t zero[ELEMENT_MAX];
    uint64_t cols = l->t->shape[1];
    uint64_t n = size_min(PROBE, l->t->n - at);
    uint64_t first, end, same;

    if (alike(l, at, n, false, zero, &same, e) != 0)
        return -1;
    if (same < n)
        return 0;
    if (reach(l, at, true, zero, &first, e) != 0 ||
        reach(l, at, false, zero, &end, e) != 0)
        return -1;
    if (end - first >= RUN_LEAST)
        snprintf(why, BLANK_TEXT,
            "rows %" PRIu64 " to %" PRIu64 " of %" PRIu64 " are 0",
            first / cols, (end - 1) / cols, l->t->shape[0]);
    return 0;
}

int blank_look(char why[BLANK_TEXT], const struct checkpoint *c,
    const struct tensor *t, bool padded, struct err *e)
{
    struct look l = { c, t, dtype_bytes(t->dtype) };
    uint8_t first[ELEMENT_MAX] = { 0 };
    static const uint8_t zero[ELEMENT_MAX];

    why[0] = '\0';
    if (t->rank != 2 || t->n < 2 || l.size == 0 || l.size > ELEMENT_MAX)
        return 0;
    if (checkpoint_read(c, t, 0, 1, first, e) != 0 ||
        whole(&l, first, memcmp(first, zero, l.size) == 0, why, e) != 0)
        return -1;
    for (uint64_t i = 0; i < PROBES && !padded && why[0] == '\0'; i++) {
        uint64_t room = t->n - size_min(t->n, PROBE);

        if (around(&l, room / (PROBES - 1) * i, why, e) != 0)
            return -1;
    }
    return 0;
}
