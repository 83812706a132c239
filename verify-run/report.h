/*
 * report.h - what a run showed: for people, aligned and short, and for
 * programs, as one JSON document with stable keys.
 */
#ifndef VERIFY_RUN_REPORT_H
#define VERIFY_RUN_REPORT_H

#include "verify-run/generate.h"

struct report {
    const char *model; /* as the user wrote it */
    const char *note;  /* which converted form was taken, or "" */
    const struct session *session;
    const struct generation *generation; /* NULL: the weights did not allow */
    const uint32_t *prompt;
    uint32_t n_prompt;
    struct str text;      /* prompt and continuation as read, or ids */
    struct str new_text;  /* the continuation alone, or "" */
    uint64_t peak_memory; /* bytes */
};

enum check_result { CHECK_OK, CHECK_FAILED, CHECK_NOT_MADE };

struct check {
    const char *name;
    enum check_result result;
    char detail[240];
};

enum { CHECK_COUNT = 5 };

/* report_checks - tensors, shapes, finite, logits, cache; true: none failed */
bool report_checks(const struct report *r, struct check out[CHECK_COUNT]);

/* report_text - the text, an empty line, then the table. */
void report_text(struct buf *out, const struct report *r);

/* report_json - one document; keys as in mlverify-run(1). */
void report_json(struct buf *out, const struct report *r);

#endif
