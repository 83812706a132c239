/*
 * A SentencePiece model is refused or usable: texts of every kind encode to
 * ids it has, and ids decode to good UTF-8.
 */
// seeds: tests/fuzz/spm/*
// dict: spm.dict
#include "kit.h"

#include "base/utf8.h"
#include "verify-run/tokenizer.h"

static const char *const texts[] = {
    "",
    " a  b ",
    "Hello, world! don't  12345 x=1;\r\n\n\t",
    ("\xC3\xA9 e\xCC\x81 \xE4\xBD\xA0 \xF0\x9F\x98\x80 \xE2\x96\x81 \xEF\xBC"
     "\xA1\xE3\x80\x80\xC2\xA0\xC2\xAD"),
    "<s>[x]<x></s>\xFF\xC3\xED\xA0\x80",
};

static void expect_utf8(struct str s)
{
    uint32_t cp;
    unsigned n;

    for (; s.len > 0; s.p += n, s.len -= n)
        must((n = utf8_get(s, &cp)) != 0);
}

static void check(const struct tokenizer *t, struct str text, unsigned flags)
{
    struct ids ids AUTO(ids_free) = IDS_INIT;
    struct buf out AUTO(buf_free) = BUF_INIT(1 << 26);
    struct err e = ERR_INIT;

    if (tokenizer_encode(t, text, flags, &ids, &e) != 0) {
        kit_failed(&e);
        return;
    }
    for (size_t i = 0; i < ids.n; i++)
        must(ids.v[i] < tokenizer_size(t));
    for (uint32_t i = 0; i < 40; i++)
        ids_add(&ids, i * i, &e);
    if (tokenizer_decode(t, ids.v, ids.n, flags != 0, &out, &e) == 0)
        expect_utf8(buf_str(&out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = { (const char *)data, size };
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) = tokenizer_parse(input, &e);

    if (t == NULL) {
        kit_failed(&e);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        check(t, str_of(texts[i]), i % 4);
    input.len = size_min(size, 4096);
    check(t, input, TOKENIZE_ENDS | TOKENIZE_MARKUP);
    return 0;
}
