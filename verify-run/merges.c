#include "verify-run/merges.h"

#include "base/buf.h"

static const char seed_home;

/* The address of a static differs between runs: nobody can prepare for it. */
static uint64_t mix(uint64_t x)
{
    x ^= (uintptr_t)&seed_home * 0x9E3779B97F4A7C15;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
    x = (x ^ x >> 27) * 0x94D049BB133111EB;
    return x ^ x >> 31;
}

/* The slot of a pair, or the free one where it would be. */
static struct merge *slot_of(const struct merges *m, uint64_t pair)
{
    uint64_t at = mix(pair) & m->mask;

    while (m->slots[at].id != 0 && m->slots[at].pair != pair)
        at = (at + 1) & m->mask;
    return &m->slots[at];
}

const struct merge *merges_find(
    const struct merges *m, uint32_t left, uint32_t right)
{
    const struct merge *slot = slot_of(m, (uint64_t)left << 32 | right);

    return slot->id != 0 ? slot : NULL;
}

/* The two texts of one merge; false when it is no pair. */
static bool read_pair(const struct json *v, struct str *left, struct str *right)
{
    const char *a = NULL, *b = NULL;

    if (json_kind(v) == JSON_ARRAY) {
        if (json_count(v) != 2 || !json_str(json_first(v), &a) ||
            !json_str(json_next(json_first(v)), &b))
            return false;
        *left = str_of(a);
        *right = str_of(b);
        return true;
    }
    if (!json_str(v, &a) || (b = strchr(a, ' ')) == NULL ||
        strchr(b + 1, ' ') != NULL)
        return false;
    *left = (struct str){ a, (size_t)(b - a) };
    *right = str_of(b + 1);
    return true;
}

static bool is_version_line(const struct json *v)
{
    const char *text = NULL;

    return json_str(v, &text) && str_starts(str_of(text), "#version");
}

static int add(struct merges *m, const struct json *v, uint32_t rank,
    const struct vocab *vocab, struct buf *spare, struct err *e)
{
    struct str left, right;
    struct merge *slot;
    uint32_t a, b, ab;

    if (!read_pair(v, &left, &right))
        return err_set(e, ERR_REFUSED, "merge %u is no pair of tokens", rank);
    buf_clear(spare);
    buf_put(spare, left.p, left.len);
    buf_put(spare, right.p, right.len);
    if (buf_check(spare, e) != 0)
        return -1;
    a = vocab_find(vocab, left);
    b = vocab_find(vocab, right);
    ab = vocab_find(vocab, buf_str(spare));
    if (a == VOCAB_NONE || b == VOCAB_NONE || ab == VOCAB_NONE)
        return err_set(e, ERR_REFUSED,
            "merge %u: '%.60s' is not in the vocabulary", rank,
            a == VOCAB_NONE   ? left.p
            : b == VOCAB_NONE ? right.p
                              : spare->p);
    /* Of a pair that stands twice, the last rank counts. */
    slot = slot_of(m, (uint64_t)a << 32 | b);
    *slot = (struct merge){
        .pair = (uint64_t)a << 32 | b, .rank = rank, .id = ab + 1
    };
    return 0;
}

int merges_load(struct merges *m, const struct json *list,
    const struct vocab *vocab, struct arena *arena, struct err *e)
{
    struct buf spare AUTO(buf_free) = BUF_INIT(SIZE_MAX / 2);
    uint64_t n = json_count(list), slots = 16;
    uint32_t rank = 0;

    *m = (struct merges){ .slots = NULL };
    if (list == NULL || json_kind(list) != JSON_ARRAY || n >= UINT32_MAX)
        return err_set(e, ERR_REFUSED, "the model has no list 'merges'");
    while (slots < 2 * n)
        slots *= 2;
    m->mask = slots - 1;
    m->slots = arena_alloc(arena, slots, sizeof(*m->slots), e);
    if (m->slots == NULL)
        return -1;
    for (const struct json *i = json_first(list); i; i = json_next(i)) {
        if (is_version_line(i))
            continue;
        if (add(m, i, rank++, vocab, &spare, e) != 0)
            return -1;
    }
    return 0;
}
