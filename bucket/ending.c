#include "bucket/ending.h"

#include "base/cancel.h"

static bool never(struct scope *s)
{
    (void)s;
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

void ending_begin(struct ending *n, struct bucket *b)
{
    enum log_level level = LOG_WARN;

    if (cancel_asked())
        s3_hurry(b->s3, ENDING_RETRY_S);
    if (log_enabled(LOG_INFO))
        level = LOG_INFO;
    if (log_enabled(LOG_DEBUG))
        level = LOG_DEBUG;
    *n = (struct ending){
        .scope = { .cancelled = never, .say = say, .level = level }
    };
    n->outer = scope_enter(&n->scope);
}

void ending_end(struct ending *n)
{
    scope_enter(n->outer);
}

int ending_check(struct ending *n, struct err *e)
{
    int rc;

    scope_enter(n->outer);
    rc = cancel_check(e);
    scope_enter(&n->scope);
    return rc;
}
