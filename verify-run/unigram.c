#include "verify-run/unigram.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "verify-run/component.h"
#include "verify-run/grow.h"

enum { NOT_REACHED = UINT32_MAX };

void unigram_work_free(struct unigram_work *w)
{
    free(w->v);
    *w = (struct unigram_work)UNIGRAM_WORK_INIT;
}

/* ---- loading ---- */

static int bad_entry(uint32_t id, struct err *e)
{
    return err_set(e, ERR_REFUSED,
        "vocab: entry %u is no pair of a text and a finite score", id);
}

/*
 * A score as the engine of tokenizer.json reads it: the digits as one number,
 * divided by a power of ten. That may be off by a unit in the last place, and
 * of ways that are equally good such a unit decides.
 */
static double as_engine(double score)
{
    char text[40], *end = text;
    uint64_t digits = 0;
    int precision = 1;
    long exponent = 0;

    do
        snprintf(text, sizeof(text), "%.*e", precision, fabs(score));
    while (strtod(text, NULL) != fabs(score) && ++precision < 17);
    for (; *end != 'e'; end++) {
        if (*end == '.')
            continue;
        digits = digits * 10 + (unsigned)(*end - '0');
    }
    exponent = strtol(end + 1, NULL, 10) - precision;
    for (; digits % 10 == 0 && digits > 0; exponent++)
        digits /= 10;
    if (exponent < -300 || exponent > 300)
        return score;
    return copysign(exponent < 0 ? (double)digits / pow(10, -(double)exponent)
                                 : (double)digits * pow(10, (double)exponent),
        score);
}

static int load_entry(struct unigram *u, const struct json *v, uint32_t id,
    struct arena *arena, struct err *e)
{
    const char *text = NULL;
    struct str kept;

    if (json_kind(v) != JSON_ARRAY || json_count(v) != 2 ||
        !json_str(json_first(v), &text) ||
        !json_double(json_next(json_first(v)), &u->score[id]) ||
        !isfinite(u->score[id]))
        return bad_entry(id, e);
    kept = arena_str(arena, str_of(text), e);
    if (kept.p == NULL)
        return -1;
    vocab_put(&u->vocab, id, kept);
    if (kept.len > 0)
        prefixes_add(&u->pieces, kept, id);
    u->score[id] = as_engine(u->score[id]);
    u->unk_score = fmin(u->unk_score, u->score[id]);
    return 0;
}

static int load_vocab(struct unigram *u, const struct json *list,
    struct arena *arena, struct err *e)
{
    size_t n = json_count(list);
    uint32_t id = 0;

    if (list == NULL || json_kind(list) != JSON_ARRAY)
        return err_set(e, ERR_REFUSED, "the model has no list 'vocab'");
    if (n > VOCAB_MAX)
        return err_set(e, ERR_REFUSED, "more than %d pieces", VOCAB_MAX);
    if (vocab_make(&u->vocab, (uint32_t)n, n, arena, e) != 0 ||
        prefixes_make(&u->pieces, (uint32_t)n, arena, e) != 0)
        return -1;
    u->score = arena_alloc(arena, n, sizeof(*u->score), e);
    if (u->score == NULL)
        return -1;
    u->unk_score = INFINITY;
    for (const struct json *i = json_first(list); i; i = json_next(i))
        if (load_entry(u, i, id++, arena, e) != 0)
            return -1;
    prefixes_sort(&u->pieces);
    u->unk_score -= UNIGRAM_PENALTY;
    return 0;
}

static int load_unk(struct unigram *u, const struct component *c, struct err *e)
{
    const struct json *v = json_get(c->v, "unk_id");

    u->unk = VOCAB_NONE;
    if (v == NULL || json_kind(v) == JSON_NULL)
        return 0;
    if (component_count(c, "unk_id", &u->unk, e) != 0)
        return -1;
    if (u->unk >= u->vocab.size)
        return err_set(e, ERR_REFUSED,
            "model Unigram: unk_id %u is not in the vocabulary", u->unk);
    return 0;
}

int unigram_load(struct unigram *u, const struct json *model,
    struct arena *arena, struct err *e)
{
    const struct component c = {
        .part = "model", .type = "Unigram", .v = model
    };
    bool fallback = false;
    char text[8];

