/*
 * buf.h - a growing byte buffer with a limit stated at birth.
 *
 * Invariants: p is never NULL and p[len] is always '\0'. A failed growth
 * (memory or limit) is sticky: later calls do nothing, and buf_check() asks
 * once at the end.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/err.h"
#include "base/str.h"

struct buf {
    char *p;
    size_t len;
    size_t cap;        /* 0 while p is the shared empty text */
    size_t limit;      /* len never passes this */
    enum err_kind bad; /* ERR_NONE, ERR_NOMEM or ERR_REFUSED (over limit) */
};

extern char buf_empty[1];

#define BUF_INIT(max)                                                          \
    {                                                                          \
        .p = buf_empty, .limit = (max)                                         \
    }

void buf_free(struct buf *b);

void buf_put(struct buf *b, const void *bytes, size_t len);
void buf_puts(struct buf *b, const char *text);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* buf_visible - append text of strangers, harmless to a terminal. */
void buf_visible(struct buf *b, struct str s);

/* buf_room - make len more bytes writable at b->p + b->len; NULL if bad. */
void *buf_room(struct buf *b, size_t len);

/* buf_clear - empty it, keep the memory, forget a failure. */
void buf_clear(struct buf *b);

/* buf_check - 0, or -1 with *e when any call since birth failed. */
int buf_check(const struct buf *b, struct err *e);

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){ b->p, b->len };
}

#endif
