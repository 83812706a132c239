#include "verify-run/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/path.h"
#include "verify-run/spm.h"
#include "verify-run/tiktoken.h"
#include "verify-run/tokenjson.h"
#include "verify-run/unicode.h"

/* The largest known file has 33 MB. */
#define FILE_MAX_BYTES ((size_t)128 << 20)
#define ARENA_MAX_BYTES ((uint64_t)512 << 20)

/* While JSON is read a value takes about 100 bytes; the largest known file
 * has 2 million. */
enum { VALUES_MAX = 8 << 20 };

enum engine { ENGINE_JSON, ENGINE_SPM, ENGINE_TIKTOKEN };

struct tokenizer {
    struct arena arena; /* everything below but its template */
    enum engine engine;
    struct tokenjson json;
    struct spm spm;
    struct tiktoken tiktoken;
    struct prefixes markup; /* of SPM: its control pieces */
    uint32_t bos;           /* of the last two; or VOCAB_NONE */
    uint32_t eos;
    bool add_bos;
    bool add_eos;
    char about[64];
};

/* ---- loading ---- */

static int check_values(struct str bytes, struct err *e)
{
    size_t commas = 0;

    for (size_t i = 0; i < bytes.len; i++)
        commas += bytes.p[i] == ',';
    if (commas > VALUES_MAX)
        return err_set(e, ERR_REFUSED,
            "no tokenizer.json: more than %d values are in it", VALUES_MAX);
    return 0;
}

static int load_json(struct tokenizer *t, struct str bytes, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;

    if (check_values(bytes, e) != 0 || json_parse(&doc, bytes, 0, e) != 0 ||
        tokenjson_load(&t->json, doc.root, &t->arena, e) != 0)
        return -1;
    snprintf(t->about, sizeof(t->about), "%s",
        t->json.model == TOKENJSON_BPE ? "BPE" : "Unigram");
    return 0;
}

static uint32_t piece_id(const struct spm *s, int32_t id)
{
    return id >= 0 && (uint32_t)id < s->model.n ? (uint32_t)id : VOCAB_NONE;
}

static int load_spm(struct tokenizer *t, struct str bytes, struct err *e)
{
    struct spm *s = &t->spm;

    if (spm_load(s, bytes, &t->arena, e) != 0 ||
        prefixes_make(&t->markup, s->model.n, &t->arena, e) != 0)
        return -1;
    for (uint32_t id = 0; id < s->model.n; id++)
        if (s->model.pieces[id].type == SP_CONTROL)
            prefixes_add(&t->markup, s->model.pieces[id].text, id);
    prefixes_sort(&t->markup);
    t->bos = piece_id(s, s->model.bos);
    t->eos = piece_id(s, s->model.eos);
    snprintf(t->about, sizeof(t->about), "SentencePiece %s",
        s->model.kind == SP_UNIGRAM ? "unigram" : "BPE");
    return 0;
}

static int load_tiktoken(
    struct tokenizer *t, struct str bytes, const char *file, struct err *e)
{
    struct tiktoken *k = &t->tiktoken;
    struct str bos;

    if (tiktoken_load(k, bytes, NULL, file, &t->arena, e) != 0)
        return -1;
    t->markup = k->matcher;
    bos = str_of(k->family->bos != NULL ? k->family->bos : "");
    if (bos.len == 0 || prefixes_longest(&k->matcher, bos, &t->bos) != bos.len)
        t->bos = VOCAB_NONE;
    snprintf(t->about, sizeof(t->about), "tiktoken, %s", k->family->name);
    return 0;
}

static bool is_json(struct str bytes)
{
    size_t i = 0;

    while (i < bytes.len && strchr(" \t\r\n", bytes.p[i]) != NULL)
        i++;
    return i < bytes.len && bytes.p[i] == '{';
}

static int load(
    struct tokenizer *t, struct str bytes, const char *file, struct err *e)
{
    t->bos = t->eos = VOCAB_NONE;
    t->add_bos = true;
    if (is_json(bytes))
        return load_json(t, bytes, e);
    t->engine = spmodel_looks(bytes) ? ENGINE_SPM : ENGINE_TIKTOKEN;
    return t->engine == ENGINE_SPM ? load_spm(t, bytes, e)
                                   : load_tiktoken(t, bytes, file, e);
}

static struct tokenizer *from_bytes(
    struct str bytes, const char *file, struct err *e)
{
    struct tokenizer *t AUTO(tokenizer_close_auto) = calloc(1, sizeof(*t));
    struct tokenizer *done;

    if (t == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    t->arena = (struct arena)ARENA_INIT(ARENA_MAX_BYTES);
    if (load(t, bytes, file, e) != 0)
        return NULL;
    done = t;
    t = NULL;
    return done;
}

struct tokenizer *tokenizer_parse(struct str bytes, struct err *e)
{
    return from_bytes(bytes, "", e);
}

struct tokenizer *tokenizer_open(const char *path, struct err *e)
{
    struct buf bytes AUTO(buf_free) = BUF_INIT(FILE_MAX_BYTES);
    struct tokenizer *t;

