#include "verify-run/drift.h"

#include <math.h>

#include "verify-run/ops.h"

void drift_add(struct drift *d, const float *a, const float *b, uint32_t n)
{
    double za = ops_log_sum(a, n);
    double zb = ops_log_sum(b, n);
    double mean = 0;

    for (uint32_t i = 0; i < n; i++)
        mean += (double)a[i] / n;
    for (uint32_t i = 0; i < n; i++) {
        double pa = (double)a[i] - za;
        double off = fabs((double)a[i] - (double)b[i]);
        double from = (double)a[i] - mean;

        d->max = off > d->max || isnan(off) ? off : d->max;
        d->sum += off;
        d->squares += off * off;
        d->spread += from * from;
        if (exp(pa) != 0)
            d->kl += exp(pa) * (pa - ((double)b[i] - zb));
    }
    d->same_top += ops_argmax(a, n) == ops_argmax(b, n);
    d->values += n;
    d->positions++;
}

static double per(double sum, uint64_t n)
{
    return n > 0 ? sum / (double)n : 0;
}

double drift_mean(const struct drift *d)
{
    return per(d->sum, d->values);
}

double drift_kl(const struct drift *d)
{
    return per(d->kl, d->positions);
}

double drift_agreement(const struct drift *d)
{
    return per((double)d->same_top, d->positions);
}

double drift_spread(const struct drift *d)
{
    return sqrt(per(d->spread, d->values));
}

double drift_share(const struct drift *d)
{
    double spread = drift_spread(d);

    if (d->squares == 0)
        return 0;
    return sqrt(per(d->squares, d->values)) / spread;
}

/* About ten times what trained models were seen to lose. */
double drift_cost(enum dtype t)
{
    switch (t) {
    case DTYPE_F64:
    case DTYPE_F32:
        return 0;
    case DTYPE_F16:
        return 0.005;
    case DTYPE_BF16:
        return 0.04;
    default:
        return 0.15;
    }
}

double drift_bound(enum dtype a, enum dtype b)
{
    const double order = 1e-4;

    /* There are many ways to quantise, and one to be a float. */
    if (a == b && dtype_is_float(a))
        return order;
    return drift_cost(a) + drift_cost(b) + order;
}
