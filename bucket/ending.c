#include "bucket/ending.h"

#include "base/cancel.h"

static bool never(struct scope *s)
{
    struct ending *n = (struct ending *)s;

    scope_enter(n->outer);
    if (cancel_asked())
        atomic_store(&n->b->hurry, true);
    scope_enter(s);
    return false;
}

static void say(struct scope *s, enum log_level level, const char *text)
{
    struct ending *n = (struct ending *)s;

    scope_enter(n->outer);
    if (level == LOG_WARN)
        log_warn("%s", text);
    else if (level == LOG_INFO)
        log_info("%s", text);
    else
        log_debug("%s", text);
    scope_enter(s);
}

void ending_begin(struct ending *n, struct bucket *b, bool hurry)
{
    enum log_level level = LOG_WARN;

    if (log_enabled(LOG_INFO))
        level = LOG_INFO;
    if (log_enabled(LOG_DEBUG))
        level = LOG_DEBUG;
    *n = (struct ending){
        .scope = { .cancelled = never, .say = say, .level = level },
        .b = b,
        .was_hurried = atomic_load(&b->hurry),
    };
    if (hurry || cancel_asked())
        atomic_store(&b->hurry, true);
    n->outer = scope_enter(&n->scope);
}

void ending_end(struct ending *n)
{
    scope_enter(n->outer);
    atomic_store(&n->b->hurry, n->was_hurried);
}

int ending_check(struct ending *n, struct err *e)
{
    int rc;

    scope_enter(n->outer);
    rc = cancel_check(e);
    scope_enter(&n->scope);
    return rc;
}
