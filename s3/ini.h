/*
 * ini.h - a profile of the files that all programs for S3 read:
 * ~/.aws/credentials ([name]) and ~/.aws/config ([profile name], [default]),
 * or those that AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE name.
 */
#ifndef S3_INI_H
#define S3_INI_H

#include <limits.h>

#include "base/buf.h"
#include "base/err.h"

enum { S3_INI_FILE_MAX = 1 << 20 };

/*
 * s3_ini_get - the value of a key in a section of a file's text
 * under  a key whose indented lines are looked at instead, or NULL: those
 *        that are not indented
 * Returns false where there is none. Blanks around the value are gone; the
 * last one of several counts.
 */
bool s3_ini_get(struct str text, const char *section, const char *under,
    const char *key, struct str *out);

/* s3_ini_has - is there such a section? */
bool s3_ini_has(struct str text, const char *section);

/* The two files' texts, and which profile is meant. */
struct s3_profile {
    char name[128];
    bool named; /* the user said so on the command line */
    char credentials_path[PATH_MAX];
    char config_path[PATH_MAX];
    struct buf credentials; /* holds secrets: wiped when freed */
    struct buf config;
};

#define S3_PROFILE_INIT                                                        \
    {                                                                          \
        .credentials = BUF_INIT(S3_INI_FILE_MAX),                              \
        .config = BUF_INIT(S3_INI_FILE_MAX)                                    \
    }

/*
 * s3_profile_read - name, or AWS_PROFILE, or "default"
 * A file that is not there is empty. -1 with *e: USAGE (a profile that was
 * asked for is in neither), IO, REFUSED (too long).
 */
int s3_profile_read(struct s3_profile *out, const char *name, struct err *e);

/*
 * s3_profile_get - of both files, the credentials' first
 * under   as in s3_ini_get
 * source  the file it is from
 */
bool s3_profile_get(const struct s3_profile *p, const char *under,
    const char *key, struct str *out, const char **source);

void s3_profile_free(struct s3_profile *p); /* wipes; idempotent */

#endif
