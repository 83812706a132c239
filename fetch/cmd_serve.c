#include <unistd.h>

#include "serve/mirror.h"
#include "serve/provider.h"
#include "serve/sideline.h"
#include "serve/upstream.h"

#include "base/alone.h"
#include "base/cancel.h"
#include "base/log.h"
#include "bucket/bucket.h"
#include "cache/volume.h"
#include "fetch/commands.h"

enum { CONNECTIONS = 2048, TIMEOUT_S = 60, OUT_BYTES = 4096 };

struct serve_opts {
    const char *listen;
    const char *volume;
    const char *prefix;
    const char *name;
    const char *tokens;
    const char *tls_cert;
    const char *tls_key;
    const char *upstream;
    const char *cache;
    int64_t fetches;
    int64_t connections;
    int64_t timeout_s;
};

static const struct serve_opts defaults = { .connections = CONNECTIONS,
    .timeout_s = TIMEOUT_S };

static const struct opt opts[] = {
    { 'l', "listen", OPT_STR, offsetof(struct serve_opts, listen), "HOST:PORT",
        "where clients find it; :PORT is all addresses of the machine", 0, 0,
        NULL },
    { .name = "volume",
        .type = OPT_STR,
        .at = offsetof(struct serve_opts, volume),
        .arg = "V",
        .help = "serve what this volume holds, not the hub cache; it may be "
                "s3://BUCKET/PREFIX" },
    { .name = "cache",
        .type = OPT_STR,
        .at = offsetof(struct serve_opts, cache),
        .arg = "V",
        .help = "keep what comes out of s3:// in this volume, and serve what "
                "it holds; made where there is none" },
    { .name = "upstream",
        .type = OPT_STR,
        .at = offsetof(struct serve_opts, upstream),
        .arg = "URL",
        .help =
            "fetch what is not held from this Hub, or mirror, and keep it" },
    { .name = "fetches",
        .type = OPT_INT,
        .at = offsetof(struct serve_opts, fetches),
        .arg = "N",
        .help = "files fetched from it, or s3://, at once (default 12)",
        .min = 1,
        .max = 64 },
    { .name = "path-prefix",
        .type = OPT_STR,
        .at = offsetof(struct serve_opts, prefix),
        .arg = "PATH",
        .help = "serve below /PATH only: HF_ENDPOINT=http://HOST:PORT/PATH" },
    { .name = "tokens",
        .type = OPT_STR,
        .at = offsetof(struct serve_opts, tokens),
        .arg = "FILE",
        .help = "ask for a token of this file; each line: TOKEN PATTERN..." },
    { .name = "tls-cert",
        .type = OPT_STR,
        .at = offsetof(struct serve_opts, tls_cert),
        .arg = "FILE",
        .help = "speak HTTPS with this certificate chain (PEM)" },
    { .name = "tls-key",
        .type = OPT_STR,
        .at = offsetof(struct serve_opts, tls_key),
        .arg = "FILE",
        .help = "and its private key (PEM)" },
    { .name = "name",
        .type = OPT_STR,
        .at = offsetof(struct serve_opts, name),
        .arg = "NAME",
        .help = "what it calls itself in messages (default: the machine)" },
    { .name = "connections",
        .type = OPT_INT,
        .at = offsetof(struct serve_opts, connections),
        .arg = "N",
        .help = "connections at once (default 2048), half of them of one "
                "address",
        .min = 16,
        .max = 100000 },
    { .name = "timeout",
        .type = OPT_INT,
        .at = offsetof(struct serve_opts, timeout_s),
        .arg = "SECONDS",
        .help = "let go of who sends no request, or takes less than 1 kB/s of "
                "an answer, for so long (default 60)",
        .min = 1,
        .max = 86400 },
    OPT_END,
};

static bool is_bucket(const struct serve_opts *o)
{
    return o->volume != NULL && bucket_is(o->volume);
}

