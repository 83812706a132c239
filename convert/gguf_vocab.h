/*
 * gguf_vocab.h - a tokenizer.json as the values that GGUF keeps a tokenizer
 * in. Byte-level BPE becomes "gpt2"; SentencePiece-style BPE with byte
 * fallback becomes "llama", whose scores are the order of the merges.
 *
 * A tokenizer that would split text otherwise when read back is refused;
 * only NFC, which readers leave out, is said and let pass.
 * Source: checkpoint formats, section 11.3; tokenizers, sections 2 to 12.
 */
#ifndef CONVERT_GGUF_VOCAB_H
#define CONVERT_GGUF_VOCAB_H

#include "base/json.h"
#include "formats/gguf.h"

/* What the tokens are called for. */
struct gguf_vocab_opts {
    const char *folder;        /* with tokenizer.json and its company */
    const struct json *config; /* root of config.json: ids of bos, eos, pad */
    uint32_t rows;             /* of the embedding; spare ones get fillers */
};

/*
 * gguf_vocab_put - append the tokenizer.* values
 * Returns  0, or -1 with *e: MISSING (no tokenizer.json), REFUSED (naming
 *          the member), UNSUPPORTED (naming the component), NOMEM
 */
int gguf_vocab_put(
    struct gguf_writer *w, const struct gguf_vocab_opts *o, struct err *e);

#endif
