/*
 * spanbpe.h - byte-pair encoding without a list of merges: two neighbours
 * join when their text is a token, the best token first. SentencePiece
 * models and tiktoken tables say it so. Source: tokenizers, sections 10.4
 * and 11.
 */
#ifndef VERIFY_RUN_SPANBPE_H
#define VERIFY_RUN_SPANBPE_H

#include "verify-run/pairheap.h"
#include "verify-run/vocab.h"

struct spanbpe {
    const struct vocab *vocab;
    const uint32_t *rank; /* by id, the lowest joins first; or SPAN_NEVER */
    const bool *again;    /* by id, joined but to be split again; or NULL */
    size_t longest;       /* bytes of the longest token */
};

enum { SPAN_NEVER = UINT32_MAX };

/* A symbol of the text: from start to the start of the next. */
struct span {
    uint32_t start;
    uint32_t len; /* 0: joined to one before */
    uint32_t prev;
    uint32_t next; /* SPAN_NEVER at the end */
    bool frozen;   /* never joined */
};

/* How a token that is split again was last put together. */
struct span_split {
    uint32_t left; /* bytes; 0: never */
};

struct spanbpe_work {
    struct span *v; /* the first is v[0], then follow next */
    size_t n;
    size_t cap;
    struct pairheap heap;
    struct span_split *splits; /* by id, when some are split again */
};

#define SPANBPE_WORK_INIT                                                      \
    {                                                                          \
        .v = NULL, .heap = PAIRHEAP_INIT                                       \
    }

void spanbpe_work_free(struct spanbpe_work *w);

/* spanbpe_symbol - the next len bytes are one symbol. Begin with n = 0. */
int spanbpe_symbol(
    struct spanbpe_work *w, uint32_t len, bool frozen, struct err *e);

/*
 * spanbpe_join - join all that can be joined
 * text     covered by the symbols; shorter than 2^32
 * Cost     n log n
 */
int spanbpe_join(const struct spanbpe *b, struct str text,
    struct spanbpe_work *w, struct err *e);

#endif
