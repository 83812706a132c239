/*
 * trust.h - is this lock signed by the key the user trusts, and is it not
 * older than one that was accepted here before?
 *
 * The signature's trusted comment, which is signed too, says when it was made
 * and of which file ("timestamp:N<tab>file:NAME<tab>..."), as mlverify sign
 * and minisign write it. Key and NAME together are one line of locks, and
 * where they are kept the newest time is remembered:
 *
 *   ROOT/.locks/ml-warm/<key id>.<SHA-256 of NAME>     the time, decimal
 */
#ifndef CACHE_TRUST_H
#define CACHE_TRUST_H

#include "cache/hubdir.h"

struct trust {
    char state[PATH_MAX]; /* where the newest time is remembered */
    int64_t time;         /* of this lock's signature */
};

/*
 * trust_check - the lock's signature lies beside it, with ".minisig" behind
 * lock     its path; it is not opened
 * text     what it holds, and what will be done: nobody can change it between
 * key      a public key file, or the key itself
 * Returns  0, or -1 with *e: VERDICT (unsigned, wrongly signed, signed under
 *          another name, without a time, older), MISSING (key), REFUSED, IO
 */
int trust_check(struct trust *out, const struct hubdir *h, const char *lock,
    struct str text, const char *key, struct err *e);

/* trust_check_text - the same where the signature's text is at hand. */
int trust_check_text(struct trust *out, const struct hubdir *h,
    const char *lock, struct str text, struct str signature, const char *key,
    struct err *e);

/*
 * trust_remember - what is older than this one is refused from now on
 * One that was accepted at the same time and is newer stays remembered.
 */
int trust_remember(const struct trust *t, struct err *e);

#endif
