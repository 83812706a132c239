/* t_generate.c - candidates, degenerate logits, checks that must fail. */
#include <math.h>
#include <signal.h>

#include "base/cancel.h"
#include "tests/numeric/golden.h"
#include "tests/unit/tap.h"
#include "verify-run/generate.h"

static void test_top(void)
{
    const float logits[6] = { 1, 3, NAN, 3, -INFINITY, 2 };
    const float sane[4] = { 0, 1, 2, 1 };
    struct candidate top[8];
    double sum = 0;

    is_int(generate_top(top, 3, logits, 6), 3, "as many as asked for");
    ok(top[0].id == 1 && top[1].id == 3 && top[2].id == 5,
        "best first, the smaller id first of equals");
    is_int(generate_top(top, 7, logits, 6), 6, "at most all");
    is_int(top[5].id, 2, "no number comes last");
    is_int(generate_top(top, 0, logits, 6), 0, "none");
    is_int(generate_top(top, 4, sane, 4), 4, "all");
    for (int i = 0; i < 4; i++)
        sum += top[i].probability;
    ok(fabs(sum - 1) < 1e-9, "their probabilities make one");
    ok(fabs(top[0].probability / top[1].probability - exp(1)) < 1e-9,
        "and go with the exponential");
}

static void test_degenerate(void)
{
    const float flat[3] = { 2, 2, 2 };
    const float good[3] = { 2, 2, 2.5f };
    const float bad[3] = { 2, INFINITY, 1 };

    ok(generate_degenerate(flat, 3), "all equal");
    ok(!generate_degenerate(good, 3), "not all equal");
    ok(generate_degenerate(bad, 3), "infinite");
    ok(!generate_degenerate(flat, 1), "a vocabulary of one is never flat");
}

static void test_entropy(void)
{
    const float flat[4] = { 3, 3, 3, 3 };
    const float sure[3] = { 90, 0, -90 };
    const float barred[3] = { 1, -INFINITY, 1 };
    const float bad[2] = { 1, NAN };

    ok(fabs(generate_entropy(flat, 4) - log(4)) < 1e-12, "entropy of a guess");
    ok(generate_entropy(sure, 3) < 1e-30, "of certainty");
    ok(fabs(generate_entropy(barred, 3) - log(2)) < 1e-12, "one left out");
    ok(isnan(generate_entropy(bad, 2)), "of no number: none");
    ok(generate_lead(sure, 3) == 90 && generate_lead(flat, 4) == 0 &&
            generate_lead(flat, 1) == 0,
        "how far the best is ahead");
}

static int golden_session(
    struct session *s, struct tiny_model *m, int golden, struct err *e)
{
    const struct golden_case *g = &golden_cases[golden];
    struct session_opts o = { .threads = 2 };

    *m = tiny_make(g->config, g->tensors, g->n_tensors);
    o.path = m->folder;
    return session_open(s, &o, e);
}

static void test_run(void)
{
    struct session s AUTO(session_close) = SESSION_INIT;
    struct generation g AUTO(generate_free) = GENERATION_INIT;
    struct generate_opts o = { .prompt = golden_ids,
        .n_prompt = GOLDEN_IDS,
        .n_new = 20,
        .top_k = 2,
        .ignore_eos = true };
    struct tiny_model m;
    struct err e = ERR_INIT;

    ok(golden_session(&s, &m, 3, &e) == 0, "a session");
    ok(s.tokenizer == NULL && s.no_tokenizer.kind == ERR_MISSING,
        "works without a tokenizer");
    ok(session_start(&s, 65, &e) == -1 && e.kind == ERR_USAGE,
        "no more positions than the model has");
    err_clear(&e);
    ok(session_start(&s, 30, &e) == 0, "it starts");
    ok(generate_run(&s, &o, &g, &e) == 0, "it runs");
    is_int(g.n_tokens, 20, "as many tokens as asked for");
    is_int(g.decode_steps, 19, "the last one needs no pass");
    is_int(g.tokens[0], golden_cases[3].argmax[GOLDEN_IDS - 1],
        "the first is the golden one");
    ok(g.n_top == 2 && g.top[0].id == g.tokens[0], "and the best candidate");
    ok(!g.fault.found && !g.degenerate && !g.ended, "nothing to complain of");
    ok(g.agreement == AGREEMENT_HOLDS && g.difference == 0,
        "steps and one pass agree, bit for bit");
    ok(g.repeat == AGREEMENT_HOLDS, "the prompt again: the same bits");
    ok(fabsf(g.leads[0] - (g.top[0].logit - g.top[1].logit)) < 1e-6f,
        "the lead of the first token");
    tiny_remove(&m);
}

/* A backend whose cache forgets: the comparison must notice. */
static int forgetful(
    struct backend_state *s, struct backend_pass *p, struct err *e)
{
    struct backend_pass q = *p;

    if (p->pos > 0)
        q.pos = p->pos - 1;
    if (backend_cpu.forward(s, &q, e) != 0)
        return -1;
    p->argmax = q.argmax;
    p->fault = q.fault;
    return 0;
}

