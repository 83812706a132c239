/*
 * head.h - is the head of a request one that can be read in one way only, as
 * far as that is to be told? What the library has made of its lines, looked at
 * once more.
 */
#ifndef SERVE_HEAD_H
#define SERVE_HEAD_H

#include "base/str.h"

enum { HEAD_MAX = 16 << 10, HEAD_FORM_MAX = 1 << 20 };

struct head {
    const char *next; /* where the next line must stand; NULL: anywhere */
    const char *end;  /* and what comes after the last one */
    unsigned minor;   /* of HTTP/1.; more: another version */
    unsigned hosts, lengths, encodings;
    bool torn;    /* the first line is not what it was */
    bool strange; /* nor is a field */
    uint64_t length;
};

/* The first line, and how long the whole is. */
struct head_line {
    const char *method;
    const char *raw;     /* the target where the library has it, or NULL */
    size_t len;          /* its length, as the library says */
    const char *version; /* "HTTP/1.1", where the library has it */
    size_t size;         /* of the head, from the method to the empty line */
};

void head_begin(struct head *h, const struct head_line *first);

/* head_field - one more, where the library has it. */
void head_field(struct head *h, struct str key, struct str value);

/*
 * head_judge - what is wrong, with its status, or NULL
 * form     a body is expected
 */
const char *head_judge(const struct head *h, bool form, unsigned *status);

#endif
