#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "verify/check.h"
#include "verify/commands.h"
#include "verify/shown.h"
#include "verify/signed.h"
#include "verify/targets.h"

enum { JSON_MAX = 512 << 20 };

struct options {
    const char *volume;
    const char *key;
    bool json;
    int64_t threads;
};

static const struct opt opts[] = {
    { .name = "volume",
        .type = OPT_STR,
        .at = offsetof(struct options, volume),
        .arg = "V",
        .help = "look for repositories and names in this volume" },
    { 0, "threads", OPT_INT, offsetof(struct options, threads), "N",
        "threads to use (default: one per core)", 1, 1024, NULL },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct options, json),
        .help = "print the report as one JSON document" },
    { .name = "key",
        .type = OPT_STR,
        .at = offsetof(struct options, key),
        .arg = "PUB",
        .help = "demand a valid signature by this public key of minisign: a "
                "file, or the key itself" },
    OPT_END,
};

static void text_of(struct buf *out, const struct target *t)
{
    size_t failed = findings_failed(&t->report);

    shown_findings(out, &t->report);
    shown_text(out, t->text);
    if (failed == 0)
        buf_puts(out, ": ok\n");
    else
        buf_printf(
            out, ": NOT ok, %zu of %zu checks failed\n", failed, t->report.n);
}

static void json_target(struct buf *out, const struct target *t)
{
    buf_puts(out, "{\"target\": ");
    json_quote(out, t->text);
    buf_puts(out, ", \"path\": ");
    json_quote(out, str_of(t->found.path));
    buf_printf(out, ", \"ok\": %s, \"checks\": ",
        findings_failed(&t->report) == 0 ? "true" : "false");
    shown_findings_json(out, &t->report);
    buf_puts(out, "}");
}

static int print(
    const struct targets *t, const struct options *o, struct err *e)
{
    struct buf out AUTO(buf_free) = BUF_INIT(JSON_MAX);
    bool all = true;

    for (size_t i = 0; i < t->n; i++)
        all = all && findings_failed(&t->v[i].report) == 0;
    if (o->json)
        buf_printf(&out, "{\"ok\": %s, \"targets\": [", all ? "true" : "false");
    for (size_t i = 0; i < t->n; i++) {
        if (o->json && i > 0)
            buf_puts(&out, ",\n ");
        if (o->json)
            json_target(&out, &t->v[i]);
        else
            text_of(&out, &t->v[i]);
    }
    if (o->json)
        buf_puts(&out, "]}\n");
    return cmd_print(&out, e);
}

/* The verdict for stderr and the exit status. */
static int verdict(const struct targets *t, struct err *e)
{
    enum err_kind worst = ERR_NONE;
    const struct target *first = NULL;
    size_t bad = 0;

    for (size_t i = 0; i < t->n; i++) {
        enum err_kind kind = findings_worst(&t->v[i].report);

        if (kind != ERR_NONE && bad++ == 0)
            first = &t->v[i];
        worst = findings_worse(worst, kind);
    }
    if (first == NULL)
        return 0;
    if (t->n == 1)
        return err_set(e, worst, "%.300s: %zu of %zu checks failed",
            first->text.p, findings_failed(&first->report), first->report.n);
    return err_set(e, worst, "%zu of %zu targets failed, the first is %.300s",
        bad, t->n, first->text.p);
}

static int check_all(const struct cmd_ctx *ctx, const struct options *o,
    const struct sign_public *key, struct targets *t, struct err *e)
{
    struct pool *pool AUTO(pool_close_auto) =
        pool_open((unsigned)o->threads, e);
    struct check_env env = { .pool = pool, .progress = ctx->progress };

    if (pool == NULL)
        return -1;
    for (size_t i = 0; i < t->n; i++) {
        struct target *one = &t->v[i];

        if (check_found(&env, &one->found, &one->report, e) != 0)
            return -1;
        if (o->key == NULL)
            continue;
        if (one->derived)
            findings_skip(&one->report, "signature",
                "made on this machine: what it was made from is signed");
        else if (signed_found(key, &one->found, &one->report, e) != 0)
            return -1;
    }
    return 0;
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    struct targets targets AUTO(targets_free) = TARGETS_INIT;
    const struct options *o = values;
    struct sign_public key = { .id = { 0 } };

    /* All of them first: a mistyped one costs no hour of hashing. */
    if (o->key != NULL && sign_public_read(&key, o->key, e) != 0)
        return -1;
    for (int i = 0; i < argc; i++)
        if (targets_add(&targets, argv[i], o->volume, e) != 0)
            return -1;
    if (check_all(ctx, o, &key, &targets, e) != 0 || print(&targets, o, e) != 0)
        return -1;
    return verdict(&targets, e);
}

static const struct cmd_example examples[] = {
    { "mlverify check org/name", "a repository held in the hub cache" },
    { "mlverify check model.pt", "is this file whole, and safe to load" },
    { "mlverify check --json converted/", "a converted model, for a program" },
    { "mlverify check --key minisign.pub x.pt", "signed, and by whom" },
    { NULL, NULL },
};

const struct cmd cmd_check = {
    .name = "check",
    .args = "TARGET...",
    .brief = "read every byte and say whether it is right",
    .text =
        "TARGET is a file, a folder, a repository held in the hub cache or "
        "in a volume, or VOLUME:NAME. The report has one line per check: ok, "
        "FAIL, skip (not checked, and why) or note, then the name of the check "
        "and what was found.\n\n"
        "Weight files are parsed strictly; index and shards must agree; "
        "pickles that ask for functions known to do harm are refused, and "
        "every other foreign name is told. Digests are compared with the "
        "names of the blobs, the listing of the commit, and the manifest of "
        "a converted model; where nobody promised one, the SHA-256 is shown. "
        "A file or folder in the uniform form must keep its promises.\n\n"
        "With --key, the signature file FILE.minisig beside each file must be "
        "valid; in a folder with a manifest, that of the manifest, whose "
        "digests cover the rest. A signature that is missing or not valid is "
        "status 9.\n\n"
        "Of several failures the gravest decides the exit status: 8 (unsafe "
        "or malformed), then 6 (wrong bytes), then 9 (a signature, or a "
        "promise of the uniform form, is broken), then any other.",
    .opts = opts,
    .opts_size = sizeof(struct options),
    .min_args = 1,
    .max_args = -1,
    .run = run,
    .examples = examples,
};
