/*
 * reply.h - the head of an HTTP/1.1 answer: its status, its headers, and how
 * long the body behind it is. Pure: bytes in, in any pieces.
 *
 * It takes what servers send that keep to the letter. Everything else is odd
 * and left to somebody else: another version, lines that end or go on in the
 * old ways, a header of no name, two lengths, a chunked body, a redirect.
 */
#ifndef NET_REPLY_H
#define NET_REPLY_H

#include "base/buf.h"

enum { REPLY_HEAD_MAX = 32 << 10 };

struct reply {
    struct buf head;   /* whole: the lines, each with a '\0' behind it */
    unsigned interims; /* heads before it that said 1xx */
    long status;       /* 200, 206, or a refusal: 400 to 599 */
    bool sized;        /* the body has length bytes; else it is a refusal's */
    uint64_t length;
    bool keeps; /* another request may follow on the connection */
};

#define REPLY_INIT                                                             \
    {                                                                          \
        .head = BUF_INIT(REPLY_HEAD_MAX)                                       \
    }

void reply_clear(struct reply *a); /* for the next one */
void reply_free(struct reply *a);  /* idempotent */

enum reply_state { REPLY_PART, REPLY_WHOLE, REPLY_ODD };

/*
 * reply_feed - the next bytes; not after WHOLE or ODD
 * *used is set to how many of them were the head's: all, but for WHOLE.
 */
enum reply_state reply_feed(
    struct reply *a, const void *bytes, size_t len, size_t *used);

/* reply_header - of a whole one, of several of that name the one at index. */
const char *reply_header(const struct reply *a, const char *name, size_t index);

#endif
