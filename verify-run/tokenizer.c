#include "verify-run/tokenizer.h"

#include <stdlib.h>

#include "base/json.h"
#include "verify-run/added.h"
#include "verify-run/bpe.h"
#include "verify-run/detoken.h"
#include "verify-run/grow.h"
#include "verify-run/normalize.h"
#include "verify-run/pretoken.h"
#include "verify-run/template.h"
#include "verify-run/unicode.h"

/* The largest known file has 33 MB. */
#define FILE_MAX_BYTES ((size_t)128 << 20)
#define ARENA_MAX_BYTES ((uint64_t)512 << 20)

struct name {
    struct str text; /* .p is NULL for an id without a token */
    bool special;
};

struct tokenizer {
    struct arena arena; /* everything below but the template */
    struct bpe bpe;
    struct normalizer normalizer;
    struct pretoken pretoken;
    struct detoken detoken;
    struct added added;
    struct name *names; /* by id */
    uint32_t size;
    struct template template;
};

void ids_free(struct ids *ids)
{
    free(ids->v);
    *ids = (struct ids)IDS_INIT;
}

int ids_add(struct ids *ids, uint32_t id, struct err *e)
{
    uint32_t *v = grow(ids->v, &ids->cap, ids->n + 1, sizeof(*v), e);

    if (v == NULL)
        return -1;
    ids->v = v;
    v[ids->n++] = id;
    return 0;
}

/* ---- loading ---- */

static int name_added(struct tokenizer *t, struct err *e)
{
    for (size_t i = 0; i < t->added.n; i++) {
        const struct added_token *a = &t->added.v[i];
        struct name *name = &t->names[a->id];

        if (name->text.p != NULL && !str_eq(name->text, a->content))
            return err_set(e, ERR_REFUSED,
                "added tokens '%.100s' and '%.100s' have the same id %u",
                name->text.p, a->content.p, a->id);
        name->text = a->content;
        name->special = name->special || a->special;
    }
    for (size_t i = 0; i < t->added.n; i++)
        t->names[t->added.v[i].id].text = t->added.v[i].form;
    return 0;
}

static int load_names(struct tokenizer *t, struct err *e)
{
    const struct vocab *vocab = &t->bpe.vocab;

    t->size = vocab->size;
    for (size_t i = 0; i < t->added.n; i++)
        t->size = (uint32_t)size_max(t->size, t->added.v[i].id + 1u);
    t->names = arena_alloc(&t->arena, t->size, sizeof(*t->names), e);
    if (t->names == NULL)
        return -1;
    for (uint32_t i = 0; i < vocab->size; i++)
        t->names[i].text = vocab->by_id[i];
    return name_added(t, e);
}

static int check_template(
    const struct tokenizer *t, const struct ids *ids, struct err *e)
{
    for (size_t i = 0; i < ids->n; i++)
        if (ids->v[i] >= t->size || t->names[ids->v[i]].text.p == NULL)
            return err_set(e, ERR_REFUSED,
                "post_processor adds the id %u, which no token has", ids->v[i]);
    return 0;
}

static int load(struct tokenizer *t, const struct json *root, struct err *e)
{
    struct arena *a = &t->arena;

    if (json_kind(root) != JSON_OBJECT)
        return err_set(e, ERR_REFUSED, "the document is no object");
    if (normalizer_load(&t->normalizer, json_get(root, "normalizer"), a, e) !=
            0 ||
        pretoken_load(&t->pretoken, json_get(root, "pre_tokenizer"), a, e) !=
            0 ||
        detoken_load(&t->detoken, json_get(root, "decoder"), a, e) != 0 ||
        template_load(&t->template, json_get(root, "post_processor"), a, e) !=
            0 ||
        bpe_load(&t->bpe, json_get(root, "model"), a, e) != 0 ||
        added_load(&t->added, json_get(root, "added_tokens"), &t->bpe.vocab,
            &t->normalizer, a, e) != 0 ||
        load_names(t, e) != 0)
        return -1;
    if (check_template(t, &t->template.before, e) != 0)
        return -1;
    return check_template(t, &t->template.after, e);
}

static struct tokenizer *from_json(const struct json *root, struct err *e)
{
    struct tokenizer *t AUTO(tokenizer_close_auto) = calloc(1, sizeof(*t));
    struct tokenizer *done;