    if (file_slurp(path, &bytes, e) != 0)
        return NULL;
    t = from_bytes(buf_str(&bytes), path_base(path), e);
    if (t == NULL)
        err_ctx(e, "%s", path);
    return t;
}

void tokenizer_close(struct tokenizer *t)
{
    if (t == NULL)
        return;
    tokenjson_free(&t->json);
    arena_free(&t->arena);
    free(t);
}

void tokenizer_close_auto(struct tokenizer **t)
{
    tokenizer_close(*t);
}

void tokenizer_set_ends(struct tokenizer *t, bool bos, bool eos)
{
    t->add_bos = bos;
    t->add_eos = eos;
}

uint32_t tokenizer_size(const struct tokenizer *t)
{
    switch (t->engine) {
    case ENGINE_JSON:
        return t->json.size;
    case ENGINE_SPM:
        return t->spm.model.n;
    case ENGINE_TIKTOKEN:
        break;
    }
    return tiktoken_size(&t->tiktoken);
}

bool tokenizer_find(const struct tokenizer *t, struct str text, uint32_t *id)
{
    if (t->engine != ENGINE_JSON)
        return text.len > 0 &&
               prefixes_longest(&t->markup, text, id) == text.len;
    *id = tokenjson_find(&t->json, text);
    return *id != VOCAB_NONE;
}

const char *tokenizer_about(const struct tokenizer *t)
{
    return t->about;
}

/* ---- text to ids ---- */

static int encode_plain(
    const struct tokenizer *t, struct str text, struct ids *out, struct err *e)
{
    if (text.len == 0)
        return 0;
    return t->engine == ENGINE_SPM
               ? spm_encode(&t->spm, text, out, e)
               : tiktoken_encode(&t->tiktoken, text, out, e);
}

/* Special tokens are cut out, the text between them is encoded on its own. */
static int encode_markup(
    const struct tokenizer *t, struct str text, struct ids *out, struct err *e)
{
    size_t from = 0;

    for (size_t i = 0; i < text.len;) {
        struct str rest = { text.p + i, text.len - i };
        uint32_t id = VOCAB_NONE;
        size_t n = prefixes_longest(&t->markup, rest, &id);

        if (n == 0) {
            i++;
            continue;
        }
        if (encode_plain(t, (struct str){ text.p + from, i - from }, out, e) !=
                0 ||
            ids_add(out, id, e) != 0)
            return -1;
        from = i += n;
    }
    return encode_plain(
        t, (struct str){ text.p + from, text.len - from }, out, e);
}

static int add_end(uint32_t id, bool wanted, struct ids *out, struct err *e)
{
    return wanted && id != VOCAB_NONE ? ids_add(out, id, e) : 0;
}

int tokenizer_encode(const struct tokenizer *t, struct str text, unsigned flags,
    struct ids *out, struct err *e)
{
    struct buf good AUTO(buf_free) = BUF_INIT(WORDS_MAX_BYTES);
    bool ends = (flags & TOKENIZE_ENDS) != 0;
    int rc;

    unicode_repair(text, &good);
    if (buf_check(&good, e) != 0)
        return -1;
    text = buf_str(&good);
    if (t->engine == ENGINE_JSON)
        return tokenjson_encode(&t->json, text, ends, out, e);
    if (add_end(t->bos, ends && t->add_bos, out, e) != 0)
        return -1;
    rc = flags & TOKENIZE_MARKUP ? encode_markup(t, text, out, e)
                                 : encode_plain(t, text, out, e);
    return rc != 0 ? -1 : add_end(t->eos, ends && t->add_eos, out, e);
}

/* ---- ids to text ---- */

static int decode_spm(const struct tokenizer *t, const uint32_t *ids, size_t n,
    bool special, struct buf *out, struct err *e)
{
    struct ids known AUTO(ids_free) = IDS_INIT;

    for (size_t i = 0; i < n; i++)
        if (ids[i] < t->spm.model.n && ids_add(&known, ids[i], e) != 0)
            return -1;
    return spm_decode(&t->spm, known.v, known.n, special, out, e);
}

static int decode_tiktoken(const struct tokenizer *t, const uint32_t *ids,
    size_t n, bool special, struct buf *out, struct err *e)
{
    struct buf bytes AUTO(buf_free) = BUF_INIT(WORDS_MAX_BYTES);

    for (size_t i = 0; i < n; i++)
        if (ids[i] < tiktoken_size(&t->tiktoken))
            tiktoken_decode(&t->tiktoken, ids[i], special, &bytes);
    if (buf_check(&bytes, e) != 0)
        return -1;
    unicode_repair(buf_str(&bytes), out);
    return buf_check(out, e);
}

int tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n,
    bool special, struct buf *out, struct err *e)
{
    switch (t->engine) {
    case ENGINE_JSON:
        return tokenjson_decode(&t->json, ids, n, special, out, e);
    case ENGINE_SPM:
        return decode_spm(t, ids, n, special, out, e);
    case ENGINE_TIKTOKEN:
        break;
    }
    return decode_tiktoken(t, ids, n, special, out, e);
}
