#include "verify-run/tikfamily.h"

static const char *const llama3[] = { "<|begin_of_text|>", "<|end_of_text|>",
    "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>", "<|reserved_special_token_2|>",
    "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>",
    "<|python_tag|>" };

static const char *const arcade[] = { NULL, "<|endoftext|>", "<|fim_prefix|>",
    "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<gh_stars>",
    "<filename>", "<issue_start>", "<issue_comment>", "<issue_closed>",
    "<jupyter_start>", "<jupyter_text>", "<jupyter_code>", "<jupyter_output>",
    "<empty_output>", "<commit_before>", "<commit_msg>", "<commit_after>",
    "<reponame>", "<|endofprompt|>", "<|im_start|>", "<|im_end|>", "<|pause|>",
    "<|reg0|>", "<|reg1|>", "<|reg2|>", "<|reg3|>", "<|reg4|>", "<|reg5|>",
    "<|reg6|>", "<|reg7|>", "<|extra0|>" };

/* Nothing has the id behind the table, nor the ids up to the last. */
static const char *const cl100k[] = { NULL, "<|endoftext|>", "<|fim_prefix|>",
    "<|fim_middle|>", "<|fim_suffix|>", [20] = "<|endofprompt|>" };

static const char *const gpt2[] = { "<|endoftext|>" };

static const char *const qwen[] = { "<|endoftext|>", "<|im_start|>",
    "<|im_end|>" };

static const struct tikfamily families[] = {
    { .name = "Llama 3",
        .tokens = 128000,
        .regex = WORDSPLIT_LLAMA3,
        .specials = llama3,
        .n_named = ARRAY_LEN(llama3),
        .n_specials = 256,
        .numbered = "<|reserved_special_token_",
        .first = 8,
        .bos = "<|begin_of_text|>" },
    { .name = "StableLM 2",
        .file = "arcade100k",
        .tokens = 100256,
        .regex = WORDSPLIT_QWEN2,
        .nfc = true,
        .specials = arcade,
        .n_named = ARRAY_LEN(arcade),
        .n_specials = ARRAY_LEN(arcade) },
    { .name = "cl100k",
        .tokens = 100256,
        .regex = WORDSPLIT_LLAMA3,
        .specials = cl100k,
        .n_named = ARRAY_LEN(cl100k),
        .n_specials = ARRAY_LEN(cl100k) },
    { .name = "Qwen",
        .tokens = 151643,
        .regex = WORDSPLIT_QWEN2,
        .nfc = true,
        .specials = qwen,
        .n_named = ARRAY_LEN(qwen),
        .n_specials = 208,
        .numbered = "<|extra_",
        .first = 3 },
    { .name = "GPT-2",
        .tokens = 50256,
        .regex = WORDSPLIT_GPT2,
        .specials = gpt2,
        .n_named = ARRAY_LEN(gpt2),
        .n_specials = ARRAY_LEN(gpt2) },
};

const struct tikfamily *tikfamily_find(uint32_t tokens, const char *file)
{
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        const struct tikfamily *f = &families[i];

        if (f->tokens == tokens &&
            (f->file == NULL || strstr(file, f->file) != NULL))
            return f;
    }
    return NULL;
}

void tikfamily_special(const struct tikfamily *f, uint32_t i, struct buf *out)
{
    if (i >= f->n_named)
        buf_printf(out, "%s%u|>", f->numbered, i - f->first);
    else if (f->specials[i] != NULL)
        buf_puts(out, f->specials[i]);
}
