#include "verify-run/perplexity.h"

#include <math.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "verify-run/ops.h"

/* Logits held at a time; the texts are read in pieces of as many tokens. */
enum { LOGITS_BYTES = 32 << 20, PIECE_MAX = 512 };

static const double ORDER_LEAST = 1; /* nats per token */
static const double ORDER_SURE = 2;

double perplexity_nats(const float *logits, uint32_t n, uint32_t id)
{
    return ops_log_sum(logits, n) - (double)logits[id];
}

void perplexity_shuffle(uint32_t *ids, size_t n)
{
    uint32_t state = 1;

    for (size_t i = n; i > 2; i--) {
        size_t other;
        uint32_t id;

        state = state * 1664525 + 1013904223;
        other = 1 + (size_t)(state >> 8) % (i - 1);
        id = ids[i - 1];
        ids[i - 1] = ids[other];
        ids[other] = id;
    }
}

static int encode(
    const struct session *s, uint32_t text, struct ids *out, struct err *e)
{
    if (tokenizer_encode(s->tokenizer, str_of(textset[text].text),
            TOKENIZE_ENDS, out, e) != 0)
        return err_ctx(e, "built-in text '%s'", textset[text].name);
    out->n = size_min(out->n, s->config.context);
    return 0;
}

int perplexity_ids(const struct session *s, struct ids *out, struct err *e)
{
    if (encode(s, 0, out, e) != 0)
        return -1;
    out->n = size_min(out->n, PERPLEXITY_ORDERED);
    return 0;
}

/*
 * Every block of tokens would read a model that is streamed once more; and
 * where memory is scarce a session is started without room for them.
 */
static bool is_spared(const struct session *s, enum perplexity_wish wish)
{
    bool small = s->state != NULL &&
                 s->capacity < size_min(PERPLEXITY_ORDERED, s->config.context);

    return wish == PERPLEXITY_AUTO &&
           (s->stream != NULL || s->opened.passing > 0 || small);
}

int perplexity_room(const struct session *s, enum perplexity_wish wish,
    uint32_t *out, struct err *e)
{
    uint32_t n = wish == PERPLEXITY_FULL ? TEXTSET_COUNT : 0;

    *out = 0;
    if (s->tokenizer == NULL || wish == PERPLEXITY_NONE || is_spared(s, wish))
        return 0;
    *out = (uint32_t)size_min(PERPLEXITY_ORDERED, s->config.context);
    for (uint32_t i = 0; i < n; i++) {
        struct ids ids AUTO(ids_free) = IDS_INIT;

        if (encode(s, i, &ids, e) != 0)
            return -1;
        *out = (uint32_t)size_max(*out, ids.n);
    }
    return 0;
}

/* What all readings share. */
struct reading {
    struct session *s;
    struct perplexity *out;
    float *logits; /* (piece, vocab) */
    uint32_t piece;
    double nats; /* of all that counts */
};

/* The sum of what each id but the first costs. */
static int read_ids(struct reading *r, const uint32_t *ids, uint32_t n,
    double *nats, struct err *e)
{
    uint32_t vocab = r->s->config.vocab;

    *nats = 0;
    for (uint32_t at = 0; at + 1 < n; at += r->piece) {
        struct backend_pass p = {
            .tokens = ids + at,
            .n = (uint32_t)size_min(r->piece, n - 1 - at),
            .pos = at,
            .all = true,
            .logits = r->logits,
        };

        if (cancel_check(e) != 0 ||
            r->s->backend->forward(r->s->state, &p, e) != 0)
            return -1;
        for (uint32_t i = 0; i < p.n; i++)
            *nats += perplexity_nats(
                r->logits + (size_t)i * vocab, vocab, ids[at + i + 1]);
    }
    if (!isfinite(*nats))
        r->out->state = PERPLEXITY_LOST;
    return 0;
}

