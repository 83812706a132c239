/* SentencePiece models: how they are read, what is refused, what they do. */
#include "verify-run/tokenizer.h"

#include <time.h>

#include "base/rd.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"
#include "tests/unit/tokfile.h"
#include "verify-run/charsmap.h"
#include "verify-run/spmodel.h"

#define MARK "\xE2\x96\x81"

enum { KIND_UNIGRAM = 1, KIND_BPE = 2 };

struct row {
    const char *text;
    float score;
    int type;
};

static const struct row few[] = {
    { "<unk>", 0, SP_UNKNOWN },
    { "<s>", 0, SP_CONTROL },
    { "</s>", 0, SP_CONTROL },
    { MARK, -2, SP_NORMAL },
    { "a", -3, SP_NORMAL },
    { "b", -3, SP_NORMAL },
    { "ab", -4, SP_NORMAL },
    { MARK "a", -4.5f, SP_NORMAL },
    { "<x>", 0, SP_USER },
    { "bb", -3.5f, SP_UNUSED },
};

struct how {
    int kind;
    bool prefix;
    bool tidy;
    bool bytes;
};

static void put_trainer(struct buf *out, const struct how *h)
{
    struct buf part AUTO(buf_free) = BUF_INIT(1 << 16);

    pb_int(&part, 3, h->kind);
    if (h->bytes)
        pb_int(&part, 35, 1);
    pb_bytes(out, 2, buf_str(&part));
    buf_clear(&part);
    pb_int(&part, 3, h->prefix);
    pb_int(&part, 4, h->tidy);
    pb_bytes(out, 3, buf_str(&part));
}

static void put_model(struct buf *out, const struct how *h)
{
    char text[8];

    for (size_t i = 0; i < ARRAY_LEN(few); i++)
        pb_piece(out, str_of(few[i].text), few[i].score, few[i].type);
    for (unsigned i = 0; h->bytes && i < 256; i++) {
        snprintf(text, sizeof(text), "<0x%02X>", i);
        pb_piece(out, str_of(text), 0, SP_BYTE);
    }
    put_trainer(out, h);
}

static struct tokenizer *made(const struct how *h)
{
    struct buf bytes AUTO(buf_free) = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct tokenizer *t;

    put_model(&bytes, h);
    t = tokenizer_parse(buf_str(&bytes), &e);
    ok(t != NULL, "a model of kind %d opens %s", h->kind, e.msg);
    return t;
}

static void encode_is(const struct tokenizer *t, const char *text,
    unsigned flags, const char *want)
{
    struct buf got AUTO(buf_free) = BUF_INIT(1 << 16);
    struct ids ids AUTO(ids_free) = IDS_INIT;
    struct err e = ERR_INIT;
    char name[120];

    err_escape(name, sizeof(name), text);
    if (t == NULL || tokenizer_encode(t, str_of(text), flags, &ids, &e) != 0)
        buf_printf(&got, "! %s", e.msg);
    for (size_t i = 0; i < ids.n; i++)
        buf_printf(&got, "%s%u", i > 0 ? " " : "", ids.v[i]);
    is_str(got.p, want, name);
}

static void decode_is(const struct tokenizer *t, const uint32_t *ids, size_t n,
    bool special, const char *want)
{
    struct buf got AUTO(buf_free) = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;

    ok(tokenizer_decode(t, ids, n, special, &got, &e) == 0, "ids decode");
    is_str(got.p, want, want);
}

#define DECODE_IS(t, special, want, ...)                                       \
    decode_is(t, (const uint32_t[]){ __VA_ARGS__ },                            \
        sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t), special, \
        want)

static void unigram(void)
{
    struct tokenizer *t AUTO(tokenizer_close_auto) =
        made(&(struct how){ KIND_UNIGRAM, true, true, false });

    encode_is(t, "ab", 0, "3 6");
    encode_is(t, "a  a ", 0, "7 7");
    encode_is(t, "", 0, "");
    encode_is(t, "   ", 0, "");
    encode_is(t, "a", TOKENIZE_ENDS, "1 7");
    encode_is(t, "axyb", 0, "7 0 5");
    encode_is(t, "bb", 0, "3 5 5");
    encode_is(t, "a<x>b", 0, "7 8 5");
    encode_is(t, "<s>a", 0, "3 0 4");
    encode_is(t, "<s>a</s>", TOKENIZE_MARKUP, "1 7 2");
    encode_is(t, "\xFF", 0, "3 0");
    DECODE_IS(t, false, "ab a", 1, 3, 6, 7, 2);
    DECODE_IS(t, true, "<s>a</s>", 1, 4, 2);
    DECODE_IS(t, false, "a \xE2\x81\x87 ", 7, 0);
    DECODE_IS(t, false, "a", 4, 4000000000);
}

