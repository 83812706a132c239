#include "verify-run/pretoken.h"

#include "base/buf.h"
#include "tests/unit/tap.h"
#include "verify-run/wordsplit.h"

/* The words of a text joined by '|'. */
static void split_is(
    enum wordsplit_kind kind, const char *text, const char *want)
{
    struct buf out AUTO(buf_free) = BUF_INIT(1 << 16);
    struct str s = str_of(text);
    char name[256];
    bool moved = true;

    for (size_t i = 0; i < s.len && moved;) {
        size_t n = wordsplit_next(kind, s, i);

        moved = n > 0 && n <= s.len - i;
        if (i > 0)
            buf_putc(&out, '|');
        buf_put(&out, s.p + i, moved ? n : 0);
        i += n;
    }
    err_escape(name, sizeof(name), want);
    is_str(out.p, want, name);
}

static void gpt2(void)
{
    split_is(WORDSPLIT_GPT2, "Hello, world!", "Hello|,| world|!");
    split_is(
        WORDSPLIT_GPT2, "I'm don't WE'LL it's", "I|'m| don|'t| WE|'|LL| it|'s");
    split_is(WORDSPLIT_GPT2, "they're we've he'd you'll",
        "they|'re| we|'ve| he|'d| you|'ll");
    split_is(WORDSPLIT_GPT2, "x = 12345 + 67.89;", "x| =| 12345| +| 67|.|89|;");
    split_is(WORDSPLIT_GPT2, "a  b", "a| | b");
    split_is(WORDSPLIT_GPT2, "a   b", "a|  | b");
    split_is(WORDSPLIT_GPT2, "a\n\nb", "a|\n|\n|b");
    split_is(WORDSPLIT_GPT2, "a \n", "a| \n");
    split_is(WORDSPLIT_GPT2, " ", " ");
    split_is(WORDSPLIT_GPT2, "\ta", "\t|a");
    split_is(WORDSPLIT_GPT2, "caf\xC3\xA9 \xE4\xBD\xA0\xC2\xB2",
        "caf\xC3\xA9| \xE4\xBD\xA0|\xC2\xB2");
    split_is(WORDSPLIT_GPT2, "e\xCC\x81", "e|\xCC\x81");
    split_is(WORDSPLIT_GPT2, "\xC2\xA0\xC2\xA0x", "\xC2\xA0|\xC2\xA0|x");
    split_is(WORDSPLIT_GPT2, "'", "'");
    split_is(WORDSPLIT_GPT2, "''s", "''|s");
}

static void llama3(void)
{
    split_is(WORDSPLIT_LLAMA3, "I'm WE'LL it'S", "I|'m| WE|'LL| it|'S");
    split_is(WORDSPLIT_LLAMA3, "it'\xC5\xBF", "it|'\xC5\xBF");
    split_is(WORDSPLIT_LLAMA3, "1234567 x", "123|456|7| x");
    split_is(WORDSPLIT_LLAMA3, "(word)", "(word|)");
    split_is(WORDSPLIT_LLAMA3, "\tword", "\tword");
    split_is(WORDSPLIT_LLAMA3, "\nword", "\n|word");
    split_is(WORDSPLIT_LLAMA3, "end.\r\n\nnext", "end|.\r\n\n|next");
    split_is(WORDSPLIT_LLAMA3, "a  \n  b", "a|  \n| | b");
    split_is(WORDSPLIT_LLAMA3, "a \n\t\n ", "a| \n\t\n| ");
    split_is(WORDSPLIT_LLAMA3, "a  12", "a| | |12");
    split_is(WORDSPLIT_LLAMA3, "a  !!", "a| | !!");
    split_is(WORDSPLIT_LLAMA3, "'x'", "'x|'");
    split_is(WORDSPLIT_QWEN2, "12 3a", "1|2| |3|a");
}

static void finds(void)
{
    enum wordsplit_kind kind = WORDSPLIT_GPT2;

    ok(wordsplit_find(
           str_of("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]"
                  "?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
                  "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"),
           &kind) &&
            kind == WORDSPLIT_QWEN2,
        "a regex is known by its text");
    ok(!wordsplit_find(str_of("\\s+"), &kind), "another is not");
}

/* Load a pre-tokenizer from JSON and cut a text: "a|b", or "! message". */
static void cut(
    const char *json, const char *text, bool at_start, struct buf *out)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct words words AUTO(words_free) = WORDS_INIT;
    struct pretoken p;
    struct err e = ERR_INIT;

    if (json_parse(&doc, str_of(json), 0, &e) != 0 ||
        pretoken_load(&p, doc.root, &arena, &e) != 0 ||
        pretoken_run(&p, str_of(text), at_start, &words, &e) != 0)
        buf_printf(out, "! %s", e.msg);
    else
        for (size_t i = 0; i < words.n; i++)
            buf_printf(
                out, "%s%.*s", i > 0 ? "|" : "", STR_ARG(words_get(&words, i)));
}

