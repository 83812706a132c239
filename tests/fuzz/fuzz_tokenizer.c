/*
 * A tokenizer.json is refused or usable: texts of every kind encode, and
 * whatever ids come out decode, as do ids that exist nowhere.
 */
// seeds: tests/fixtures/llama/safetensors/tokenizer.json tests/fuzz/tokenizer/*
// dict: json.dict tokenizer.dict
#include "kit.h"

#include "base/utf8.h"
#include "verify-run/tokenizer.h"

static const char *const texts[] = {
    "",
    "a",
    "Hello, world! don't WE'LL  12345 + 67.89;\r\n\n  x\t",
    ("\xC3\xA9 e\xCC\x81\xCC\xA7 \xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8 \xE4\xBD"
     "\xA0 \xF0\x9F\x98\x80 \xE2\x96\x81\xE2\x96\x81"),
    "<s>[L]  [R]  </s>\xFF\xC3\xED\xA0\x80\xF4\x90",
};

static void expect_utf8(struct str s)
{
    uint32_t cp;
    unsigned n;

    for (; s.len > 0; s.p += n, s.len -= n)
        must((n = utf8_get(s, &cp)) != 0);
}

static void check(const struct tokenizer *t, struct str text, bool special)
{
    struct ids ids AUTO(ids_free) = IDS_INIT;
    struct buf out AUTO(buf_free) = BUF_INIT(1 << 26);
    struct err e = ERR_INIT;

    if (tokenizer_encode(t, text, special, &ids, &e) != 0)
        return;
    for (size_t i = 0; i < ids.n; i++)
        must(ids.v[i] < tokenizer_size(t));
    for (uint32_t i = 0; i < 40; i++)
        ids_add(&ids, i * i, &e);
    if (tokenizer_decode(t, ids.v, ids.n, special, &out, &e) == 0)
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
        check(t, str_of(texts[i]), i % 2 == 0);
    input.len = size_min(size, 256);
    check(t, input, true);
    return 0;
}
