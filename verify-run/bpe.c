/*
 * The symbols of a word are a doubly linked list inside an array; the pairs
 * that can be joined wait in a heap. An entry whose pair has changed since is
 * recognised when it comes out.
 */
#include "verify-run/bpe.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "verify-run/component.h"
#include "verify-run/grow.h"

enum { NO_NODE = UINT32_MAX };

struct bpe_node {
    uint32_t id; /* VOCAB_NONE: joined to the one before */
    uint32_t prev;
    uint32_t next;
};

void bpe_work_free(struct bpe_work *w)
{
    free(w->nodes);
    pairheap_free(&w->heap);
    *w = (struct bpe_work)BPE_WORK_INIT;
}

/* ---- loading ---- */

static int load_flags(struct bpe *b, const struct component *c,
    struct arena *arena, struct err *e)
{
    const char *const affixes[] = { "continuing_subword_prefix",
        "end_of_word_suffix" };
    const char *text = NULL;

    for (size_t i = 0; i < ARRAY_LEN(affixes); i++)
        if (json_str(json_get(c->v, affixes[i]), &text) && *text != '\0')
            return err_set(e, ERR_UNSUPPORTED,
                "model BPE: this program has no %s", affixes[i]);
    b->unk = VOCAB_NONE;
    if (json_str(json_get(c->v, "unk_token"), &text)) {
        if (component_str(c, "unk_token", &b->unk_token, arena, e) != 0)
            return -1;
        b->unk = vocab_find(&b->vocab, b->unk_token);
    }
    if (component_bool(c, "byte_fallback", &b->byte_fallback, e) != 0 ||
        component_bool(c, "fuse_unk", &b->fuse_unk, e) != 0)
        return -1;
    return component_bool(c, "ignore_merges", &b->ignore_merges, e);
}

static void load_quick(struct bpe *b)
{
    char text[8];

    for (uint32_t cp = 0; cp < BPE_QUICK; cp++) {
        unsigned n = utf8_put(text, cp);

        b->quick[cp] = vocab_find(&b->vocab, (struct str){ text, n });
    }
    for (unsigned i = 0; i < 256; i++) {
        snprintf(text, sizeof(text), "<0x%02X>", i);
        b->bytes[i] = vocab_find(&b->vocab, str_of(text));
    }
}

int bpe_load(
    struct bpe *b, const struct json *model, struct arena *arena, struct err *e)
{
    struct component c = { .part = "model", .type = "BPE", .v = model };

    *b = (struct bpe){ .unk = VOCAB_NONE };
    if (vocab_load(&b->vocab, json_get(model, "vocab"), arena, e) != 0 ||
        merges_load(
            &b->merges, json_get(model, "merges"), &b->vocab, arena, e) != 0 ||
        load_flags(b, &c, arena, e) != 0)
        return -1;
    load_quick(b);
    return 0;
}

/* ---- a word into symbols ---- */

static int node_add(struct bpe_work *w, uint32_t id, struct err *e)
{
    struct bpe_node *v = grow(w->nodes, &w->cap, w->n + 1, sizeof(*v), e);
    uint32_t at = (uint32_t)w->n;

    if (v == NULL)
        return -1;
    w->nodes = v;
    v[at] = (struct bpe_node){
        .id = id, .prev = at == 0 ? NO_NODE : at - 1, .next = at + 1
    };
    w->n++;
    return 0;
}

static bool has_bytes(const struct bpe *b, struct str c)
{
    for (size_t i = 0; i < c.len; i++)
        if (b->bytes[(unsigned char)c.p[i]] == VOCAB_NONE)
            return false;
    return true;
}

static int add_bytes(
    const struct bpe *b, struct str c, struct bpe_work *w, struct err *e)
{
    for (size_t i = 0; i < c.len; i++)
        if (node_add(w, b->bytes[(unsigned char)c.p[i]], e) != 0)
            return -1;
    return 0;
}

static int no_unk(const struct bpe *b, struct str c, struct err *e)
{
    return err_set(e, ERR_REFUSED,
        "the tokenizer knows neither the character '%.*s' nor its own "
        "unk_token '%.60s'",
        STR_ARG(c), b->unk_token.p);
}

