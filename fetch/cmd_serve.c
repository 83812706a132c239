#include <unistd.h>

#include "serve/mirror.h"

#include "base/cancel.h"
#include "base/log.h"
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
        .help = "serve what this volume holds, not the hub cache" },
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

static int check_opts(const struct serve_opts *o, struct err *e)
{
    if (o->listen == NULL) {
        err_set(e, ERR_USAGE, "where to listen is not said");
        return err_hint(e, "add --listen 127.0.0.1:8080, or --listen :8080 for "
                           "other machines, too");
    }
    if ((o->tls_cert == NULL) != (o->tls_key == NULL))
        return err_set(
            e, ERR_USAGE, "--tls-cert and --tls-key are given together");
    return 0;
}

static int find_hub(const char *volume, struct hubdir *out, struct err *e)
{
    struct volume v;

    if (volume == NULL)
        return hubdir_default(out, e);
    if (volume_locate(&v, volume, e) != 0 || volume_check(&v, e) != 0)
        return -1;
    return volume_hub(&v, out, e);
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct serve_opts *o = values;
    struct buf out AUTO(buf_free) = BUF_INIT(OUT_BYTES);
    struct mirror_opts how = { .listen = o->listen,
        .prefix = o->prefix,
        .name = o->name,
        .tokens = o->tokens,
        .tls_cert = o->tls_cert,
        .tls_key = o->tls_key,
        .connections = (unsigned)o->connections,
        .timeout_s = (unsigned)o->timeout_s,
        .log = !ctx->quiet };
    struct mirror *m;
    int rc;

    (void)argc;
    (void)argv;
    if (check_opts(o, e) != 0 || find_hub(o->volume, &how.hub, e) != 0)
        return -1;
    cancel_arm();
    m = mirror_open(&how, e);
    if (m == NULL)
        return -1;
    buf_printf(&out, "%s\n", mirror_url(m));
    rc = cmd_print(&out, e);
    if (rc == 0)
        rc = cmd_flush(e);
    if (rc == 0) {
        log_info("serving %s; point clients here: HF_ENDPOINT=%s", how.hub.root,
            mirror_url(m));
        mirror_run(m);
    }
    mirror_close(m);
    return rc;
}

static const struct cmd_example examples[] = {
    { "mlfetch serve --listen :8080 --volume team",
        "what 'team' holds, for other machines" },
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
        "is read again by itself.",
    .opts = opts,
    .defaults = &defaults,
    .opts_size = sizeof(struct serve_opts),
    .min_args = 0,
    .max_args = 0,
    .run = run,
    .examples = examples,
};
