/*
 * alibi.h - positions as a penalty on far keys, by head.
 * Source: architectures, section 10.
 */
#ifndef VERIFY_RUN_ALIBI_H
#define VERIFY_RUN_ALIBI_H

#include "verify-run/config.h"

/*
 * alibi_slopes - what a key one position nearer adds to the scaled score
 * out      (heads); all 0 when the family has no ALiBi, or a rounded one
 */
void alibi_slopes(const struct model_config *c, float *out);

/*
 * alibi_is_rounded - Falcon was trained with penalties in bfloat16, so that
 * far positions share one: slopes cannot say it, a table must
 */
bool alibi_is_rounded(const struct model_config *c);

/*
 * alibi_bias - what each position adds to the scaled score of its key
 * out      (heads, positions)
 */
void alibi_bias(const struct model_config *c, uint32_t positions, float *out);

#endif