static void test_broken_cache(void)
{
    struct backend broken = backend_cpu; /* outlives the session */
    struct session s AUTO(session_close) = SESSION_INIT;
    struct generation g AUTO(generate_free) = GENERATION_INIT;
    struct generate_opts o = { .prompt = golden_ids,
        .n_prompt = GOLDEN_IDS,
        .n_new = 4,
        .ignore_eos = true };
    struct tiny_model m;
    struct err e = ERR_INIT;

    broken.forward = forgetful;
    ok(golden_session(&s, &m, 3, &e) == 0, "a session");
    s.backend = &broken;
    ok(session_start(&s, 20, &e) == 0 && generate_run(&s, &o, &g, &e) == 0,
        "a cache that forgets runs");
    ok(g.agreement == AGREEMENT_BROKEN && g.difference > g.allowed,
        "and is caught, off by %.2g", g.difference);
    tiny_remove(&m);
}

/* The same, behind logits that a common offset makes look alike. */
static int offset(
    struct backend_state *s, struct backend_pass *p, struct err *e)
{
    struct backend_pass q = *p;

    if (backend_cpu.forward(s, &q, e) != 0)
        return -1;
    p->argmax = q.argmax;
    p->fault = q.fault;
    for (uint32_t i = 0; i < GOLDEN_VOCAB; i++)
        p->logits[i] += i % 2 == 0 || p->pos == 0 ? 1000 : 1001;
    return 0;
}

static void cache_of(
    int (*forward)(struct backend_state *, struct backend_pass *, struct err *),
    double wobble, enum agreement want, const char *label)
{
    struct backend b = backend_cpu; /* outlives the session */
    struct session s AUTO(session_close) = SESSION_INIT;
    struct generation g AUTO(generate_free) = GENERATION_INIT;
    struct generate_opts o = { .prompt = golden_ids,
        .n_prompt = GOLDEN_IDS,
        .n_new = 4,
        .ignore_eos = true };
    struct tiny_model m;
    struct err e = ERR_INIT;

    b.forward = forward;
    b.wobble = wobble;
    ok(golden_session(&s, &m, 3, &e) == 0, "a session");
    s.backend = &b;
    ok(session_start(&s, 20, &e) == 0 && generate_run(&s, &o, &g, &e) == 0,
        "it runs");
    ok(g.agreement == want, "%s: off by %.2g", label, g.difference);
    tiny_remove(&m);
}

static int last_bits(
    struct backend_state *s, struct backend_pass *p, struct err *e)
{
    if (backend_cpu.forward(s, p, e) != 0)
        return -1;
    if (p->pos > 0)
        p->logits[7] += 1e-5f;
    return 0;
}

static void test_cache_bounds(void)
{
    cache_of(offset, 0.001, AGREEMENT_BROKEN, "no offset hides a difference");
    cache_of(last_bits, 0, AGREEMENT_BROKEN, "the CPU may not change a bit");
    cache_of(last_bits, 0.001, AGREEMENT_HOLDS, "control: a device may");
}

/* A backend that is off by one bit in one logit, every second time. */
static int wavering(
    struct backend_state *s, struct backend_pass *p, struct err *e)
{
    static int calls;

    if (backend_cpu.forward(s, p, e) != 0)
        return -1;
    if (calls++ % 2 == 1)
        p->logits[7] = nextafterf(p->logits[7], INFINITY);
    return 0;
}

static void test_wavering(void)
{
    struct backend wavers = backend_cpu; /* outlives the session */
    struct session s AUTO(session_close) = SESSION_INIT;
    struct generation g AUTO(generate_free) = GENERATION_INIT;
    struct generate_opts o = { .prompt = golden_ids, .n_prompt = GOLDEN_IDS };
    struct tiny_model m;
    struct err e = ERR_INIT;

    wavers.forward = wavering;
    ok(golden_session(&s, &m, 3, &e) == 0, "a session");
    s.backend = &wavers;
    ok(session_start(&s, 20, &e) == 0 && generate_run(&s, &o, &g, &e) == 0,
        "a backend that wavers runs");
    is_int(g.repeat, AGREEMENT_BROKEN, "and one bit gives it away");
    tiny_remove(&m);
}

/* The last: an interrupt cannot be taken back. */
static void test_cancelled(void)
{
    struct session s AUTO(session_close) = SESSION_INIT;
    struct backend_pass p = { .tokens = golden_ids, .n = GOLDEN_IDS };
    struct tiny_model m;
    struct err e = ERR_INIT;

    ok(golden_session(&s, &m, 3, &e) == 0 && session_start(&s, 20, &e) == 0,
        "a session");
    cancel_arm();
    raise(SIGINT);
    ok(s.backend->forward(s.state, &p, &e) == -1 && e.kind == ERR_CANCELLED,
        "an interrupt ends a pass between blocks");
    tiny_remove(&m);
}

int main(void)
{
    golden_load();
    test_top();
    test_degenerate();
    test_entropy();
    test_run();
    test_broken_cache();
    test_cache_bounds();
    test_wavering();
    test_cancelled();
    return done();
}
