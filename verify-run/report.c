#include "verify-run/report.h"

#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "verify-run/memory.h"
#include "verify-run/prompt.h"

void report_free(struct report *r)
{
    generate_free(&r->generation);
    ids_free(&r->prompt);
    buf_free(&r->text);
    *r = (struct report)REPORT_INIT;
}

/* ---- numbers all forms show ---- */

double report_tokens_per_second(const struct report *r)
{
    const struct generation *g = &r->generation;

    if (g->decode_steps == 0 || g->decode_seconds <= 0)
        return NAN;
    return g->decode_steps / g->decode_seconds;
}

double report_gb_per_second(const struct report *r)
{
    return report_tokens_per_second(r) *
           (double)r->session->weights.token_bytes / 1e9;
}

const char *report_number(char out[HUMAN_MAX], double v)
{
    if (v >= 1000 && v < 1e15)
        return human_count(out, (uint64_t)(v + 0.5));
    snprintf(out, HUMAN_MAX, "%.4g", v);
    return out;
}

void report_token(struct buf *out, const struct report *r, uint32_t id)
{
    struct buf text AUTO(buf_free) = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;

    if (r->session->tokenizer == NULL ||
        tokenizer_decode(r->session->tokenizer, &id, 1, true, &text, &e) != 0)
        buf_puts(out, "null");
    else
        json_quote(out, buf_str(&text));
}

/* ---- the run ---- */

/* What was recorded is run again, unless something else was asked for. */
static bool replays(const struct report *r)
{
    const struct golden *g = r->o->golden;

    return g != NULL && g->there && g->state != GOLDEN_BROKEN &&
           r->o->wish.text == NULL && r->o->wish.tokens == NULL &&
           !r->o->wish.chat;
}

static int make_prompt(struct report *r, struct err *e)
{
    const struct golden *g = r->o->golden;

    if (!replays(r))
        return prompt_make(r->session, &r->o->wish, &r->prompt, e);
    for (uint32_t i = 0; i < g->n_prompt; i++) {
        if (g->prompt[i] >= r->session->config.vocab)
            return err_set(e, ERR_REFUSED,
                "--golden %s: token id %u: the model's vocabulary ends at %u",
                g->path, g->prompt[i], r->session->config.vocab - 1);
        if (ids_add(&r->prompt, g->prompt[i], e) != 0)
            return -1;
    }
    return 0;
}

/* Where there is no room for texts that may be left out, they are. */
static int start(
    struct report *r, struct session *s, uint32_t need, struct err *e)
{
    uint32_t room = 0;

    if (perplexity_room(s, r->o->perplexity, &room, e) != 0)
        return -1;
    if (session_start(s, (uint32_t)size_max(room, need), e) == 0)
        return 0;
    if (e->kind != ERR_NOSPACE || r->o->perplexity != PERPLEXITY_AUTO ||
        room <= need)
        return -1;
    err_clear(e);
    return session_start(s, need, e);
}

static int generate(struct report *r, struct session *s, struct err *e)
{
    const struct golden *g = r->o->golden;
    struct generate_opts how = {
        .prompt = r->prompt.v,
        .n_prompt = (uint32_t)r->prompt.n,
        .n_new = replays(r) ? g->n_new : r->o->n_new,
        .top_k = r->o->top_k,
        .ignore_eos = replays(r) ? g->ignore_eos : r->o->ignore_eos,
    };

    if (start(r, s, how.n_prompt + how.n_new, e) != 0)
        return -1;
    if (generate_run(s, &how, &r->generation, e) != 0)
        return -1;
    timeline_add(&s->timeline, "prompt", r->generation.first_token_seconds);
    if (r->generation.decode_steps > 0)
        timeline_add(&s->timeline, "new tokens", r->generation.decode_seconds);
    timeline_mark(&s->timeline, "same passes again");
    return 0;
}

/* The prompt and what followed, as one list. */
static int join(struct ids *all, const struct report *r, struct err *e)
{
    const struct generation *g = &r->generation;

    for (size_t i = 0; i < r->prompt.n; i++)
        if (ids_add(all, r->prompt.v[i], e) != 0)
            return -1;
    for (uint32_t i = 0; i < g->n_tokens; i++)
        if (ids_add(all, g->tokens[i], e) != 0)
            return -1;
    return 0;
}

/* Both read the run's tokens and the first built-in text. */
static int compare(
    struct report *r, struct session *s, const struct ids *all, struct err *e)
{
    struct ids text AUTO(ids_free) = IDS_INIT;
    struct sequence v[2] = { { all->v, (uint32_t)all->n } };
    size_t n = 1;

    if (r->perplexity.state == PERPLEXITY_MADE) {
        if (perplexity_ids(s, &text, e) != 0)
            return -1;
        v[n++] = (struct sequence){ text.v, (uint32_t)text.n };
    }
    r->against.name = r->o->against;
    if (against_run(s, r->o->against_opts, v, n, &r->against, e) != 0)
        return -1;
    timeline_mark(&s->timeline, "the other model");
    return 0;
}

static void judge(struct report *r, const struct golden *golden)
{
    struct evidence v = {
        .session = r->session,
        .generation = r->ran ? &r->generation : NULL,
        .perplexity = &r->perplexity,
        .against = r->ran && r->o->against != NULL ? &r->against : NULL,
        .golden = golden,
    };

    checks_make(&r->checks, &v);
}

static int settle(struct report *r, struct err *e)
{
    struct golden_run run = {
        .model = r->o->model,
        .session = r->session,
        .generation = &r->generation,
        .prompt = r->prompt.v,
        .n_prompt = (uint32_t)r->prompt.n,
        .n_new = r->o->n_new,
        .ignore_eos = r->o->ignore_eos,
    };

    judge(r, NULL);
    if (r->o->golden != NULL &&
        golden_settle(r->o->golden, &run, r->checks.good, e) != 0)
        return -1;
    judge(r, r->o->golden);
    return 0;
}

static int run(struct report *r, struct session *s, struct err *e)
{
    struct ids all AUTO(ids_free) = IDS_INIT;

    r->ran = true;
    timeline_start(&s->timeline);
    if (make_prompt(r, e) != 0 || generate(r, s, e) != 0)
        return -1;
    if (!r->generation.fault.found &&
        perplexity_measure(s, r->o->perplexity, &r->perplexity, e) != 0)
        return -1;
    if (perplexity_tried(&r->perplexity))
        timeline_mark(&s->timeline, "built-in texts");
    if (join(&all, r, e) != 0 ||
        prompt_read(s, &all, r->prompt.n, &r->text, &r->new_text, e) != 0)
        return -1;
    if (r->o->against != NULL && compare(r, s, &all, e) != 0)
        return -1;
    return settle(r, e);
}

int report_run(struct report *r, const struct report_opts *o, struct session *s,
    struct err *e)
{
    int rc = 0;

    r->o = o;
    r->session = s;
    if (o->golden != NULL && o->golden->there)
        golden_fits(o->golden, s);
    if (weights_complete(&s->weights))
        rc = run(r, s, e);
    else
        judge(r, o->golden);
    r->peak_memory = memory_peak();
    if (rc == 0 && r->ran && s->backend->facts != NULL)
        s->backend->facts(s->state, &r->facts);
    return rc;
}

double report_upload_rate(const struct report *r)
{
    const struct backend_facts *f = &r->facts;

    return f->upload_seconds > 0 ? (double)f->uploaded / f->upload_seconds
                                 : NAN;
}

double report_copy_share(const struct report *r)
{
    double rate = r->facts.copy_rate;

    return rate > 0 ? report_gb_per_second(r) * 1e9 / rate : NAN;
}
