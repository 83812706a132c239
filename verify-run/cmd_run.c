/* The one command of mlverify-run: options in, report out. */
#include <stdio.h>

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "verify-run/commands.h"
#include "verify-run/converted.h"
#include "verify-run/outfile.h"
#include "verify-run/prompt.h"
#include "verify-run/report.h"

enum { TEXT_MAX = 256 << 20 };

struct run_opts {
    const char *prompt;
    const char *tokens;
    int64_t n;
    int backend;
    int dtype;
    int64_t threads;
    int64_t top_k;
    int perplexity;
    const char *against;
    const char *golden;
    const char *logits;
    const char *report;
    const char *volume;
    const char *out;
    bool bench;
    const char *arch;
    int64_t heads;
    uint64_t memory;
    bool ignore_eos;
    bool json;
    bool chat;
    int chat_format;
    const char *system;
};

/* When it is not given: n is 32, or of --bench 100; top_k is 5. */
static const struct run_opts defaults = { .n = -1, .top_k = -1 };

enum { NEW_TOKENS = 32, TOP_K = 5 };

static const char *const backends[] = { "auto", "cpu", "cuda", NULL };
static const char *const dtypes[] = { "stored", "fp32", "fp16", "bf16", NULL };
static const enum dtype dtype_of[] = { DTYPE_NONE, DTYPE_F32, DTYPE_F16,
    DTYPE_BF16 };
static const char *const perplexities[] = { "auto", "short", "full", "none",
    NULL };

#define AT(field) offsetof(struct run_opts, field)

static const struct opt opts[] = {
    { 'p', "prompt", OPT_STR, AT(prompt), "TEXT", "continue this text", 0, 0,
        NULL },
    { 't', "tokens", OPT_STR, AT(tokens), "ID,ID...",
        "continue these token ids; needs no tokenizer", 0, 0, NULL },
    { 0, "chat", OPT_FLAG, AT(chat), NULL,
        "--prompt is a question, put as the model's chat template puts it", 0,
        0, NULL },
    { 0, "chat-format", OPT_CHOICE, AT(chat_format), "NAME",
        "the form of --chat, where the template is not known or not there", 0,
        0, chat_names },
    { 0, "system", OPT_STR, AT(system), "TEXT",
        "with --chat: what the model is told first", 0, 0, NULL },
    { 'n', "new", OPT_INT, AT(n), "N",
        "how many new tokens; 0 only reads the prompt (default 32, with "
        "--bench 100)",
        0, 1 << 24, NULL },
    { 0, "ignore-eos", OPT_FLAG, AT(ignore_eos), NULL,
        "go on after an end token", 0, 0, NULL },
    { 0, "backend", OPT_CHOICE, AT(backend), "NAME",
        "what computes: auto, cpu or cuda", 0, 0, backends },
    { 0, "dtype", OPT_CHOICE, AT(dtype), "TYPE",
        "weights as stored, or cast first: fp32, fp16 or bf16; computing is "
        "always in fp32",
        0, 0, dtypes },
    { 0, "threads", OPT_INT, AT(threads), "N",
        "threads of the CPU (default: one per core)", 1, 1024, NULL },
    { 'k', "top-k", OPT_INT, AT(top_k), "K",
        "candidates to show for the first new token (default 5)", 0, 1000,
        NULL },
    { 0, "perplexity", OPT_CHOICE, AT(perplexity), "TEXTS",
        "built-in texts to read: short (64 tokens), full, none, or auto: "
        "short, but none for a model that is streamed or leaves no room "
        "(default)",
        0, 0, perplexities },
    { 0, "against", OPT_STR, AT(against), "MODEL",
        "compare the logits with those of another form of the model", 0, 0,
        NULL },
    { 0, "golden", OPT_STR, AT(golden), "FILE",
        "compare the run with the one kept in FILE; keep it when there is none",
        0, 0, NULL },
    { 0, "logits", OPT_STR, AT(logits), "FILE",
        "write the logits after the prompt, little-endian float32", 0, 0,
        NULL },
    { 0, "report", OPT_STR, AT(report), "FILE",
        "write what was found as a page of HTML too", 0, 0, NULL },
    { 0, "arch", OPT_STR, AT(arch), "NAME",
        "the family, or the model of gpt-fast, that MODEL is", 0, 0, NULL },
    { 0, "heads", OPT_INT, AT(heads), "N",
        "how many heads attention has, whatever a config says", 1, 65536,
        NULL },
    { 0, "memory", OPT_SIZE, AT(memory), "SIZE",
        "hold at most this much of the weights, with cuda take at most this "
        "much of the device's memory, each model of --against; the other "
        "weights come again for every token (default: what is available)",
        0, 0, NULL },
    { 0, "volume", OPT_STR, AT(volume), "VOLUME",
        "look for MODEL in this volume, not in the hub cache", 0, 0, NULL },
    { 0, "bench", OPT_FLAG, AT(bench), NULL,
        "measure the speed of all MODELs instead: 5 runs each after a "
        "warm-up",
        0, 0, NULL },
    { 'o', "output", OPT_STR, AT(out), "FILE",
        "with --bench, write the results as JSON to FILE too", 0, 0, NULL },
    { 0, "json", OPT_FLAG, AT(json), NULL, "print one JSON document", 0, 0,
        NULL },
    OPT_END,
};