static void bpe(void)
{
    struct tokenizer *t AUTO(tokenizer_close_auto) =
        made(&(struct how){ KIND_BPE, true, false, true });

    encode_is(t, "ab", 0, "3 6");
    encode_is(t, " a", 0, "3 7");
    encode_is(t, "bb", 0, "3 5 5");
    encode_is(t, "\xC3\xA9", 0, "3 205 179");
    encode_is(t, "a<x>b", 0, "7 8 5");
    DECODE_IS(t, false, " a", 3, 7);
    DECODE_IS(t, false, "\xC3\xA9", 3, 205, 179);
    DECODE_IS(t, false,
        "\xEF\xBF\xBD\xEF\xBF\xBD"
        "a",
        3, 205, 205, 4);
}

static void open_fails(const struct buf *bytes, enum err_kind kind,
    const char *part, const char *name)
{
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) =
        tokenizer_parse(buf_str(bytes), &e);

    if (!ok(t == NULL && e.kind == kind && strstr(e.msg, part) != NULL, "%s",
            name))
        printf("#   got  '%s'\n", e.msg);
}

static void refused(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);
    const struct how h = { KIND_BPE, true, false, false };

    put_model(&b, &(struct how){ 4, true, true, false });
    open_fails(&b, ERR_UNSUPPORTED, "kind 'char'", "a kind it does not have");
    buf_clear(&b);
    put_model(&b, &(struct how){ 9, true, true, false });
    open_fails(&b, ERR_REFUSED, "model_type is 9", "no kind at all");
    buf_clear(&b);
    put_model(&b, &h);
    pb_piece(&b, str_of("ab"), 0, SP_NORMAL);
    open_fails(&b, ERR_REFUSED, "pieces 6 and 10 have the same text 'ab'",
        "a text twice");
    buf_clear(&b);
    put_model(&b, &h);
    pb_piece(&b, str_of("c"), 0.0f / 0.0f, SP_NORMAL);
    open_fails(&b, ERR_REFUSED, "score that is not finite", "a NaN");
    buf_clear(&b);
    put_model(&b, &h);
    pb_piece(&b, str_of("\xC3"), 0, SP_NORMAL);
    open_fails(&b, ERR_REFUSED, "piece 10 at byte", "half a character");
    buf_clear(&b);
    put_model(&b, &h);
    pb_piece(&b, str_of("c"), 0, SP_UNKNOWN);
    open_fails(&b, ERR_REFUSED, "both the unknown piece", "two unknown pieces");
    buf_clear(&b);
    pb_piece(&b, str_of("c"), 0, SP_NORMAL);
    open_fails(&b, ERR_REFUSED, "no piece is the unknown piece", "none");
    buf_clear(&b);
    put_model(&b, &h);
    pb_int(&b, 1, 5);
    open_fails(&b, ERR_REFUSED, "'pieces' at byte", "a number for a piece");
    buf_clear(&b);
    put_model(&b, &h);
    buf_put(&b, "\x0B", 1);
    open_fails(&b, ERR_REFUSED, "stands no field", "a group");
}

/* Every beginning of a file is refused or, at the end of a field, whole. */
static void truncated(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 22);
    size_t parsed = 0, wrong = 0;

    put_model(&b, &(struct how){ KIND_BPE, true, false, false });
    for (size_t n = 0; n < b.len; n++) {
        struct err e = ERR_INIT;
        char *copy = malloc(n + 1);
        struct spmodel m;

        memcpy(copy, b.p, n);
        if (spmodel_parse(&m, (struct str){ copy, n }, &arena, &e) == 0)
            parsed++;
        else
            wrong += e.kind != ERR_REFUSED;
        free(copy);
    }
    is_int((long long)parsed, (long long)ARRAY_LEN(few) + 1,
        "cut between fields it reads, nowhere else");
    is_int((long long)wrong, 0, "and all else is refused");
}

