#include "convert/gguf_vocab.h"

#include <limits.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "base/utf8.h"
#include "convert/gguf_token.h"

enum { TOKENIZER_BYTES_MAX = 256 << 20, TEMPLATE_BYTES_MAX = 16 << 20 };

#define WORD_START "\xE2\x96\x81" /* U+2581, SentencePiece's blank */

/* How readers are told to cut text into words. */
enum cut { CUT_NONE, CUT_GPT2, CUT_DIGITS_GPT2, CUT_LLAMA3, CUT_QWEN2 };

#define CASELESS "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define BEHIND_NUMBERS                                                         \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* What is found out about a tokenizer. */
struct vocab {
    const struct gguf_vocab_opts *o;
    struct json_doc json, config; /* tokenizer.json, tokenizer_config.json */
    const struct json *model;
    struct gguf_tokens tokens;
    enum cut cut;
    bool bytes;       /* byte-level; else SentencePiece */
    bool nfc;         /* the text is normalised first */
    bool blanks;      /* become WORD_START */
    bool blank_front; /* a blank is put in front of a text */
    bool add_bos, add_eos;
    uint32_t bos, eos, unk, pad; /* NO_ID: none */
};

enum { NO_ID = UINT32_MAX };

static const char *type_of(const struct json *v)
{
    const char *type = "without a type";

    json_str(json_get(v, "type"), &type);
    return type;
}

static bool is_type(const struct json *v, const char *type)
{
    return strcmp(type_of(v), type) == 0;
}

static bool is_null(const struct json *v)
{
    return v == NULL || json_kind(v) == JSON_NULL;
}

static int unknown(const char *what, const struct json *v, struct err *e)
{
    return err_set(e, ERR_UNSUPPORTED, "its %s '%s' cannot be said in GGUF",
        what, type_of(v));
}

static bool flag(const struct json *v, const char *key, bool fallback)
{
    json_bool(json_get(v, key), &fallback);
    return fallback;
}

static bool text_is(const struct json *v, const char *want)
{
    const char *text;

    return json_str(v, &text) && strcmp(text, want) == 0;
}

/* ---- normalizer and pre-tokenizer ---- */

static int read_normalizer(struct vocab *v, const struct json *n, struct err *e)
{
    if (is_null(n))
        return 0;
    if (is_type(n, "Sequence")) {
        const struct json *list = json_get(n, "normalizers");

        for (n = json_first(list); n != NULL; n = json_next(n))
            if (is_type(n, "Sequence") || read_normalizer(v, n, e) != 0)
                return unknown("normalizer", n, e);
        return 0;
    }
    if (is_type(n, "NFC")) {
        v->nfc = true;
        return 0;
    }
    if (is_type(n, "Prepend") && text_is(json_get(n, "prepend"), WORD_START)) {
        v->blank_front = true;
        return 0;
    }
    if (is_type(n, "Replace") &&
        text_is(json_get(json_get(n, "pattern"), "String"), " ") &&
        text_is(json_get(n, "content"), WORD_START)) {
        v->blanks = true;
        return 0;
    }
    return unknown("normalizer", n, e);
}

static int read_byte_level(struct vocab *v, const struct json *p, struct err *e)
{
    bool regex = flag(p, "use_regex", true);

    if (flag(p, "add_prefix_space", true))
        return err_set(e, ERR_UNSUPPORTED,
            "its pre-tokenizer ByteLevel adds a space in front");
    if (regex && v->cut == CUT_NONE)
        v->cut = CUT_GPT2;
    else if (regex && v->cut != CUT_DIGITS_GPT2)
        return err_set(e, ERR_UNSUPPORTED,
            "its pre-tokenizer splits twice by different rules");
    v->bytes = true;
    return 0;
}

static int read_split(struct vocab *v, const struct json *p, struct err *e)
{
    const struct json *regex = json_get(json_get(p, "pattern"), "Regex");
    bool plain = text_is(json_get(p, "behavior"), "Isolated") &&
                 !flag(p, "invert", false) && v->cut == CUT_NONE;

    if (plain && text_is(regex, CASELESS "\\p{N}{1,3}" BEHIND_NUMBERS))
        v->cut = CUT_LLAMA3;
    else if (plain && text_is(regex, CASELESS "\\p{N}" BEHIND_NUMBERS))
        v->cut = CUT_QWEN2;
    else
        return err_set(e, ERR_UNSUPPORTED,
            "its pre-tokenizer splits by a rule that GGUF has no name for");
    return 0;
}

