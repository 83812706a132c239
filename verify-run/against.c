#include "verify-run/against.h"

#include <stdio.h>

#include "base/cancel.h"

/* Logits held at a time, of each of the two. */
enum { LOGITS_BYTES = 32 << 20, PIECE_MAX = 512 };

struct pair {
    struct session *s[2];
    float *logits[2]; /* (piece, vocab) */
    uint32_t piece;
    struct drift *drift;
};

static bool differs(char out[160], const char *what, uint32_t a, uint32_t b)
{
    if (a != b)
        snprintf(out, 160, "another model: %s %u instead of %u", what, b, a);
    return a != b;
}

/* Whatever the names of its parts: the same numbers of the same size. */
static bool same_model(
    char why[160], const struct session *a, const struct session *b)
{
    const struct model_config *x = &a->config;
    const struct model_config *y = &b->config;

    why[0] = '\0';
    if (differs(why, "vocabulary", x->vocab, y->vocab) ||
        differs(why, "layers", x->layers, y->layers) ||
        differs(why, "hidden size", x->dim, y->dim))
        return false;
    if (!weights_complete(&b->weights))
        snprintf(why, 160, "its weights are missing or wrong: run it alone");
    return why[0] == '\0';
}

static int read_piece(struct pair *p, const struct sequence *q, uint32_t at,
    uint32_t n, struct err *e)
{
    size_t vocab = p->s[0]->config.vocab;

    for (int k = 0; k < 2; k++) {
        struct backend_pass pass = { .tokens = q->ids + at,
            .n = n,
            .pos = at,
            .all = true,
            .logits = p->logits[k] };

        if (cancel_check(e) != 0 ||
            p->s[k]->backend->forward(p->s[k]->state, &pass, e) != 0)
            return -1;
    }
    for (size_t i = 0; i < n; i++)
        drift_add(p->drift, p->logits[0] + i * vocab, p->logits[1] + i * vocab,
            (uint32_t)vocab);
    return 0;
}

static int read_sequence(
    struct pair *p, const struct sequence *q, struct err *e)
{
    for (uint32_t at = 0; at < q->n; at += p->piece)
        if (read_piece(p, q, at, (uint32_t)size_min(p->piece, q->n - at), e) !=
            0)
            return -1;
    return 0;
}

/* The first was not told of it, and took what of a device there is. */
static int start_other(struct pair *p, struct err *e)
{
    if (session_start(p->s[1], p->s[0]->capacity, e) == 0)
        return 0;
    if (e->kind == ERR_NOSPACE && p->s[1]->backend != &backend_cpu) {
        e->hint[0] = '\0';
        err_hint(e,
            "--memory holds for each of the two: less than half of the device "
            "leaves room for both");
    }
    return -1;
}

static int read_all(
    struct pair *p, const struct sequence *v, size_t n, struct err *e)
{
    struct arena scratch AUTO(arena_free) = ARENA_INIT(UINT64_MAX);
    uint64_t row = (uint64_t)p->s[0]->config.vocab * sizeof(float);

    p->piece = (uint32_t)size_min(PIECE_MAX, size_max(1, LOGITS_BYTES / row));
    for (int k = 0; k < 2; k++) {
        p->logits[k] = arena_alloc(&scratch, p->piece, row, e);
        if (p->logits[k] == NULL)
            return -1;
    }
    /* Some frequencies go by the length that a run is made for. */
    if (p->s[0]->capacity > p->s[1]->config.context) {
        err_set(e, ERR_USAGE,
            "the run needs %u positions: the other model has %u",
            p->s[0]->capacity, p->s[1]->config.context);
        return err_hint(e,
            "shorten the prompt, ask for fewer with -n, or leave the built-in "
            "texts out with --perplexity none");
    }
    if (start_other(p, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (read_sequence(p, &v[i], e) != 0)
            return -1;
    return 0;
}

int against_run(struct session *s, const struct session_opts *other,
    const struct sequence *v, size_t n, struct against *out, struct err *e)
{
    struct session b AUTO(session_close) = SESSION_INIT;
    struct pair p = { .s = { s, &b }, .drift = &out->drift };

    *out = (struct against){ .name = out->name };
    if (session_open(&b, other, e) != 0)
        return err_ctx(e, "--against %s", out->name);
    out->dtype = session_coarsest(&b);
    out->bytes = b.weights.bytes;
    if (!same_model(out->differs, s, &b))
        return 0;
    if (read_all(&p, v, n, e) != 0)
        return err_ctx(e, "--against %s", out->name);
    out->share = drift_share(&out->drift);
    out->bound = drift_bound(session_coarsest(s), out->dtype);
    return 0;
}

bool against_holds(const struct against *a)
{
    return a->differs[0] == '\0' && a->share <= a->bound;
}
