#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"

char buf_empty[1];

void buf_free(struct buf *b)
{
    if (b->cap > 0)
        free(b->p);
    *b = (struct buf)BUF_INIT(b->limit);
}

void *buf_room(struct buf *b, size_t len)
{
    size_t need, cap;
    char *p;

    if (b->bad != ERR_NONE)
        return NULL;
    if (len > b->limit || b->len > b->limit - len) {
        b->bad = ERR_REFUSED;
        return NULL;
    }
    need = b->len + len + 1;
    if (need <= b->cap)
        return b->p + b->len;
    cap = size_max(need, size_min(2 * b->cap, b->limit + 1));
    cap = size_max(cap, 64);
    p = realloc(b->cap > 0 ? b->p : NULL, cap);
    if (p == NULL) {
        b->bad = ERR_NOMEM;
        return NULL;
    }
    p[b->len] = '\0';
    b->p = p;
    b->cap = cap;
    return b->p + b->len;
}

void buf_put(struct buf *b, const void *bytes, size_t len)
{
    void *room = buf_room(b, len);

    if (room == NULL || len == 0)
        return;
    memcpy(room, bytes, len);
    b->len += len;
    b->p[b->len] = '\0';
}

void buf_puts(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text));
}

void buf_putc(struct buf *b, char c)
{
    buf_put(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    int n;
    char *room;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    room = n < 0 ? NULL : buf_room(b, (size_t)n);
    if (room != NULL) {
        vsnprintf(room, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->bad = ERR_NONE;
    if (b->cap > 0)
        b->p[0] = '\0';
}

int buf_check(const struct buf *b, struct err *e)
{
    if (b->bad == ERR_NOMEM)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (b->bad != ERR_NONE)
        return err_set(
            e, b->bad, "larger than the limit of %zu bytes", b->limit);
    return 0;
}

void buf_visible(struct buf *b, struct str s)
{
    char piece[UTF8_VISIBLE_MAX];
    unsigned took, n;

    while (b->bad == ERR_NONE && (took = utf8_visible(s, piece, &n)) > 0) {
        buf_put(b, piece, n);
        s = (struct str){ s.p + took, s.len - took };
    }
}
