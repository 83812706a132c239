#include "base/scope.h"

#include <stdlib.h>
#include <string.h>

struct scope_kept {
    struct scope_kept *next;
    void (*end)(void *what);
    void *what;
    char key[];
};

static _Thread_local struct scope *now;

struct scope *scope_enter(struct scope *s)
{
    struct scope *before = now;

    now = s;
    return before;
}

struct scope *scope_now(void)
{
    return now;
}

bool scope_keeps(const struct scope *s, const char *key)
{
    for (const struct scope_kept *k = s->kept; k != NULL; k = k->next)
        if (strcmp(k->key, key) == 0)
            return true;
    return false;
}

bool scope_keep(
    struct scope *s, const char *key, void *what, void (*end)(void *what))
{
    size_t len = strlen(key) + 1;
    struct scope_kept *k = NULL;

    if (!scope_keeps(s, key))
        k = malloc(sizeof(*k) + len);
    if (k == NULL) {
        end(what);
        return false;
    }
    k->end = end;
    k->what = what;
    memcpy(k->key, key, len);
    k->next = s->kept;
    s->kept = k;
    return true;
}

void scope_end(struct scope *s)
{
    while (s->kept != NULL) {
        struct scope_kept *k = s->kept;

        s->kept = k->next;
        k->end(k->what);
        free(k);
    }
}
