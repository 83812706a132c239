/*
 * checks.h - the questions a run answers with yes or no, in the order of
 * the report. What could not be asked is no failure.
 */
#ifndef VERIFY_RUN_CHECKS_H
#define VERIFY_RUN_CHECKS_H

#include "verify-run/against.h"
#include "verify-run/generate.h"
#include "verify-run/golden.h"
#include "verify-run/perplexity.h"

enum check_result { CHECK_OK, CHECK_FAILED, CHECK_NOT_MADE };

struct check {
    const char *name;
    enum check_result result;
    char detail[480]; /* or why it was not made; an error's text fits */
};

enum { CHECKS_MAX = 11 };

struct checks {
    struct check v[CHECKS_MAX];
    size_t n;
    bool good; /* none failed */
};

/* What they look at. */
struct evidence {
    const struct session *session;
    const struct generation *generation; /* NULL: the weights did not allow */
    const struct perplexity *perplexity;
    const struct against *against; /* NULL: not asked for */
    const struct golden *golden;   /* NULL: not asked for */
};

/* checks_make - all of them: none depends on another's answer. */
void checks_make(struct checks *out, const struct evidence *v);

#endif
