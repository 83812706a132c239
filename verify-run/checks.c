#include "verify-run/checks.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/human.h"
#include "verify-run/culprit.h"
#include "verify-run/ops.h"

static struct check *add(struct checks *out, const char *name)
{
    struct check *c = &out->v[out->n++];

    *c = (struct check){ name, CHECK_NOT_MADE, "" };
    return c;
}

static void set(struct check *c, bool good)
{
    c->result = good ? CHECK_OK : CHECK_FAILED;
}

static const struct note *first_note(
    const struct weights *w, enum note_kind a, enum note_kind b)
{
    const struct note *n = w->notes;

    while (n != NULL && n->kind != a && n->kind != b)
        n = n->next;
    return n;
}

static void check_tensors(struct check *c, const struct weights *w)
{
    const struct note *n = first_note(w, NOTE_MISSING, NOTE_CONTRADICTS);
    uint64_t missing = w->n_notes[NOTE_MISSING];
    uint64_t wrong = w->n_notes[NOTE_CONTRADICTS];

    set(c, missing == 0 && wrong == 0);
    if (n != NULL)
        snprintf(c->detail, sizeof(c->detail),
            "%" PRIu64 " missing, %" PRIu64 " against the config: first "
            "'%.*s'",
            missing, wrong, (int)size_min(n->name.len, 120), n->name.p);
    else if (w->n_notes[NOTE_UNEXPECTED] > 0)
        snprintf(c->detail, sizeof(c->detail),
            "complete; %" PRIu64 " nobody knows, not used",
            w->n_notes[NOTE_UNEXPECTED]);
    else if (w->n_notes[NOTE_IGNORED] > 0)
        snprintf(c->detail, sizeof(c->detail),
            "complete; %" PRIu64 " leftover or tied, not used",
            w->n_notes[NOTE_IGNORED]);
    else
        snprintf(c->detail, sizeof(c->detail), "complete");
}

static void check_shapes(struct check *c, const struct weights *w)
{
    const struct note *n = first_note(w, NOTE_SHAPE, NOTE_SHAPE);

    set(c, n == NULL);
    if (n != NULL)
        snprintf(c->detail, sizeof(c->detail),
            "%" PRIu64 " wrong: first '%.*s', %s", w->n_notes[NOTE_SHAPE],
            (int)size_min(n->name.len, 100), n->name.p, n->why);
}

static void check_values(struct check *c, const struct weights *w)
{
    const struct note *n = first_note(w, NOTE_BLANK, NOTE_BLANK);

    set(c, n == NULL);
    if (n != NULL)
        snprintf(c->detail, sizeof(c->detail),
            "%" PRIu64 " hold nothing: first '%.*s', %s",
            w->n_notes[NOTE_BLANK], (int)size_min(n->name.len, 100), n->name.p,
            n->why);
}

/* Ids without a row: Gemma 3 of 1B has one, a token for pictures. */
enum { SPARE_IDS = 16 };

/* A file that is there and wrong is a fault; one of an unknown kind is not. */
static void check_no_tokenizer(struct check *c, const struct err *why)
{
    if (why->kind == ERR_REFUSED || why->kind == ERR_CORRUPT ||
        why->kind == ERR_IO)
        set(c, false);
    snprintf(c->detail, sizeof(c->detail), "%s",
        why->kind == ERR_MISSING ? "no file of one" : why->msg);
}

/* A tokenizer of another model gives itself away by ids. */
static void check_tokenizer(struct check *c, const struct session *s)
{
    uint32_t known = s->tokenizer != NULL ? tokenizer_size(s->tokenizer) : 0;
    uint32_t vocab = s->config.vocab;

    if (s->tokenizer == NULL)
        check_no_tokenizer(c, &s->no_tokenizer);
    if (known == 0)
        return;
    set(c, known <= (uint64_t)vocab + SPARE_IDS);
    if (known > vocab)
        snprintf(c->detail, sizeof(c->detail),
            "%sits ids go up to %u, the embedding has %u rows",
            c->result == CHECK_OK ? "" : "not this model's: ", known - 1,
            vocab);
    for (uint32_t i = 0; i < s->config.n_eos && c->result == CHECK_OK; i++) {
        if (s->config.eos[i] < known)
            continue;
        set(c, false);
        snprintf(c->detail, sizeof(c->detail),
            "not this model's: it has %u tokens, and the config's end token "
            "is %u",
            known, s->config.eos[i]);
    }
}

static void check_finite(
    struct check *c, const struct session *s, const struct generation *g)
{
    const struct backend_fault *f = &g->fault;
    char tensor[ARCH_NAME_MAX];
    char layer[32] = "the ";

    set(c, !f->found);
    if (!f->found)
        return;
    if (role_in_layer(f->role))
        snprintf(layer, sizeof(layer), "layer %u, ", f->layer);
    if (culprit_find(&s->config, &s->weights, f, tensor))
        snprintf(c->detail, sizeof(c->detail),
            "not finite after %s%s: %s holds such a value", layer,
            role_name(f->role), tensor);
    else
        snprintf(c->detail, sizeof(c->detail),
            "not finite after %s%s, in the pass from position %u, though its "
            "weights are",
            layer, role_name(f->role), g->fault_pos);
}

