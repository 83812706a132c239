/* Where a bucket is and as whom it is asked: the environment and the files. */
#include "s3/site.h"

#include <unistd.h>

#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

static const char *const variables[] = { "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION",
    "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3",
    "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS" };

static void forget(void)
{
    for (size_t i = 0; i < ARRAY_LEN(variables); i++)
        unsetenv(variables[i]);
}

static void keys(const char *id, const char *secret)
{
    setenv("AWS_ACCESS_KEY_ID", id, 1);
    setenv("AWS_SECRET_ACCESS_KEY", secret, 1);
}

/* Finds it, and frees what was found before. */
static int find(struct s3_site *s, const struct s3_asked *a, struct err *e)
{
    err_clear(e);
    return s3_site_find(s, a, e);
}

static void environment(void)
{
    struct s3_site s AUTO(s3_site_free) = S3_SITE_INIT;
    struct err e = ERR_INIT;

    forget();
    is_int(find(&s, NULL, &e), 0, "nothing is said at all");
    is_str(s.endpoint, "https://s3.us-east-1.amazonaws.com", "Amazon, then");
    ok(s.cred.key_id[0] == '\0' && s.cred.source[0] == '\0' && s.amazon,
        "without keys");
    keys("AKID", "sec");
    setenv("AWS_SESSION_TOKEN", "tok", 1);
    setenv("AWS_DEFAULT_REGION", "eu-1", 1);
    find(&s, NULL, &e);
    ok(strcmp(s.cred.key_id, "AKID") == 0 &&
            strcmp(s.cred.secret, "sec") == 0 &&
            strcmp(s.cred.session, "tok") == 0,
        "keys of the environment");
    is_str(s.cred.source, "AWS_ACCESS_KEY_ID", "and from where");
    is_str(s.endpoint, "https://s3.eu-1.amazonaws.com", "a region");
    setenv("AWS_REGION", "cn-north-1", 1);
    find(&s, NULL, &e);
    is_str(s.endpoint, "https://s3.cn-north-1.amazonaws.com.cn",
        "AWS_REGION wins, and China has a host of its own");
    setenv("AWS_ENDPOINT_URL", "http://[::1]:9000/", 1);
    find(&s, NULL, &e);
    is_str(s.endpoint, "http://[::1]:9000", "an endpoint, http as it says");
    ok(!s.amazon, "is nobody else's");
    setenv("AWS_ENDPOINT_URL_S3", "https://h.example/pre/fix//", 1);
    find(&s, NULL, &e);
    is_str(s.endpoint, "https://h.example/pre/fix", "the one for S3 wins");
    s3_site_free(&s);
    ok(s.cred.secret[0] == '\0' && s.cred.session[0] == '\0', "wiped");
}

static void bad_environment(void)
{
    struct s3_site s AUTO(s3_site_free) = S3_SITE_INIT;
    struct err e = ERR_INIT;

    forget();
    setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
    ok(find(&s, NULL, &e) == -1 && e.kind == ERR_AUTH, "half of a pair");
    is_str(e.msg, "AWS_ACCESS_KEY_ID has a key's id, but not its secret",
        "says which half");
    keys("AKID", "sEcReT\nx: y");
    ok(find(&s, NULL, &e) == -1 && e.kind == ERR_REFUSED &&
            strstr(e.msg, "sEcReT") == NULL,
        "a secret with a line's end is refused, and not shown");
    keys("AKID", "sec");
    setenv("AWS_ENDPOINT_URL", "h.example:9000", 1);
    ok(find(&s, NULL, &e) == -1 && e.kind == ERR_USAGE,
        "an endpoint without http");
    setenv("AWS_ENDPOINT_URL", "http://user:pass@h.example", 1);
    ok(find(&s, NULL, &e) == -1 && e.kind == ERR_USAGE &&
            strstr(e.msg, "pass") == NULL,
        "one with a user's name, which is not shown");
    setenv("AWS_ENDPOINT_URL", "http://h.example/?x=secret", 1);
    ok(find(&s, NULL, &e) == -1 && e.kind == ERR_USAGE &&
            strstr(e.msg, "secret") == NULL,
        "one with a query, which is not shown");
    unsetenv("AWS_ENDPOINT_URL");
    setenv("AWS_REGION", "evil.example/", 1);
    ok(find(&s, NULL, &e) == -1 && e.kind == ERR_USAGE,
        "a region that is none");
    unsetenv("AWS_REGION");
    setenv("AWS_PROFILE", "nobody", 1);
    ok(find(&s, NULL, &e) == -1 && e.kind == ERR_USAGE &&
            strstr(e.msg, "nobody") != NULL,
        "a profile that is nowhere");
}

