/*
 * layer.h - a hub cache that becomes a layer of an image: what is left of
 * filling it says nothing of when, how often or by whom it was filled, so the
 * same files give the same layer.
 */
#ifndef CACHE_LAYER_H
#define CACHE_LAYER_H

#include "cache/hubdir.h"

struct layer {
    const struct hubdir *dir;
    int64_t time;         /* seconds since 1970: nothing is younger */
    char under[PATH_MAX]; /* the folder that the first new one stands in */
};

/*
 * layer_begin - before the cache is written to
 * The time is SOURCE_DATE_EPOCH, or 0 where that is not set.
 * Returns  0, or -1 with *e: USAGE (it is no number of seconds)
 */
int layer_begin(struct layer *out, const struct hubdir *h, struct err *e);

/*
 * layer_settle - a repository's locks and empty folders go; what is younger
 * than the layer's time gets it
 * What is not younger is left alone: in an image, to touch a file of a layer
 * below is to copy it. Nobody may be at work in it, nor may the caller hold
 * its lease.
 * Returns  0, or -1 with *e: BUSY, IO, CANCELLED
 */
int layer_settle(const struct layer *l, const struct repo *r, struct err *e);

/*
 * layer_end - after the last repository: the same times for what the cache has
 * beside them, for the root, and for the folders that were made for it
 */
int layer_end(const struct layer *l, struct err *e);

#endif
