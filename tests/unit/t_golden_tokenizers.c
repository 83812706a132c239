/*
 * Texts and the ids that the reference libraries give them with published
 * tokenizers: tests/fixtures/tokenizers, whose make.py says what was kept.
 */
#include "verify-run/tokenizer.h"

#include "base/json.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"
#include "tests/unit/tokfile.h"

#define FOLDER "tests/fixtures/tokenizers/"

enum { TEXT_MAX = 1 << 23 };

static struct json_doc golden = JSON_DOC_INIT;

static void put_list(struct buf *out, const struct json *list)
{
    for (const struct json *i = json_first(list); i; i = json_next(i)) {
        uint64_t id = 0;

        json_u64(i, &id);
        buf_printf(
            out, "%s%llu", out->len > 0 ? " " : "", (unsigned long long)id);
    }
}

static void put_ids(struct buf *out, const struct ids *ids)
{
    for (size_t i = 0; i < ids->n; i++)
        buf_printf(out, "%s%u", i > 0 ? " " : "", ids->v[i]);
}

static void encode_is(const struct tokenizer *t, const char *text,
    unsigned flags, const char *want, const char *name)
{
    struct buf got AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct ids ids AUTO(ids_free) = IDS_INIT;
    struct err e = ERR_INIT;
    char shown[120];

    err_escape(shown, sizeof(shown), text);
    if (tokenizer_encode(t, str_of(text), flags, &ids, &e) != 0)
        buf_printf(&got, "! %s", e.msg);
    put_ids(&got, &ids);
    buf_puts(&got, "");
    if (!ok(strcmp(got.p, want) == 0, "%s: '%s'", name, shown))
        printf("#   got  %s\n#   want %s\n", got.p, want);
}

static void rows(const struct tokenizer *t, const char *column)
{
    for (const struct json *i = json_first(golden.root); i; i = json_next(i)) {
        struct buf want AUTO(buf_free) = BUF_INIT(TEXT_MAX);
        const char *text = "";

        json_str(json_get(i, "text"), &text);
        put_list(&want, json_get(i, column));
        encode_is(t, text, 0, want.p, column);
    }
}

static struct tokenizer *from_bytes(const struct buf *bytes, const char *name)
{
    struct err e = ERR_INIT;
    struct tokenizer *t = tokenizer_parse(buf_str(bytes), &e);

    ok(t != NULL, "%s opens%s%s", name, t != NULL ? "" : ": ", e.msg);
    return t;
}

static void pipeline(const char *path, const char *column)
{
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) = tokenizer_open(path, &e);

    if (ok(t != NULL, "%s opens %s", path, e.msg))
        rows(t, column);
}

/* Pieces that were left out stand as others that no text has. */
static void put_model(struct buf *out, const struct json *doc)
{
    const struct json *next = json_first(json_get(doc, "pieces"));
    struct buf part AUTO(buf_free) = BUF_INIT(64);
    uint64_t size = 0;

    json_u64(json_get(doc, "size"), &size);
    for (uint64_t id = 0; id < size; id++) {
        const struct json *v = json_first(next);
        uint64_t kept = size;
        double score = 0, type = 0;
        const char *text = "";

        json_u64(v, &kept);
        if (kept != id) {
            buf_clear(&part);
            buf_printf(&part, "\xEE\x80\x80%llu", (unsigned long long)id);
            pb_piece(out, buf_str(&part), -1e9f, 1);
            continue;
        }
        v = json_next(v);
        json_str(v, &text);
        v = json_next(v);
        json_double(v, &score);
        json_double(json_next(v), &type);
        pb_piece(out, str_of(text), (float)score, (int)type);
        next = json_next(next);
    }
    buf_clear(&part);
    pb_int(&part, 3, 2);
    pb_int(&part, 35, 1);
    pb_bytes(out, 2, buf_str(&part));
    buf_clear(&part);
    pb_int(&part, 4, 0);
    pb_bytes(out, 3, buf_str(&part));
}

static void llama2(void)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct buf model AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) = NULL;

    ok(json_read(&doc, FOLDER "llama2.json", TEXT_MAX, &e) == 0, "llama2");
    put_model(&model, doc.root);
    t = from_bytes(&model, "llama2 as a SentencePiece model");
    if (t == NULL)
        return;
    is_str(tokenizer_about(t), "SentencePiece BPE", "what it is");
    rows(t, "llama2");
    encode_is(t, "", TOKENIZE_ENDS, "1", "llama2 with BOS");
    encode_is(t, "  ", TOKENIZE_ENDS, "1 1678", "llama2 with BOS");
    encode_is(t, " Hello", TOKENIZE_ENDS, "1 29871 15043", "llama2 with BOS");
    encode_is(t, "<s>", 0, "529 29879 29958", "llama2, a token typed");
    encode_is(t, "<s>", TOKENIZE_MARKUP, "1", "llama2, markup");
}

static void put_table(struct buf *out, const struct json *doc)
{
    const struct json *next = json_first(json_get(doc, "tokens"));
    uint64_t size = 0;

    json_u64(json_get(doc, "size"), &size);
    for (uint64_t rank = 0; rank < size; rank++) {
        const char *text = "";
        uint64_t kept = size;

        json_u64(json_first(next), &kept);
        if (kept != rank) {
            put_filler(out, (uint32_t)rank);
            continue;
        }
        json_str(json_next(json_first(next)), &text);
        buf_printf(out, "%s %llu\n", text, (unsigned long long)rank);
        next = json_next(next);
    }
}

static void llama3(void)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct buf table AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) = NULL;

    ok(json_read(&doc, FOLDER "llama3.json", TEXT_MAX, &e) == 0, "llama3");
    put_table(&table, doc.root);
    t = from_bytes(&table, "llama3 as a tiktoken table");
    if (t == NULL)
        return;
    is_str(tokenizer_about(t), "tiktoken, Llama 3", "what it is");
    is_int(tokenizer_size(t), 128256, "with its special tokens");
    rows(t, "llama3");
    encode_is(t, "Hello, world!", TOKENIZE_ENDS, "128000 9906 11 1917 0",
        "llama3 with BOS");
    encode_is(
        t, "<|eot_id|>\n\n", TOKENIZE_MARKUP, "128009 271", "llama3, markup");
    encode_is(t, "<|reserved_special_token_247|>", TOKENIZE_MARKUP, "128255",
        "llama3, markup");
}

int main(void)
{
    struct err e = ERR_INIT;

    ok(json_read(&golden, FOLDER "golden.json", TEXT_MAX, &e) == 0,
        "golden.json %s", e.msg);
    pipeline(FOLDER "neox.json", "neox");
    pipeline(FOLDER "gpt2.json", "gpt2");
    llama2();
    llama3();
    skip("the column 'quantum'", "its tokenizer is not among the fixtures");
    json_free(&golden);
    return done();
}
