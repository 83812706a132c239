/* The one command of mlverify-run: options in, report out. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "cache/find.h"
#include "verify-run/commands.h"
#include "verify-run/converted.h"
#include "verify-run/prompt.h"
#include "verify-run/report.h"

enum { TEXT_MAX = 64 << 20 };

enum { RUN_STORED, RUN_FP32 };

struct run_opts {
    const char *prompt;
    const char *tokens;
    int64_t n;
    int backend;
    int dtype;
    int64_t threads;
    int64_t top_k;
    const char *logits;
    const char *volume;
    bool ignore_eos;
    bool json;
};

static const struct run_opts defaults = { .n = 32, .top_k = 5 };

static const char *const backends[] = { "auto", "cpu", "cuda", NULL };
static const char *const dtypes[] = { "stored", "fp32", NULL };

#define AT(field) offsetof(struct run_opts, field)

static const struct opt opts[] = {
    { 'p', "prompt", OPT_STR, AT(prompt), "TEXT", "continue this text", 0, 0,
        NULL },
    { 't', "tokens", OPT_STR, AT(tokens), "ID,ID...",
        "continue these token ids; needs no tokenizer", 0, 0, NULL },
    { 'n', "new", OPT_INT, AT(n), "N",
        "how many new tokens; 0 only reads the prompt (default 32)", 0, 1 << 24,
        NULL },
    { 0, "ignore-eos", OPT_FLAG, AT(ignore_eos), NULL,
        "go on after an end token", 0, 0, NULL },
    { 0, "backend", OPT_CHOICE, AT(backend), "NAME",
        "what computes: auto, cpu or cuda", 0, 0, backends },
    { 0, "dtype", OPT_CHOICE, AT(dtype), "TYPE",
        "weights as stored, or widened to fp32 first", 0, 0, dtypes },
    { 0, "threads", OPT_INT, AT(threads), "N",
        "threads of the CPU (default: one per core)", 1, 1024, NULL },
    { 'k', "top-k", OPT_INT, AT(top_k), "K",
        "candidates to show for the first new token (default 5)", 0, 1000,
        NULL },
    { 0, "logits", OPT_STR, AT(logits), "FILE",
        "write the logits after the prompt, little-endian float32", 0, 0,
        NULL },
    { 0, "volume", OPT_STR, AT(volume), "VOLUME",
        "look for MODEL in this volume, not in the hub cache", 0, 0, NULL },
    { 0, "json", OPT_FLAG, AT(json), NULL, "print one JSON document", 0, 0,
        NULL },
    OPT_END,
};

static uint64_t peak_memory(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)u.ru_maxrss * 1024;
}

static int print(const struct report *r, bool json, struct err *e)
{
    struct buf out AUTO(buf_free) = BUF_INIT(TEXT_MAX);

    if (json)
        report_json(&out, r);
    else
        report_text(&out, r);
    if (buf_check(&out, e) != 0)
        return -1;
    if (fwrite(out.p, 1, out.len, stdout) != out.len || fflush(stdout) != 0)
        return err_sys(e, "standard output");
    return 0;
}

/* The verdict was printed; an empty text says so. */
static int verdict(const struct report *r, struct err *e)
{
    struct check checks[CHECK_COUNT];

    return report_checks(r, checks) ? 0 : err_set(e, ERR_VERDICT, "%s", "");
}

static int join(struct ids *all, const struct ids *prompt,
    const struct generation *g, struct err *e)
{
    for (size_t i = 0; i < prompt->n; i++)
        if (ids_add(all, prompt->v[i], e) != 0)
            return -1;
    for (uint32_t i = 0; i < g->n_tokens; i++)
        if (ids_add(all, g->tokens[i], e) != 0)
            return -1;
    return 0;
}

static int finish(const struct run_opts *o, struct report *r,
    const struct ids *prompt, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct ids all AUTO(ids_free) = IDS_INIT;
    const struct generation *g = r->generation;

    if (join(&all, prompt, g, e) != 0 ||
        prompt_read(r->session, &all, prompt->n, &text, &r->new_text, e) != 0)
        return -1;
    r->text = buf_str(&text);
    if (o->logits != NULL &&
        file_put(o->logits, g->logits, r->session->config.vocab * sizeof(float),
            0644, e) != 0)
        return -1;
    if (print(r, o->json, e) != 0)
        return -1;
    return verdict(r, e);
}

