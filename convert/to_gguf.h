/*
 * to_gguf.h - one model into one GGUF file, tokenizer included, which
 * appears whole. GPT-NeoX, Llama and StableLM.
 */
#ifndef CONVERT_TO_GGUF_H
#define CONVERT_TO_GGUF_H

#include "convert/convert.h"

/*
 * to_gguf_run - convert
 * o        o->out is the file to make; o->force replaces a GGUF file
 * q8       quantise matrices to Q8_0
 * Returns  0 with *out filled in, or -1 with *e and nothing left behind:
 *          USAGE (no OUT, or something is there), UNSUPPORTED and REFUSED
 *          (gguf_model.h, gguf_plan.h, gguf_vocab.h), MISSING, CORRUPT,
 *          NOSPACE, IO, NOMEM, CANCELLED, VERDICT (values overflow)
 */
int to_gguf_run(const struct convert_opts *o, bool q8,
    struct convert_result *out, struct err *e);

#endif
