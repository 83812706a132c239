/*
 * culprit.h - when a pass went wrong: which stored tensor holds a value that
 * is infinite or no number. When none does, the arithmetic made it.
 */
#ifndef VERIFY_RUN_CULPRIT_H
#define VERIFY_RUN_CULPRIT_H

#include "verify-run/backend.h"

/*
 * culprit_find - look through the tensors of the fault's layer, or through
 * those that exist once
 * name     out: the tensor, as the family calls it
 * Returns  false when all of them are finite
 */
bool culprit_find(const struct model_config *c, const struct weights *w,
    const struct backend_fault *f, char name[ARCH_NAME_MAX]);

#endif
