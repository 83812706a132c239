/*
 * vocab.h - the vocabulary of a tokenizer: text to id and back.
 */
#ifndef VERIFY_RUN_VOCAB_H
#define VERIFY_RUN_VOCAB_H

#include "base/arena.h"
#include "base/json.h"

struct vocab {
    struct str *by_id; /* .p is NULL where no token has the id */
    uint32_t size;     /* one more than the largest id */
    uint64_t *slots;   /* hash of the text above, id + 1 below; or 0 */
    uint64_t mask;     /* slots - 1, a power of two */
};

enum {
    VOCAB_NONE = UINT32_MAX,
    VOCAB_MAX = 1 << 20 /* ids stay below; the largest known need 2^18 */
};

/*
 * vocab_load - read an object of "text": id
 * Returns  0, or -1 with *e: REFUSED (an id twice, or no number), NOMEM
 * Owns     nothing: all memory is the arena's
 */
int vocab_load(struct vocab *v, const struct json *object, struct arena *arena,
    struct err *e);

/*
 * vocab_make - an empty vocabulary for ids below size and n texts
 * Returns  0, or -1 with *e: NOMEM, REFUSED
 */
int vocab_make(struct vocab *v, uint32_t size, uint64_t n, struct arena *arena,
    struct err *e);

/*
 * vocab_put - give an id, which has none yet, a text that lives as long
 * Returns  the id that the same text had before, which loses it, or VOCAB_NONE
 */
uint32_t vocab_put(struct vocab *v, uint32_t id, struct str text);

/* vocab_find - the id of a text, or VOCAB_NONE. */
uint32_t vocab_find(const struct vocab *v, struct str text);

/* vocab_text - the text of an id; .p is NULL if there is none. */
struct str vocab_text(const struct vocab *v, uint32_t id);

#endif
