#include "convert/gguf_token.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"

static const uint64_t ARENA_LIMIT = (uint64_t)1 << 30;

enum { TOKEN_BYTES_MAX = 1 << 16 };

static int set(struct gguf_tokens *t, uint64_t id, const char *text,
    enum token_kind kind, struct err *e)
{
    struct gguf_token *token;

    if (id >= t->n)
        return err_set(e, ERR_REFUSED,
            "token '%s' has id %llu, the embedding has %u rows", text,
            (unsigned long long)id, t->n);
    token = &t->v[id];
    if (token->text.p != NULL && !str_is(token->text, text))
        return err_set(e, ERR_REFUSED, "tokens '%.*s' and '%s' share id %llu",
            STR_ARG(token->text), text, (unsigned long long)id);
    if (strlen(text) > TOKEN_BYTES_MAX)
        return err_set(e, ERR_REFUSED, "token %llu is %zu bytes long",
            (unsigned long long)id, strlen(text));
    token->text = str_of(text);
    token->kind = kind;
    return 0;
}

static int read_vocab(
    struct gguf_tokens *t, const struct json *root, struct err *e)
{
    const struct json *vocab = json_get(json_get(root, "model"), "vocab");

    if (vocab == NULL || json_kind(vocab) != JSON_OBJECT)
        return err_set(e, ERR_REFUSED, "no 'model.vocab'");
    for (const struct json *m = json_first(vocab); m; m = json_next(m)) {
        uint64_t id;

        if (!json_u64(m, &id))
            return err_set(e, ERR_REFUSED, "token '%s' has no id", json_key(m));
        if (id < t->n && t->v[id].text.p != NULL)
            return err_set(e, ERR_REFUSED, "id %llu stands in the vocab twice",
                (unsigned long long)id);
        if (set(t, id, json_key(m), TOKEN_NORMAL, e) != 0)
            return -1;
    }
    return 0;
}

static int read_added(
    struct gguf_tokens *t, const struct json *root, struct err *e)
{
    const struct json *added = json_get(root, "added_tokens");

    if (added != NULL && json_kind(added) != JSON_ARRAY &&
        json_kind(added) != JSON_NULL)
        return err_set(e, ERR_REFUSED, "'added_tokens' is no list");
    for (const struct json *m = json_first(added); m; m = json_next(m)) {
        const char *text;
        uint64_t id;
        bool special = false;

        if (!json_u64(json_get(m, "id"), &id) ||
            !json_str(json_get(m, "content"), &text))
            return err_set(
                e, ERR_REFUSED, "an added token without id or content");
        json_bool(json_get(m, "special"), &special);
        if (set(t, id, text, special ? TOKEN_CONTROL : TOKEN_USER, e) != 0)
            return -1;
    }
    return 0;
}

static int fill_up(struct gguf_tokens *t, struct err *e)
{
    for (uint32_t i = 0; i < t->n; i++) {
        char text[24];

        if (t->v[i].text.p != NULL)
            continue;
        snprintf(text, sizeof(text), "[PAD%u]", i);
        t->v[i].text = arena_str(&t->arena, str_of(text), e);
        if (t->v[i].text.p == NULL)
            return -1;
        t->v[i].kind = TOKEN_UNUSED;
    }
    return 0;
}

static int cmp_token(const void *a, const void *b, void *tokens)
{
    const struct gguf_token *v = tokens;

    return str_cmp(v[*(const uint32_t *)a].text, v[*(const uint32_t *)b].text);
}

static int sort(struct gguf_tokens *t, struct err *e)
{
    t->by_text = arena_alloc(&t->arena, t->n, sizeof(*t->by_text), e);
    if (t->by_text == NULL)
        return -1;
    for (uint32_t i = 0; i < t->n; i++)
        t->by_text[i] = i;
    qsort_r(t->by_text, t->n, sizeof(*t->by_text), cmp_token, t->v);
    for (uint32_t i = 1; i < t->n; i++) {
        const struct str *now = &t->v[t->by_text[i]].text;

        if (str_eq(*now, t->v[t->by_text[i - 1]].text))
            return err_set(e, ERR_REFUSED, "token '%.*s' has two ids",
                (int)size_min(now->len, 200), now->p);
    }
    return 0;
}

