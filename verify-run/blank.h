/*
 * blank.h - matrices that hold nothing: space that was reserved for a
 * download and never filled, a layer that somebody set to zero. A healthy
 * matrix costs a few small reads.
 */
#ifndef VERIFY_RUN_BLANK_H
#define VERIFY_RUN_BLANK_H

#include "formats/checkpoint.h"

enum { BLANK_TEXT = 160 };

/*
 * blank_look - is the matrix t one value over and over, or zero in part?
 * padded   rows of zeros are usual: only all of it counts
 * why      "all 4096 values are 0", "rows 12 to 40 are 0"; "": healthy
 * Returns  0, or -1 with *e: IO, CORRUPT
 * Cost     17 reads of 512 values; more only where they are all zero
 */
int blank_look(char why[BLANK_TEXT], const struct checkpoint *c,
    const struct tensor *t, bool padded, struct err *e);

#endif