static void files(void)
{
    struct s3_asked one = { .profile = "one" };
    struct s3_site s AUTO(s3_site_free) = S3_SITE_INIT;
    struct err e = ERR_INIT;
    char want[PATH_MAX + 64];

    forget();
    write_text(at(".aws/credentials"),
        "# mine\n[default]\naws_access_key_id = DEF\r\n"
        "aws_secret_access_key=a=b/c+d  \n"
        "[ one ]\naws_access_key_id = ONE # the first\n"
        "aws_secret_access_key = s1\naws_session_token = t1\n"
        "[half]\naws_access_key_id = H\n");
    write_text(at(".aws/config"),
        "[default]\nregion = eu-def\n"
        "[profile  one]\nregion = eu-one\nendpoint_url = http://one:1\n"
        "s3 =\n  addressing_style = virtual\n  max_concurrent_requests = 9\n"
        "[profile \"sso\"]\nsso_session = x\n"
        "[profile svc]\nservices = local\n"
        "[services local]\ns3 =\n  endpoint_url = http://svc:2\n"
        "sqs =\n  endpoint_url = http://not:3\n");
    is_int(find(&s, NULL, &e), 0, "the files");
    ok(strcmp(s.cred.key_id, "DEF") == 0 &&
            strcmp(s.cred.secret, "a=b/c+d") == 0 &&
            s.cred.session[0] == '\0' && strcmp(s.region, "eu-def") == 0,
        "the default profile");
    snprintf(
        want, sizeof(want), "profile default of %s/.aws/credentials", scratch);
    is_str(s.cred.source, want, "and from where");
    ok(!s.virtual_host, "the bucket is in the path");
    setenv("AWS_PROFILE", "one", 1);
    find(&s, NULL, &e);
    ok(strcmp(s.cred.key_id, "ONE") == 0 && strcmp(s.cred.session, "t1") == 0 &&
            strcmp(s.region, "eu-one") == 0 &&
            strcmp(s.endpoint, "http://one:1") == 0 && s.virtual_host,
        "AWS_PROFILE names another, with all that is said there");
    keys("ENV", "sec");
    find(&s, NULL, &e);
    is_str(s.cred.key_id, "ENV", "keys of the environment win over it");
    find(&s, &one, &e);
    is_str(s.cred.key_id, "ONE", "but not over one that was asked for");
    setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true", 1);
    find(&s, &one, &e);
    ok(s.amazon, "endpoints of files can be left out");
    forget();
    setenv("AWS_PROFILE", "svc", 1);
    find(&s, NULL, &e);
    is_str(s.endpoint, "http://svc:2", "an endpoint of a services section");
    setenv("AWS_PROFILE", "half", 1);
    ok(find(&s, NULL, &e) == -1 && e.kind == ERR_AUTH, "half of a pair");
    setenv("AWS_PROFILE", "sso", 1);
    ok(find(&s, NULL, &e) == -1 && e.kind == ERR_UNSUPPORTED &&
            strstr(e.hint, "export-credentials --profile sso") != NULL,
        "keys that another program has, and how to hand them over");
    setenv("AWS_PROFILE", "default", 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "~/other", 1);
    setenv("AWS_CONFIG_FILE", "/nonexistent", 1);
    write_text(at("other"), "[default]\naws_access_key_id = OTH\n"
                            "aws_secret_access_key = s\n");
    find(&s, NULL, &e);
    ok(strcmp(s.cred.key_id, "OTH") == 0 && strcmp(s.region, "us-east-1") == 0,
        "other files");
}

/* A file of settings is a person's: nothing in it is fatal. */
static void strange_files(void)
{
    struct s3_site s AUTO(s3_site_free) = S3_SITE_INIT;
    static char many[S3_INI_FILE_MAX + 2];
    struct err e = ERR_INIT;

    forget();
    write_text(at(".aws/config"), "");
    write_text(at(".aws/credentials"),
        "aws_access_key_id = nowhere\n[\n[]\n]\n=\n= x\n[default\n"
        "aws_access_key_id\n[defaultx]\naws_access_key_id = X\n"
        "[default]x\n aws_access_key_id = indented\n"
        "aws_access_key_id = A\n\n;c\naws_secret_access_key = B");
    is_int(find(&s, NULL, &e), 0, "a file of odd lines");
    ok(strcmp(s.cred.key_id, "A") == 0 && strcmp(s.cred.secret, "B") == 0,
        "what is right in it counts");
    memset(many, '#', sizeof(many) - 1);
    write_text(at(".aws/credentials"), many);
    ok(find(&s, NULL, &e) == -1, "a file that is too long");
}

int main(void)
{
    scratch_open();
    setenv("HOME", scratch, 1);
    environment();
    bad_environment();
    files();
    strange_files();
    scratch_close();
    return done();
}