static struct prompt_wish wish_of(const struct run_opts *o)
{
    return (struct prompt_wish){ .text = o->prompt,
        .tokens = o->tokens,
        .chat = o->chat || o->chat_format != CHAT_AUTO,
        .format = (enum chat_format)o->chat_format,
        .system = o->system };
}

static int print(const struct report *r, bool json, struct err *e)
{
    struct buf out AUTO(buf_free) = BUF_INIT(TEXT_MAX);

    if (json)
        report_json(&out, r);
    else
        report_text(&out, r);
    return cmd_print(&out, e);
}

/* What one option wrote must not be replaced by the next. */
static int check_places(const struct run_opts *o, struct err *e)
{
    const char *const v[] = { o->logits, o->report, o->golden };

    for (size_t i = 0; i < ARRAY_LEN(v); i++)
        for (size_t k = 0; k < i; k++)
            if (v[i] != NULL && v[k] != NULL && strcmp(v[i], v[k]) == 0)
                return err_set(e, ERR_USAGE,
                    "--logits, --report and --golden: '%s' is named twice",
                    v[i]);
    if (outfile_check("--logits", o->logits, e) != 0)
        return -1;
    return outfile_check("--report", o->report, e);
}

static int write_page(const char *path, const struct report *r, struct err *e)
{
    struct buf out AUTO(buf_free) = BUF_INIT(TEXT_MAX);

    if (path == NULL)
        return 0;
    report_html(&out, r);
    if (buf_check(&out, e) != 0 || file_put(path, out.p, out.len, 0644, e) != 0)
        return err_ctx(e, "--report");
    return 0;
}

static int run_model(const struct run_opts *o, struct report_opts *how,
    const struct session_opts *session, struct err *e)
{
    struct session s AUTO(session_close) = SESSION_INIT;
    struct report r AUTO(report_free) = REPORT_INIT;

    if (session_open(&s, session, e) != 0)
        return -1;
    if (s.tokenizer == NULL && s.no_tokenizer.kind != ERR_MISSING)
        log_warn("no tokenizer: %s", s.no_tokenizer.msg);
    if (report_run(&r, how, &s, e) != 0)
        return -1;
    if (o->logits != NULL && r.ran &&
        file_put(o->logits, r.generation.logits, s.config.vocab * sizeof(float),
            0644, e) != 0)
        return -1;
    if (write_page(o->report, &r, e) != 0 || print(&r, o->json, e) != 0)
        return -1;
    /* The verdict was printed; an empty text says so. */
    return r.checks.good ? 0 : err_set(e, ERR_VERDICT, "%s", "");
}

static struct session_opts session_of(const struct run_opts *o)
{
    return (struct session_opts){ .as = dtype_of[o->dtype],
        .threads = (unsigned)o->threads,
        .memory = o->memory,
        .backend = (enum backend_choice)o->backend,
        .wish = { o->arch, (uint32_t)o->heads } };
}

