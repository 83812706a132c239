/*
 * figure.h - the pictures of a report, as SVG inside the page. Colours are
 * classes of its style, so that they follow light and dark.
 */
#ifndef CONVERT_FIGURE_H
#define CONVERT_FIGURE_H

#include "convert/page.h"

/* figure_sizes - bytes by layer, stacked by what they are for. */
void figure_sizes(struct buf *out, const struct page *r);

/* figure_spectrum - magnitudes of all values, and layer by layer below. */
void figure_spectrum(struct buf *out, const struct page *r);

/* figure_errors - the largest error of every tensor, in layer order. */
void figure_errors(struct buf *out, const struct page *r);

/* figure_kind - "attention" */
const char *figure_kind(enum layer_kind kind);

#endif
