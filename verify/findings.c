#include "verify/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"

enum { DETAIL_MAX = 16384, PROBLEMS_TOLD = 20 };

void findings_free(struct findings *r)
{
    arena_free(&r->arena);
    free(r->checks);
    *r = (struct findings)FINDINGS_INIT;
}

static bool grow(struct findings *r)
{
    size_t cap = r->cap == 0 ? 32 : 2 * r->cap;
    struct check *checks;

    if (r->n < r->cap)
        return true;
    checks = realloc(r->checks, cap * sizeof(*checks));
    if (checks == NULL)
        return false;
    r->checks = checks;
    r->cap = cap;
    return true;
}

__attribute__((format(printf, 3, 0))) static void add(
    struct findings *r, struct check c, const char *fmt, va_list ap)
{
    char text[DETAIL_MAX];
    struct err e = ERR_INIT;

    vsnprintf(text, sizeof(text), fmt, ap);
    c.detail = arena_str(&r->arena, str_of(text), &e);
    if (c.detail.p == NULL || !grow(r))
        r->bad = ERR_NOMEM;
    else
        r->checks[r->n++] = c;
}

void findings_ok(struct findings *r, const char *name, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(r, (struct check){ .result = CHECK_OK, .name = name }, fmt, ap);
    va_end(ap);
}

void findings_skip(struct findings *r, const char *name, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(r, (struct check){ .result = CHECK_SKIP, .name = name }, fmt, ap);
    va_end(ap);
}

void findings_note(struct findings *r, const char *name, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(r, (struct check){ .result = CHECK_NOTE, .name = name }, fmt, ap);
    va_end(ap);
}

void findings_fail(struct findings *r, const char *name, enum err_kind kind,
    const char *fmt, ...)
{
    struct check c = { .result = CHECK_FAIL, .kind = kind, .name = name };
    va_list ap;

    va_start(ap, fmt);
    add(r, c, fmt, ap);
    va_end(ap);
}

void findings_err(struct findings *r, const char *name, struct err *why)
{
    findings_fail(r, name, why->kind, "%s", why->msg);
    err_clear(why);
}

void problem(struct problems *p, const char *fmt, ...)
{
    struct check c = { .result = CHECK_FAIL, .kind = p->kind, .name = p->name };
    va_list ap;

    if (p->n++ >= PROBLEMS_TOLD)
        return;
    va_start(ap, fmt);
    add(p->report, c, fmt, ap);
    va_end(ap);
}

void problems_end(const struct problems *p)
{
    if (p->n > PROBLEMS_TOLD)
        findings_fail(p->report, p->name, p->kind, "and %zu more like these",
            p->n - PROBLEMS_TOLD);
}

int findings_check(const struct findings *r, struct err *e)
{
    if (r->bad == ERR_NONE)
        return 0;
    return err_set(e, r->bad, "the report does not fit in memory");
}

size_t findings_failed(const struct findings *r)
{
    size_t n = 0;

    for (size_t i = 0; i < r->n; i++)
        n += r->checks[i].result == CHECK_FAIL;
    return n;
}

static int weight(enum err_kind kind)
{
    switch (kind) {
    case ERR_NONE:
        return 0;
    case ERR_VERDICT:
        return 2;
    case ERR_CORRUPT:
        return 3;
    case ERR_REFUSED:
    case ERR_UNSUPPORTED:
        return 4;
    default:
        return 1;
    }
}

enum err_kind findings_worse(enum err_kind a, enum err_kind b)
{
    return weight(b) > weight(a) ? b : a;
}

enum err_kind findings_worst(const struct findings *r)
{
    enum err_kind worst = ERR_NONE;

    for (size_t i = 0; i < r->n; i++)
        if (r->checks[i].result == CHECK_FAIL)
            worst = findings_worse(worst, r->checks[i].kind);
    return worst;
}

const char *check_result_name(enum check_result result)
{
    static const char *const names[] = { "ok", "fail", "skip", "note" };

    return names[result];
}