static int check_opts(const struct serve_opts *o, struct err *e)
{
    if (o->listen == NULL) {
        err_set(e, ERR_USAGE, "where to listen is not said");
        return err_hint(e, "add --listen 127.0.0.1:8080, or --listen :8080 for "
                           "other machines, too");
    }
    if (is_bucket(o) && o->upstream != NULL) {
        err_set(e, ERR_USAGE,
            "--upstream: a volume in object storage is one already");
        return err_hint(e,
            "mlfetch pull REPO --volume %s brings there what is "
            "missing",
            o->volume);
    }
    if (o->cache == NULL && is_bucket(o)) {
        err_set(e, ERR_USAGE, "where to keep what comes out of %s is not said",
            o->volume);
        return err_hint(e, "add --cache NAME: a volume for that alone, since "
                           "whatever it holds is served");
    }
    if (o->cache != NULL && !is_bucket(o))
        return err_set(e, ERR_USAGE,
            "--cache is for --volume s3://: any other volume keeps it itself");
    if (o->fetches != 0 && o->upstream == NULL && !is_bucket(o))
        return err_set(
            e, ERR_USAGE, "--fetches says how to use --upstream, or s3://");
    if ((o->tls_cert == NULL) != (o->tls_key == NULL))
        return err_set(
            e, ERR_USAGE, "--tls-cert and --tls-key are given together");
    if (o->tls_cert != NULL && alone_is()) {
        err_set(e, ERR_USAGE,
            "--tls-cert: this program is linked statically, without TLS for "
            "its clients");
        return err_hint(e, "use one that is not, or put a proxy before it");
    }
    return 0;
}

/* A bucket's cache is made where there is none; a volume that is to be served
 * is not: its name may be wrong. */
static int find_hub(
    const struct serve_opts *o, struct hubdir *out, struct err *e)
{
    const char *name = is_bucket(o) ? o->cache : o->volume;
    struct volume v;
    bool created = false;

    if (name == NULL)
        return hubdir_default(out, e);
    if (volume_locate(&v, name, e) != 0 ||
        (is_bucket(o) ? volume_create(&v, &created, e) : volume_check(&v, e)) !=
            0)
        return -1;
    if (created)
        log_info("created the volume %s", v.root);
    return volume_hub(&v, out, e);
}

/* Who is asked for what is not held. */
struct behind {
    struct provider *provider;
    struct upstream *upstream;
};

static void behind_close(struct behind *b)
{
    upstream_close(b->upstream);
    provider_close(b->provider);
}

/* A wrong bucket leaves no cache behind. */
static int behind_open(struct behind *b, const struct serve_opts *o,
    struct mirror_opts *how, struct err *e)
{
    struct upstream_opts from = { .dir = &how->hub,
        .fetches = (unsigned)o->fetches };

    if (is_bucket(o))
        b->provider = provider_bucket(o->volume, e);
    else if (o->upstream != NULL)
        b->provider = provider_hub(o->upstream, o->tokens != NULL, e);
    if (e->kind != ERR_NONE || find_hub(o, &how->hub, e) != 0)
        return -1;
    if (b->provider == NULL)
        return 0;
    from.from = b->provider;
    b->upstream = upstream_open(&from, e);
    if (b->upstream == NULL)
        return -1;
    how->supplier = upstream_supplier(b->upstream);
    return 0;
}

static int serve(struct mirror *m, const struct mirror_opts *how, struct err *e)
{
    struct buf out AUTO(buf_free) = BUF_INIT(OUT_BYTES);

    buf_printf(&out, "%s\n", mirror_url(m));
    if (cmd_print(&out, e) != 0 || cmd_flush(e) != 0)
        return -1;
    log_info("serving %s; point clients here: HF_ENDPOINT=%s", how->hub.root,
        mirror_url(m));
    mirror_run(m);
    return 0;
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct serve_opts *o = values;
    struct mirror_opts how = { .listen = o->listen,
        .prefix = o->prefix,
        .name = o->name,
        .tokens = o->tokens,
        .tls_cert = o->tls_cert,
        .tls_key = o->tls_key,
        .connections = (unsigned)o->connections,
        .timeout_s = (unsigned)o->timeout_s,
        .log = !ctx->quiet };
    struct sideline *log;
    struct behind behind = { .provider = NULL };
    struct mirror *m = NULL;
    int rc;

    (void)argc;
    (void)argv;
    if (check_opts(o, e) != 0)
        return -1;
    cancel_arm();
    log = sideline_open(e);
    if (log == NULL)
        return -1;
    rc = behind_open(&behind, o, &how, e);
    if (rc == 0)
        m = mirror_open(&how, e);
    if (m != NULL)
        rc = serve(m, &how, e);
    mirror_close(m);
    behind_close(&behind);
    sideline_close(log);
    return e->kind == ERR_NONE ? rc : -1;
}

