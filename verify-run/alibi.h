/*
 * alibi.h - positions as a penalty on far keys, by head.
 * Source: architectures, section 10.
 */
#ifndef VERIFY_RUN_ALIBI_H
#define VERIFY_RUN_ALIBI_H

#include "verify-run/config.h"

/*
 * alibi_slopes - what a key one position nearer adds to the scaled score
 * out      (heads); all 0 when the family has no ALiBi
 */
void alibi_slopes(const struct model_config *c, float *out);

#endif