static int run_bench(
    const struct run_opts *o, int argc, char **argv, struct err *e)
{
    struct bench_opts how = { .wish = wish_of(o),
        .n_new = o->n < 0 ? BENCH_TOKENS : (uint32_t)o->n,
        .dtype = dtypes[o->dtype],
        .volume = o->volume,
        .session = session_of(o) };
    struct bench_out to = { .json = o->json, .file = o->out };

    if (o->n == 0)
        return err_set(e, ERR_USAGE, "--bench needs tokens to count: -n 0");
    if (o->perplexity != defaults.perplexity || o->top_k != defaults.top_k ||
        o->ignore_eos)
        return err_set(e, ERR_USAGE,
            "--bench only measures: it has no --perplexity and no --top-k, "
            "and always goes on after an end token");
    if (o->against != NULL || o->golden != NULL || o->logits != NULL ||
        o->report != NULL)
        return err_set(e, ERR_USAGE,
            "--bench excludes --against, --golden, --logits and --report");
    if (outfile_check("--output", o->out, e) != 0)
        return -1;
    return cmd_bench(&how, &to, argc, argv, e);
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct run_opts *o = values;
    struct golden golden AUTO(golden_free) = GOLDEN_INIT;
    char path[PATH_MAX];
    char other[PATH_MAX];
    struct session_opts session = session_of(o);
    struct session_opts against = session;
    struct report_opts how = { .model = argv[0],
        .wish = wish_of(o),
        .n_new = o->n < 0 ? NEW_TOKENS : (uint32_t)o->n,
        .top_k = o->top_k < 0 ? TOP_K : (uint32_t)o->top_k,
        .ignore_eos = o->ignore_eos,
        .perplexity = (enum perplexity_wish)o->perplexity,
        .against = o->against,
        .against_opts = &against,
        .golden = o->golden != NULL ? &golden : NULL };
    bool converted;

    (void)ctx;
    session.path = path;
    against.path = other;
    against.as = DTYPE_NONE;
    against.wish.arch = NULL; /* the other form may have other names */
    if (prompt_check(&how.wish, e) != 0)
        return -1;
    if (o->bench)
        return run_bench(o, argc, argv, e);
    if (argc > 1 || o->out != NULL)
        return err_set(e, ERR_USAGE,
            argc > 1 ? "one MODEL at a time, except with --bench"
                     : "--output goes with --bench");
    if (check_places(o, e) != 0 ||
        (o->golden != NULL && golden_open(&golden, o->golden, e) != 0) ||
        converted_place(argv[0], o->volume, path, &converted, e) != 0)
        return -1;
    how.note = converted ? path : "";
    if (o->against != NULL &&
        converted_place(o->against, o->volume, other, &converted, e) != 0)
        return -1;
    return run_model(o, &how, &session, e);
}

static const struct cmd_example examples[] = {
    { "mlverify-run EleutherAI/pythia-1b", "run what was fetched" },
    { "mlverify-run ./model --prompt 'Once upon a time' -n 50 --json",
        "continue a text, for a program to read" },
    { "mlverify-run ./model --tokens 1,15043 -n 0 --logits out.f32",
        "only the logits after two tokens" },
    { "mlverify-run ./model --against ./model-int8",
        "what quantisation changed" },
    { "mlverify-run ./model --golden run.json",
        "keep this run; the next time, compare with it" },
    { "mlverify-run ./model --perplexity full --report model.html",
        "a page to look at" },
    { "mlverify-run --bench ./model ./model-int8 -o speed.json",
        "a table of both, and a file for other programs" },
    { "mlverify-run ./Llama-2-7b-chat-hf/model_int8.pth --tokens 1",
        "a file of gpt-fast" },
    { NULL, NULL },
};

const struct cmd cmd_run = {
    .name = NULL,
    .args = "MODEL...",
    .brief = "run a model and check that its numbers make sense",
    .text =
        "MODEL is a repository held in the hub cache, a folder, or one file "
        "of weights. Its weights are checked against its config, a prompt is "
        "continued with the most likely token each time, and the text is "
        "printed with a short report.\n\n"
        "A model's numbers come from config.json, from a config inside the "
        "file, or from names and shapes; the report says from where.\n\n"
        "Checks: every tensor is there and none contradicts the config "
        "(tensors), shapes and types are right (shapes), no matrix is empty "
        "(values), the tokenizer can be read and is this model's (tokenizer), "
        "no value is infinite or no number (finite), the logits tell tokens "
        "apart (logits), cached steps agree with one pass over the same tokens "
        "(cache), the same pass twice gives the same bits (repeat), and a "
        "built-in text is expected as by a model that was trained "
        "(perplexity): much more than the same tokens shuffled, and more "
        "than chance where they are worth little. Swapped tensors, random "
        "weights and another model's tokenizer fail it.\n\n"
        "--dtype rounds every weight to a type before it is used, int8 ones "
        "too; sums are always made in fp32. --against reads the same tokens "
        "with another container, type or quantisation of the model, as it is "
        "stored, and judges how far the logits drift. "
        "--golden keeps what a run computed in a small file; with a file "
        "that is there the recorded prompt is run again and compared. "
        "ml-run(5) has the keys of --json and of that file. When a check "
        "fails the exit status is 9.",
    .opts = opts,
    .defaults = &defaults,
    .opts_size = sizeof(struct run_opts),
    .min_args = 1,
    .max_args = -1,
    .run = run,
    .examples = examples,
};
