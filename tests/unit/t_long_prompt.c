/*
 * A prompt of a megabyte without a space ends, for every kind of tokenizer.
 * The bound is far above what a slow machine needs and far below what a
 * quadratic search would.
 */
#include "verify-run/tokenizer.h"

#include <time.h>

#include "tests/unit/tap.h"
#include "tests/unit/tokfile.h"

enum { LONG = 1 << 20, BOUND_SECONDS = 15 };

/* Of this process alone; -1 when it does not encode. */
static double seconds(const struct tokenizer *t, const char *unit)
{
    struct buf text AUTO(buf_free) = BUF_INIT(LONG * 2);
    struct ids ids AUTO(ids_free) = IDS_INIT;
    struct err e = ERR_INIT;
    clock_t start;

    while (text.len < LONG)
        buf_puts(&text, unit);
    start = clock();
    if (tokenizer_encode(t, buf_str(&text), 0, &ids, &e) != 0)
        return -1;
    return (double)(clock() - start) / CLOCKS_PER_SEC;
}

static void ends(struct str bytes, const char *name)
{
    static const char *const units[] = { "a", "ab", "abracadabra", "1",
        "\xF0\x9F\x98\x80", "\n" };
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) = tokenizer_parse(bytes, &e);

    if (!ok(t != NULL, "%s opens %s", name, e.msg))
        return;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        double took = seconds(t, units[i]);

        ok(took >= 0 && took < BOUND_SECONDS, "%s, text %zu: %.2f s", name, i,
            took);
    }
}

static const char *const pieces[] = { "a", "b", "ab", "ra", "abra", "aa",
    "aaaa", "aaaaaaaa", "cad", "c", "r", "d", "abracad", "1", "11" };

static void put_model(struct buf *out, int kind)
{
    struct buf part AUTO(buf_free) = BUF_INIT(64);

    buf_clear(out);
    pb_piece(out, str_of("<unk>"), 0, 2);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        pb_piece(out, str_of(pieces[i]), -(float)i, 1);
    pb_int(&part, 3, kind);
    pb_bytes(out, 2, buf_str(&part));
}

static void put_table(struct buf *out)
{
    uint32_t rank = 0;

    buf_clear(out);
    for (; rank < 256; rank++) {
        unsigned char c = (unsigned char)rank;

        put_base64(out, &c, 1);
        buf_printf(out, " %u\n", rank);
    }
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        if (strlen(pieces[i]) < 2)
            continue;
        put_base64(out, pieces[i], strlen(pieces[i]));
        buf_printf(out, " %u\n", rank++);
    }
    while (rank < 50256)
        put_filler(out, rank++);
}

static const char bpe[] =
    "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"a\",\"vocab\":{\"a\":0,"
    "\"b\":1,\"ab\":2,\"aa\":3,\"aaaa\":4,\"r\":5,\"ra\":6,\"abra\":7},"
    "\"merges\":[\"a b\",\"r a\",\"ab ra\",\"a a\",\"aa aa\"]}}";

static const char unigram[] =
    "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"?\",0],"
    "[\"a\",-2],[\"b\",-2],[\"ab\",-3],[\"aa\",-3],[\"abra\",-5]]}}";

int main(void)
{
    struct buf bytes AUTO(buf_free) = BUF_INIT(1 << 22);

    ends(str_of(bpe), "BPE of a tokenizer.json");
    ends(str_of(unigram), "Unigram of a tokenizer.json");
    put_model(&bytes, 1);
    ends(buf_str(&bytes), "SentencePiece unigram");
    put_model(&bytes, 2);
    ends(buf_str(&bytes), "SentencePiece BPE");
    put_table(&bytes);
    ends(buf_str(&bytes), "tiktoken");
    return done();
}
