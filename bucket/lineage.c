#include "bucket/lineage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/hex.h"

bool move_number(struct str tail, uint64_t *number)
{
    struct str digits = { tail.p, MOVE_NUMBER };

    if (tail.len < MOVE_HEAD || tail.len > MOVE_TAIL_MAX ||
        (tail.len - MOVE_NUMBER) % (1 + MOVE_ID) != 0)
        return false;
    for (size_t at = MOVE_NUMBER; at < tail.len; at += 1 + MOVE_ID)
        if (tail.p[at] != '-' ||
            !hex_is((struct str){ tail.p + at + 1, MOVE_ID }, MOVE_ID))
            return false;
    while (digits.len > 1 && digits.p[0] == '0') {
        digits.p++;
        digits.len--;
    }
    return decimal_u64(digits, number) && *number > 0 &&
           *number <= MOVE_NUMBER_MAX;
}

void move_tail(char *out, uint64_t number, const char *id,
    const char *const *over, unsigned n_over)
{
    int len = snprintf(out, MOVE_TAIL_MAX + 1, "%020llu-%.*s",
        (unsigned long long)number, MOVE_ID, id);

    for (unsigned i = 0; i < n_over && i < MOVE_OVER_MAX; i++)
        len += snprintf(out + len, (size_t)(MOVE_TAIL_MAX + 1 - len), "-%.*s",
            MOVE_ID, over[i]);
}

bool origin_same(const struct origin *a, const struct origin *b)
{
    if (a == NULL || b == NULL || a == b)
        return a == b;
    return a->number == b->number && strcmp(a->id, b->id) == 0;
}

const char *move_id(const struct move *m)
{
    return m->tail.p + MOVE_NUMBER + 1;
}

int lineage_add(
    struct lineage *m, struct str tail, int64_t written_s, struct err *e)
{
    struct move *v, one = { .written_s = written_s };

    if (!move_number(tail, &one.number))
        return 0;
    v = arena_grow(m->arena, m->v, m->n, &m->room, sizeof(*v), e);
    one.tail = v != NULL ? arena_str(m->arena, tail, e) : tail;
    if (v == NULL || one.tail.p == NULL)
        return -1;
    m->v = v;
    v[m->n++] = one;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const struct move *x = a, *y = b;

    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return memcmp(move_id(x), move_id(y), MOVE_ID);
}

static int by_id(const void *a, const void *b)
{
    const struct move *const *x = a, *const *y = b;

    return memcmp(move_id(*x), move_id(*y), MOVE_ID);
}

struct move *lineage_find(const struct lineage *m, const char *id)
{
    uint64_t from = 0, to = m->n;

