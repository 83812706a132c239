#include "fetch/slab.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { HUGE_BYTES = 2 << 20 };

int slab_open(struct slab *s, size_t n, struct err *e)
{
    *s = (struct slab){ .n = n };
    s->blocks = calloc(n, sizeof(*s->blocks));
    s->mapped = n * BLOCK_BYTES + HUGE_BYTES;
    s->map = mmap(NULL, s->mapped, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s->map == MAP_FAILED)
        s->map = NULL;
    if (s->blocks == NULL || s->map == NULL) {
        slab_free(s);
        return err_set(e, ERR_NOMEM, "out of memory for %zu buffers", n);
    }
    /* The disk reads pages by the hundred: few large ones are cheaper. */
    s->memory = s->map + (HUGE_BYTES - (uintptr_t)s->map % HUGE_BYTES);
    madvise(s->memory, n * BLOCK_BYTES, MADV_HUGEPAGE);
    for (size_t i = n; i-- > 0;) {
        s->blocks[i].room = s->memory + i * BLOCK_BYTES;
        slab_give(s, &s->blocks[i]);
    }
    return 0;
}

void slab_free(struct slab *s)
{
    if (s->map != NULL)
        munmap(s->map, s->mapped);
    free(s->blocks);
    *s = (struct slab)SLAB_INIT;
}

struct block *slab_take(struct slab *s)
{
    struct block *b = s->idle;

    if (b == NULL)
        return NULL;
    s->idle = b->next;
    s->n_idle--;
    *b = (struct block){ .room = b->room };
    return b;
}

void slab_give(struct slab *s, struct block *b)
{
    b->next = s->idle;
    s->idle = b;
    s->n_idle++;
}
