/*
 * unigram.h - the unigram model: of all ways to cut a word into pieces the
 * one with the best sum of scores. Source: tokenizers, section 7.
 */
#ifndef VERIFY_RUN_UNIGRAM_H
#define VERIFY_RUN_UNIGRAM_H

#include "base/json.h"
#include "verify-run/ids.h"
#include "verify-run/prefixes.h"
#include "verify-run/vocab.h"

/*
 * The engine of tokenizer.json sums in double. SentencePiece sums in float,
 * except for a bonus piece, whose sum is rounded only when it is kept: of
 * two ways that are nearly equal both decide as they do.
 */
enum unigram_sum { UNIGRAM_DOUBLE, UNIGRAM_FLOAT };

struct unigram {
    struct prefixes pieces;
    double *score; /* by id */
    bool *bonus;   /* by id; NULL: none */
    double unk_score;
    uint32_t unk; /* or VOCAB_NONE */
    enum unigram_sum sum;
    struct vocab vocab;  /* of a tokenizer.json only, as what follows */
    uint32_t bytes[256]; /* ids of <0x00>.. when byte_fallback */
};

/* What an unknown character scores below the worst piece. */
#define UNIGRAM_PENALTY 10.0

/* A place in a word, or its end. */
struct unigram_node {
    double best;   /* of all ways to here */
    uint32_t id;   /* the piece that ends here; unk for an unknown character */
    uint32_t next; /* after the search: where the piece from here ends */
};

struct unigram_work {
    struct unigram_node *v; /* from v[0] along next, to v[length] */
    size_t cap;
};

#define UNIGRAM_WORK_INIT                                                      \
    {                                                                          \
        .v = NULL                                                              \
    }

void unigram_work_free(struct unigram_work *w);

/*
 * unigram_load - the member "model" of a tokenizer.json
 * Returns  0, or -1 with *e: REFUSED, NOMEM
 */
int unigram_load(struct unigram *u, const struct json *model,
    struct arena *arena, struct err *e);

/*
 * unigram_search - find the best way through a word
 * word     good UTF-8, shorter than 2^32
 * Returns  0, or -1 with *e: NOMEM, REFUSED (an unknown character, and the
 *          model has no unknown piece)
 * Cost     linear in the word and in the length of the longest piece
 */
int unigram_search(const struct unigram *u, struct str word,
    struct unigram_work *w, struct err *e);

/* unigram_word - append the ids of a word, as tokenizer.json has them. */
int unigram_word(const struct unigram *u, struct str word,
    struct unigram_work *w, struct ids *out, struct err *e);

#endif
