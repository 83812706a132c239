#include "verify-run/bpe.h"

#include "tests/unit/tap.h"

#define MODEL(flags, vocab, merges)                                            \
    "{\"type\":\"BPE\"," flags "\"vocab\":{" vocab "},\"merges\":[" merges "]" \
    "}"

/* Encode words, given joined by '|': "1 2 3", or "! message". */
static void encode(const char *json, const char *text, struct buf *out)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 24);
    struct bpe_work work AUTO(bpe_work_free) = BPE_WORK_INIT;
    struct ids ids AUTO(ids_free) = IDS_INIT;
    struct bpe b;
    struct err e = ERR_INIT;
    int rc = json_parse(&doc, str_of(json), 0, &e);

    if (rc == 0)
        rc = bpe_load(&b, doc.root, &arena, &e);
    while (rc == 0) {
        size_t n = strcspn(text, "|");

        rc = bpe_word(&b, (struct str){ text, n }, &work, &ids, &e);
        if (text[n] == '\0')
            break;
        text += n + 1;
    }
    if (rc != 0)
        buf_printf(out, "! %s", e.msg);
    for (size_t i = 0; rc == 0 && i < ids.n; i++)
        buf_printf(out, "%s%u", i > 0 ? " " : "", ids.v[i]);
}

static void encode_is(
    const char *json, const char *text, const char *want, const char *name)
{
    struct buf out AUTO(buf_free) = BUF_INIT(1 << 20);

    encode(json, text, &out);
    is_str(out.p, want, name);
}

#define ABC "\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"bc\":4,\"abc\":5,\"aa\":6"

static void merging(void)
{
    encode_is(MODEL("", ABC, "\"a b\",\"b c\",\"ab c\""), "abc", "5",
        "merges in order of rank");
    encode_is(MODEL("", ABC, "\"b c\",\"a b\",\"ab c\""), "abc", "0 4",
        "the lower rank goes first, even when it blocks a longer one");
    encode_is(MODEL("", ABC, "\"a a\""), "aaa", "6 0",
        "of equal ranks the leftmost goes first");
    encode_is(MODEL("", ABC, "[\"a\",\"a\"]"), "aaaa|a|aaa", "6 6 0 6 0",
        "merges as pairs");
    encode_is(MODEL("", ABC, "\"#version: 0.2\",\"a b\""), "ab", "3",
        "a version line is no merge");
    encode_is(MODEL("", ABC ",\"a \":7,\" \":8", "[\"a\",\" \"]"), "a ", "7",
        "a pair may hold a space");
    encode_is(MODEL("", ABC, "\"b c\",\"a b\",\"b c\""), "abc", "3 2",
        "of a merge that stands twice the last rank counts");
    encode_is(MODEL("", ABC, ""), "|", "", "an empty word has no ids");
    encode_is(MODEL("\"ignore_merges\":true,", ABC, ""), "abc|abcab",
        "5 0 1 2 0 1", "ignore_merges takes a whole word only");
}

#define BYTES "\"<0xC3>\":10,\"<0xA9>\":11,\"<unk>\":12"
#define E_ACUTE "\xC3\xA9"
#define HAN "\xE4\xBD\xA0"

static void unknown(void)
{
    encode_is(MODEL("", ABC, ""), "axxb", "0 1",
        "without an unknown token a character vanishes");
    encode_is(MODEL("\"unk_token\":\"<unk>\",", ABC "," BYTES, ""), "axxb",
        "0 12 12 1", "one unknown token each");
    encode_is(
        MODEL("\"unk_token\":\"<unk>\",\"fuse_unk\":true,", ABC "," BYTES, ""),
        "axxbx", "0 12 1 12", "or one for a run");
    encode_is(MODEL("\"unk_token\":\"<unk>\",\"byte_fallback\":true,",
                  ABC "," BYTES, ""),
        "a" E_ACUTE HAN "b", "0 10 11 12 1",
        "bytes where all exist, else unknown");
    encode_is(MODEL("\"unk_token\":\"<unk>\",\"byte_fallback\":true,",
                  ABC "," BYTES, ""),
        HAN E_ACUTE "b", "10 11 12 1",
        "an unknown token waits behind bytes, as in the reference");
    encode_is(MODEL("\"unk_token\":\"<x>\",", ABC, ""), "ab", "0 1",
        "an unknown token that is missing does no harm unused");
    encode_is(MODEL("\"unk_token\":\"<x>\",", ABC, ""), "az",
        "! the tokenizer knows neither the character 'z' nor its own "
        "unk_token '<x>'",
        "and is told of when used");
}

