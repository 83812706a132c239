/*
 * bpe.h - byte-pair encoding: the model of a tokenizer.json. Source:
 * tokenizers, section 6.
 */
#ifndef VERIFY_RUN_BPE_H
#define VERIFY_RUN_BPE_H

#include "verify-run/ids.h"
#include "verify-run/merges.h"
#include "verify-run/pairheap.h"
#include "verify-run/vocab.h"

enum { BPE_QUICK = 0x180 };

struct bpe {
    struct vocab vocab;
    struct merges merges;
    uint32_t quick[BPE_QUICK]; /* ids of the first characters */
    uint32_t bytes[256];       /* ids of <0x00>.. when byte_fallback */
    struct str unk_token;      /* .p NULL: what is not known vanishes */
    uint32_t unk;              /* its id, or VOCAB_NONE */
    bool byte_fallback;
    bool fuse_unk;
    bool ignore_merges;
};

/* Working memory of one encoding; grows to the longest word. */
struct bpe_work {
    struct bpe_node *nodes;
    size_t n;
    size_t cap;
    struct pairheap heap;
};

#define BPE_WORK_INIT                                                          \
    {                                                                          \
        .nodes = NULL                                                          \
    }

void bpe_work_free(struct bpe_work *w);

/*
 * bpe_load - read the member "model"
 * Returns  0, or -1 with *e: REFUSED, NOMEM, UNSUPPORTED (parts of words)
 */
int bpe_load(struct bpe *b, const struct json *model, struct arena *arena,
    struct err *e);

/*
 * bpe_word - append the ids of one word
 * word     good UTF-8, shorter than 2^32
 * Cost     n log n
 */
int bpe_word(const struct bpe *b, struct str word, struct bpe_work *w,
    struct ids *out, struct err *e);

#endif
