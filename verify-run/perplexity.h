/*
 * perplexity.h - how well a model expects the built-in texts: the number
 * of tokens it wavers between at each step, on average. A model that knows
 * nothing wavers between its whole vocabulary.
 *
 * That number alone would judge a small model by its taste: one that was
 * trained on other texts may be worse than ignorant of these. So the first
 * text is also read with its tokens shuffled. Whatever a model was trained
 * on, order tells it something; to one whose tensors were swapped, or that
 * reads through the wrong tokenizer, both readings are the same noise.
 */
#ifndef VERIFY_RUN_PERPLEXITY_H
#define VERIFY_RUN_PERPLEXITY_H

#include "verify-run/session.h"
#include "verify-run/textset.h"

/* Tokens of the first text that are read in both orders. */
enum { PERPLEXITY_ORDERED = 64 };

enum perplexity_wish {
    PERPLEXITY_AUTO,  /* SHORT; NONE when streamed, or without room */
    PERPLEXITY_SHORT, /* PERPLEXITY_ORDERED tokens of the first text */
    PERPLEXITY_FULL,  /* all texts as far as the context reaches */
    PERPLEXITY_NONE
};

enum perplexity_state {
    PERPLEXITY_NOT_MADE, /* not wanted, or no tokenizer */
    PERPLEXITY_SPARED,   /* wanted where it is cheap, which it is not here */
    PERPLEXITY_MADE,
    PERPLEXITY_BEYOND, /* the tokenizer gives ids past the vocabulary */
    PERPLEXITY_LOST    /* the probability of some token is no number */
};

struct passage_score {
    const char *name;
    uint32_t tokens; /* scored: the first of a text is not */
    double value;    /* perplexity */
};

struct perplexity {
    enum perplexity_state state;
    struct passage_score passages[TEXTSET_COUNT];
    uint32_t n; /* passages scored */
    uint32_t tokens;
    double value;     /* of all tokens together */
    double untrained; /* of a model that knows nothing: the vocabulary */
    double order;     /* nats per token that the right order is worth */
    uint32_t beyond;  /* the id, when BEYOND */
    double seconds;
};

/*
 * perplexity_room - positions the session must be started with; 0 without
 * a tokenizer
 */
int perplexity_room(const struct session *s, enum perplexity_wish wish,
    uint32_t *out, struct err *e);

/*
 * perplexity_measure - read the texts, each from an empty cache
 * The session was started with at least perplexity_room() positions.
 * Returns  0, the state says more; -1 with *e: NOMEM, IO, CANCELLED
 */
int perplexity_measure(struct session *s, enum perplexity_wish wish,
    struct perplexity *out, struct err *e);

/* perplexity_tried - were the texts looked at? The state says how it went. */
static inline bool perplexity_tried(const struct perplexity *p)
{
    return p->state >= PERPLEXITY_MADE;
}

/*
 * perplexity_ids - the tokens of the first text that are read in both orders
 * The session has a tokenizer.
 */
int perplexity_ids(const struct session *s, struct ids *out, struct err *e);

/*
 * perplexity_trained - does it read like a model that was trained?
 * The order must be worth a nat per token, and two where the text is no
 * better expected than by an untrained model.
 */
bool perplexity_trained(const struct perplexity *p);

/* perplexity_nats - -ln softmax(logits)[id]; NAN when that is no number. */
double perplexity_nats(const float *logits, uint32_t n, uint32_t id);

/*
 * perplexity_shuffle - the ids but the first in an order that is always the
 * same
 */
void perplexity_shuffle(uint32_t *ids, size_t n);

#endif
