/*
 * generate.h - greedy decoding, watched: the most likely token each time,
 * with the checks that say whether the numbers still make sense.
 */
#ifndef VERIFY_RUN_GENERATE_H
#define VERIFY_RUN_GENERATE_H

#include "verify-run/session.h"

struct generate_opts {
    const uint32_t *prompt; /* each below the vocabulary */
    uint32_t n_prompt;      /* at least 1 */
    uint32_t n_new;         /* tokens wanted; 0: only the prompt's pass */
    uint32_t top_k;         /* candidates to keep for the first new token */
    bool ignore_eos;
};

struct candidate {
    uint32_t id;
    float logit;
    double probability;
};

/* Two ways to the same logits. */
enum agreement {
    AGREEMENT_SKIPPED, /* nothing to compare, or too long to be cheap */
    AGREEMENT_HOLDS,
    AGREEMENT_BROKEN
};

struct generation {
    struct arena arena;
    uint32_t *tokens; /* the new ones */
    uint32_t n_tokens;
    bool ended;     /* an end token came; it is the last of tokens */
    float *leads;   /* of each: its logit above the second best's */
    float *logits;  /* (vocab), of the prompt's last position */
    double entropy; /* of their distribution, in nats */
    struct value_range *ranges; /* (layers + 1), of the prompt's pass */
    struct candidate *top;      /* best first */
    uint32_t n_top;
    double first_token_seconds; /* the prompt's pass */
    double decode_seconds;      /* all later steps together */
    uint32_t decode_steps;
    struct backend_fault fault; /* the first of all passes */
    uint32_t fault_pos;         /* first position of the pass with the fault */
    bool degenerate;            /* some logits: all equal, or not finite */
    enum agreement repeat;      /* the prompt's pass again: the same bits */
    enum agreement agreement;
    double difference; /* of the comparison: drift_share() */
    double allowed;    /* the backend's wobble */
};

#define GENERATION_INIT                                                        \
    {                                                                          \
        .n_tokens = 0                                                          \
    }

/*
 * generate_run - the whole of it, on a session that was started with room
 * for n_prompt + n_new positions. It stops early at an end token and at the
 * first value that is not finite.
 * Returns  0, also when a check failed; -1 with *e: NOMEM, IO, CANCELLED
 */
int generate_run(struct session *s, const struct generate_opts *o,
    struct generation *out, struct err *e);

/* generate_free - idempotent, for AUTO. */
void generate_free(struct generation *g);

/*
 * generate_top - the k largest of n logits with their probabilities, best
 * first, the smaller id first of equals. Returns how many: at most n.
 */
uint32_t generate_top(
    struct candidate *out, uint32_t k, const float *logits, uint32_t n);

/* generate_entropy - of softmax(logits), in nats; NAN when that is nothing. */
double generate_entropy(const float *logits, uint32_t n);

/* generate_lead - how far the largest is above the second; n > 1, or 0. */
float generate_lead(const float *logits, uint32_t n);

/* generate_degenerate - all equal, or one not finite. */
bool generate_degenerate(const float *logits, uint32_t n);

#endif
