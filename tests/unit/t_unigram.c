/* Unigram of a tokenizer.json: what it chooses, and what is refused. */
#include "verify-run/tokenizer.h"

#include "tests/unit/tap.h"

static void put_doc(struct buf *out, const char *model)
{
    buf_printf(out, "{\"model\":{\"type\":\"Unigram\",%s}}", model);
}

/* The ids of a text, or what went wrong, after "!". */
static void ids_are(const char *model, const char *text, const char *want)
{
    struct buf doc AUTO(buf_free) = BUF_INIT(1 << 20);
    struct buf got AUTO(buf_free) = BUF_INIT(1 << 20);
    struct ids ids AUTO(ids_free) = IDS_INIT;
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) = NULL;

    put_doc(&doc, model);
    t = tokenizer_parse(buf_str(&doc), &e);
    if (t == NULL || tokenizer_encode(t, str_of(text), 0, &ids, &e) != 0)
        buf_printf(&got, "! %s", e.msg);
    for (size_t i = 0; i < ids.n; i++)
        buf_printf(&got, "%s%u", i > 0 ? " " : "", ids.v[i]);
    is_str(got.p, want, text);
}

#define VOCAB(entries) "\"unk_id\":0,\"vocab\":[[\"?\",0]," entries "]"

static void chosen(void)
{
    ids_are(VOCAB("[\"a\",-1],[\"b\",-1],[\"ab\",-1.5]"), "aab", "1 3");
    /* Of ways that are equally good the one that was found first. */
    ids_are(VOCAB("[\"a\",-1],[\"b\",-1],[\"ab\",-2]"), "aab", "1 3");
    ids_are(VOCAB("[\"a\",-1]"), "axxya", "1 0 1");
    ids_are(VOCAB("[\"a\",-1]"), "", "");
    ids_are("\"unk_id\":null,\"vocab\":[[\"a\",-1]]", "a", "0");
}

/* What no trainer writes is read as the reference reads it. */
static void odd(void)
{
    ids_are(VOCAB("[\"a\",-1],[\"a\",-5]"), "aa", "2 2");
    ids_are(VOCAB("[\"a\",-5],[\"a\",-1]"), "aa", "2 2");
    ids_are(VOCAB("[\"\",0],[\"a\",-1]"), "ab", "2 0");
    ids_are(
        VOCAB("[\"a\",-1e308],[\"b\",-1e308],[\"ab\",-1e308]"), "aab", "1 3");
    ids_are(VOCAB("[\"a\",1e308],[\"b\",1e308],[\"ab\",1e308]"), "ab", "1 2");
    ids_are(VOCAB("[\"a\",1e308],[\"b\",1e308],[\"ab\",1e308]"), "aab", "1 3");
}

static void opens_not(const char *model, const char *part)
{
    struct buf doc AUTO(buf_free) = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) = NULL;

    put_doc(&doc, model);
    t = tokenizer_parse(buf_str(&doc), &e);
    if (!ok(t == NULL && e.kind == ERR_REFUSED && strstr(e.msg, part) != NULL,
            "refused: %s", model))
        printf("#   got  '%s'\n", e.msg);
}

static void refused(void)
{
    static const char *const entries[] = { "[\"a\"]", "[\"a\",\"b\"]",
        "[1,\"a\"]", "[\"a\",null]", "[\"a\",1,2]", "\"a\"", "{}", "[]",
        "null" };
    char model[200];

    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        snprintf(model, sizeof(model), VOCAB("%s"), entries[i]);
        opens_not(model, "entry 1 is no pair of a text and a finite score");
    }
    opens_not("\"unk_id\":0,\"vocab\":[[\"a\",NaN]]", "malformed JSON");
    opens_not("\"unk_id\":0,\"vocab\":[[\"a\",1e999]]", "too large");
    opens_not("\"unk_id\":0,\"vocab\":[[\"a\",-1e999]]", "too large");
    opens_not("\"unk_id\":1,\"vocab\":[[\"a\",0]]", "not in the vocabulary");
    opens_not("\"unk_id\":0,\"vocab\":[]", "not in the vocabulary");
    opens_not("\"unk_id\":-1,\"vocab\":[[\"a\",0]]", "unk_id");
    opens_not("\"unk_id\":0.5,\"vocab\":[[\"a\",0]]", "unk_id");
    opens_not("\"unk_id\":4294967295,\"vocab\":[[\"a\",0]]", "unk_id");
    opens_not("\"unk_id\":1e30,\"vocab\":[[\"a\",0]]", "unk_id");
    opens_not("\"unk_id\":0", "no list 'vocab'");
    opens_not("\"unk_id\":0,\"vocab\":{\"a\":0}", "no list 'vocab'");
    ids_are("\"unk_id\":null,\"vocab\":[[\"a\",-1]]", "ax",
        "! the tokenizer does not know the character 'x' and has no unknown "
        "token");
}

/* Reading takes a hundred bytes for each value: nine million are refused
 * before any is read. */
static void too_many_values(void)
{
    const size_t n = 9 << 20;
    struct buf doc AUTO(buf_free) = BUF_INIT(n * 2 + 100);
    struct err e = ERR_INIT;
    struct tokenizer *t AUTO(tokenizer_close_auto) = NULL;

    buf_puts(&doc, "{\"model\":[0");
    for (size_t i = 0; i < n; i++)
        buf_put(&doc, ",0", 2);
    buf_puts(&doc, "]}");
    t = tokenizer_parse(buf_str(&doc), &e);
    ok(t == NULL && e.kind == ERR_REFUSED && strstr(e.msg, "values") != NULL,
        "more values than a tokenizer has: %s", e.msg);
}

int main(void)
{
    chosen();
    odd();
    refused();
    too_many_values();
    return done();
}