/* A text takes its place in the table and in the sum. */
static void count(struct reading *r, const char *name, uint32_t n, double nats)
{
    struct perplexity *out = r->out;

    out->passages[out->n++] = (struct passage_score){
        .name = name,
        .tokens = n - 1,
        .value = exp(nats / (n - 1)),
    };
    out->tokens += n - 1;
    r->nats += nats;
}

static bool all_below(struct reading *r, const struct ids *ids)
{
    for (size_t i = 0; i < ids->n; i++) {
        if (ids->v[i] < r->s->config.vocab)
            continue;
        r->out->beyond = ids->v[i];
        r->out->state = PERPLEXITY_BEYOND;
        return false;
    }
    return true;
}

static int read_whole(struct reading *r, uint32_t text, struct err *e)
{
    struct ids ids AUTO(ids_free) = IDS_INIT;
    double nats;

    if (encode(r->s, text, &ids, e) != 0)
        return -1;
    if (!all_below(r, &ids) || ids.n < 2)
        return 0;
    if (read_ids(r, ids.v, (uint32_t)ids.n, &nats, e) != 0)
        return -1;
    count(r, textset[text].name, (uint32_t)ids.n, nats);
    return 0;
}

/* The first text as it was written, and in an order nobody writes. */
static int read_both(struct reading *r, bool counts, struct err *e)
{
    struct ids ids AUTO(ids_free) = IDS_INIT;
    double written;
    double shuffled;
    uint32_t n;

    if (perplexity_ids(r->s, &ids, e) != 0)
        return -1;
    n = (uint32_t)ids.n;
    if (!all_below(r, &ids) || n < 2)
        return 0;
    if (read_ids(r, ids.v, n, &written, e) != 0)
        return -1;
    perplexity_shuffle(ids.v, n);
    if (read_ids(r, ids.v, n, &shuffled, e) != 0)
        return -1;
    r->out->order = (shuffled - written) / (n - 1);
    if (counts)
        count(r, textset[0].name, n, written);
    return 0;
}

static int read_texts(
    struct reading *r, enum perplexity_wish wish, struct err *e)
{
    bool full = wish == PERPLEXITY_FULL;

    r->out->state = PERPLEXITY_MADE;
    if (read_both(r, !full, e) != 0)
        return -1;
    for (uint32_t i = 0; full && i < TEXTSET_COUNT; i++)
        if (r->out->state == PERPLEXITY_MADE && read_whole(r, i, e) != 0)
            return -1;
    if (r->out->state == PERPLEXITY_MADE && r->out->tokens == 0)
        r->out->state = PERPLEXITY_NOT_MADE;
    r->out->value = exp(r->nats / r->out->tokens);
    return 0;
}

int perplexity_measure(struct session *s, enum perplexity_wish wish,
    struct perplexity *out, struct err *e)
{
    struct arena scratch AUTO(arena_free) = ARENA_INIT(UINT64_MAX);
    uint64_t row = (uint64_t)s->config.vocab * sizeof(float);
    struct reading r = { .s = s, .out = out };
    double start = clock_seconds();

    *out = (struct perplexity){ .untrained = s->config.vocab };
    if (s->tokenizer == NULL || wish == PERPLEXITY_NONE)
        return 0;
    if (is_spared(s, wish)) {
        out->state = PERPLEXITY_SPARED;
        return 0;
    }
    r.piece = (uint32_t)size_min(PIECE_MAX, size_max(1, LOGITS_BYTES / row));
    r.logits = arena_alloc(&scratch, r.piece, row, e);
    if (r.logits == NULL || read_texts(&r, wish, e) != 0)
        return -1;
    out->seconds = clock_seconds() - start;
    return 0;
}

bool perplexity_trained(const struct perplexity *p)
{
    double least = p->value < p->untrained ? ORDER_LEAST : ORDER_SURE;

    return p->state == PERPLEXITY_MADE && p->order >= least;
}
