/*
 * memo.h - what another server said, for as long as it is believed: a commit,
 * or a refusal. Bounded: what was asked for least lately is forgotten first.
 *
 * Pure: the clock is the caller's, and so is the lock.
 */
#ifndef SERVE_MEMO_H
#define SERVE_MEMO_H

#include "base/err.h"
#include "serve/lack.h"

enum { MEMO_KEY_MAX = 512, MEMO_ENTRIES = 1024 };

struct memo {
    char key[MEMO_KEY_MAX]; /* "": unused */
    uint64_t until_ms;      /* believed until then */
    uint64_t used_ms;
    bool asking;       /* somebody is at it, */
    uint64_t since_ms; /* since then */
    char commit[41];   /* or "", */
    uint64_t said_ms;  /* to a question of then */
    enum lack lack;    /* LACK_NONE: it was no refusal */
    struct err err;
};

struct memos {
    struct memo *v; /* MEMO_ENTRIES */
};

#define MEMOS_INIT                                                             \
    {                                                                          \
        .v = NULL                                                              \
    }

int memos_open(struct memos *m, struct err *e); /* 0, or -1: NOMEM */
void memos_free(struct memos *m);               /* idempotent */

/* memo_find - the entry of a key, whatever its age, or NULL. */
struct memo *memo_find(struct memos *m, const char *key, uint64_t now_ms);

/*
 * memo_make - the same; a new one where there is none, in place of the oldest
 * that nobody is at
 * Returns NULL when somebody is at every one, or the key is too long.
 */
struct memo *memo_make(struct memos *m, const char *key, uint64_t now_ms);

/* memo_fresh - is it to be believed? */
bool memo_fresh(const struct memo *e, uint64_t now_ms);

#endif
