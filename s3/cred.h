/*
 * cred.h - who the user is to a store of objects. No value but the key's id
 * ever reaches a message; where it came from does.
 */
#ifndef S3_CRED_H
#define S3_CRED_H

#include "base/err.h"
#include "s3/ini.h"

enum { S3_KEY_ID_MAX = 256, S3_SECRET_MAX = 512, S3_SESSION_MAX = 8192 };

struct s3_cred {
    char key_id[S3_KEY_ID_MAX]; /* "": none, requests go unsigned */
    char secret[S3_SECRET_MAX];
    char session[S3_SESSION_MAX]; /* "": the keys are for good */
    char source[300]; /* "AWS_ACCESS_KEY_ID", "the file ..."; "" if none */
};

#define S3_CRED_INIT                                                           \
    {                                                                          \
        .key_id = ""                                                           \
    }

/*
 * s3_cred_find - the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
 * AWS_SESSION_TOKEN), unless a profile was asked for by name; then the
 * profile's in the files. None is no failure.
 * Returns  0, or -1 with *e: AUTH (half of a pair), REFUSED (nothing that can
 *          be put into a header)
 */
int s3_cred_find(
    struct s3_cred *out, const struct s3_profile *p, struct err *e);

void s3_cred_free(struct s3_cred *c); /* wipes; idempotent */

#endif
