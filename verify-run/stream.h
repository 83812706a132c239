/*
 * stream.h - a model larger than the memory it may have: the first layers
 * stay, and the rest passes through once for every pass over the tokens.
 * What is read of the mapped files is let go of behind the layer that needed
 * it, in this process and in the page cache, and asked for ahead of the next.
 * Nothing is ever written, so nothing has to be swapped.
 */
#ifndef VERIFY_RUN_STREAM_H
#define VERIFY_RUN_STREAM_H

#include "verify-run/weights.h"

struct stream;

/*
 * stream_open - plan what stays and what passes
 * c        where the weights of w are mapped; both must outlive the stream
 * budget   bytes of mapped weights to hold at most, or 0: three quarters of
 *          the memory that is available
 * out      NULL when all of it fits: every function below takes that
 * Returns  0, or -1 with *e: NOMEM
 */
int stream_open(struct stream **out, const struct checkpoint *c,
    const struct weights *w, uint64_t budget, struct err *e);

/* stream_close - for NULL, too. */
void stream_close(struct stream *s);

/* The layer that stands for what comes after the last one: the head. */
static inline uint32_t stream_head(const struct weights *w)
{
    return w->layers;
}

/* stream_ahead - a layer's weights will be read soon. */
void stream_ahead(const struct stream *s, uint32_t layer);

/* stream_behind - a layer's weights were read, and will be in the next pass. */
void stream_behind(const struct stream *s, uint32_t layer);

/*
 * stream_passing - bytes that every pass reads again
 * stream_layers - of how many layers; both are 0 for NULL
 */
uint64_t stream_passing(const struct stream *s);
uint32_t stream_layers(const struct stream *s);

#endif
