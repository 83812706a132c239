#include "s3/site.h"

#include <stdio.h>
#include <strings.h>

#include "base/env.h"
#include "net/url.h"

#define REGION_DEFAULT "us-east-1"

void s3_site_free(struct s3_site *s)
{
    s3_cred_free(&s->cred);
    *s = (struct s3_site)S3_SITE_INIT;
}

/* A value, and who said so. */
struct said {
    struct str value;
    const char *source;
};

static bool from_environment(struct said *out, const char *name)
{
    const char *v = env_get(name);

    if (v == NULL)
        return false;
    *out = (struct said){ str_of(v), name };
    return true;
}

static bool asked_for(struct said *out, const char *v, const char *option)
{
    if (v == NULL || v[0] == '\0')
        return false;
    *out = (struct said){ str_of(v), option };
    return true;
}

/* ---- where ---- */

static int no_endpoint(const struct said *v, struct err *e)
{
    char shown[URL_SHOW_MAX], text[S3_ENDPOINT_MAX];

    snprintf(text, sizeof(text), "%.*s", STR_ARG(v->value));
    err_set(e, ERR_USAGE, "the endpoint from %s is no web address: %.200s",
        v->source, url_show(shown, text));
    return err_hint(e, "it looks like https://s3.example.org or "
                       "http://localhost:9000, without a user name or a query");
}

static int set_endpoint(
    struct s3_site *out, const struct said *v, struct err *e)
{
    struct str s = v->value;
    struct url u;

    while (s.len > 0 && s.p[s.len - 1] == '/')
        s.len--;
    if (s.len >= sizeof(out->endpoint))
        return no_endpoint(v, e);
    snprintf(out->endpoint, sizeof(out->endpoint), "%.*s", STR_ARG(s));
    if (!url_parse(&u, out->endpoint))
        return no_endpoint(v, e);
    /* A path in front of the bucket: of characters that need no encoding. */
    for (const char *p = u.rest; *p != '\0'; p++)
        if (*p <= ' ' || *p >= 0x7f || strchr("?#%&=+", *p) != NULL)
            return no_endpoint(v, e);
    return 0;
}

void s3_site_amazon(char out[S3_ENDPOINT_MAX], const char *region)
{
    snprintf(out, S3_ENDPOINT_MAX, "https://s3.%.64s.amazonaws.com%s", region,
        strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

/* "services = name" of the profile leads to [services name]. */
static bool of_services(const struct s3_profile *p, struct said *out)
{
    char section[160];
    struct str v;

    if (!s3_profile_get(p, NULL, "services", &v, &out->source))
        return false;
    snprintf(section, sizeof(section), "services %.*s",
        (int)size_min(v.len, 128), v.p);
    return s3_ini_get(
        buf_str(&p->config), section, "s3", "endpoint_url", &out->value);
}

static bool configured(const struct s3_profile *p, struct said *out)
{
    if (env_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"))
        return false;
    return from_environment(out, "AWS_ENDPOINT_URL_S3") ||
           from_environment(out, "AWS_ENDPOINT_URL") || of_services(p, out) ||
           s3_profile_get(p, NULL, "endpoint_url", &out->value, &out->source);
}

static int find_endpoint(struct s3_site *out, const struct s3_asked *asked,
    const struct s3_profile *p, struct err *e)
{
    struct said v = { .source = NULL };

    if (asked_for(&v, asked->endpoint, "the command line") || configured(p, &v))
        return set_endpoint(out, &v, e);
    out->amazon = true;
    s3_site_amazon(out->endpoint, out->region);
    return 0;
}

bool s3_is_region(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                   "0123456789-_.",
                s.p[i]) == NULL)
            return false;
    return s.len > 0 && s.len < S3_REGION_MAX;
}

static int find_region(struct s3_site *out, const struct s3_asked *asked,
    const struct s3_profile *p, struct err *e)
{
    struct said v = { .source = NULL };

    snprintf(out->region, sizeof(out->region), "%s", REGION_DEFAULT);
    if (!asked_for(&v, asked->region, "the command line") &&
        !from_environment(&v, "AWS_REGION") &&
        !from_environment(&v, "AWS_DEFAULT_REGION") &&
        !s3_profile_get(p, NULL, "region", &v.value, &v.source))
        return 0;
    if (!s3_is_region(v.value))
        return err_set(e, ERR_USAGE, "the region from %s is none: %.*s",
            v.source, (int)size_min(v.value.len, 80), v.value.p);
    snprintf(out->region, sizeof(out->region), "%.*s", STR_ARG(v.value));
    snprintf(
        out->region_source, sizeof(out->region_source), "%.250s", v.source);
    return 0;
}

static bool virtual_style(const struct s3_profile *p)
{
    const char *source;
    struct str v;

    return s3_profile_get(p, "s3", "addressing_style", &v, &source) &&
           str_is(v, "virtual");
}

int s3_site_find(
    struct s3_site *out, const struct s3_asked *asked, struct err *e)
{
    static const struct s3_asked nothing = { .endpoint = NULL };
    struct s3_profile p AUTO(s3_profile_free) = S3_PROFILE_INIT;

    if (asked == NULL)
        asked = &nothing;
    s3_site_free(out);
    if (s3_profile_read(&p, asked->profile, e) != 0 ||
        s3_cred_find(&out->cred, &p, e) != 0 ||
        find_region(out, asked, &p, e) != 0 ||
        find_endpoint(out, asked, &p, e) != 0) {
        s3_site_free(out);
        return -1;
    }
    out->virtual_host = asked->virtual_host || virtual_style(&p);
    return 0;
}
