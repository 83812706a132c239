/*
 * infer.h - the numbers of a model whose weights came without a config.json:
 * from the shapes of its tensors, from names that only one project uses, from
 * the name of its folder, and from a config in some other project's words.
 * What only a guess could tell is refused. Pure but for the checkpoint's
 * table; no tensor data is read.
 * Source: architectures, sections 7 to 9 and 11.
 */
#ifndef VERIFY_RUN_INFER_H
#define VERIFY_RUN_INFER_H

#include "base/buf.h"
#include "verify-run/config.h"

/* What can be known of a model, whoever says it. */
enum infer_number {
    INFER_VOCAB,
    INFER_DIM,
    INFER_LAYERS,
    INFER_HEADS,
    INFER_KV_HEADS,
    INFER_HEAD_DIM,
    INFER_INNER,
    INFER_CONTEXT,
    INFER_EPS,
    INFER_ROPE_BASE,
    INFER_COUNT
};

enum { INFER_RULE_MAX = 240 };

struct inferred {
    const struct arch *arch;
    double v[INFER_COUNT]; /* 0: nobody says */
    bool tied;
    bool llama31_rope;         /* as Llama 3.1 stretches it */
    char rule[INFER_RULE_MAX]; /* "inferred from shapes, heads 6 from ..." */
};

/* infer_project - the project whose names the tensors have, or NULL. */
const struct arch *infer_project(const struct checkpoint *c);

/* infer_is_model - a model of gpt-fast's table, such as "llama-3-8b". */
bool infer_is_model(const char *name);

/*
 * infer_numbers - all of a model's numbers
 * arch     the family
 * said     a config in any project's words, or NULL
 * model    of gpt-fast's table, instead of the folder's name; or NULL
 * heads    as the user says, or 0
 * Returns  0, or -1 with *e: REFUSED (shapes that contradict each other, the
 *          heads, or the table; by tensor), MISSING (the heads would be a
 * guess; the hint says how to give them)
 */
int infer_numbers(struct inferred *out, const struct checkpoint *c,
    const struct arch *arch, const struct json *said, const char *model,
    uint32_t heads, struct err *e);

/* infer_says_heads - does this config, in any project's words, say them? */
bool infer_says_heads(const struct json *said);

/* infer_with_heads - a config in the family's words, with other heads. */
void infer_with_heads(struct buf *out, const struct arch *arch,
    const struct json *config, uint32_t heads);

/*
 * infer_json - the same as the text of a config.json of that family; what
 * config_parse must know besides is copied from said, or NULL
 */
void infer_json(
    struct buf *out, const struct inferred *n, const struct json *said);

#endif