/*
 * An unknown symbol waits for the next known character, since more may
 * join it. Byte symbols do not end the wait: the engine that these files
 * are made with puts them in front of it.
 */
static int split(
    const struct bpe *b, struct str word, struct bpe_work *w, struct err *e)
{
    bool waiting = false;
    unsigned n = 0;

    for (size_t i = 0; i < word.len; i += n) {
        struct str c = { word.p + i, word.len - i };
        uint32_t cp = 0, id;

        n = utf8_get(c, &cp);
        if (n == 0)
            return err_set(e, ERR_BUG, "a word is no UTF-8");
        c.len = n;
        id = cp < BPE_QUICK ? b->quick[cp] : vocab_find(&b->vocab, c);
        if (id == VOCAB_NONE && b->byte_fallback && has_bytes(b, c)) {
            if (add_bytes(b, c, w, e) != 0)
                return -1;
            continue;
        }
        if (id == VOCAB_NONE && b->unk_token.p == NULL)
            continue;
        if (id == VOCAB_NONE && b->unk == VOCAB_NONE)
            return no_unk(b, c, e);
        if (waiting && (id != VOCAB_NONE || !b->fuse_unk) &&
            node_add(w, b->unk, e) != 0)
            return -1;
        waiting = id == VOCAB_NONE;
        if (!waiting && node_add(w, id, e) != 0)
            return -1;
    }
    return waiting ? node_add(w, b->unk, e) : 0;
}

/* ---- joining ---- */

/* What joins the symbol at a place with the next, or NULL. */
static const struct merge *merge_at(
    const struct bpe *b, const struct bpe_work *w, uint32_t at)
{
    const struct bpe_node *node = &w->nodes[at];

    if (node->id == VOCAB_NONE || node->next == NO_NODE)
        return NULL;
    return merges_find(&b->merges, node->id, w->nodes[node->next].id);
}

static int offer(
    const struct bpe *b, struct bpe_work *w, uint32_t at, struct err *e)
{
    const struct merge *m = at == NO_NODE ? NULL : merge_at(b, w, at);

    if (m == NULL)
        return 0;
    return pairheap_push(&w->heap, m->rank, at, e);
}

static void join(struct bpe_work *w, uint32_t at, uint32_t id)
{
    struct bpe_node *node = &w->nodes[at];
    struct bpe_node *right = &w->nodes[node->next];

    node->id = id;
    node->next = right->next;
    right->id = VOCAB_NONE;
    if (node->next != NO_NODE)
        w->nodes[node->next].prev = at;
}

static int join_all(const struct bpe *b, struct bpe_work *w, struct err *e)
{
    uint32_t rank = 0, at = 0;

    for (uint32_t i = 0; i + 1 < w->n; i++)
        if (offer(b, w, i, e) != 0)
            return -1;
    while (pairheap_pop(&w->heap, &rank, &at)) {
        const struct merge *m = merge_at(b, w, at);

        if (m == NULL || m->rank != rank)
            continue;
        join(w, at, m->id - 1);
        if (offer(b, w, at, e) != 0 || offer(b, w, w->nodes[at].prev, e) != 0)
            return -1;
    }
    return 0;
}

int bpe_word(const struct bpe *b, struct str word, struct bpe_work *w,
    struct ids *out, struct err *e)
{
    if (b->ignore_merges) {
        uint32_t id = vocab_find(&b->vocab, word);

        if (id != VOCAB_NONE)
            return ids_add(out, id, e);
    }
    w->n = w->heap.n = 0;
    if (split(b, word, w, e) != 0)
        return -1;
    if (w->n == 0)
        return 0;
    w->nodes[w->n - 1].next = NO_NODE;
    if (join_all(b, w, e) != 0)
        return -1;
    for (uint32_t i = 0; i != NO_NODE; i = w->nodes[i].next)
        if (ids_add(out, w->nodes[i].id, e) != 0)
            return -1;
    return 0;
}
