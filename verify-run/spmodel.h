/*
 * spmodel.h - the table in a SentencePiece .model file: pieces with scores,
 * and how text is normalised. Protocol buffers (proto2), read strictly by a
 * small reader of our own. Source: tokenizers, section 10.1.
 */
#ifndef VERIFY_RUN_SPMODEL_H
#define VERIFY_RUN_SPMODEL_H

#include "base/arena.h"

enum sp_kind { SP_UNIGRAM = 1, SP_BPE = 2, SP_WORD = 3, SP_CHAR = 4 };

enum sp_type {
    SP_NORMAL = 1,
    SP_UNKNOWN = 2,
    SP_CONTROL = 3,
    SP_USER = 4,
    SP_UNUSED = 5,
    SP_BYTE = 6
};

struct sp_piece {
    struct str text;
    float score;
    enum sp_type type;
};

struct spmodel {
    struct sp_piece *pieces; /* by id */
    uint32_t n;
    enum sp_kind kind;
    int32_t unk; /* ids as the trainer was told; -1: none */
    int32_t bos;
    int32_t eos;
    struct str unk_surface; /* shown for the unknown piece */
    bool byte_fallback;
    bool suffix; /* white space is marked behind a word, not before */
    struct str charsmap;
    struct str denormalizer; /* its charsmap */
    bool dummy_prefix;
    bool tidy;   /* extra white space is removed */
    bool escape; /* spaces become U+2581 */
};

/*
 * spmodel_parse - read a whole file
 * bytes    only what points into arena is kept
 * Returns  0, or -1 with *e: REFUSED (naming the offset), NOMEM
 */
int spmodel_parse(
    struct spmodel *m, struct str bytes, struct arena *arena, struct err *e);

/* spmodel_looks - could these bytes begin such a file? */
bool spmodel_looks(struct str bytes);

#endif
