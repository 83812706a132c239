#include "base/arena.h"

#include <stdlib.h>

enum { BLOCK_BYTES = 64 << 10 };

struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t cap;
    _Alignas(max_align_t) unsigned char data[];
};

void arena_free(struct arena *a)
{
    while (a->head != NULL) {
        struct arena_block *next = a->head->next;
        free(a->head);
        a->head = next;
    }
    a->used = 0;
}

static struct arena_block *block_add(struct arena *a, size_t need)
{
    /* Large requests get a block of their own behind the current one. */
    size_t cap = need > BLOCK_BYTES / 4 ? need : BLOCK_BYTES;
    struct arena_block *b = calloc(1, sizeof(*b) + cap);

    if (b == NULL)
        return NULL;
    b->cap = cap;
    if (a->head != NULL && cap == need) {
        b->next = a->head->next;
        a->head->next = b;
    } else {
        b->next = a->head;
        a->head = b;
    }
    return b;
}

void *arena_alloc(struct arena *a, uint64_t n, size_t size, struct err *e)
{
    struct arena_block *b = a->head;
    uint64_t bytes, total;

    if (!size_mul(n, size, &bytes) || bytes > a->limit ||
        !size_add(a->used, size_align(bytes, _Alignof(max_align_t)), &total) ||
        total > a->limit) {
        err_set(e, ERR_REFUSED, "needs more than the limit of %llu bytes",
            (unsigned long long)a->limit);
        return NULL;
    }
    bytes = size_align(bytes, _Alignof(max_align_t));
    if (b == NULL || b->cap - b->used < bytes)
        b = block_add(a, bytes);
    if (b == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    a->used = total;
    b->used += bytes;
    return b->data + b->used - bytes;
}

struct str arena_str(struct arena *a, struct str s, struct err *e)
{
    char *p = arena_alloc(a, s.len + 1, 1, e);

    if (p == NULL)
        return (struct str){ NULL, 0 };
    if (s.len > 0)
        memcpy(p, s.p, s.len);
    return (struct str){ p, s.len };
}

void *arena_grow(struct arena *arena, void *list, uint64_t n, uint64_t *cap,
    size_t size, struct err *e)
{
    uint64_t more = *cap == 0 ? 16 : 2 * *cap;
    void *p;

    if (n < *cap)
        return list;
    p = arena_alloc(arena, more, size, e);
    if (p == NULL)
        return NULL;
    if (n > 0)
        memcpy(p, list, n * size);
    *cap = more;
    return p;
}
