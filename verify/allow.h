/*
 * allow.h - the names an honest checkpoint may ask Python to call: their
 * results are data, whatever the arguments. Exact pairs of module and name,
 * never a prefix: a name that is not here is not thereby harmful, but nobody
 * vouches for it.
 * Source: checkpoint formats, section 3.5; what torch.load itself admits
 * with weights_only.
 */
#ifndef VERIFY_ALLOW_H
#define VERIFY_ALLOW_H

#include "base/str.h"

enum allow {
    ALLOW_NO,
    ALLOW_DATA, /* makes data */
    ALLOW_CALLS /* makes data, by calling what it is given */
};

/* allow_of - module as Python 3 calls it (__builtin__ is builtins). */
enum allow allow_of(struct str module, struct str name);

#endif
