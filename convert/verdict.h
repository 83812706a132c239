/*
 * verdict.h - what became of the values, in words: one or two lines for a
 * person, and an error where the policy asks for one.
 */
#ifndef CONVERT_VERDICT_H
#define CONVERT_VERDICT_H

#include "convert/layout.h"
#include "formats/audit.h"

struct verdict {
    struct audit all;           /* of every tensor together */
    uint64_t overflow;          /* tensors with values beyond the range */
    uint64_t refused;           /* tensors that verdict_refuses() */
    const struct tensor *first; /* of those */
    /* Tensors of the layout; NULL when there is nothing of the kind. */
    const struct tensor *error;   /* has the largest error */
    const struct tensor *largest; /* overflows, has the largest magnitude */
    double overflow_value;        /* that magnitude */
    const struct tensor *small;   /* most values became zero or subnormal */
    const struct tensor *odd;     /* the first that keeps NaN or infinities */
    uint64_t nan, inf;            /* of all that keep them */
};

/*
 * verdict_refuses - do the values of p->out[i] forbid the conversion?
 * An overflow does under the policy error; a NaN in a matrix that becomes
 * int8 does under any.
 */
bool verdict_refuses(const struct layout *p, uint64_t i, const struct recipe *r,
    const struct audit *a);

/* verdict_make - from an audit of each tensor of p. */
void verdict_make(struct verdict *v, const struct layout *p,
    const struct recipe *r, const struct audit *audits);

/* verdict_log - tell the user; nothing when every value was kept. */
void verdict_log(const struct verdict *v, const struct layout *p,
    const struct recipe *r, const struct audit *audits);

/*
 * verdict_refuse - the error of a conversion that may not overflow
 * Returns  -1 with *e: VERDICT, naming source, tensor and value
 */
int verdict_refuse(const struct verdict *v, const struct audit *audits,
    const struct layout *p, const struct recipe *r, const char *source,
    struct err *e);

#endif