    while (from < to) {
        uint64_t mid = from + (to - from) / 2;
        int order = memcmp(move_id(m->by_id[mid]), id, MOVE_ID);

        if (order == 0)
            return m->by_id[mid];
        if (order < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return NULL;
}

/* The next that it was put on top of; NULL: no more. *at begins at 0. */
static struct move *next_over(
    const struct lineage *m, const struct move *of, size_t *at)
{
    struct move *found = NULL;

    if (*at == 0)
        *at = MOVE_HEAD;
    while (found == NULL && *at < of->tail.len) {
        found = lineage_find(m, of->tail.p + *at + 1);
        *at += 1 + MOVE_ID;
        /* Whoever made up these names: there are no circles. */
        if (found != NULL && found->number >= of->number)
            found = NULL;
    }
    return found;
}

int lineage_sort(struct lineage *m, int64_t before_s, struct err *e)
{
    m->by_id = arena_alloc(m->arena, m->n, sizeof(struct move *), e);
    if (m->by_id == NULL)
        return -1;
    if (m->n > 0)
        qsort(m->v, m->n, sizeof(*m->v), by_number);
    for (uint64_t i = 0; i < m->n; i++)
        m->by_id[i] = &m->v[i];
    if (m->n > 0)
        qsort((void *)m->by_id, m->n, sizeof(struct move *), by_id);
    for (uint64_t i = 0; i < m->n; i++) {
        const struct move *of = &m->v[i];
        struct move *under;

        for (size_t at = 0; (under = next_over(m, of, &at)) != NULL;) {
            under->covered = true;
            under->settled = under->settled ||
                             (of->written_s > 0 && of->written_s < before_s);
        }
    }
    return 0;
}

static bool lacks(const struct lineage *m, const struct move *of)
{
    for (size_t at = MOVE_HEAD; at < of->tail.len; at += 1 + MOVE_ID)
        if (lineage_find(m, of->tail.p + at + 1) == NULL)
            return true;
    return false;
}

static bool bit(const unsigned char *row, size_t at)
{
    return (row[at / 8] >> at % 8 & 1) != 0;
}

/* What the row's sides were made from goes no further than this move. */
static void ends_here(struct kin *k, const unsigned char *row,
    const struct move *of, bool lacking)
{
    size_t count = 0;

    for (size_t side = 0; side < k->n; side++) {
        if (!bit(row, side))
            continue;
        k->whole_to[side] = size_max(k->whole_to[side], of->number);
        count++;
    }
    if (lacking && count > 0 && count < k->n)
        k->torn = true;
}

int lineage_kin(struct lineage *m, struct move *const *v, size_t n,
    struct kin *out, struct err *e)
{
    size_t row = n / 8 + 1;

    *out = (struct kin){ .moves = m, .n = n };
    out->bits = arena_alloc(m->arena, m->n, row, e);
    out->whole_to = arena_alloc(m->arena, n, sizeof(*out->whole_to), e);
    if (out->bits == NULL || out->whole_to == NULL)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (v[i] != NULL)
            out->bits[(size_t)(v[i] - m->v) * row + i / 8] |=
                (unsigned char)(1 << i % 8);
    /* Whoever covers a move stands behind it. */
    for (uint64_t i = m->n; i-- > 0;) {
        const struct move *of = &m->v[i];
        const unsigned char *from = out->bits + i * row;
        bool lacking = lacks(m, of);
        struct move *under;

        for (size_t at = 0; (under = next_over(m, of, &at)) != NULL;)
            for (size_t k = 0; k < row; k++)
                out->bits[(size_t)(under - m->v) * row + k] |= from[k];
        if (lacking || of->tail.len == MOVE_HEAD)
            ends_here(out, from, of, lacking);
    }
    return 0;
}

bool kin_knows(const struct kin *k, size_t side, const struct origin *of)
{
    const struct move *m;

    if (of == NULL)
        return true;
    m = lineage_find(k->moves, of->id);
    if (m == NULL || m->number != of->number)
        return of->number < k->whole_to[side];
    return bit(k->bits + (size_t)(m - k->moves->v) * (k->n / 8 + 1), side);
}

static int64_t written(const struct kin *k, const struct origin *of)
{
    const struct move *m = lineage_find(k->moves, of->id);

    return m != NULL ? m->written_s : 0;
}

int kin_order(
    const struct kin *k, const struct origin *a, const struct origin *b)
{
    int64_t x, y;

    if (a == NULL || b == NULL)
        return (a == NULL) - (b == NULL);
    if (a->number != b->number)
        return a->number > b->number ? -1 : 1;
    x = written(k, a);
    y = written(k, b);
    return x != y ? (x < y ? -1 : 1) : strcmp(a->id, b->id);
}

bool lineage_bare(const struct lineage *m, const struct move *of)
{
    struct move *under;

    for (size_t at = 0; (under = next_over(m, of, &at)) != NULL;)
        if (!under->gone)
            return false;
    return true;
}

void lineage_since(struct lineage *m, int64_t since_s)
{
    for (uint64_t i = 0; i < m->n; i++) {
        struct move *of = &m->v[i], *under;

        if (of->written_s < since_s)
            continue;
        of->marked = true;
        for (size_t at = 0; (under = next_over(m, of, &at)) != NULL;)
            under->marked = true;
    }
}
