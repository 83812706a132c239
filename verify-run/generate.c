#include "verify-run/generate.h"

#include <math.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "verify-run/drift.h"
#include "verify-run/ops.h"

enum {
    AGREEMENT_STEPS = 4, /* cached steps the comparison covers at most */
    AGREEMENT_MAX = 256  /* tokens; beyond, another pass is not cheap */
};

/* What one call of generate_run works on. */
struct run {
    struct session *s;
    const struct generate_opts *o;
    struct generation *g;
    uint32_t *all; /* prompt and new tokens */
    uint32_t n_all;
    float *logits;   /* of the latest step */
    float *kept;     /* of the step the comparison is made for */
    uint32_t n_kept; /* tokens that step had seen; 0: none yet */
};

void generate_free(struct generation *g)
{
    arena_free(&g->arena);
    *g = (struct generation)GENERATION_INIT;
}

bool generate_degenerate(const float *logits, uint32_t n)
{
    bool equal = n > 1;

    for (uint32_t i = 1; i < n && equal; i++)
        equal = logits[i] == logits[0];
    return equal || !ops_finite(logits, n);
}

/* Is a better than b? A NaN is worse than anything. */
static bool better(const float *logits, uint32_t a, uint32_t b)
{
    if (isnan(logits[b]))
        return !isnan(logits[a]) || a < b;
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
}

uint32_t generate_top(
    struct candidate *out, uint32_t k, const float *logits, uint32_t n)
{
    double sum = 0;
    uint32_t len = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = len;

        while (at > 0 && better(logits, i, out[at - 1].id))
            at--;
        if (at >= k)
            continue;
        len += len < k;
        memmove(out + at + 1, out + at, (len - at - 1) * sizeof(*out));
        out[at] = (struct candidate){ .id = i, .logit = logits[i] };
    }
    for (uint32_t i = 0; i < n && len > 0; i++)
        sum += exp((double)logits[i] - (double)out[0].logit);
    for (uint32_t i = 0; i < len; i++)
        out[i].probability =
            exp((double)out[i].logit - (double)out[0].logit) / sum;
    return len;
}

double generate_entropy(const float *logits, uint32_t n)
{
    double all = ops_log_sum(logits, n);
    double sum = 0;

    for (uint32_t i = 0; i < n; i++) {
        double log_p = (double)logits[i] - all;

        sum -= exp(log_p) * fmax(log_p, -1e4);
    }
    return sum;
}

float generate_lead(const float *logits, uint32_t n)
{
    float best = -INFINITY;
    float second = -INFINITY;

    for (uint32_t i = 0; i < n; i++) {
        if (logits[i] > best) {
            second = best;
            best = logits[i];
        } else if (logits[i] > second) {
            second = logits[i];
        }
    }
    return n > 1 ? best - second : 0;
}

static int prepare(struct run *r, struct err *e)
{
    struct generation *g = r->g;
    uint64_t vocab = r->s->config.vocab;
    uint64_t total = (uint64_t)r->o->n_prompt + r->o->n_new;

    *g = (struct generation){ .arena = ARENA_INIT((uint64_t)1 << 62) };
    r->all = arena_alloc(&g->arena, total, sizeof(*r->all), e);
    r->logits = arena_alloc(&g->arena, vocab, sizeof(float), e);
    r->kept = arena_alloc(&g->arena, vocab, sizeof(float), e);
    g->logits = arena_alloc(&g->arena, vocab, sizeof(float), e);
    g->ranges = arena_alloc(
        &g->arena, (uint64_t)r->s->config.layers + 1, sizeof(*g->ranges), e);
    g->leads = arena_alloc(&g->arena, r->o->n_new, sizeof(*g->leads), e);
    g->top =
        arena_alloc(&g->arena, (uint64_t)r->o->top_k + 1, sizeof(*g->top), e);
    if (r->all == NULL || r->logits == NULL || r->kept == NULL ||
        g->logits == NULL || g->leads == NULL || g->ranges == NULL ||
        g->top == NULL)
        return -1;
    memcpy(r->all, r->o->prompt, r->o->n_prompt * sizeof(*r->all));
    r->n_all = r->o->n_prompt;
    g->tokens = r->all + r->o->n_prompt;
    return 0;
}

