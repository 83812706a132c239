#include "serve/memo.h"

#include <stdlib.h>
#include <string.h>

int memos_open(struct memos *m, struct err *e)
{
    m->v = calloc(MEMO_ENTRIES, sizeof(*m->v));
    return m->v == NULL ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

void memos_free(struct memos *m)
{
    free(m->v);
    m->v = NULL;
}

struct memo *memo_find(struct memos *m, const char *key, uint64_t now_ms)
{
    for (size_t i = 0; i < MEMO_ENTRIES; i++) {
        if (strcmp(m->v[i].key, key) != 0)
            continue;
        m->v[i].used_ms = now_ms;
        return &m->v[i];
    }
    return NULL;
}

struct memo *memo_make(struct memos *m, const char *key, uint64_t now_ms)
{
    struct memo *found = memo_find(m, key, now_ms);
    size_t len = strlen(key);

    if (found != NULL || len == 0 || len >= MEMO_KEY_MAX)
        return found;
    for (size_t i = 0; i < MEMO_ENTRIES; i++)
        if (!m->v[i].asking &&
            (found == NULL || m->v[i].used_ms < found->used_ms))
            found = &m->v[i];
    if (found == NULL)
        return NULL;
    *found = (struct memo){ .used_ms = now_ms };
    memcpy(found->key, key, len + 1);
    return found;
}

bool memo_fresh(const struct memo *e, uint64_t now_ms)
{
    return e != NULL && !e->asking && now_ms < e->until_ms;
}
