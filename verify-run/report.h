/*
 * report.h - everything one run finds out about a model, and its two forms:
 * for people, aligned and short, and for programs, as one JSON document
 * with stable keys.
 */
#ifndef VERIFY_RUN_REPORT_H
#define VERIFY_RUN_REPORT_H

#include "base/human.h"
#include "verify-run/checks.h"
#include "verify-run/prompt.h"

struct report_opts {
    const char *model; /* as the user wrote it */
    const char *note;  /* which converted form was taken, or "" */
    struct prompt_wish wish;
    uint32_t n_new;
    uint32_t top_k;
    bool ignore_eos;
    enum perplexity_wish perplexity;
    const char *against;                     /* its name, or NULL */
    const struct session_opts *against_opts; /* how it is opened */
    struct golden *golden;                   /* golden_open() was called */
};

struct report {
    const struct report_opts *o;
    const struct session *session;
    bool ran; /* else the weights did not allow it: only checks */
    struct ids prompt;
    struct generation generation;
    struct perplexity perplexity;
    struct against against;
    struct buf text;            /* prompt and continuation as read, or ids */
    struct str new_text;        /* the continuation alone, or "" */
    uint64_t peak_memory;       /* bytes */
    struct backend_facts facts; /* all zero without a device */
    struct checks checks;
};

#define REPORT_INIT                                                            \
    {                                                                          \
        .text = BUF_INIT(64 << 20)                                             \
    }

/*
 * report_run - run the model as wished, judge it, settle the golden file
 * s        was opened, not started; it and o outlive the report
 * Returns  0, also when a check failed; -1 with *e
 */
int report_run(struct report *r, const struct report_opts *o, struct session *s,
    struct err *e);

/* report_free - idempotent, for AUTO. */
void report_free(struct report *r);

/* report_text - the text, an empty line, then the table. */
void report_text(struct buf *out, const struct report *r);

/* report_json - one document; keys as in ml-run(5). */
void report_json(struct buf *out, const struct report *r);

/* report_html - one page to look at, with pictures of it. */
void report_html(struct buf *out, const struct report *r);

/* Of the steps after the first token; NAN when there were none. */
double report_tokens_per_second(const struct report *r);
double report_gb_per_second(const struct report *r);

/* Of a device: bytes of weights a second; the share of its copies' rate. */
double report_upload_rate(const struct report *r);
double report_copy_share(const struct report *r);

/* report_number - 0.1234, 1,234 or more: few digits, for people. */
const char *report_number(char out[HUMAN_MAX], double v);

/* report_token - one token as JSON text, harmless to a terminal; or null. */
void report_token(struct buf *out, const struct report *r, uint32_t id);

#endif
