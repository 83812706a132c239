/*
 * err.h - errors by value.
 *
 * A struct err lives on the caller's stack and is passed last. A function
 * returns 0, or -1 with *e filled in. The first failure wins: setting an
 * error that is already set changes nothing, so clean-up code may fail
 * without hiding the cause. Kinds say what the caller may do about it;
 * nobody parses the text.
 *
 * Texts are lower case, have no full stop, and name the object concerned
 * (file, tensor, URL without its query, byte offset). Control characters
 * are escaped when the text is made, so that a hostile name cannot reach a
 * terminal. A text that is too long loses its middle.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/sys.h"

enum err_kind {
    ERR_NONE,
    ERR_USAGE,       /* the command line is wrong */
    ERR_NOMEM,       /* memory was refused */
    ERR_IO,          /* the system refused; sys holds errno */
    ERR_NET,         /* the network failed for good */
    ERR_AUTH,        /* no token, bad token, gated, forbidden */
    ERR_MISSING,     /* no such repository, revision, file, volume, name */
    ERR_CORRUPT,     /* the bytes are not what they should be */
    ERR_NOSPACE,     /* the disk is full, or would be */
    ERR_REFUSED,     /* unsafe or malformed input */
    ERR_UNSUPPORTED, /* well-formed, but more than this program can do */
    ERR_VERDICT,     /* the answer is no */
    ERR_BUSY,        /* somebody else holds it */
    ERR_CANCELLED,   /* the user interrupted */
    ERR_BUG,         /* a promise inside the program was broken */
};

struct err {
    enum err_kind kind;
    int sys; /* errno when the system refused, 0 otherwise */
    char msg[480];
    char hint[320]; /* what to do about it, or "" */
};

#define ERR_INIT                                                               \
    {                                                                          \
        .kind = ERR_NONE                                                       \
    }

/* err_set - record a failure. Returns -1 always, so failing is one line. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/*
 * err_sys - record a failed system call: the text is followed by what errno
 * means. ENOSPC and EDQUOT become ERR_NOSPACE, ENOENT becomes ERR_MISSING,
 * ENOMEM becomes ERR_NOMEM, everything else ERR_IO. Returns -1.
 */
int err_sys(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* err_ctx - put "text: " in front of a failure already recorded. Returns -1. */
int err_ctx(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* err_hint - say what to do; the first hint wins. Returns -1. */
int err_hint(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* err_clear - forget a failure that was dealt with. */
void err_clear(struct err *e);

/* err_exit - the exit status of a failure (design: the same everywhere). */
int err_exit(const struct err *e);

/*
 * err_escape - copy text, harmless to a terminal (utf8_visible)
 * Returns the length written; out is always terminated.
 */
size_t err_escape(char *out, size_t out_len, const char *text);

#endif
