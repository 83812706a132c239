/*
 * plot.h - the pictures of a report, as SVG inside the page. Colours are
 * classes of its style, so that they follow light and dark.
 */
#ifndef VERIFY_RUN_PLOT_H
#define VERIFY_RUN_PLOT_H

#include "verify-run/backend.h"
#include "verify-run/timeline.h"

/* plot_timeline - one bar below the other, each beginning where one ended. */
void plot_timeline(struct buf *out, const struct timeline *t);

/*
 * plot_ranges - the range of the residual stream after the embedding and
 * after each of n - 1 layers, and its root mean square, on a scale that is
 * linear around zero and logarithmic beyond
 */
void plot_ranges(struct buf *out, const struct value_range *v, uint32_t n);

#endif