static int read_metaspace(struct vocab *v, const struct json *p, struct err *e)
{
    const char *scheme = flag(p, "add_prefix_space", true) ? "always" : "never";

    if (flag(p, "split", true))
        return err_set(e, ERR_UNSUPPORTED,
            "its pre-tokenizer Metaspace splits at every blank");
    if (!text_is(json_get(p, "replacement"), WORD_START))
        return err_set(e, ERR_UNSUPPORTED,
            "its pre-tokenizer Metaspace writes blanks in another way");
    json_str(json_get(p, "prepend_scheme"), &scheme);
    v->blanks = true;
    v->blank_front = strcmp(scheme, "never") != 0;
    return 0;
}

static int read_pretokenizer(
    struct vocab *v, const struct json *p, struct err *e)
{
    if (is_null(p))
        return 0;
    if (is_type(p, "Sequence")) {
        const struct json *list = json_get(p, "pretokenizers");

        for (p = json_first(list); p != NULL; p = json_next(p))
            if (is_type(p, "Sequence") || read_pretokenizer(v, p, e) != 0)
                return unknown("pre-tokenizer", p, e);
        return 0;
    }
    if (is_type(p, "ByteLevel"))
        return read_byte_level(v, p, e);
    if (is_type(p, "Split"))
        return read_split(v, p, e);
    if (is_type(p, "Metaspace"))
        return read_metaspace(v, p, e);
    if (is_type(p, "Digits") && flag(p, "individual_digits", false) &&
        v->cut == CUT_NONE) {
        v->cut = CUT_DIGITS_GPT2;
        return 0;
    }
    return unknown("pre-tokenizer", p, e);
}

static int check_model(const struct vocab *v, struct err *e)
{
    static const char *const affixes[] = { "continuing_subword_prefix",
        "end_of_word_suffix" };
    const struct json *merges = json_get(v->model, "merges");
    const char *text;

    if (!is_type(v->model, "BPE"))
        return unknown("model", v->model, e);
    if (merges == NULL || json_kind(merges) != JSON_ARRAY)
        return err_set(e, ERR_REFUSED, "no list 'model.merges'");
    for (size_t i = 0; i < ARRAY_LEN(affixes); i++)
        if (json_str(json_get(v->model, affixes[i]), &text) && *text != '\0')
            return err_set(
                e, ERR_UNSUPPORTED, "its model has a %s", affixes[i]);
    if (v->bytes && (v->blanks || v->blank_front || v->cut == CUT_NONE))
        return err_set(
            e, ERR_UNSUPPORTED, "its pre-tokenizer has no name in GGUF");
    /* Readers take whole words from the vocab by the name of the rule. */
    if (flag(v->model, "ignore_merges", false) != (v->cut == CUT_LLAMA3))
        return err_set(e, ERR_UNSUPPORTED,
            "its 'ignore_merges' is not what readers assume of such a "
            "pre-tokenizer");
    if (v->bytes)
        return 0;
    if (!v->blanks || v->cut != CUT_NONE || v->nfc ||
        !flag(v->model, "byte_fallback", false))
        return err_set(e, ERR_UNSUPPORTED,
            "it is neither byte-level nor SentencePiece with byte fallback");
    return 0;
}

/* ---- special tokens ---- */

static int template_id(const struct vocab *v, const struct json *post,
    const struct json *item, uint32_t *out, struct err *e)
{
    const char *name = "";
    const struct json *ids;
    uint64_t id;

    json_str(json_get(json_get(item, "SpecialToken"), "id"), &name);
    ids = json_get(json_get(json_get(post, "special_tokens"), name), "ids");
    if (json_count(ids) != 1 || !json_u64(json_first(ids), &id) ||
        id >= v->tokens.n)
        return err_set(e, ERR_UNSUPPORTED,
            "its post-processor adds '%s', which is not one token", name);
    *out = (uint32_t)id;
    return 0;
}

/* Perhaps one token, the text, perhaps one token. */
static int read_template(
    struct vocab *v, const struct json *post, struct err *e)
{
    const struct json *item = json_first(json_get(post, "single"));

    if (json_get(item, "SpecialToken") != NULL) {
        if (template_id(v, post, item, &v->bos, e) != 0)
            return -1;
        v->add_bos = true;
        item = json_next(item);
    }
    if (json_get(item, "Sequence") != NULL)
        item = json_next(item);
    if (json_get(item, "SpecialToken") != NULL) {
        if (template_id(v, post, item, &v->eos, e) != 0)
            return -1;
        v->add_eos = true;
        item = json_next(item);
    }
    return item == NULL ? 0 : unknown("post-processor", post, e);
}