static void check_logits(
    struct check *c, const struct generation *g, uint32_t vocab)
{
    set(c, !g->degenerate);
    if (g->degenerate)
        snprintf(c->detail, sizeof(c->detail), "%s",
            ops_finite(g->logits, vocab) ? "all equal at some position"
                                         : "not finite at some position");
}

static void check_cache(struct check *c, const struct generation *g)
{
    if (g->agreement == AGREEMENT_SKIPPED)
        return;
    set(c, g->agreement == AGREEMENT_HOLDS);
    if (g->difference == 0)
        snprintf(c->detail, sizeof(c->detail),
            "steps and one pass: the same to the last bit");
    else
        snprintf(c->detail, sizeof(c->detail),
            "steps and one pass differ by %.2g of the logits' spread, %.2g "
            "allowed",
            g->difference, g->allowed);
}

static void check_repeat(struct check *c, const struct generation *g)
{
    if (g->repeat == AGREEMENT_SKIPPED)
        return;
    set(c, g->repeat == AGREEMENT_HOLDS);
    snprintf(c->detail, sizeof(c->detail), "the prompt twice: %s",
        g->repeat == AGREEMENT_HOLDS ? "the same to the last bit"
                                     : "other logits the second time");
}

static void check_perplexity(
    struct check *c, const struct perplexity *p, bool tokenizer)
{
    if (p->state == PERPLEXITY_SPARED)
        snprintf(c->detail, sizeof(c->detail),
            "no room, or the model is streamed: --perplexity short reads the "
            "text");
    else if (p->state == PERPLEXITY_NOT_MADE && !tokenizer)
        snprintf(c->detail, sizeof(c->detail), "needs a tokenizer");
    if (!perplexity_tried(p))
        return;
    set(c, perplexity_trained(p));
    if (p->state == PERPLEXITY_BEYOND)
        snprintf(c->detail, sizeof(c->detail),
            "the tokenizer is another model's: it gives id %u, the "
            "vocabulary ends at %.0f",
            p->beyond, p->untrained - 1);
    else if (p->state == PERPLEXITY_LOST)
        snprintf(c->detail, sizeof(c->detail),
            "the probability of some token is no number");
    else if (!perplexity_trained(p))
        snprintf(c->detail, sizeof(c->detail),
            "no better than an untrained model: swapped tensors, or the "
            "wrong tokenizer");
    else
        snprintf(c->detail, sizeof(c->detail), "reads like a trained model");
}

static void check_against(
    struct check *c, const struct against *a, enum dtype dtype)
{
    set(c, against_holds(a));
    if (a->differs[0] != '\0')
        snprintf(c->detail, sizeof(c->detail), "%s", a->differs);
    else if (isnan(a->share))
        snprintf(c->detail, sizeof(c->detail), "some logit is no number");
    else
        snprintf(c->detail, sizeof(c->detail),
            "logits drift by %.2g of their spread, %.2g allowed between %s "
            "and %s",
            a->share, a->bound, dtype_name(dtype), dtype_name(a->dtype));
}

static void check_golden(struct check *c, const struct golden *g)
{
    switch (g->state) {
    case GOLDEN_OPEN:
        return;
    case GOLDEN_RECORDED:
        set(c, true);
        snprintf(c->detail, sizeof(c->detail), "recorded in %.200s", g->path);
        return;
    case GOLDEN_SPOILED:
        snprintf(c->detail, sizeof(c->detail),
            "not recorded: the run failed another check");
        return;
    case GOLDEN_HOLDS:
        set(c, true);
        snprintf(c->detail, sizeof(c->detail),
            "logits within %.2g of their spread, %.2g allowed; %u of %u "
            "tokens the same",
            g->share, g->bound, g->same, g->n_tokens);
        return;
    case GOLDEN_BROKEN:
        set(c, false);
        snprintf(c->detail, sizeof(c->detail), "%s", g->why);
        return;
    }
}

/* Only a model that ran can be asked these. */
static void check_run(struct checks *out, const struct evidence *v)
{
    check_finite(&out->v[4], v->session, v->generation);
    check_logits(&out->v[5], v->generation, v->session->config.vocab);
    check_cache(&out->v[6], v->generation);
    check_repeat(&out->v[7], v->generation);
    check_perplexity(&out->v[8], v->perplexity, v->session->tokenizer != NULL);
}

void checks_make(struct checks *out, const struct evidence *v)
{
    static const char *const names[] = { "tensors", "shapes", "values",
        "tokenizer", "finite", "logits", "cache", "repeat", "perplexity" };

    *out = (struct checks){ .good = true };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        add(out, names[i]);
    check_tensors(&out->v[0], &v->session->weights);
    check_shapes(&out->v[1], &v->session->weights);
    check_values(&out->v[2], &v->session->weights);
    check_tokenizer(&out->v[3], v->session);
    if (v->generation != NULL)
        check_run(out, v);
    if (v->against != NULL)
        check_against(
            add(out, "against"), v->against, session_coarsest(v->session));
    if (v->golden != NULL)
        check_golden(add(out, "golden"), v->golden);
    for (size_t i = 0; i < out->n; i++)
        out->good = out->good && out->v[i].result != CHECK_FAILED;
}
