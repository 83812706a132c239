/*
 * A table of tokens is refused or usable. Behind a 'T' the input is lines
 * that follow a table of the 256 bytes, else it is the whole table; the first
 * byte after it chooses the family.
 */
// seeds: tests/fuzz/tiktoken/*
// dict: tiktoken.dict
#include "kit.h"

#include "verify-run/tiktoken.h"
#include "verify-run/unicode.h"

static const char *const specials[] = { NULL, "<|a|>", "<|a" };

static const struct tikfamily families[] = {
    { .name = "one", .regex = WORDSPLIT_GPT2 },
    { .name = "two",
        .regex = WORDSPLIT_LLAMA3,
        .specials = specials,
        .n_named = 3,
        .n_specials = 9,
        .numbered = "<|n_",
        .first = 1 },
    { .name = "three", .regex = WORDSPLIT_QWEN2, .nfc = true },
};

static void put_bytes(struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";

    for (unsigned i = 0; i < 256; i++)
        buf_printf(out, "%c%c== %u\n", digits[i >> 2], digits[i << 4 & 63], i);
}

static void check(const struct tiktoken *t, struct str text)
{
    struct buf good AUTO(buf_free) = BUF_INIT(1 << 20);
    struct buf out AUTO(buf_free) = BUF_INIT(1 << 26);
    struct ids ids AUTO(ids_free) = IDS_INIT;
    struct err e = ERR_INIT;

    unicode_repair(text, &good);
    if (tiktoken_encode(t, buf_str(&good), &ids, &e) != 0) {
        kit_failed(&e);
        return;
    }
    for (size_t i = 0; i < ids.n; i++) {
        must(ids.v[i] < t->vocab.size);
        tiktoken_decode(t, ids.v[i], false, &out);
    }
    /* What is encoded comes back, but for its normal form. */
    if (!t->family->nfc)
        must(str_eq(buf_str(&out), buf_str(&good)));
    for (uint32_t i = 0; i < tiktoken_size(t); i++)
        tiktoken_decode(t, i, true, &out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf table AUTO(buf_free) = BUF_INIT(1 << 20);
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 26);
    struct err e = ERR_INIT;
    struct tiktoken t;
    size_t from = 0;

    if (size > 1 && data[0] == 'T') {
        put_bytes(&table);
        from = 2;
    }
    buf_put(&table, data + from, size - from);
    if (tiktoken_load(&t, buf_str(&table),
            &families[size > 1 ? data[1] % 3 : 0], "", &arena, &e) != 0) {
        kit_failed(&e);
        return 0;
    }
    check(&t, str_of("Hello, world! don't  12345 + 67.89;\r\n\n  x\t<|a|>"));
    check(&t, (struct str){ (const char *)data, size_min(size, 4096) });
    return 0;
}