static int read_post(struct vocab *v, const struct json *post, struct err *e)
{
    if (is_null(post) || is_type(post, "ByteLevel"))
        return 0;
    if (is_type(post, "TemplateProcessing"))
        return read_template(v, post, e);
    if (is_type(post, "Sequence")) {
        const struct json *list = json_get(post, "processors");

        for (post = json_first(list); post != NULL; post = json_next(post))
            if (is_type(post, "Sequence") || read_post(v, post, e) != 0)
                return unknown("post-processor", post, e);
        return 0;
    }
    return unknown("post-processor", post, e);
}

/* The first of several ids counts; one without a row is nobody's. */
static void config_id(const struct vocab *v, const char *key, uint32_t *id)
{
    const struct json *m = json_get(v->o->config, key);
    uint64_t n;

    if (m != NULL && json_kind(m) == JSON_ARRAY)
        m = json_first(m);
    if (*id == NO_ID && json_u64(m, &n) && n < v->tokens.n)
        *id = (uint32_t)n;
}

static void named_id(const struct vocab *v, const char *key, uint32_t *id)
{
    const struct json *m = json_get(v->config.root, key);
    const char *text;

    if (m != NULL && json_kind(m) == JSON_OBJECT)
        m = json_get(m, "content");
    if (*id == NO_ID && json_str(m, &text))
        gguf_tokens_find(&v->tokens, str_of(text), id);
}

static int find_special(struct vocab *v, struct err *e)
{
    const char *text;

    v->bos = v->eos = v->unk = v->pad = NO_ID;
    if (read_post(v, json_get(v->json.root, "post_processor"), e) != 0)
        return -1;
    config_id(v, "bos_token_id", &v->bos);
    config_id(v, "eos_token_id", &v->eos);
    config_id(v, "pad_token_id", &v->pad);
    named_id(v, "bos_token", &v->bos);
    named_id(v, "eos_token", &v->eos);
    named_id(v, "pad_token", &v->pad);
    if (json_str(json_get(v->model, "unk_token"), &text))
        gguf_tokens_find(&v->tokens, str_of(text), &v->unk);
    return 0;
}

/* "<0x0A>" stands for a byte. */
static bool is_byte(struct str text)
{
    return text.len == 6 && str_starts(text, "<0x") && text.p[5] == '>';
}

static void mark_pieces(struct vocab *v)
{
    for (uint32_t i = 0; i < v->tokens.n; i++)
        if (is_byte(v->tokens.v[i].text))
            v->tokens.v[i].kind = TOKEN_BYTE;
    if (v->unk != NO_ID)
        v->tokens.v[v->unk].kind = TOKEN_UNKNOWN;
}

/* ---- writing ---- */

static const char *pre_name(const struct vocab *v)
{
    switch (v->cut) {
    case CUT_GPT2:
        /* One rule; by the name of the tokenizers that normalise. */
        return v->nfc ? "olmo" : "gpt-2";
    case CUT_DIGITS_GPT2:
        return "smollm";
    case CUT_LLAMA3:
        return "llama-bpe";
    case CUT_QWEN2:
        return "qwen2";
    default:
        return "default";
    }
}

static void put_tokens(const struct vocab *v, struct gguf_writer *w)
{
    const struct gguf_tokens *t = &v->tokens;

    gguf_put_str(
        w, "tokenizer.ggml.model", str_of(v->bytes ? "gpt2" : "llama"));
    gguf_put_str(w, "tokenizer.ggml.pre", str_of(pre_name(v)));
    gguf_put_array(w, "tokenizer.ggml.tokens", GGUF_STRING, t->n);
    for (uint32_t i = 0; i < t->n; i++)
        gguf_add_str(w, t->v[i].text);
    if (!v->bytes) {
        gguf_put_array(w, "tokenizer.ggml.scores", GGUF_F32, t->n);
        for (uint32_t i = 0; i < t->n; i++)
            gguf_add_f32(w, t->v[i].score);
    }
    gguf_put_array(w, "tokenizer.ggml.token_type", GGUF_I32, t->n);
    for (uint32_t i = 0; i < t->n; i++)
        gguf_add_i32(w, (int32_t)t->v[i].kind);
}

/* A blank inside a part would end it: it becomes U+0120, byte-level's own. */
static void put_part(struct buf *out, struct str part)
{
    for (size_t i = 0; i < part.len; i++)
        if (part.p[i] == ' ')
            buf_puts(out, "\xC4\xA0");
        else
            buf_putc(out, part.p[i]);
}