/* One pass over all[pos .. n_all); next gets its most likely successor. */
static int step(struct run *r, uint32_t pos, uint32_t *next, struct err *e)
{
    struct generation *g = r->g;
    struct backend_pass p = {
        .tokens = r->all + pos,
        .n = r->n_all - pos,
        .pos = pos,
        .logits = r->logits,
        .ranges = pos == 0 ? g->ranges : NULL,
    };

    if (cancel_check(e) != 0 || r->s->backend->forward(r->s->state, &p, e) != 0)
        return -1;
    *next = p.argmax;
    if (p.fault.found && !g->fault.found) {
        g->fault = p.fault;
        g->fault_pos = pos;
    }
    if (generate_degenerate(r->logits, r->s->config.vocab))
        g->degenerate = true;
    return 0;
}

static int first_step(struct run *r, uint32_t *next, struct err *e)
{
    struct generation *g = r->g;
    uint32_t vocab = r->s->config.vocab;
    double start = clock_seconds();

    if (step(r, 0, next, e) != 0)
        return -1;
    g->first_token_seconds = clock_seconds() - start;
    memcpy(g->logits, r->logits, vocab * sizeof(float));
    g->entropy = generate_entropy(g->logits, vocab);
    g->n_top = generate_top(g->top, r->o->top_k, g->logits, vocab);
    return 0;
}

/* Take the token; true when it is the last. */
static bool take(struct run *r, uint32_t token)
{
    r->all[r->n_all++] = token;
    r->g->leads[r->g->n_tokens++] =
        generate_lead(r->logits, r->s->config.vocab);
    r->g->ended = !r->o->ignore_eos && config_is_eos(&r->s->config, token);
    return r->g->ended || r->g->n_tokens == r->o->n_new;
}

static int decode(struct run *r, uint32_t next, struct err *e)
{
    struct generation *g = r->g;
    double start = clock_seconds();

    while (!g->fault.found && !take(r, next)) {
        if (step(r, r->n_all - 1, &next, e) != 0)
            return -1;
        g->decode_steps++;
        if (g->decode_steps > AGREEMENT_STEPS)
            continue;
        memcpy(r->kept, r->logits, r->s->config.vocab * sizeof(float));
        r->n_kept = r->n_all;
    }
    g->decode_seconds = clock_seconds() - start;
    return 0;
}

/* The first n tokens in one pass, into r->logits. */
static int whole(struct run *r, uint32_t n, struct err *e)
{
    struct backend_pass p = { .tokens = r->all, .n = n, .logits = r->logits };

    if (cancel_check(e) != 0)
        return -1;
    return r->s->backend->forward(r->s->state, &p, e);
}

/* The same pass twice is the same to the last bit. */
static int repeat(struct run *r, struct err *e)
{
    struct generation *g = r->g;
    size_t bytes = r->s->config.vocab * sizeof(float);

    if (r->o->n_prompt > AGREEMENT_MAX || g->fault.found)
        return 0;
    if (whole(r, r->o->n_prompt, e) != 0)
        return -1;
    g->repeat = memcmp(r->logits, g->logits, bytes) == 0 ? AGREEMENT_HOLDS
                                                         : AGREEMENT_BROKEN;
    return 0;
}

/* The cache must not change the answer: the same tokens in one pass. */
static int compare(struct run *r, struct err *e)
{
    struct generation *g = r->g;
    struct drift d = { 0 };

    if (r->n_kept == 0 || r->n_kept > AGREEMENT_MAX || g->fault.found)
        return 0;
    if (whole(r, r->n_kept, e) != 0)
        return -1;
    drift_add(&d, r->kept, r->logits, r->s->config.vocab);
    g->difference = drift_share(&d);
    g->allowed = r->s->backend->wobble;
    g->agreement =
        g->difference <= g->allowed ? AGREEMENT_HOLDS : AGREEMENT_BROKEN;
    return 0;
}

int generate_run(struct session *s, const struct generate_opts *o,
    struct generation *out, struct err *e)
{
    struct run r = { .s = s, .o = o, .g = out };
    uint32_t next = 0;

    if (prepare(&r, e) != 0 || first_step(&r, &next, e) != 0)
        return -1;
    if (o->n_new > 0 && decode(&r, next, e) != 0)
        return -1;
    if (compare(&r, e) != 0)
        return -1;
    return repeat(&r, e);
}
