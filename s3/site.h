/*
 * site.h - where a bucket is and as whom it is asked: endpoint, region,
 * credentials, from what the user said, the usual environment and the usual
 * files. Found once; all clients of a program may share it, nobody changes it.
 *
 *   endpoint    AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, endpoint_url of the
 *               profile; else Amazon's of that region. http only where the
 *               user says http.
 *   region      AWS_REGION, AWS_DEFAULT_REGION, region of the profile; else
 *               us-east-1, and what a server says then (client.h).
 *   style       addressing_style = virtual below "s3 =" of the profile; else
 *               the bucket is in the path.
 */
#ifndef S3_SITE_H
#define S3_SITE_H

#include "s3/cred.h"

enum { S3_ENDPOINT_MAX = 512, S3_REGION_MAX = 64 };

/* What the user said; each may be NULL: the environment decides. */
struct s3_asked {
    const char *endpoint;
    const char *region;
    const char *profile;
    bool virtual_host; /* the bucket is in the host's name */
};

struct s3_site {
    char endpoint[S3_ENDPOINT_MAX]; /* without a slash at the end */
    char region[S3_REGION_MAX];
    char region_source[256]; /* "AWS_REGION", a file; "" nobody said */
    bool amazon;             /* the endpoint is made from the region */
    bool virtual_host;
    struct s3_cred cred;
};

#define S3_SITE_INIT                                                           \
    {                                                                          \
        .endpoint = ""                                                         \
    }

/*
 * s3_site_find - asked may be NULL
 * Returns  0, or -1 with *e: USAGE (an endpoint that is none, a profile that
 *          is nowhere), AUTH (half of a pair of keys), REFUSED, IO (a file
 *          that cannot be read). No credentials at all is no failure: a public
 *          bucket needs none.
 */
int s3_site_find(
    struct s3_site *out, const struct s3_asked *asked, struct err *e);

/* s3_is_region - may be one: letters, digits, dashes. */
bool s3_is_region(struct str text);

/* s3_site_amazon - Amazon's endpoint of a region. */
void s3_site_amazon(char out[S3_ENDPOINT_MAX], const char *region);

void s3_site_free(struct s3_site *s); /* wipes the secrets; idempotent */

#endif
