/*
 * drift.h - how far two computations of the same logits are apart. Logits
 * of one model are some tens apart, those of another hundreds, so distance
 * is judged as a share of how far they spread.
 */
#ifndef VERIFY_RUN_DRIFT_H
#define VERIFY_RUN_DRIFT_H

#include "formats/dtype.h"

/* Sums over positions; all zero to begin with. */
struct drift {
    uint64_t positions;
    uint64_t values;
    uint64_t same_top; /* positions whose best token is the same */
    double max;        /* largest difference of two logits */
    double sum;        /* of all differences */
    double squares;    /* of their squares */
    double spread;     /* of the squares of a's distance from its mean */
    double kl;         /* nats of KL(softmax a || softmax b) */
};

/* drift_add - one position: n logits of either. */
void drift_add(struct drift *d, const float *a, const float *b, uint32_t n);

/* Per value, per position; 0 when nothing was added. */
double drift_mean(const struct drift *d);
double drift_kl(const struct drift *d);
double drift_agreement(const struct drift *d); /* 0..1 */

/* drift_spread - the standard deviation of a's logits around their mean. */
double drift_spread(const struct drift *d);

/*
 * drift_share - the root of the mean square difference, as a share of the
 * spread; NAN when some value is no number
 */
double drift_share(const struct drift *d);

/* drift_cost - the share that rounding weights to a type may cost. */
double drift_cost(enum dtype t);

/*
 * drift_bound - the share by which models with weights of types a and b may
 * differ: what either costs; between floats of one type, what another order
 * of summation costs
 */
double drift_bound(enum dtype a, enum dtype b);

#endif