static int put_merges(
    const struct vocab *v, struct gguf_writer *w, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(1 << 20);
    const struct json *merges = json_get(v->model, "merges");
    struct str a, b;
    uint32_t id;

    gguf_put_array(w, "tokenizer.ggml.merges", GGUF_STRING, json_count(merges));
    for (const struct json *m = json_first(merges); m; m = json_next(m)) {
        if (gguf_merge_find(&v->tokens, m, &a, &b, &id, e) != 0)
            return -1;
        buf_clear(&text);
        put_part(&text, a);
        buf_putc(&text, ' ');
        put_part(&text, b);
        if (buf_check(&text, e) != 0)
            return -1;
        gguf_add_str(w, buf_str(&text));
    }
    return 0;
}

static void put_id(struct gguf_writer *w, const char *key, uint32_t id)
{
    if (id != NO_ID)
        gguf_put_u32(w, key, id);
}

static void put_special(const struct vocab *v, struct gguf_writer *w)
{
    put_id(w, "tokenizer.ggml.bos_token_id", v->bos);
    put_id(w, "tokenizer.ggml.eos_token_id", v->eos);
    put_id(w, "tokenizer.ggml.unknown_token_id", v->unk);
    put_id(w, "tokenizer.ggml.padding_token_id", v->pad);
    gguf_put_bool(w, "tokenizer.ggml.add_bos_token", v->add_bos);
    gguf_put_bool(w, "tokenizer.ggml.add_eos_token", v->add_eos);
    gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", v->blank_front);
}

/* A file of its own counts before a member of tokenizer_config.json. */
static int put_template(
    const struct vocab *v, struct gguf_writer *w, struct err *e)
{
    struct buf file AUTO(buf_free) = BUF_INIT(TEMPLATE_BYTES_MAX);
    char path[PATH_MAX];
    const char *text = NULL;

    if (path_join(path, v->o->folder, "chat_template.jinja", e) != 0)
        return -1;
    if (access(path, F_OK) == 0) {
        if (file_slurp(path, &file, e) != 0)
            return -1;
        text = file.p;
    } else {
        json_str(json_get(v->config.root, "chat_template"), &text);
    }
    if (text != NULL)
        gguf_put_str(w, "tokenizer.chat_template", str_of(text));
    return 0;
}

/* ---- all of it ---- */

static int open_files(struct vocab *v, char path[PATH_MAX], struct err *e)
{
    if (path_join(path, v->o->folder, "tokenizer_config.json", e) != 0)
        return -1;
    if (access(path, F_OK) == 0 &&
        json_read(&v->config, path, TEMPLATE_BYTES_MAX, e) != 0)
        return -1;
    if (path_join(path, v->o->folder, "tokenizer.json", e) != 0)
        return -1;
    if (json_read(&v->json, path, TOKENIZER_BYTES_MAX, e) != 0)
        return e->kind == ERR_MISSING
                   ? err_hint(e, "GGUF carries its tokenizer inside: put the "
                                 "model's tokenizer.json beside the weights")
                   : -1;
    v->model = json_get(v->json.root, "model");
    return 0;
}

static int put(struct vocab *v, struct gguf_writer *w, struct err *e)
{
    const struct json *root = v->json.root;
    const struct json *merges = json_get(v->model, "merges");

    if (read_normalizer(v, json_get(root, "normalizer"), e) != 0 ||
        read_pretokenizer(v, json_get(root, "pre_tokenizer"), e) != 0 ||
        check_model(v, e) != 0 ||
        gguf_tokens_read(&v->tokens, root, v->o->rows, e) != 0 ||
        find_special(v, e) != 0)
        return -1;
    if (!v->bytes) {
        mark_pieces(v);
        if (gguf_tokens_score(&v->tokens, merges, e) != 0)
            return -1;
    }
    if (v->nfc)
        log_info("readers of GGUF do not compose characters (NFC), as this "
                 "tokenizer does: text that is not composed gets other tokens");
    put_tokens(v, w);
    if (v->bytes && put_merges(v, w, e) != 0)
        return -1;
    put_special(v, w);
    return 0;
}

static void vocab_free(struct vocab *v)
{
    gguf_tokens_free(&v->tokens);
    json_free(&v->json);
    json_free(&v->config);
}

int gguf_vocab_put(
    struct gguf_writer *w, const struct gguf_vocab_opts *o, struct err *e)
{
    struct vocab v AUTO(vocab_free) = { .o = o,
        .json = JSON_DOC_INIT,
        .config = JSON_DOC_INIT,
        .tokens = GGUF_TOKENS_INIT };
    char path[PATH_MAX];

    if (open_files(&v, path, e) != 0)
        return -1;
    if (put(&v, w, e) != 0)
        return err_ctx(e, "%s", path);
    return put_template(&v, w, e);
}
