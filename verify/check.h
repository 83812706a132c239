/*
 * check.h - are these the right bytes, and can they be what they claim?
 *
 * Checks, by the name they have in the report:
 *   files      every name leads to a regular file
 *   structure  every weight file parses, strictly, to its end
 *   calls      what a pickle asks Python to import and call
 *   index      the shards an index names are there and hold its tensors
 *   uniform    the promises of the uniform form (ml-safetensors(5))
 *   int8       the same of its int8 matrices and their scales
 *   manifest   nothing missing, nothing extra, nothing changed
 *   tensors    digests of single tensors, from the manifest
 *   checksums  of the records inside a torch zip
 *   listing    names and sizes of the commit's listing
 *   digest     SHA-256 or git SHA-1 of every file, against every promise
 *   signature  with a key: somebody signed this (signed.h)
 */
#ifndef VERIFY_CHECK_H
#define VERIFY_CHECK_H

#include "base/pool.h"
#include "base/progress.h"
#include "cache/find.h"
#include "verify/findings.h"

struct check_env {
    struct pool *pool;
    enum progress_mode progress;
};

/*
 * check_found - check one target with everything that is known about it
 * Returns  0 with the answer in report; -1 with *e: CANCELLED, NOMEM, IO
 *          (the folder cannot be read)
 */
int check_found(const struct check_env *env, const struct found *found,
    struct findings *report, struct err *e);

#endif