    *u = (struct unigram){ .sum = UNIGRAM_DOUBLE };
    if (load_vocab(u, json_get(model, "vocab"), arena, e) != 0 ||
        load_unk(u, &c, e) != 0 ||
        component_bool(&c, "byte_fallback", &fallback, e) != 0)
        return -1;
    for (unsigned i = 0; i < 256; i++) {
        snprintf(text, sizeof(text), "<0x%02X>", i);
        u->bytes[i] =
            fallback ? vocab_find(&u->vocab, str_of(text)) : VOCAB_NONE;
    }
    return 0;
}

/* ---- searching ---- */

static void reach(const struct unigram *u, struct unigram_node *to,
    const struct unigram_node *from, uint32_t start, uint32_t id, double score,
    bool bonus)
{
    double sum = from->best + score;

    if (u->sum == UNIGRAM_FLOAT && !bonus)
        sum = (float)sum;
    if (to->next != NOT_REACHED && !(sum > to->best))
        return;
    to->best = u->sum == UNIGRAM_FLOAT ? (float)sum : sum;
    to->id = id;
    to->next = start;
}

/* All pieces that start at a place; true when one is the character there. */
static bool reach_pieces(const struct unigram *u, struct str word, uint32_t at,
    unsigned char_len, struct unigram_node *v)
{
    struct prefix_walk walk = { 0 };
    bool single = false;
    uint32_t id;

    while (at + walk.depth < word.len &&
           prefixes_step(&u->pieces, &walk,
               (unsigned char)word.p[at + walk.depth], &id)) {
        if (id == PREFIX_NONE)
            continue;
        single = single || walk.depth == char_len;
        reach(u, &v[at + walk.depth], &v[at], at, id, u->score[id],
            u->bonus != NULL && u->bonus[id]);
    }
    return single;
}

/* Turn the way back into the way there. */
static void turn(struct unigram_node *v, uint32_t end)
{
    uint32_t at = end, after = NOT_REACHED;

    while (at != NOT_REACHED) {
        uint32_t before = at == 0 ? NOT_REACHED : v[at].next;

        v[at].next = after;
        after = at;
        at = before;
    }
}

int unigram_search(const struct unigram *u, struct str word,
    struct unigram_work *w, struct err *e)
{
    struct unigram_node *v = grow(w->v, &w->cap, word.len + 1, sizeof(*v), e);
    unsigned n;

    if (v == NULL)
        return -1;
    w->v = v;
    for (size_t i = 0; i <= word.len; i++)
        v[i].next = NOT_REACHED;
    v[0].best = 0;
    for (uint32_t at = 0; at < word.len; at += n) {
        uint32_t cp;

        n = utf8_get((struct str){ word.p + at, word.len - at }, &cp);
        if (n == 0)
            return err_set(e, ERR_BUG, "a word is no UTF-8");
        if (reach_pieces(u, word, at, n, v))
            continue;
        if (u->unk == VOCAB_NONE)
            return err_set(e, ERR_REFUSED,
                "the tokenizer does not know the character '%.*s' and has no "
                "unknown token",
                (int)n, word.p + at);
        reach(u, &v[at + n], &v[at], at, u->unk, u->unk_score, false);
    }
    turn(v, (uint32_t)word.len);
    return 0;
}

/* ---- ids ---- */

static int add_unknown(
    const struct unigram *u, struct str text, struct ids *out, struct err *e)
{
    uint32_t id = vocab_find(&u->vocab, text);
    bool all = true;

    if (id != VOCAB_NONE)
        return ids_add(out, id, e);
    for (size_t i = 0; i < text.len; i++)
        all = all && u->bytes[(unsigned char)text.p[i]] != VOCAB_NONE;
    if (!all)
        return ids_add(out, u->unk, e);
    for (size_t i = 0; i < text.len; i++)
        if (ids_add(out, u->bytes[(unsigned char)text.p[i]], e) != 0)
            return -1;
    return 0;
}

int unigram_word(const struct unigram *u, struct str word,
    struct unigram_work *w, struct ids *out, struct err *e)
{
    uint32_t at = 0;

    if (unigram_search(u, word, w, e) != 0)
        return -1;
    while (at < word.len) {
        uint32_t from = at, id = w->v[w->v[at].next].id;
        int rc;

        at = w->v[at].next;
        /* Neighbours that are unknown count as one. */
        while (
            id == u->unk && at < word.len && w->v[w->v[at].next].id == u->unk)
            at = w->v[at].next;
        rc = id == u->unk
                 ? add_unknown(
                       u, (struct str){ word.p + from, at - from }, out, e)
                 : ids_add(out, id, e);
        if (rc != 0)
            return -1;
    }
    return 0;
}
