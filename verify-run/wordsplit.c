#include "verify-run/wordsplit.h"

#include "verify-run/unicode.h"

static const char *const regexes[] = {
    [WORDSPLIT_GPT2] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?"
                       "[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    [WORDSPLIT_LLAMA3] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?"
                         "\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
                         "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    [WORDSPLIT_QWEN2] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?"
                        "\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
                        "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
};

bool wordsplit_find(struct str regex, enum wordsplit_kind *out)
{
    for (size_t i = 0; i < ARRAY_LEN(regexes); i++) {
        if (str_is(regex, regexes[i])) {
            *out = (enum wordsplit_kind)i;
            return true;
        }
    }
    return false;
}

static bool is_newline(struct unicode_char c)
{
    return c.len > 0 && (c.cp == '\r' || c.cp == '\n');
}

/* The end of the run of characters of one kind that starts at i. */
static size_t run_end(
    struct str t, size_t i, enum unicode_class kind, size_t most)
{
    struct unicode_char c = unicode_at(t, i);

    while (most-- > 0 && c.len > 0 && c.kind == kind) {
        i += c.len;
        c = unicode_at(t, i);
    }
    return i;
}

/* The end of 's 't 're 've 'm 'll 'd at i, or i. */
static size_t contraction_end(struct str t, size_t i, bool any_case)
{
    static const char *const tails[] = { "s", "t", "re", "ve", "m", "ll", "d" };
    uint32_t fold = any_case ? 0x20 : 0;

    if (t.p[i] != '\'')
        return i;
    /* Of what folds to these letters, only the long s is not ASCII. */
    if (any_case && unicode_at(t, i + 1).cp == 0x17F)
        return i + 3;
    for (size_t k = 0; k < ARRAY_LEN(tails); k++) {
        size_t n = 0;

        while (tails[k][n] != '\0' && (unicode_at(t, i + 1 + n).cp | fold) ==
                                          (unsigned char)tails[k][n])
            n++;
        if (tails[k][n] == '\0')
            return i + 1 + n;
    }
    return i;
}

/* \s+(?!\S)|\s+ : the last of several spaces is left to the next word. */
static size_t spaces_end(struct str t, size_t i)
{
    size_t end = run_end(t, i, UNICODE_SPACE, SIZE_MAX);
    size_t last = unicode_back(t, end);

    return end < t.len && last > i ? last : end;
}

static size_t gpt2_end(struct str t, size_t i)
{
    size_t end = contraction_end(t, i, false);
    struct unicode_char c = unicode_at(t, i);
    struct unicode_char next = unicode_at(t, i + c.len);

    if (end > i)
        return end;
    if (c.cp == ' ' && next.len > 0 && next.kind != UNICODE_SPACE)
        return run_end(t, i + 1, next.kind, SIZE_MAX);
    if (c.kind != UNICODE_SPACE)
        return run_end(t, i, c.kind, SIZE_MAX);
    return spaces_end(t, i);
}

/* \s*[\r\n]+ : through the last line end of the white space, or i. */
static size_t lines_end(struct str t, size_t i)
{
    size_t end = run_end(t, i, UNICODE_SPACE, SIZE_MAX);

    while (end > i && t.p[end - 1] != '\r' && t.p[end - 1] != '\n')
        end--;
    return end;
}

static size_t llama_end(struct str t, size_t i, size_t digits)
{
    size_t end = contraction_end(t, i, true);
    struct unicode_char c = unicode_at(t, i);
    struct unicode_char next = unicode_at(t, i + c.len);

    if (end > i)
        return end;
    if (c.kind == UNICODE_LETTER)
        return run_end(t, i, UNICODE_LETTER, SIZE_MAX);
    if (c.kind == UNICODE_NUMBER)
        return run_end(t, i, UNICODE_NUMBER, digits);
    if (!is_newline(c) && next.len > 0 && next.kind == UNICODE_LETTER)
        return run_end(t, i + c.len, UNICODE_LETTER, SIZE_MAX);
    end = run_end(t, i + (c.cp == ' '), UNICODE_OTHER, SIZE_MAX);
    if (end > i + (c.cp == ' ')) {
        while (is_newline(unicode_at(t, end)))
            end++;
        return end;
    }
    end = lines_end(t, i);
    return end > i ? end : spaces_end(t, i);
}

size_t wordsplit_next(enum wordsplit_kind kind, struct str text, size_t i)
{
    if (kind == WORDSPLIT_GPT2)
        return gpt2_end(text, i) - i;
    return llama_end(text, i, kind == WORDSPLIT_LLAMA3 ? 3 : 1) - i;
}
