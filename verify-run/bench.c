#include "verify-run/bench.h"

#include <math.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"
#include "verify-run/converted.h"
#include "verify-run/memory.h"
#include "verify-run/prompt.h"

static const char text_prompt[] =
    "A steam engine is a machine that turns heat into motion. It works by";

double bench_deviation(const double *v, size_t n)
{
    double mean = 0;
    double squares = 0;

    for (size_t i = 0; i < n; i++)
        mean += v[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (v[i] - mean) * (v[i] - mean);
    return n > 1 ? sqrt(squares / (double)(n - 1)) : 0;
}

/* Continue the prompt by n tokens; they stand behind it in all. */
static int continue_by(struct session *s, uint32_t *all, uint32_t n_prompt,
    uint32_t n, double *first, struct err *e)
{
    double start = clock_seconds();
    struct backend_pass p = { .tokens = all, .n = n_prompt };

    for (uint32_t i = 0; i < n; i++) {
        if (cancel_check(e) != 0 || s->backend->forward(s->state, &p, e) != 0)
            return -1;
        if (i == 0)
            *first = clock_seconds() - start;
        if (p.fault.found)
            return err_set(e, ERR_VERDICT,
                "not finite at position %u: run it without --bench",
                p.pos + p.n - 1);
        all[n_prompt + i] = p.argmax;
        p.tokens = all + n_prompt + i;
        p.pos = n_prompt + i;
        p.n = 1;
    }
    return 0;
}

static int time_runs(
    struct bench_model *out, struct session *s, uint32_t *all, struct err *e)
{
    uint32_t warm = (uint32_t)size_min(BENCH_WARM_UP, out->n_new);
    double first;

    if (continue_by(s, all, out->n_prompt, warm, &first, e) != 0)
        return -1;
    for (int i = 0; i < BENCH_RUNS; i++) {
        double start = clock_seconds();

        if (continue_by(s, all, out->n_prompt, out->n_new, &first, e) != 0)
            return -1;
        out->seconds[i] = clock_seconds() - start;
        out->first_token_seconds += first / BENCH_RUNS;
        log_info("%s: run %d of %d: %.2f tokens/s", out->name, i + 1,
            BENCH_RUNS, out->n_new / out->seconds[i]);
    }
    return 0;
}

static void sum_up(struct bench_model *out)
{
    double rates[BENCH_RUNS];

    for (int i = 0; i < BENCH_RUNS; i++) {
        out->mean_seconds += out->seconds[i] / BENCH_RUNS;
        rates[i] = out->n_new / out->seconds[i];
    }
    out->std_seconds = bench_deviation(out->seconds, BENCH_RUNS);
    out->std_tokens_per_second = bench_deviation(rates, BENCH_RUNS);
    out->tokens_per_second = out->n_new / out->mean_seconds;
    out->gb_per_second =
        (double)out->token_bytes * out->tokens_per_second / 1e9;
}

static void describe(struct bench_model *out, const struct session *s)
{
    out->architecture = s->config.arch->model_type;
    out->parameters = s->weights.parameters;
    out->bytes = s->weights.bytes;
    out->token_bytes = s->weights.token_bytes;
    out->dtype = s->weights.dtype;
    out->int8 = session_coarsest(s) == DTYPE_I8;
    out->backend = s->backend->name;
    out->load_seconds = s->load_seconds;
    memcpy(out->device, s->opened.device, sizeof(out->device));
}

static int prepare(struct bench_model *out, struct session *s,
    const struct bench_opts *o, struct ids *prompt, struct err *e)
{
    struct prompt_wish wish = o->wish;

    if (!weights_complete(&s->weights))
        return err_set(e, ERR_VERDICT,
            "tensors are missing or wrong: run it without --bench");
    if (wish.text == NULL && s->tokenizer != NULL)
        wish.text = text_prompt;
    if (prompt_make(s, &wish, prompt, e) != 0)
        return -1;
    if (prompt->n >= s->config.context)
        return err_set(e, ERR_USAGE,
            "the prompt has %zu tokens, and the model %u positions", prompt->n,
            s->config.context);
    out->n_prompt = (uint32_t)prompt->n;
    out->n_new =
        (uint32_t)size_min(o->n_new, s->config.context - out->n_prompt);
    return session_start(s, out->n_prompt + out->n_new, e);
}

static int measure(
    struct bench_model *out, const struct bench_opts *o, struct err *e)
{
    struct session s AUTO(session_close) = SESSION_INIT;
    struct arena scratch AUTO(arena_free) = ARENA_INIT(UINT64_MAX);
    struct ids prompt AUTO(ids_free) = IDS_INIT;
    struct session_opts how = o->session;
    char path[PATH_MAX];
    bool converted;
    uint32_t *all;

    how.path = path;
    if (converted_place(out->name, o->volume, path, &converted, e) != 0 ||
        session_open(&s, &how, e) != 0 || prepare(out, &s, o, &prompt, e) != 0)
        return -1;
    all = arena_alloc(
        &scratch, (uint64_t)out->n_prompt + out->n_new, sizeof(*all), e);
    if (all == NULL)
        return -1;
    memcpy(all, prompt.v, prompt.n * sizeof(*all));
    describe(out, &s);
    if (time_runs(out, &s, all, e) != 0)
        return -1;
    sum_up(out);
    out->peak_memory = memory_peak();
    return 0;
}

int bench_run(struct bench_model *out, const char *name,
    const struct bench_opts *o, struct err *e)
{
    *out = (struct bench_model){ .name = name };
    memory_peak_reset();
    if (measure(out, o, &out->why) == 0)
        return 0;
    if (out->why.kind != ERR_CANCELLED)
        return 0;
    *e = out->why;
    return -1;
}
