/* signed.h - what the user named, held against signatures beside it. */
#ifndef VERIFY_SIGNED_H
#define VERIFY_SIGNED_H

#include "base/sign.h"
#include "cache/find.h"
#include "verify/findings.h"

/*
 * signed_found - demand valid signatures
 * A file must have one beside it. Of a folder with a manifest, the manifest
 * must (its digests cover the rest, and check_found() compares them); of
 * any other folder, every file.
 * Returns  0 with the answer in report; -1 with *e: CANCELLED, NOMEM, IO
 */
int signed_found(const struct sign_public *key, const struct found *found,
    struct findings *report, struct err *e);

#endif
