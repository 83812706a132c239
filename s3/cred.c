#include "s3/cred.h"

#include <stdio.h>
#include <string.h>

#include "base/env.h"

void s3_cred_free(struct s3_cred *c)
{
    explicit_bzero(c, sizeof(*c));
}

/* Into room of room_len bytes, what a header can have. */
static int take(char *room, size_t room_len, struct str v, const char *what,
    const char *source, struct err *e)
{
    for (size_t i = 0; i < v.len; i++)
        if ((unsigned char)v.p[i] <= ' ' || (unsigned char)v.p[i] >= 0x7f)
            return err_set(e, ERR_REFUSED,
                "%s from %s is none: it holds a character that no key has",
                what, source);
    if (v.len >= room_len)
        return err_set(
            e, ERR_REFUSED, "%s from %s is too long to be one", what, source);
    if (v.len > 0)
        memcpy(room, v.p, v.len);
    room[v.len] = '\0';
    return 0;
}

struct found {
    bool any;
    struct str value;
};

static int fill(struct s3_cred *out, const struct found v[3], struct err *e)
{
    const char *s = out->source;

    if (v[0].any != v[1].any) {
        err_set(e, ERR_AUTH, "%s has %s", s,
            v[0].any ? "a key's id, but not its secret"
                     : "a secret key, but not its id");
        return err_hint(e, "set both, or neither");
    }
    if (!v[0].any) {
        out->source[0] = '\0';
        return 0;
    }
    if (take(out->key_id, sizeof(out->key_id), v[0].value, "the key's id", s,
            e) != 0 ||
        take(out->secret, sizeof(out->secret), v[1].value, "the secret key", s,
            e) != 0)
        return -1;
    if (!v[2].any)
        return 0;
    return take(out->session, sizeof(out->session), v[2].value,
        "the session's token", s, e);
}

static int from_environment(struct s3_cred *out, struct err *e)
{
    static const char *const names[] = { "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN" };
    struct found v[ARRAY_LEN(names)] = { { .any = false } };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *value = env_get(names[i]);

        v[i].any = value != NULL;
        if (value != NULL)
            v[i].value = str_of(value);
    }
    snprintf(out->source, sizeof(out->source), "%s",
        v[0].any || !v[1].any ? names[0] : names[1]);
    return fill(out, v, e);
}

/* Other ways to keys, which are not gone here. */
static int other_ways(const struct s3_profile *p, struct err *e)
{
    static const char *const ways[] = { "credential_process", "sso_session",
        "sso_start_url", "role_arn", "web_identity_token_file",
        "credential_source" };
    const char *source;
    struct str v;

    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        if (!s3_profile_get(p, NULL, ways[i], &v, &source))
            continue;
        err_set(e, ERR_UNSUPPORTED,
            "the profile %s of %s gets its keys by %s, which is not done here",
            p->name, source, ways[i]);
        return err_hint(e,
            "eval \"$(aws configure export-credentials --profile %s --format "
            "env)\" hands them over",
            p->name);
    }
    return 0;
}

static int from_profile(
    struct s3_cred *out, const struct s3_profile *p, struct err *e)
{
    static const char *const names[] = { "aws_access_key_id",
        "aws_secret_access_key", "aws_session_token" };
    struct found v[ARRAY_LEN(names)] = { { .any = false } };
    const char *source = p->credentials_path, *where;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        v[i].any = s3_profile_get(p, NULL, names[i], &v[i].value, &where) &&
                   v[i].value.len > 0;
        if (v[i].any && i < 2)
            source = where;
    }
    snprintf(out->source, sizeof(out->source), "profile %s of %.*s", p->name,
        (int)(sizeof(out->source) - sizeof(p->name) - 16), source);
    if (!v[0].any && !v[1].any && other_ways(p, e) != 0)
        return -1;
    return fill(out, v, e);
}

int s3_cred_find(struct s3_cred *out, const struct s3_profile *p, struct err *e)
{
    s3_cred_free(out);
    if (!p->named && from_environment(out, e) != 0)
        return -1;
    if (out->key_id[0] != '\0')
        return 0;
    return from_profile(out, p, e);
}
