#include "fetch/slab.h"

#include <stdlib.h>
#include <sys/mman.h>

int slab_open(struct slab *s, size_t n, struct err *e)
{
    *s = (struct slab){ .n = n };
    s->blocks = calloc(n, sizeof(*s->blocks));
    s->memory = mmap(NULL, n * BLOCK_BYTES, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s->memory == MAP_FAILED)
        s->memory = NULL;
    if (s->blocks == NULL || s->memory == NULL) {
        slab_free(s);
        return err_set(e, ERR_NOMEM, "out of memory for %zu buffers", n);
    }
    for (size_t i = n; i-- > 0;) {
        s->blocks[i].room = s->memory + i * BLOCK_BYTES;
        slab_give(s, &s->blocks[i]);
    }
    return 0;
}

void slab_free(struct slab *s)
{
    if (s->memory != NULL)
        munmap(s->memory, s->n * BLOCK_BYTES);
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