int gguf_tokens_read(struct gguf_tokens *t, const struct json *root,
    uint32_t rows, struct err *e)
{
    *t = (struct gguf_tokens){ .arena = ARENA_INIT(ARENA_LIMIT), .n = rows };
    t->v = arena_alloc(&t->arena, rows, sizeof(*t->v), e);
    if (t->v == NULL)
        return -1;
    if (read_vocab(t, root, e) != 0 || read_added(t, root, e) != 0 ||
        fill_up(t, e) != 0)
        return -1;
    return sort(t, e);
}

bool gguf_tokens_find(
    const struct gguf_tokens *t, struct str text, uint32_t *out)
{
    uint32_t low = 0, high = t->n;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int c = str_cmp(t->v[t->by_text[mid]].text, text);

        if (c == 0) {
            *out = t->by_text[mid];
            return true;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

/* "a b" or ["a", "b"]; false for anything else. */
static bool merge_parts(const struct json *merge, struct str *a, struct str *b)
{
    const char *text, *blank;

    if (json_str(merge, &text)) {
        blank = strchr(text, ' ');
        if (blank == NULL || strchr(blank + 1, ' ') != NULL)
            return false;
        *a = (struct str){ text, (size_t)(blank - text) };
        *b = str_of(blank + 1);
        return a->len > 0 && b->len > 0;
    }
    if (json_kind(merge) != JSON_ARRAY || json_count(merge) != 2 ||
        !json_str(json_first(merge), &text))
        return false;
    *a = str_of(text);
    if (!json_str(json_next(json_first(merge)), &text))
        return false;
    *b = str_of(text);
    return a->len > 0 && b->len > 0;
}

static int other_order(struct str piece, struct err *e)
{
    err_set(e, ERR_UNSUPPORTED,
        "the merges that make '%.*s' are not those of a SentencePiece model",
        (int)size_min(piece.len, 200), piece.p);
    return err_hint(e, "GGUF has no merges for such a tokenizer, only scores, "
                       "which would split text differently");
}

int gguf_merge_find(const struct gguf_tokens *t, const struct json *merge,
    struct str *a, struct str *b, uint32_t *whole, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(2 * TOKEN_BYTES_MAX);

    if (!merge_parts(merge, a, b))
        return err_set(e, ERR_REFUSED, "a merge is no pair");
    buf_put(&text, a->p, a->len);
    buf_put(&text, b->p, b->len);
    if (buf_check(&text, e) != 0)
        return -1;
    if (gguf_tokens_find(t, *a, whole) && gguf_tokens_find(t, *b, whole) &&
        gguf_tokens_find(t, buf_str(&text), whole))
        return 0;
    return err_set(e, ERR_REFUSED,
        "the merge of '%.*s' and '%.*s' names no token",
        (int)size_min(a->len, 200), a->p, (int)size_min(b->len, 200), b->p);
}

/* The pieces in the order of their first merge; each in one run. */
static int rank_merges(
    struct gguf_tokens *t, const struct json *merges, struct err *e)
{
    uint32_t id, last = UINT32_MAX, rank = 0;
    struct str a, b;

    for (const struct json *m = json_first(merges); m; m = json_next(m)) {
        if (gguf_merge_find(t, m, &a, &b, &id, e) != 0)
            return -1;
        if (id != last && t->v[id].merges > 0)
            return other_order(t->v[id].text, e);
        rank += id != last;
        last = id;
        t->v[id].merges++;
        t->v[id].score = -(float)rank;
    }
    return 0;
}

/* SentencePiece merges any two neighbours that make a piece. */
static uint32_t count_splits(const struct gguf_tokens *t, struct str piece)
{
    uint32_t n = 0, id;

    for (size_t i = 1; i < piece.len; i++) {
        struct str front = { piece.p, i };
        struct str back = { piece.p + i, piece.len - i };

        n += gguf_tokens_find(t, front, &id) && gguf_tokens_find(t, back, &id);
    }
    return n;
}

int gguf_tokens_score(
    struct gguf_tokens *t, const struct json *merges, struct err *e)
{
    if (rank_merges(t, merges, e) != 0)
        return -1;
    for (uint32_t i = 0; i < t->n; i++) {
        struct gguf_token *v = &t->v[i];

        if (v->kind != TOKEN_NORMAL)
            continue;
        if (v->merges != count_splits(t, v->text))
            return other_order(v->text, e);
        if (v->merges == 0) /* below all that are merged */
            v->score = -(float)(t->n + i);
    }
    return 0;
}

void gguf_tokens_free(struct gguf_tokens *t)
{
    arena_free(&t->arena);
    *t = (struct gguf_tokens)GGUF_TOKENS_INIT;
}