static void byte_pieces(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);

    pb_piece(&b, str_of("<unk>"), 0, SP_UNKNOWN);
    pb_piece(&b, str_of("a"), 0, SP_NORMAL);
    pb_piece(&b, str_of("<0x41>"), 0, SP_BYTE);
    put_trainer(&b, &(struct how){ KIND_BPE, true, true, true });
    open_fails(&b, ERR_REFUSED, "no byte piece is '<0x00>'",
        "byte_fallback without bytes");
    buf_clear(&b);
    pb_piece(&b, str_of("<unk>"), 0, SP_UNKNOWN);
    pb_piece(&b, str_of("<0x4>"), 0, SP_BYTE);
    put_trainer(&b, &(struct how){ KIND_BPE, true, true, false });
    open_fails(&b, ERR_REFUSED, "is no <0xHH>", "a byte piece of no byte");
}

/* A map of n units, all of them zero but two, and the texts behind them. */
static void put_map(struct buf *out, const uint32_t units[4], struct str texts)
{
    struct buf map AUTO(buf_free) = BUF_INIT(1 << 20);
    struct buf spec AUTO(buf_free) = BUF_INIT(1 << 20);
    const uint32_t n = 512;

    for (uint32_t i = 0; i <= n; i++) {
        uint32_t unit = i == 0 ? 4 * n : 0;

        unit = i == units[0] + 1 ? units[1] : unit;
        unit = i == units[2] + 1 ? units[3] : unit;
        for (unsigned k = 0; k < 4; k++)
            buf_putc(&map, (char)(unit >> 8 * k));
    }
    buf_put(&map, texts.p, texts.len);
    pb_bytes(&spec, 2, buf_str(&map));
    pb_bytes(out, 3, buf_str(&spec));
}

/* The way from "a" leads back to where "a" leads from. */
static void map_in_circles(void)
{
    const uint32_t units[] = { 0, 0x100 << 10, 0x100 ^ 'a', 'a' << 10 | 'a' };
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);
    struct buf text AUTO(buf_free) = BUF_INIT(1 << 20);
    struct ids ids AUTO(ids_free) = IDS_INIT;
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) = NULL;
    clock_t start;

    put_model(&b, &(struct how){ KIND_UNIGRAM, true, true, false });
    put_map(&b, units, (struct str){ "", 1 });
    t = tokenizer_parse(buf_str(&b), &e);
    while (text.len < 1 << 18)
        buf_putc(&text, 'a');
    start = clock();
    ok(t != NULL && tokenizer_encode(t, buf_str(&text), 0, &ids, &e) == 0 &&
            ids.n == 1 << 18,
        "a charsmap in circles replaces nothing %s", e.msg);
    ok((double)(clock() - start) / CLOCKS_PER_SEC < 10, "and ends");
}

static void long_replacement(void)
{
    const uint32_t units[] = { 0, 0, 1, 0 };
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);
    char text[CHARSMAP_TEXT_MAX + 2];

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    put_model(&b, &(struct how){ KIND_UNIGRAM, true, true, false });
    put_map(&b, units, (struct str){ text, sizeof(text) });
    open_fails(&b, ERR_REFUSED, "has more than 256 bytes",
        "a character that becomes a book");
}

/* Of pieces of the user and others, by what each weighs. */
static void weights(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) = NULL;

    pb_piece(&b, str_of("<unk>"), 0, SP_UNKNOWN);
    pb_piece(&b, str_of("1"), 0.04f, SP_NORMAL);
    pb_piece(&b, str_of("2"), 0.05f, SP_NORMAL);
    pb_piece(&b, str_of("3"), 0.07f, SP_NORMAL);
    pb_piece(&b, str_of("12"), 0, SP_USER);
    pb_piece(&b, str_of("13"), 0, SP_USER);
    put_trainer(&b, &(struct how){ KIND_UNIGRAM, true, true, false });
    t = tokenizer_parse(buf_str(&b), &e);
    encode_is(t, "12", 0, "0 4");
    encode_is(t, "13", 0, "0 1 3");
}

int main(void)
{
    unigram();
    bpe();
    refused();
    truncated();
    byte_pieces();
    map_in_circles();
    long_replacement();
    weights();
    return done();
}
