/* Whole files: text to ids and back, what is refused, and running short. */
#include "verify-run/tokenizer.h"

#include "base/json.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

/*
 * Each call of memmem would have all that is left of a long text looked at:
 * the square of its length, minutes of it.
 */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "intercept_memmem=0";
}

#define MARK "\xE2\x96\x81"
#define G "\xC4\xA0" /* the visible space */

/* Bytes: "a", "b", "Gb", "ab"; specials and others around them. */
static const char bytes_json[] =
    "{\"version\":\"1.0\",\"added_tokens\":["
    "{\"id\":5,\"content\":\"<s>\",\"special\":true,\"normalized\":false},"
    "{\"id\":6,\"content\":\"  \",\"special\":false,\"normalized\":true},"
    "{\"id\":7,\"content\":\"   \",\"normalized\":true},"
    "{\"id\":8,\"content\":\"[L]\",\"lstrip\":true,\"normalized\":false},"
    "{\"id\":9,\"content\":\"[R]\",\"rstrip\":true,\"normalized\":false},"
    "{\"id\":10,\"content\":\"ba\",\"single_word\":true,\"normalized\":false},"
    "{\"id\":12,\"content\":\"<s>>\",\"special\":true,\"normalized\":false}],"
    "\"normalizer\":{\"type\":\"NFC\"},"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
    "\"post_processor\":{\"type\":\"Sequence\",\"processors\":["
    "{\"type\":\"ByteLevel\"},{\"type\":\"TemplateProcessing\",\"single\":["
    "{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},"
    "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"special_tokens\":"
    "{\"<s>\":{\"id\":\"<s>\",\"ids\":[5],\"tokens\":[\"<s>\"]}}}]},"
    "\"decoder\":{\"type\":\"ByteLevel\"},"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"" G "\":2,\"" G
    "b\":3,\"ab\":4,\"\xC3\x83\":13,\"\xC2\xA9\":14},\"merges\":[\"" G
    " b\",\"a b\"]}}";

static const char pieces_json[] =
    "{\"added_tokens\":["
    "{\"id\":0,\"content\":\"<unk>\",\"special\":true,\"normalized\":false},"
    "{\"id\":1,\"content\":\"<s>\",\"special\":true,\"normalized\":false}],"
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":["
    "{\"type\":\"Prepend\",\"prepend\":\"" MARK "\"},{\"type\":\"Replace\","
    "\"pattern\":{\"String\":\" \"},\"content\":\"" MARK "\"}]},"
    "\"pre_tokenizer\":null,\"post_processor\":null,"
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\","
    "\"pattern\":{\"String\":\"" MARK "\"},\"content\":\" \"},"
    "{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\","
    "\"content\":\" \",\"start\":1,\"stop\":0}]},"
    "\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true,"
    "\"byte_fallback\":true,\"vocab\":{\"<unk>\":0,\"<s>\":1,\"<0xC3>\":2,"
    "\"<0xA9>\":3,\"" MARK "\":4,\"a\":5,\"" MARK "a\":6,\"<0xE2>\":7},"
    "\"merges\":[[\"" MARK "\",\"a\"]]}}";

static void encode_is(
    const struct tokenizer *t, const char *text, bool special, const char *want)
{
    struct ids ids AUTO(ids_free) = IDS_INIT;
    struct buf out AUTO(buf_free) = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;
    char name[200];

    err_escape(name, sizeof(name), text);
    if (tokenizer_encode(t, str_of(text), special, &ids, &e) != 0)
        buf_printf(&out, "! %s", e.msg);
    for (size_t i = 0; i < ids.n; i++)
        buf_printf(&out, "%s%u", i > 0 ? " " : "", ids.v[i]);
    is_str(out.p, want, name);
}

static void decode_is(const struct tokenizer *t, const uint32_t *ids, size_t n,
    bool special, const char *want)
{
    struct buf out AUTO(buf_free) = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;

    ok(tokenizer_decode(t, ids, n, special, &out, &e) == 0, "ids decode");
    is_str(out.p, want, want);
}

