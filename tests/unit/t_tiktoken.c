/* Tables of tokens by rank: how they are read, what is refused. */
#include "verify-run/tiktoken.h"

#include "tests/unit/tap.h"
#include "tests/unit/tokfile.h"

static const char *const extra[] = { "he", "ll", "hell", "o w", "lo", " w",
    "hello" };

static const char *const specials[] = { NULL, "<|end|>", "<|e|>" };

static const struct tikfamily family = {
    .name = "test",
    .regex = WORDSPLIT_LLAMA3,
    .specials = specials,
    .n_named = 3,
    .n_specials = 5,
    .numbered = "<|n_",
    .first = 3,
};

static void put_table(struct buf *out)
{
    uint32_t rank = 0;

    for (; rank < 256; rank++) {
        unsigned char c = (unsigned char)rank;

        put_base64(out, &c, 1);
        buf_printf(out, " %u\n", rank);
    }
    for (size_t i = 0; i < ARRAY_LEN(extra); i++) {
        put_base64(out, extra[i], strlen(extra[i]));
        buf_printf(out, " %u\n", rank++);
    }
}

static void encode_is(
    const struct tiktoken *t, const char *text, const char *want)
{
    struct buf got AUTO(buf_free) = BUF_INIT(1 << 16);
    struct ids ids AUTO(ids_free) = IDS_INIT;
    struct err e = ERR_INIT;

    if (tiktoken_encode(t, str_of(text), &ids, &e) != 0)
        buf_printf(&got, "! %s", e.msg);
    for (size_t i = 0; i < ids.n; i++)
        buf_printf(&got, "%s%u", i > 0 ? " " : "", ids.v[i]);
    is_str(got.p, want, text);
}

static void encoding(void)
{
    struct buf table AUTO(buf_free) = BUF_INIT(1 << 16);
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct buf out AUTO(buf_free) = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;
    struct tiktoken t;
    uint32_t id = 0;

    put_table(&table);
    if (!ok(tiktoken_load(&t, buf_str(&table), &family, "", &arena, &e) == 0,
            "a table opens %s", e.msg))
        return;
    encode_is(&t, "hello", "262");
    encode_is(&t, "hell", "258");
    encode_is(&t, "helloo", "262 111");
    encode_is(&t, "lohell", "260 258");
    encode_is(&t, "hello world", "262 261 111 114 108 100");
    encode_is(&t, "\xC3\xA9", "195 169");
    encode_is(&t, "<|end|>", "60 124 101 110 100 124 62");
    is_int(tiktoken_size(&t), 268, "its size counts the special tokens");
    is_int((long long)prefixes_longest(&t.matcher, str_of("<|end|>x"), &id), 7,
        "a special token is found");
    is_int(id, 264, "behind the table");
    is_int((long long)prefixes_longest(&t.matcher, str_of("<|n_1|>"), &id), 7,
        "a numbered one, too");
    is_int(id, 267, "at its place");
    tiktoken_decode(&t, 258, false, &out);
    tiktoken_decode(&t, 263, true, &out);
    tiktoken_decode(&t, 264, false, &out);
    tiktoken_decode(&t, 265, true, &out);
    is_str(out.p, "hell<|e|>", "decoding");
}

static void load_is(const char *text, enum err_kind kind, const char *part)
{
    struct buf table AUTO(buf_free) = BUF_INIT(1 << 16);
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct tiktoken t;

    put_table(&table);
    buf_puts(&table, text);
    if (!ok(tiktoken_load(&t, buf_str(&table), NULL, "", &arena, &e) != 0 &&
                e.kind == kind && strstr(e.msg, part) != NULL,
            "%s", part))
        printf("#   got  '%s'\n", e.msg);
}

static void refused(void)
{
    load_is("", ERR_UNSUPPORTED, "a tiktoken table of 263 tokens");
    load_is("eHh4 264\n", ERR_REFUSED, "264 lines have ranks up to 264");
    load_is("eHh4\n", ERR_REFUSED, "line 264 at byte ");
    load_is("eHh4 263 \n", ERR_REFUSED, "no base64, one space and a rank");
    load_is("eHh4 -1\n", ERR_REFUSED, "no base64, one space and a rank");
    load_is("eHh4 0263\n", ERR_REFUSED, "no base64, one space and a rank");
    load_is(" 263\n", ERR_REFUSED, "no base64, one space and a rank");
    load_is("eHh4 99999999999999999999\n", ERR_REFUSED, "rank is too large");
    load_is("eHh 263\n", ERR_REFUSED, "the token is no base64");
    load_is("eHh= 263\n", ERR_REFUSED, "the token is no base64");
    load_is("eHh4 2\n", ERR_REFUSED, "264 lines have ranks up to 262");
    load_is("aGU= 263\n", ERR_REFUSED, "a token that an earlier line has");
    load_is(
        "eHh4 262\neHh5 264\n", ERR_REFUSED, "a rank that an earlier line has");
}

static void bytes_needed(void)
{
    struct buf table AUTO(buf_free) = BUF_INIT(1 << 16);
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct tiktoken t;

    buf_puts(&table, "AA== 0\nAQ== 1");
    ok(tiktoken_load(&t, buf_str(&table), &family, "", &arena, &e) != 0,
        "a byte that is missing");
    is_str(e.msg, "no token of the table is the byte 0x02", "is named");
}

int main(void)
{
    encoding();
    refused();
    bytes_needed();
    return done();
}