static void cut_is(const char *json, const char *text, const char *want)
{
    struct buf out AUTO(buf_free) = BUF_INIT(1 << 16);

    cut(json, text, true, &out);
    is_str(out.p, want, want);
}

#define SPLIT(behavior, invert)                                                \
    "{\"type\":\"Split\",\"pattern\":{\"String\":\"-\"},\"behavior\":"         \
    "\"" behavior "\",\"invert\":" invert "}"

static void splits(void)
{
    cut_is(SPLIT("Removed", "false"), "-a--b-", "a|b");
    cut_is(SPLIT("Isolated", "false"), "-a--b-", "-|a|-|-|b|-");
    cut_is(SPLIT("MergedWithPrevious", "false"), "-a--b-", "-|a-|-|b-");
    cut_is(SPLIT("MergedWithNext", "false"), "-a--b-", "-a|-|-b|-");
    cut_is(SPLIT("Contiguous", "false"), "-a--b-", "-|a|--|b|-");
    cut_is(SPLIT("Removed", "true"), "-a--b-", "-|-|-|-");
    cut_is(SPLIT("Contiguous", "true"), "-a--bc-", "-|a|--|bc|-");
    cut_is(SPLIT("Isolated", "false"), "", "");
}

#define MARK "\xE2\x96\x81"
#define META(scheme, split)                                                    \
    "{\"type\":\"Metaspace\",\"replacement\":\"" MARK                          \
    "\",\"prepend_scheme\":\"" scheme "\",\"split\":" split "}"

static void metaspaces(void)
{
    struct buf out AUTO(buf_free) = BUF_INIT(1 << 10);

    cut_is(META("always", "true"), "a b", MARK "a|" MARK "b");
    cut_is(META("always", "false"), "a b", MARK "a" MARK "b");
    cut_is(META("always", "true"), "  a", MARK "|" MARK "a");
    cut_is(META("never", "true"), "a b ", "a|" MARK "b|" MARK);
    cut_is(META("first", "true"), "a b", MARK "a|" MARK "b");
    cut(META("first", "true"), "a b", false, &out);
    is_str(out.p, "a|" MARK "b", "no mark after an added token");
    cut_is("{\"type\":\"Metaspace\",\"replacement\":\"" MARK
           "\",\"add_prefix_space\":false}",
        "a", "a");
    cut_is("{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT(
               "Removed", "false") "," META("first", "true") "]}",
        "-a-b", "a|b");
    cut_is("{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT(
               "Removed", "false") "," META("first", "true") "]}",
        "a-b", MARK "a|b");
}

static void bytes(void)
{
    cut_is("{\"type\":\"ByteLevel\",\"add_prefix_space\":false}",
        "a b\n\xC3\xA9",
        "a|\xC4\xA0"
        "b|\xC4\x8A|\xC3\x83\xC2\xA9");
    cut_is("{\"type\":\"ByteLevel\"}", "a",
        "\xC4\xA0"
        "a");
    cut_is("{\"type\":\"ByteLevel\",\"use_regex\":false}", " a b",
        "\xC4\xA0"
        "a\xC4\xA0"
        "b");
    cut_is(
        "{\"type\":\"Digits\",\"individual_digits\":true}", "a12b", "a|1|2|b");
    cut_is("{\"type\":\"Digits\"}", "12b34", "12|b|34");
    cut_is("null", "a b", "a b");
}

static void refusals(void)
{
    cut_is("{\"type\":\"Whitespace\"}", "a",
        "! this program has no pre_tokenizer of type 'Whitespace'");
    cut_is("{\"pretokenizers\":[]}", "a", "! pre_tokenizer: no type");
    cut_is("{\"type\":\"Sequence\"}", "a",
        "! pre_tokenizer: Sequence without a list 'pretokenizers'");
    cut_is("{\"type\":\"ByteLevel\",\"use_regex\":1}", "a",
        "! pre_tokenizer ByteLevel: 'use_regex' is not true or false");
    cut_is("{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\s+\"},"
           "\"behavior\":\"Removed\"}",
        "a",
        "! pre_tokenizer Split: this program does not know the regex '\\s+'");
    cut_is("{\"type\":\"Split\",\"pattern\":{\"String\":\"\"},"
           "\"behavior\":\"Removed\"}",
        "a", "! pre_tokenizer Split: 'pattern' is not a text to look for");
    cut_is(SPLIT("Sideways", "false"), "a",
        "! pre_tokenizer Split: this program has no behavior 'Sideways'");
    cut_is("{\"type\":\"Metaspace\",\"replacement\":\"ab\"}", "a",
        "! pre_tokenizer Metaspace: 'replacement' is not one character");
}

int main(void)
{
    gpt2();
    llama3();
    finds();
    splits();
    metaspaces();
    bytes();
    refusals();
    return done();
}