#define DECODE_IS(t, special, want, ...)                                       \
    decode_is(t, (const uint32_t[]){ __VA_ARGS__ },                            \
        sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t), special, \
        want)

static void bytes(void)
{
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) =
        tokenizer_parse(str_of(bytes_json), &e);

    if (!ok(t != NULL, "a byte-level file opens %s", e.msg))
        return;
    is_int(tokenizer_size(t), 15, "its size");
    encode_is(t, "", false, "");
    encode_is(t, "", true, "5");
    encode_is(t, "ab b", true, "5 4 3");
    encode_is(t, "a<s>b", false, "0 5 1");
    encode_is(t, "<s>><s", false, "12");
    encode_is(t, "a  b", false, "0 6 1");
    encode_is(t, "a     b", false, "0 7 6 1");
    encode_is(t, "a \t [L] b", false, "0 8 3");
    encode_is(t, "a [R] \n b", false, "0 2 9 1");
    encode_is(t, "[R]  [L]", false, "9 8");
    encode_is(t, "ba aba ba", false, "10 2 4 0 2 10");
    encode_is(t, "e\xCC\x81", false, "13 14");
    encode_is(t, "\xFF\xC3", false, "");
    DECODE_IS(t, false, "ab b", 5, 4, 3);
    DECODE_IS(t, true, "<s>ab b", 5, 4, 3);
    DECODE_IS(t, true, "\xC3\xA9", 13, 14);
    DECODE_IS(t, true,
        "\xEF\xBF\xBD"
        "a",
        13, 0);
    DECODE_IS(t, true, "a", 0, 11, 15, 4000000000);
}

static void pieces(void)
{
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) =
        tokenizer_parse(str_of(pieces_json), &e);

    if (!ok(t != NULL, "a file of pieces opens %s", e.msg))
        return;
    encode_is(t, "a a", true, "6 6");
    encode_is(t, " a", true, "4 6");
    encode_is(t, "<s>a", true, "1 6");
    encode_is(t, "\xC3\xA9zz", true, "4 2 3 0");
    DECODE_IS(t, false, "a a", 1, 6, 6);
    DECODE_IS(t, false, "\xC3\xA9", 2, 3);
    DECODE_IS(t, false,
        "\xEF\xBF\xBD\xEF\xBF\xBD"
        "a",
        3, 2, 5);
    DECODE_IS(t, true, "<unk>", 0);
}

/* The files of this repository, with the ids that are known for them. */
static void known(const char *path, const char *expected)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) = tokenizer_open(path, &e);
    const struct json *rows;
    int n = 0;

    if (!ok(t != NULL && json_read(&doc, expected, 1 << 24, &e) == 0,
            "%s opens %s", path, e.msg))
        return;
    rows = json_get(doc.root, "tokenizer");
    for (const struct json *r = json_first(rows); r; r = json_next(r), n++) {
        struct buf want AUTO(buf_free) = BUF_INIT(1 << 16);
        const struct json *ids = json_get(r, "ids");
        const char *text = "";
        uint64_t id = 0;

        json_str(json_get(r, "text"), &text);
        for (const struct json *i = json_first(ids); i; i = json_next(i))
            if (json_u64(i, &id))
                buf_printf(
                    &want, "%s%u", want.len > 0 ? " " : "", (unsigned)id);
        encode_is(t, text, true, want.p);
    }
    ok(n > 0, "there are known ids");
}

/* ---- what is refused ---- */

/* The bytes_json with one part exchanged for another. */
static void with(const char *from, const char *to, const char *want)
{
    struct buf json AUTO(buf_free) = BUF_INIT(1 << 16);
    const char *at = strstr(bytes_json, from);
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) = NULL;

    if (!ok(at != NULL, "%s is there", from))
        return;
    buf_put(&json, bytes_json, (size_t)(at - bytes_json));
    buf_puts(&json, to);
    buf_puts(&json, at + strlen(from));
    t = tokenizer_parse(buf_str(&json), &e);
    is_str(t == NULL ? e.msg : "(opened)", want, want);
}

