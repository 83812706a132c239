#include "verify-run/tokenjson.h"

#include "verify-run/component.h"

struct tokenjson_name {
    struct str text; /* .p is NULL for an id without a token */
    bool special;
};

/* ---- loading ---- */

static int name_added(struct tokenjson *p, struct err *e)
{
    for (size_t i = 0; i < p->added.n; i++) {
        const struct added_token *a = &p->added.v[i];
        struct tokenjson_name *name = &p->names[a->id];

        if (name->text.p != NULL && !str_eq(name->text, a->content))
            return err_set(e, ERR_REFUSED,
                "added tokens '%.100s' and '%.100s' have the same id %u",
                name->text.p, a->content.p, a->id);
        name->text = a->content;
        name->special = name->special || a->special;
    }
    for (size_t i = 0; i < p->added.n; i++)
        p->names[p->added.v[i].id].text = p->added.v[i].form;
    return 0;
}

static int load_names(struct tokenjson *p, struct arena *arena, struct err *e)
{
    const struct vocab *vocab = tokenjson_vocab(p);

    p->size = vocab->size;
    for (size_t i = 0; i < p->added.n; i++)
        p->size = (uint32_t)size_max(p->size, p->added.v[i].id + 1u);
    p->names = arena_alloc(arena, p->size, sizeof(*p->names), e);
    if (p->names == NULL)
        return -1;
    for (uint32_t i = 0; i < vocab->size; i++)
        p->names[i].text = vocab->by_id[i];
    return name_added(p, e);
}

static int check_template(
    const struct tokenjson *p, const struct ids *ids, struct err *e)
{
    for (size_t i = 0; i < ids->n; i++)
        if (ids->v[i] >= p->size || p->names[ids->v[i]].text.p == NULL)
            return err_set(e, ERR_REFUSED,
                "post_processor adds the id %u, which no token has", ids->v[i]);
    return 0;
}

static int load_model(struct tokenjson *p, const struct json *model,
    struct arena *arena, struct err *e)
{
    static const char *const names[] = {
        [TOKENJSON_BPE] = "BPE",
        [TOKENJSON_UNIGRAM] = "Unigram",
    };
    struct component c = { .part = "model", .type = "BPE", .v = model };
    int kind;

    if (model == NULL || json_kind(model) != JSON_OBJECT)
        return err_set(e, ERR_REFUSED, "no object 'model'");
    json_str(json_get(model, "type"), &c.type);
    kind = component_kind(&c, names, ARRAY_LEN(names), e);
    if (kind < 0)
        return -1;
    p->model = (enum tokenjson_model)kind;
    return p->model == TOKENJSON_BPE
               ? bpe_load(&p->bpe, model, arena, e)
               : unigram_load(&p->unigram, model, arena, e);
}

const struct vocab *tokenjson_vocab(const struct tokenjson *p)
{
    return p->model == TOKENJSON_BPE ? &p->bpe.vocab : &p->unigram.vocab;
}

int tokenjson_load(struct tokenjson *p, const struct json *root,
    struct arena *arena, struct err *e)
{
    *p = (struct tokenjson){ .template = TEMPLATE_INIT };
    if (json_kind(root) != JSON_OBJECT)
        return err_set(e, ERR_REFUSED, "the document is no object");
    if (normalizer_load(
            &p->normalizer, json_get(root, "normalizer"), arena, e) != 0 ||
        pretoken_load(
            &p->pretoken, json_get(root, "pre_tokenizer"), arena, e) != 0 ||
        detoken_load(&p->detoken, json_get(root, "decoder"), arena, e) != 0 ||
        template_load(
            &p->template, json_get(root, "post_processor"), arena, e) != 0 ||
        load_model(p, json_get(root, "model"), arena, e) != 0 ||
        added_load(&p->added, json_get(root, "added_tokens"),
            tokenjson_vocab(p), &p->normalizer, arena, e) != 0 ||
        load_names(p, arena, e) != 0)
        return -1;
    if (check_template(p, &p->template.before, e) != 0)
        return -1;
    return check_template(p, &p->template.after, e);
}

void tokenjson_free(struct tokenjson *p)
{
    template_free(&p->template);
}

/* ---- text to ids ---- */

/* One encoding: its working memory and where it writes. */
struct encoding {
    const struct tokenjson *p;
    struct ids *out;
    struct buf normal;
    uint64_t normalizing; /* left of NORMALIZE_WORK */
    struct words words;
    struct bpe_work bpe;
    struct unigram_work unigram;
};

static void encoding_free(struct encoding *c)
{
    buf_free(&c->normal);
    words_free(&c->words);
    bpe_work_free(&c->bpe);
    unigram_work_free(&c->unigram);
}

static int encode_word(struct encoding *c, struct str word, struct err *e)
{
    const struct tokenjson *p = c->p;

    return p->model == TOKENJSON_BPE
               ? bpe_word(&p->bpe, word, &c->bpe, c->out, e)
               : unigram_word(&p->unigram, word, &c->unigram, c->out, e);
}

static int encode_words(
    struct encoding *c, struct str text, bool at_start, struct err *e)
{
    if (pretoken_run(&c->p->pretoken, text, at_start, &c->words, e) != 0)
        return -1;
    for (size_t i = 0; i < c->words.n; i++)
        if (encode_word(c, words_get(&c->words, i), e) != 0)
            return -1;
    return 0;
}

/* A stretch of raw text between added tokens. */
static int encode_stretch(
    struct encoding *c, struct str text, bool at_start, struct err *e)
{
    struct added_walk walk = { .set = &c->p->added.normal };
    struct added_piece piece;
    bool cut = false;

    if (normalizer_run(
            &c->p->normalizer, text, &c->normal, &cut, &c->normalizing, e) != 0)
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
    struct added_walk walk = { .set = &c->p->added.raw, .text = text };
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

int tokenjson_encode(const struct tokenjson *p, struct str text, bool ends,
    struct ids *out, struct err *e)
{
    struct encoding c AUTO(encoding_free) = {
        .p = p,
        .out = out,
        .normal = BUF_INIT(WORDS_MAX_BYTES),
        .normalizing = NORMALIZE_WORK,
        .words = WORDS_INIT,
        .bpe = BPE_WORK_INIT,
        .unigram = UNIGRAM_WORK_INIT,
    };

    if (ends && ids_add_all(out, &p->template.before, e) != 0)
        return -1;
    if (encode_text(&c, text, e) != 0)
        return -1;
    return ends ? ids_add_all(out, &p->template.after, e) : 0;
}

/* ---- ids to text ---- */

int tokenjson_decode(const struct tokenjson *p, const uint32_t *ids, size_t n,
    bool special, struct buf *out, struct err *e)
{
    struct words tokens AUTO(words_free) = WORDS_INIT;

    for (size_t i = 0; i < n; i++) {
        const struct tokenjson_name *name =
            ids[i] < p->size ? &p->names[ids[i]] : NULL;

        if (name == NULL || name->text.p == NULL || (name->special && !special))
            continue;
        if (words_add(&tokens, name->text, e) != 0)
            return -1;
    }
    return detoken_run(&p->detoken, &tokens, out, e);
}

uint32_t tokenjson_find(const struct tokenjson *p, struct str text)
{
    for (size_t i = 0; i < p->added.n; i++)
        if (str_eq(p->added.v[i].content, text))
            return p->added.v[i].id;
    return vocab_find(tokenjson_vocab(p), text);
}
