#include "formats/pickle_table.h"

static const char seed_home;

/* The address of a static differs between runs: nobody can prepare for it. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 m = (unsigned __int128)(a ^ (uintptr_t)&seed_home) *
                          (b ^ 0x9e3779b97f4a7c15u);

    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint64_t hash_of(struct str key)
{
    uint64_t h = key.len;
    size_t at = 0;

    while (at < key.len) {
        uint64_t word = 0;
        size_t n = key.len - at < 8 ? key.len - at : 8;

        memcpy(&word, key.p + at, n);
        h = mix(h + word, word ^ 0xd6e8feb86659fd93u);
        at += n;
    }
    return h;
}

/* The slot of key, or the free one where it belongs. */
static struct pickle_slot *slot_of(
    struct pickle_slot *v, uint64_t cap, struct str key, uint64_t hash)
{
    uint64_t i = hash & (cap - 1);

    while (v[i].value != NULL && (v[i].hash != hash || !str_eq(v[i].key, key)))
        i = (i + 1) & (cap - 1);
    return &v[i];
}

void *pickle_table_get(const struct pickle_table *t, struct str key)
{
    if (t->n == 0)
        return NULL;
    return slot_of(t->v, t->cap, key, hash_of(key))->value;
}

static int table_grow(
    struct pickle_table *t, struct arena *arena, struct err *e)
{
    uint64_t cap = t->cap ? t->cap * 2 : 64;
    struct pickle_slot *v = arena_alloc(arena, cap, sizeof(*v), e);

    if (v == NULL)
        return -1;
    for (uint64_t i = 0; i < t->cap; i++) {
        if (t->v[i].value != NULL)
            *slot_of(v, cap, t->v[i].key, t->v[i].hash) = t->v[i];
    }
    t->v = v;
    t->cap = cap;
    return 0;
}

int pickle_table_put(struct pickle_table *t, struct str key, void *value,
    struct arena *arena, struct err *e)
{
    uint64_t hash = hash_of(key);

    if (t->n >= t->cap / 2 && table_grow(t, arena, e) != 0)
        return -1;
    *slot_of(t->v, t->cap, key, hash) =
        (struct pickle_slot){ .key = key, .hash = hash, .value = value };
    t->n++;
    return 0;
}
