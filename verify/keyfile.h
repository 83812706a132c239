/*
 * keyfile.h - where keys lie, and the password in front of them. The places
 * are minisign's, so that both use the same key.
 */
#ifndef VERIFY_KEYFILE_H
#define VERIFY_KEYFILE_H

#include <limits.h>

#include "base/sign.h"

/*
 * keyfile_default - minisign.key in MINISIGN_CONFIG_DIR, or ~/.minisign
 * out of PATH_MAX bytes. Returns 0, or -1 with *e: USAGE (too long).
 */
int keyfile_default(char *out, struct err *e);

/*
 * keyfile_read - a secret key; asks for the password when it has one
 * Returns  0, or -1 with *e: MISSING (with a hint), REFUSED, AUTH, USAGE
 *          (no password), NOMEM, IO, CANCELLED
 */
int keyfile_read(struct sign_secret *out, const char *path, struct err *e);

/*
 * keyfile_make - a new pair; asks twice for a password
 * password  false: the secret key is not encrypted
 * force     replace keys that are there
 * Returns   0, or -1 with *e: USAGE (they are there; the passwords differ),
 *           NOMEM, IO, CANCELLED
 */
int keyfile_make(const char *public_path, const char *secret_path,
    bool password, bool force, struct err *e);

#endif
