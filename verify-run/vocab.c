#include "verify-run/vocab.h"

static const char seed_home;

/*
 * FNV-1a, then mixed so that the low bits depend on all. The address of a
 * static differs between runs: nobody can prepare a vocabulary for it.
 */
static uint64_t hash_text(struct str s)
{
    uint64_t h =
        0xCBF29CE484222325 ^ (uintptr_t)&seed_home * 0x9E3779B97F4A7C15;

    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001B3;
    return h ^ h >> 32;
}

static int measure(const struct json *object, uint32_t *size, uint64_t *n,
    uint64_t *bytes, struct err *e)
{
    for (const struct json *i = json_first(object); i; i = json_next(i)) {
        uint64_t id;

        if (!json_u64(i, &id) || id >= VOCAB_MAX)
            return err_set(e, ERR_REFUSED,
                "vocab: the id of '%.100s' is no whole number below %d",
                json_key(i), VOCAB_MAX);
        *size = (uint32_t)size_max(*size, id + 1);
        *bytes += strlen(json_key(i)) + 1;
        ++*n;
    }
    return 0;
}

uint32_t vocab_put(struct vocab *v, uint32_t id, struct str text)
{
    uint64_t hash = hash_text(text), at = hash & v->mask;
    uint32_t before = VOCAB_NONE;

    v->by_id[id] = text;
    for (; v->slots[at] != 0; at = (at + 1) & v->mask) {
        before = (uint32_t)v->slots[at] - 1;
        if (v->slots[at] >> 32 == hash >> 32 && str_eq(v->by_id[before], text))
            break;
        before = VOCAB_NONE;
    }
    v->slots[at] = hash >> 32 << 32 | (id + 1);
    return before;
}

static int fill(
    struct vocab *v, const struct json *object, char *text, struct err *e)
{
    for (const struct json *i = json_first(object); i; i = json_next(i)) {
        struct str key = str_of(json_key(i));
        uint64_t id = 0;

        json_u64(i, &id);
        if (v->by_id[id].p != NULL)
            return err_set(e, ERR_REFUSED,
                "vocab: '%.100s' and '%.100s' have the same id %u",
                v->by_id[id].p, key.p, (unsigned)id);
        memcpy(text, key.p, key.len + 1);
        vocab_put(v, (uint32_t)id, (struct str){ text, key.len });
        text += key.len + 1;
    }
    return 0;
}

int vocab_make(struct vocab *v, uint32_t size, uint64_t n, struct arena *arena,
    struct err *e)
{
    uint64_t slots = 16;

    while (slots < 2 * n)
        slots *= 2;
    *v = (struct vocab){ .size = size, .mask = slots - 1 };
    v->by_id = arena_alloc(arena, size, sizeof(*v->by_id), e);
    v->slots = arena_alloc(arena, slots, sizeof(*v->slots), e);
    return v->by_id == NULL || v->slots == NULL ? -1 : 0;
}

int vocab_load(struct vocab *v, const struct json *object, struct arena *arena,
    struct err *e)
{
    uint64_t n = 0, bytes = 0;
    uint32_t size = 0;
    char *text;

    *v = (struct vocab){ .by_id = NULL };
    if (object == NULL || json_kind(object) != JSON_OBJECT)
        return err_set(e, ERR_REFUSED, "the model has no object 'vocab'");
    if (measure(object, &size, &n, &bytes, e) != 0 ||
        vocab_make(v, size, n, arena, e) != 0)
        return -1;
    text = arena_alloc(arena, bytes, 1, e);
    if (text == NULL)
        return -1;
    return fill(v, object, text, e);
}

uint32_t vocab_find(const struct vocab *v, struct str text)
{
    uint64_t hash = hash_text(text);

    for (uint64_t at = hash & v->mask; v->slots[at] != 0;
         at = (at + 1) & v->mask) {
        uint32_t id = (uint32_t)v->slots[at] - 1;

        if (v->slots[at] >> 32 == hash >> 32 && str_eq(v->by_id[id], text))
            return id;
    }
    return VOCAB_NONE;
}

struct str vocab_text(const struct vocab *v, uint32_t id)
{
    return id < v->size ? v->by_id[id] : (struct str){ NULL, 0 };
}