static void refusals(void)
{
    with("\"id\":5,\"content\":\"<s>\"", "\"id\":0,\"content\":\"<s>\"",
        "added token '<s>' has id 0, which the vocabulary gives to 'a'");
    with("\"id\":5,\"content\":\"<s>\"", "\"id\":5,\"content\":\"a\"",
        "added token 'a' has id 5, but 0 in the vocabulary");
    with("\"id\":6,", "\"id\":5,",
        "added tokens '<s>' and '  ' have the same id 5");
    with("\"id\":6,", "\"id\":4000000000,",
        "added token '  ': the id is no whole number below 1048576");
    with("\"id\":6,", "",
        "added token '  ': the id is no whole number below 1048576");
    with("\"id\":6,", "\"id\":-6,",
        "added_tokens entry: 'id' is not a whole number");
    with("\"special\":false", "\"special\":0",
        "added_tokens entry: 'special' is not true or false");
    with("\"normalizer\":{\"type\":\"NFC\"}",
        "\"normalizer\":{\"type\":\"NFKC\"}",
        "this program has no normalizer of type 'NFKC'");
    with("\"normalizer\":{\"type\":\"NFC\"}",
        "\"normalizer\":{\"type\":\"Strip\"}",
        "added token '  ' is nothing once it is normalized");
    with("\"decoder\":{\"type\":\"ByteLevel\"}",
        "\"decoder\":{\"type\":\"CTC\"}",
        "this program has no decoder of type 'CTC'");
    with("TemplateProcessing", "RobertaProcessing",
        "this program has no post_processor of type 'RobertaProcessing'");
    with("\"ids\":[5]", "\"ids\":[11]",
        "post_processor adds the id 11, which no token has");
    with("\"ids\":[5]", "\"ids\":5",
        "post_processor: special token '<s>' has no list of ids");
    with("\"id\":\"A\"", "\"id\":\"B\"",
        "post_processor: 'single' is not the text A once among special "
        "tokens");
    with("\"single\":[", "\"single\":{}, \"x\":[",
        "post_processor: 'single' leaves out the text");
    with("\"type\":\"BPE\"", "\"type\":\"WordPiece\"",
        "this program has no model of type 'WordPiece'");
    with("\"added_tokens\":[", "\"added_tokens\":{}, \"x\":[",
        "'added_tokens' is no list");
}

static void truncated(void)
{
    long opened = 0;

    for (size_t n = 0; n < sizeof(bytes_json) - 1; n++) {
        struct err e = ERR_INIT;
        char *copy = malloc(n + 1);
        struct tokenizer *t;

        memcpy(copy, bytes_json, n);
        t = tokenizer_parse((struct str){ copy, n }, &e);
        opened += t != NULL;
        tokenizer_close(t);
        free(copy);
    }
    is_int(opened, 0, "no beginning of a file opens");
}

/* A file that doubles the text thirty times must stop at the limit. */
static void amplified(void)
{
    struct buf json AUTO(buf_free) = BUF_INIT(1 << 16);
    struct ids ids AUTO(ids_free) = IDS_INIT;
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) = NULL;

    buf_puts(&json, "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");
    for (int i = 0; i < 30; i++)
        buf_printf(&json,
            "%s{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},"
            "\"content\":\"aa\"}",
            i > 0 ? "," : "");
    buf_puts(&json, "]},\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}");
    t = tokenizer_parse(buf_str(&json), &e);
    ok(t != NULL && tokenizer_encode(t, str_of("a"), false, &ids, &e) != 0 &&
            e.kind == ERR_REFUSED,
        "a text that grows without end is refused: %s", e.msg);
}