static int run_model(const struct run_opts *o, struct session *s,
    struct report *r, struct err *e)
{
    struct generation g AUTO(generate_free) = GENERATION_INIT;
    struct ids prompt AUTO(ids_free) = IDS_INIT;
    struct generate_opts how = { .n_new = (uint32_t)o->n,
        .top_k = (uint32_t)o->top_k,
        .ignore_eos = o->ignore_eos };

    if (prompt_make(s, o->prompt, o->tokens, &prompt, e) != 0)
        return -1;
    how.prompt = prompt.v;
    how.n_prompt = (uint32_t)prompt.n;
    if (session_start(s, how.n_prompt + how.n_new, e) != 0 ||
        generate_run(s, &how, &g, e) != 0)
        return -1;
    r->generation = &g;
    r->prompt = prompt.v;
    r->n_prompt = how.n_prompt;
    r->peak_memory = peak_memory();
    return finish(o, r, &prompt, e);
}

/* What a long run is for must have a place before it starts. */
static int check_logits(const char *path, struct err *e)
{
    char folder[PATH_MAX];
    struct stat st;

    if (path == NULL)
        return 0;
    if (*path_base(path) == '\0')
        return err_set(e, ERR_USAGE, "--logits '%s': no name for a file", path);
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return err_set(
            e, ERR_USAGE, "--logits %s: is there, and no file", path);
    path_dir(folder, sizeof(folder), path);
    if (stat(folder, &st) != 0 || access(folder, W_OK | X_OK) != 0)
        return err_sys(e, "--logits %s: %s", path, folder);
    if (!S_ISDIR(st.st_mode))
        return err_set(
            e, ERR_USAGE, "--logits %s: %s is no folder", path, folder);
    return 0;
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct run_opts *o = values;
    struct session s AUTO(session_close) = SESSION_INIT;
    struct session_opts how = { .fp32 = o->dtype == RUN_FP32,
        .threads = (unsigned)o->threads,
        .backend = (enum backend_choice)o->backend };
    struct report r = { .model = argv[0], .note = "", .session = &s };
    char converted[PATH_MAX];
    struct found found;

    (void)ctx;
    (void)argc;
    if (prompt_check(o->prompt, o->tokens, e) != 0 ||
        check_logits(o->logits, e) != 0 ||
        find_model(argv[0], o->volume, &found, e) != 0)
        return -1;
    how.path = found.path;
    if (converted_find(found.converted, found.commit, converted)) {
        log_info("using the converted form in %s", converted);
        how.path = converted;
        r.note = converted;
    }
    if (session_open(&s, &how, e) != 0)
        return -1;
    if (s.tokenizer == NULL && s.no_tokenizer.kind != ERR_MISSING)
        log_warn("no tokenizer: %s", s.no_tokenizer.msg);
    if (weights_complete(&s.weights))
        return run_model(o, &s, &r, e);
    r.peak_memory = peak_memory();
    if (print(&r, o->json, e) != 0)
        return -1;
    return verdict(&r, e);
}

static const struct cmd_example examples[] = {
    { "mlverify-run EleutherAI/pythia-1b", "run what was fetched" },
    { "mlverify-run ./model --prompt 'Once upon a time' -n 50 --json",
        "continue a text, for a program to read" },
    { "mlverify-run ./model --tokens 1,15043 -n 0 --logits out.f32",
        "only the logits after two tokens" },
    { NULL, NULL },
};

const struct cmd cmd_run = {
    .name = NULL,
    .args = "MODEL",
    .brief = "run a model and check that its numbers make sense",
    .text =
        "MODEL is a repository held in the hub cache, a folder, or one file "
        "of weights. Its weights are checked against its config, a prompt is "
        "continued with the most likely token each time, and the text is "
        "printed with a short report.\n\n"
        "Checks: every tensor is there and none contradicts the config "
        "(tensors), shapes and types are right (shapes), no value is "
        "infinite or no number (finite), the logits tell tokens apart "
        "(logits), and cached steps agree with one pass over the same "
        "tokens (cache). When one fails the exit status is 9.",
    .opts = opts,
    .defaults = &defaults,
    .opts_size = sizeof(struct run_opts),
    .min_args = 1,
    .max_args = 1,
    .run = run,
    .examples = examples,
};
