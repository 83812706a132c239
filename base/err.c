#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* Room for a path of the system's longest, and for what is said of it. */
enum { TEXT_MAX = 5120, WHY_MAX = 256 };

size_t err_escape(char *out, size_t out_len, const char *text)
{
    struct str s = str_of(text);
    char piece[UTF8_VISIBLE_MAX];
    unsigned took, len;
    size_t n = 0;

    while ((took = utf8_visible(s, piece, &len)) > 0 && n + len < out_len) {
        memcpy(out + n, piece, len);
        n += len;
        s = (struct str){ s.p + took, s.len - took };
    }
    if (out_len > 0)
        out[n] = '\0';
    return n;
}

/* What does not fit loses its middle: the end says why it failed. */
static void fit(char *out, size_t out_len, const char *text)
{
    size_t n = strlen(text), head = (out_len - 4) / 2;
    size_t tail = out_len - 4 - head;

    if (n < out_len) {
        memcpy(out, text, n + 1);
        return;
    }
    /* No character is cut in two. */
    while (head > 0 && ((unsigned char)text[head] & 0xC0) == 0x80)
        head--;
    while (((unsigned char)text[n - tail] & 0xC0) == 0x80)
        tail--;
    snprintf(out, out_len, "%.*s...%s", (int)head, text, text + n - tail);
}

/* fmt, then ": why" unless that is NULL. */
PRINTF_LIKE(3, 0)
static void set_text(
    char *out, size_t out_len, const char *fmt, va_list ap, const char *why)
{
    char raw[TEXT_MAX], safe[2 * TEXT_MAX];
    size_t n;

    vsnprintf(raw, sizeof(raw) - WHY_MAX, fmt, ap);
    n = strlen(raw);
    if (why != NULL)
        snprintf(raw + n, sizeof(raw) - n, ": %s", why);
    err_escape(safe, sizeof(safe), raw);
    fit(out, out_len, safe);
}

int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
    va_list ap;

    if (e->kind != ERR_NONE)
        return -1;
    e->kind = kind;
    e->sys = 0;
    va_start(ap, fmt);
    set_text(e->msg, sizeof(e->msg), fmt, ap, NULL);
    va_end(ap);
    return -1;
}

static enum err_kind kind_of_errno(int sys)
{
    switch (sys) {
    case ENOSPC:
    case EDQUOT:
        return ERR_NOSPACE;
    case ENOENT:
        return ERR_MISSING;
    case ENOMEM:
        return ERR_NOMEM;
    default:
        return ERR_IO;
    }
}

int err_sys(struct err *e, const char *fmt, ...)
{
    int sys = errno;
    va_list ap;

    if (e->kind != ERR_NONE)
        return -1;
    e->kind = kind_of_errno(sys);
    e->sys = sys;
    va_start(ap, fmt);
    set_text(e->msg, sizeof(e->msg), fmt, ap, strerror(sys));
    va_end(ap);
    return -1;
}

int err_ctx(struct err *e, const char *fmt, ...)
{
    char front[sizeof(e->msg)];
    char all[2 * sizeof(e->msg) + 4];
    va_list ap;

    va_start(ap, fmt);
    set_text(front, sizeof(front), fmt, ap, NULL);
    va_end(ap);
    snprintf(all, sizeof(all), "%s: %s", front, e->msg);
    fit(e->msg, sizeof(e->msg), all);
    return -1;
}

int err_hint(struct err *e, const char *fmt, ...)
{
    va_list ap;

    if (e->hint[0] != '\0')
        return -1;
    va_start(ap, fmt);
    set_text(e->hint, sizeof(e->hint), fmt, ap, NULL);
    va_end(ap);
    return -1;
}

void err_clear(struct err *e)
{
    *e = (struct err)ERR_INIT;
}

int err_exit(const struct err *e)
{
    switch (e->kind) {
    case ERR_NONE:
        return 0;
    case ERR_USAGE:
        return 2;
    case ERR_MISSING:
        return 3;
    case ERR_AUTH:
        return 4;
    case ERR_NET:
        return 5;
    case ERR_CORRUPT:
        return 6;
    case ERR_NOSPACE:
        return 7;
    case ERR_REFUSED:
    case ERR_UNSUPPORTED:
        return 8;
    case ERR_VERDICT:
        return 9;
    case ERR_CANCELLED:
        return 130;
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_BUSY:
    case ERR_BUG:
        return 1;
    }
    return 1;
}