    if (t == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    t->arena = (struct arena)ARENA_INIT(ARENA_MAX_BYTES);
    if (load(t, root, e) != 0)
        return NULL;
    done = t;
    t = NULL;
    return done;
}

struct tokenizer *tokenizer_parse(struct str json, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;

    if (json_parse(&doc, json, 0, e) != 0)
        return NULL;
    return from_json(doc.root, e);
}

struct tokenizer *tokenizer_open(const char *path, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct tokenizer *t;

    if (json_read(&doc, path, FILE_MAX_BYTES, e) != 0)
        return NULL;
    t = from_json(doc.root, e);
    if (t == NULL)
        err_ctx(e, "%s", path);
    return t;
}

void tokenizer_close(struct tokenizer *t)
{
    if (t == NULL)
        return;
    template_free(&t->template);
    arena_free(&t->arena);
    free(t);
}

void tokenizer_close_auto(struct tokenizer **t)
{
    tokenizer_close(*t);
}

uint32_t tokenizer_size(const struct tokenizer *t)
{
    return t->size;
}

/* ---- text to ids ---- */

/* One encoding: its working memory and where it writes. */
struct encoding {
    const struct tokenizer *t;
    struct ids *out;
    struct buf normal;
    uint64_t normalizing; /* left of NORMALIZE_WORK */
    struct words words;
    struct bpe_work work;
};

static void encoding_free(struct encoding *c)
{
    buf_free(&c->normal);
    words_free(&c->words);
    bpe_work_free(&c->work);
}

static int encode_words(
    struct encoding *c, struct str text, bool at_start, struct err *e)
{
    if (pretoken_run(&c->t->pretoken, text, at_start, &c->words, e) != 0)
        return -1;
    for (size_t i = 0; i < c->words.n; i++)
        if (bpe_word(
                &c->t->bpe, words_get(&c->words, i), &c->work, c->out, e) != 0)
            return -1;
    return 0;
}

/* A stretch of raw text between added tokens. */
static int encode_stretch(
    struct encoding *c, struct str text, bool at_start, struct err *e)
{
    struct added_walk walk = { .set = &c->t->added.normal };
    struct added_piece piece;
    bool cut = false;

    if (normalizer_run(
            &c->t->normalizer, text, &c->normal, &cut, &c->normalizing, e) != 0)
        return -1;
    walk.text = buf_str(&c->normal);
    while (added_next(&walk, &piece)) {
        int rc = piece.token != NULL
                     ? ids_add(c->out, piece.token->id, e)
                     : encode_words(c, piece.text,
                           at_start && !cut && piece.from == 0, e);

        if (rc != 0)
            return -1;
    }
    return 0;
}

static int encode_text(struct encoding *c, struct str text, struct err *e)
{
    struct added_walk walk = { .set = &c->t->added.raw, .text = text };
    struct added_piece piece;

    while (added_next(&walk, &piece)) {
        int rc = piece.token != NULL
                     ? ids_add(c->out, piece.token->id, e)
                     : encode_stretch(c, piece.text, piece.from == 0, e);

        if (rc != 0)
            return -1;
    }
    return 0;
}

static int add_all(struct ids *out, const struct ids *more, struct err *e)
{
    for (size_t i = 0; i < more->n; i++)
        if (ids_add(out, more->v[i], e) != 0)
            return -1;
    return 0;
}

int tokenizer_encode(const struct tokenizer *t, struct str text, bool special,
    struct ids *out, struct err *e)
{
    struct buf good AUTO(buf_free) = BUF_INIT(WORDS_MAX_BYTES);
    struct encoding c AUTO(encoding_free) = {
        .t = t,
        .out = out,
        .normal = BUF_INIT(WORDS_MAX_BYTES),
        .normalizing = NORMALIZE_WORK,
        .words = WORDS_INIT,
        .work = BPE_WORK_INIT,
    };

    unicode_repair(text, &good);
    if (buf_check(&good, e) != 0)
        return -1;
    if (special && add_all(out, &t->template.before, e) != 0)
        return -1;
    if (encode_text(&c, buf_str(&good), e) != 0)
        return -1;
    return special ? add_all(out, &t->template.after, e) : 0;
}

/* ---- ids to text ---- */

int tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n,
    bool special, struct buf *out, struct err *e)
{
    struct words tokens AUTO(words_free) = WORDS_INIT;

    for (size_t i = 0; i < n; i++) {
        const struct name *name = ids[i] < t->size ? &t->names[ids[i]] : NULL;

        if (name == NULL || name->text.p == NULL || (name->special && !special))
            continue;
        if (words_add(&tokens, name->text, e) != 0)
            return -1;
    }
    return detoken_run(&t->detoken, &tokens, out, e);
}