static void refusals(void)
{
    static const struct {
        const char *json, *want;
    } row[] = {
        { "{\"type\":\"BPE\"}", "! the model has no object 'vocab'" },
        { "{\"vocab\":{}}", "! the model has no list 'merges'" },
        { MODEL("", "\"a\":-1", ""),
            "! vocab: the id of 'a' is no whole number below 1048576" },
        { MODEL("", "\"a\":4294967295", ""),
            "! vocab: the id of 'a' is no whole number below 1048576" },
        { MODEL("", "\"a\":\"0\"", ""),
            "! vocab: the id of 'a' is no whole number below 1048576" },
        { MODEL("", "\"a\":1,\"b\":1", ""),
            "! vocab: 'a' and 'b' have the same id 1" },
        { MODEL("", ABC, "\"a x\""),
            "! merge 0: 'x' is not in the vocabulary" },
        { MODEL("", ABC, "\"b a\""),
            "! merge 0: 'ba' is not in the vocabulary" },
        { MODEL("", ABC, "\"ab\""), "! merge 0 is no pair of tokens" },
        { MODEL("", ABC, "\"a b c\""), "! merge 0 is no pair of tokens" },
        { MODEL("", ABC, "[\"a\"]"), "! merge 0 is no pair of tokens" },
        { MODEL("", ABC, "[\"a\",\"b\",\"c\"]"),
            "! merge 0 is no pair of tokens" },
        { MODEL("", ABC, "[\"a\",1]"), "! merge 0 is no pair of tokens" },
        { MODEL("", ABC, "{}"), "! merge 0 is no pair of tokens" },
        { MODEL("\"fuse_unk\":\"no\",", ABC, ""),
            "! model BPE: 'fuse_unk' is not true or false" },
        { MODEL("\"end_of_word_suffix\":\"</w>\",", ABC, ""),
            "! model BPE: this program has no end_of_word_suffix" },
    };

    for (size_t i = 0; i < ARRAY_LEN(row); i++)
        encode_is(row[i].json, "a", row[i].want, row[i].want);
}

/* ---- against the definition, and against the clock ---- */

enum { LETTERS = 4, TOKENS = 160 };

struct toy {
    char name[TOKENS][24];
    uint32_t n;
    uint32_t left[TOKENS];
    uint32_t right[TOKENS];
};

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005 + 1442695040888963407;
    return (uint32_t)(*seed >> 33) % below;
}

/* Letters, then tokens that each join two earlier ones; rank is the id. */
static void toy_make(struct toy *t, uint64_t *seed)
{
    t->n = LETTERS;
    for (uint32_t i = 0; i < LETTERS; i++)
        snprintf(t->name[i], sizeof(t->name[i]), "%c", 'a' + (int)i);
    while (t->n < TOKENS) {
        uint32_t l = draw(seed, t->n), r = draw(seed, t->n), i = 0;
        size_t n = strlen(t->name[l]), m = strlen(t->name[r]);
        char *name = t->name[t->n];

        if (n + m > 20)
            continue;
        memcpy(name, t->name[l], n);
        memcpy(name + n, t->name[r], m + 1);
        while (strcmp(t->name[i], name) != 0)
            i++;
        if (i < t->n)
            continue;
        t->left[t->n] = l;
        t->right[t->n++] = r;
    }
}