static const struct cmd_example examples[] = {
    { "mlfetch serve --listen :8080 --volume team",
        "what 'team' holds, for other machines" },
    { "mlfetch serve --listen :8080 --volume team --upstream "
      "https://huggingface.co",
        "and what it does not hold, fetched once for all of them" },
    { "mlfetch serve --listen :8080 --volume s3://team/models --cache warm",
        "a volume in object storage, by way of this machine's disk" },
    { "HF_ENDPOINT=http://mirror:8080 hf download org/model",
        "on one of them" },
    { "mlfetch serve --listen :8443 --tokens guests --tls-cert c.pem --tls-key "
      "k.pem",
        "with HTTPS, for those who have a token" },
    { NULL, NULL },
};

const struct cmd cmd_serve = {
    .name = "serve",
    .args = "",
    .brief = "serve what is held to other machines, as a Hub",
    .text =
        "Whatever honours HF_ENDPOINT can pull from it: huggingface_hub, "
        "transformers, vLLM, llama.cpp, mlfetch itself. It serves what a "
        "volume, or the hub cache, holds: repositories pulled with mlfetch "
        "or other Hub tools, while more are being pulled. Bytes come from "
        "this machine only; no client is sent elsewhere.\n\n"
        "Prints the URL it serves, then a line for each request to stderr "
        "(none with -q). Shows how it is doing at / (a page), /metrics (for "
        "Prometheus) and /healthz. SIGTERM ends it: what is under way has 5 "
        "seconds.\n\n"
        "With --tokens, who asks must send a token of the file as he would "
        "the Hub's (HF_TOKEN, hf auth login). A line is a token, \"hf_\" and "
        "at least 34 letters and digits, or sha256: and the digest of one; "
        "then patterns of the repositories that it may have: org/*, "
        "datasets/org/*, or * for all, which also opens the page and the "
        "metrics (in a browser the token is the password). A changed file "
        "is read again by itself.\n\n"
        "With --upstream what is not held is fetched, checked, kept, and "
        "passed on while it comes: one transfer, however many ask for it. "
        "What is held is served on when the upstream is gone. The mirror's "
        "own token (HF_TOKEN, or mlfetch login, also while it runs) goes to "
        "the upstream, and what that token may read all clients of the "
        "mirror may. With --tokens a repository that has another name there "
        "by now is refused by its old one, since the patterns are about "
        "names.\n\n"
        "With --volume s3://BUCKET/PREFIX the repositories of that volume are "
        "served (mlfetch pull --volume brings them there). What is asked for "
        "is fetched, checked and passed on in the same way, and kept in the "
        "volume --cache names, which is made where there is none. Let it be "
        "for this bucket alone: whatever it holds is served, and its branches "
        "become what the bucket's are. It grows: what is asked for when the "
        "disk is full gets 507, and mlcache gc --volume CACHE --max-size SIZE "
        "(from a timer, say) lets go of what was not asked for lately. What "
        "was kept stays also when mlcache rm takes it out of the bucket, until "
        "the same is done in the cache. A new commit is seen after 30 seconds, "
        "or when a store that asks to wait may be asked again. The keys come "
        "from the usual environment and files (AWS_ACCESS_KEY_ID ..., "
        "AWS_ENDPOINT_URL), which are read again when the store refuses them. "
        "What is kept is served on when the store is gone.\n\n"
        "Where nobody reads stderr the mirror goes on, and lines are lost.",
    .opts = opts,
    .defaults = &defaults,
    .opts_size = sizeof(struct serve_opts),
    .min_args = 0,
    .max_args = 0,
    .run = run,
    .examples = examples,
};
