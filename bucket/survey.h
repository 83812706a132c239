/*
 * survey.h - what all refs of a bucket need, and what is wrong with them.
 */
#ifndef BUCKET_SURVEY_H
#define BUCKET_SURVEY_H

#include "bucket/content.h"
#include "bucket/names.h"
#include "bucket/turn.h"

struct need {
    enum content_kind kind;
    struct digest sha256;
    uint64_t size;
    struct str ref;  /* one that needs it; "": somebody at work */
    struct str name; /* of a blob, there; "": it had one before */
    uint64_t names;  /* that need it */
    bool claimed;    /* somebody at work counts on it */
};

struct bad_ref {
    struct str ref;
    struct str why;
};

struct survey {
    struct need *v; /* sorted by kind and digest, each once */
    uint64_t n;
    struct str *refs;
    uint64_t n_refs;
    struct bad_ref *bad; /* that could not be read */
    uint64_t n_bad;
    uint64_t room; /* of v */
    struct arena *arena;
    struct turn *turn; /* that must not end meanwhile; or NULL */
};

/*
 * survey_claims - what writers count on; before survey_run, if at all: a
 * claim goes when a ref leads there, so who looks at refs first may see neither
 * s        nothing but its arena and turn is set
 */
int survey_claims(
    struct bucket *b, int64_t now_s, struct survey *s, struct err *e);

/*
 * survey_run - of every ref: what its catalog names, and what those named
 * that it took the place of since since_s, by the store's clock: somebody
 * may be reading that still
 * s        as of survey_claims, or after it
 * Returns 0 also with bad refs; -1 with *e
 */
int survey_run(
    struct bucket *b, int64_t since_s, struct survey *s, struct err *e);

const struct need *survey_find(const struct survey *s, enum content_kind kind,
    const struct digest *sha256);

#endif