/* Added tokens that grow and shrink again, each within the limits. */
static void grown_tokens(void)
{
    struct buf json AUTO(buf_free) = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) = NULL;

    buf_puts(&json, "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");
    for (int i = 0; i < 11; i++)
        buf_puts(&json, "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},"
                        "\"content\":\"aaaa\"},");
    buf_puts(&json, "{\"type\":\"Replace\",\"pattern\":{\"String\":\"aaaa\"},"
                    "\"content\":\"\"}]},\"added_tokens\":[");
    for (int i = 0; i < 2000; i++)
        buf_printf(&json, "%s{\"id\":%d,\"content\":\"<a%d>\"}",
            i > 0 ? "," : "", i + 1, i);
    buf_puts(&json, "],\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}");
    t = tokenizer_parse(buf_str(&json), &e);
    ok(t == NULL && e.kind == ERR_REFUSED, "added tokens that grow: %s", e.msg);
}

/* One special token of many ids, named many times. */
static void wide_template(void)
{
    struct buf json AUTO(buf_free) = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) = NULL;

    buf_puts(&json, "{\"post_processor\":{\"type\":\"TemplateProcessing\","
                    "\"special_tokens\":{\"x\":{\"ids\":[0");
    for (int i = 0; i < 1000; i++)
        buf_puts(&json, ",0");
    buf_puts(&json, "]}},\"single\":[");
    for (int i = 0; i < 60; i++)
        buf_puts(&json, "{\"SpecialToken\":{\"id\":\"x\"}},");
    buf_puts(&json, "{\"Sequence\":{\"id\":\"A\"}}]},"
                    "\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}");
    t = tokenizer_parse(buf_str(&json), &e);
    is_str(t == NULL ? e.msg : "(opened)",
        "post_processor: more than 4096 ids beside the text",
        "a template that multiplies its ids");
}

/* Pieces times special tokens would be looked at. */
static void long_template(void)
{
    struct buf json AUTO(buf_free) = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) = NULL;

    buf_puts(&json, "{\"post_processor\":{\"type\":\"TemplateProcessing\","
                    "\"special_tokens\":{\"x\":{\"ids\":[0]}},\"single\":[");
    for (int i = 0; i < 64; i++)
        buf_puts(&json, "{\"SpecialToken\":{\"id\":\"x\"}},");
    buf_puts(&json, "{\"Sequence\":{\"id\":\"A\"}}]},"
                    "\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}");
    t = tokenizer_parse(buf_str(&json), &e);
    is_str(t == NULL ? e.msg : "(opened)",
        "post_processor: more than 64 pieces in 'single'",
        "a template of many pieces");
}

static void long_sequence(void)
{
    struct buf json AUTO(buf_free) = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) = NULL;

    buf_puts(&json, "{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[");
    for (int i = 0; i < 1000; i++)
        buf_printf(&json, "%s{\"type\":\"Fuse\"}", i > 0 ? "," : "");
    buf_puts(&json, "]},\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}");
    t = tokenizer_parse(buf_str(&json), &e);
    is_str(t == NULL ? e.msg : "(opened)", "decoder: more than 1000 parts",
        "a sequence of many parts");
}

static void files(void)
{
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) = NULL;

    scratch_open();
    ok(tokenizer_open(at("none.json"), &e) == NULL && e.kind == ERR_MISSING,
        "a file that is not there is missing");
    err_clear(&e);
    write_text(at("bad.json"), "{\"model\":{}}");
    ok(tokenizer_open(at("bad.json"), &e) == NULL &&
            strstr(e.msg, "bad.json: ") != NULL,
        "a refusal names the file: %s", e.msg);
    err_clear(&e);
    write_text(at("good.json"), bytes_json);
    t = tokenizer_open(at("good.json"), &e);
    ok(t != NULL, "a good file opens");
    tokenizer_close(NULL);
    ok(true, "nothing closes");
    scratch_close();
}

int main(void)
{
    bytes();
    pieces();
    known("tests/model/tiny-neox/tokenizer.json", "tests/model/expected.json");
    known("tests/fixtures/llama/safetensors/tokenizer.json",
        "tests/fixtures/llama/expected.json");
    refusals();
    truncated();
    amplified();
    grown_tokens();
    wide_template();
    long_template();
    long_sequence();
    files();
    return done();
}