static void toy_json(const struct toy *t, struct buf *out)
{
    buf_puts(out, "{\"vocab\":{");
    for (uint32_t i = 0; i < t->n; i++)
        buf_printf(out, "%s\"%s\":%u", i > 0 ? "," : "", t->name[i], i);
    buf_puts(out, "},\"merges\":[");
    for (uint32_t i = LETTERS; i < t->n; i++)
        buf_printf(out, "%s[\"%s\",\"%s\"]", i > LETTERS ? "," : "",
            t->name[t->left[i]], t->name[t->right[i]]);
    buf_puts(out, "]}");
}

/* The definition: again and again the lowest rank, leftmost. */
static size_t toy_encode(const struct toy *t, uint32_t *v, size_t n)
{
    for (uint32_t rank = LETTERS; rank < t->n;) {
        size_t i = 0;

        while (
            i + 1 < n && (v[i] != t->left[rank] || v[i + 1] != t->right[rank]))
            i++;
        if (i + 1 >= n) {
            rank++;
            continue;
        }
        v[i] = rank;
        memmove(v + i + 1, v + i + 2, (n - i - 2) * sizeof(*v));
        n--;
        rank = LETTERS;
    }
    return n;
}

static bool toy_agrees(const struct toy *t, const struct bpe *b, uint64_t *seed)
{
    struct bpe_work work AUTO(bpe_work_free) = BPE_WORK_INIT;
    struct ids ids AUTO(ids_free) = IDS_INIT;
    struct err e = ERR_INIT;
    char text[64];
    uint32_t want[64];
    size_t n = 1 + draw(seed, 63);

    for (size_t i = 0; i < n; i++) {
        want[i] = draw(seed, LETTERS);
        text[i] = (char)('a' + want[i]);
    }
    if (bpe_word(b, (struct str){ text, n }, &work, &ids, &e) != 0)
        return false;
    n = toy_encode(t, want, n);
    return ids.n == n && memcmp(ids.v, want, n * sizeof(*want)) == 0;
}

static void definition(void)
{
    struct buf json AUTO(buf_free) = BUF_INIT(1 << 20);
    uint64_t seed = 1;
    long wrong = 0;

    for (int round = 0; round < 50; round++) {
        struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
        struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 24);
        struct err e = ERR_INIT;
        struct toy t;
        struct bpe b;

        toy_make(&t, &seed);
        buf_clear(&json);
        toy_json(&t, &json);
        if (json_parse(&doc, buf_str(&json), 0, &e) != 0 ||
            bpe_load(&b, doc.root, &arena, &e) != 0) {
            ok(false, "a toy loads: %s", e.msg);
            return;
        }
        for (int i = 0; i < 100; i++)
            wrong += !toy_agrees(&t, &b, &seed);
    }
    is_int(wrong, 0, "5000 random words agree with the definition");
}

/* One word of a million characters, every pair of which can join. */
static void long_word(void)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 24);
    struct bpe_work work AUTO(bpe_work_free) = BPE_WORK_INIT;
    struct ids ids AUTO(ids_free) = IDS_INIT;
    struct err e = ERR_INIT;
    struct bpe b;
    size_t n = (size_t)1 << 20;
    char *text = malloc(n);

    memset(text, 'a', n);
    ok(json_parse(&doc,
           str_of("{\"vocab\":{\"a\":0,\"aa\":1,\"aaaa\":2},"
                  "\"merges\":[\"a a\",\"aa aa\"]}"),
           0, &e) == 0 &&
            bpe_load(&b, doc.root, &arena, &e) == 0 &&
            bpe_word(&b, (struct str){ text, n }, &work, &ids, &e) == 0,
        "a word of a million characters");
    is_int((long long)ids.n, (long long)n / 4, "joins all the way");
    free(text);
}

int main(void)
{
    merging();
    unknown();
    refusals();
    definition();
    long_word();
    return done();
}
