/*
 * spm.h - the SentencePiece engine: text to ids and back with a .model file,
 * as its own library does it. Control pieces never match text. Source:
 * tokenizers, section 10.
 */
#ifndef VERIFY_RUN_SPM_H
#define VERIFY_RUN_SPM_H

#include "verify-run/charsmap.h"
#include "verify-run/spanbpe.h"
#include "verify-run/spmodel.h"
#include "verify-run/unigram.h"

struct spm {
    struct spmodel model;
    struct vocab vocab; /* all pieces */
    struct charsmap map;
    struct prefixes user;   /* pieces taken as they stand in the text */
    struct unigram unigram; /* of a unigram model */
    struct spanbpe bpe;     /* of a BPE model */
    uint32_t unk;
    uint32_t bytes[256]; /* with byte fallback */
};

/*
 * spm_load - make a parsed model ready
 * Returns  0, or -1 with *e: REFUSED, NOMEM, UNSUPPORTED (kind of model)
 */
int spm_load(
    struct spm *s, struct str bytes, struct arena *arena, struct err *e);

/* spm_encode - append the ids of a text, good UTF-8. */
int spm_encode(
    const struct spm *s, struct str text, struct ids *out, struct err *e);

/*
 * spm_decode - append the text of ids, all below the number of pieces
 * control  show control pieces too
 */
int spm_decode(const struct spm *s, const uint32_t *ids, size_t n, bool control,
    struct buf *out, struct err *e);

/* spm_normalize - the text that the model sees (for tests, too). */
int spm_normalize(
    const struct spm *s, struct str text, struct buf *out, struct err *e);

#endif
