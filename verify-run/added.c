/*
 * The texts of a set are sorted, and each knows the longest other one that
 * is its beginning. The longest text that starts the input is then found
 * from the input's place in that order: it is the one just before, or one
 * of its beginnings.
 */
#include "verify-run/added.h"

#include <stdlib.h>

#include "verify-run/component.h"
#include "verify-run/unicode.h"
#include "verify-run/words.h"

enum {
    ADDED_MAX = 1 << 20,
    ADDED_BYTES_MAX = 1 << 12 /* of one text: bounds a step of the search */
};

struct added_pattern {
    struct str text;
    const struct added_token *token;
    size_t order; /* of two equal texts the earlier wins */
    const struct added_pattern *shorter;
};

/* ---- loading ---- */

static int load_flags(
    struct added_token *t, const struct component *c, struct err *e)
{
    if (component_bool(c, "special", &t->special, e) != 0 ||
        component_bool(c, "single_word", &t->single_word, e) != 0 ||
        component_bool(c, "lstrip", &t->lstrip, e) != 0 ||
        component_bool(c, "rstrip", &t->rstrip, e) != 0)
        return -1;
    /* Special tokens are looked for in the raw text unless told otherwise. */
    t->normalized = !t->special;
    return component_bool(c, "normalized", &t->normalized, e);
}

static int load_token(struct added_token *t, const struct json *v,
    const struct vocab *vocab, struct arena *arena, struct err *e)
{
    struct component c = { .part = "added_tokens", .type = "entry", .v = v };
    struct str other;
    uint32_t known;

    t->id = VOCAB_NONE;
    if (component_str(&c, "content", &t->content, arena, e) != 0 ||
        component_count(&c, "id", &t->id, e) != 0 || load_flags(t, &c, e) != 0)
        return -1;
    if (t->id >= VOCAB_MAX)
        return err_set(e, ERR_REFUSED,
            "added token '%.100s': the id is no whole number below %d",
            t->content.p, VOCAB_MAX);
    if (t->content.len > ADDED_BYTES_MAX)
        return err_set(e, ERR_REFUSED, "added token %u is longer than %d bytes",
            t->id, ADDED_BYTES_MAX);
    known = vocab_find(vocab, t->content);
    other = vocab_text(vocab, t->id);
    if (known != VOCAB_NONE && known != t->id)
        return err_set(e, ERR_REFUSED,
            "added token '%.100s' has id %u, but %u in the vocabulary",
            t->content.p, t->id, known);
    if (other.p != NULL && known == VOCAB_NONE)
        return err_set(e, ERR_REFUSED,
            "added token '%.100s' has id %u, which the vocabulary gives to "
            "'%.100s'",
            t->content.p, t->id, other.p);
    return 0;
}

static int cmp_patterns(const void *a, const void *b)
{
    const struct added_pattern *x = a, *y = b;
    int c = str_cmp(x->text, y->text);

    if (c != 0)
        return c;
    return x->order < y->order ? -1 : x->order > y->order;
}

static bool is_start(const struct added_pattern *p, struct str text)
{
    return p->text.len <= text.len &&
           memcmp(p->text.p, text.p, p->text.len) == 0;
}

static void set_finish(struct added_set *s)
{
    size_t n = 0;

    qsort(s->v, s->n, sizeof(*s->v), cmp_patterns);
    for (size_t i = 0; i < s->n; i++) {
        struct added_pattern *p = &s->v[n];

        if (n > 0 && str_eq(p[-1].text, s->v[i].text))
            continue;
        *p = s->v[i];
        p->shorter = n > 0 ? p - 1 : NULL;
        while (p->shorter != NULL && !is_start(p->shorter, p->text))
            p->shorter = p->shorter->shorter;
        s->starts[(unsigned char)p->text.p[0]] = true;
        n++;
    }
    s->n = n;
}

static int set_add(struct added_set *s, struct added_token *t, size_t order,
    const struct normalizer *n, uint64_t *work, struct arena *arena,
    struct err *e)
{
    struct buf form AUTO(buf_free) = BUF_INIT(WORDS_MAX_BYTES);
    bool cut = false;

    t->form = t->content;
    if (n != NULL) {
        if (normalizer_run(n, t->content, &form, &cut, work, e) != 0)
            return err_ctx(e, "added token '%.100s'", t->content.p);
        t->form = arena_str(arena, buf_str(&form), e);
        if (t->form.p == NULL)
            return -1;
    }
    if (t->content.len == 0)
        return 0;
    if (t->form.len > ADDED_BYTES_MAX)
        return err_set(e, ERR_REFUSED,
            "added token %u is longer than %d bytes once it is normalized",
            t->id, ADDED_BYTES_MAX);
    if (t->form.len == 0)
        return err_set(e, ERR_UNSUPPORTED,
            "added token '%.100s' is nothing once it is normalized",
            t->content.p);
    s->v[s->n++] =
        (struct added_pattern){ .text = t->form, .token = t, .order = order };
    return 0;
}

/* Specials come first where two texts are the same. */
static int build_sets(struct added *a, const struct normalizer *n,
    struct arena *arena, struct err *e)
{
    uint64_t work = NORMALIZE_WORK;

    a->raw.v = arena_alloc(arena, a->n, sizeof(*a->raw.v), e);
    a->normal.v = arena_alloc(arena, a->n, sizeof(*a->normal.v), e);
    if (a->raw.v == NULL || a->normal.v == NULL)
        return -1;
    for (size_t i = 0; i < a->n; i++) {
        struct added_token *t = &a->v[i];
        size_t order = t->special ? i : a->n + i;
        int rc = t->normalized
                     ? set_add(&a->normal, t, order, n, &work, arena, e)
                     : set_add(&a->raw, t, order, NULL, &work, arena, e);

        if (rc != 0)
            return -1;
    }
    set_finish(&a->raw);
    set_finish(&a->normal);
    return 0;
}

int added_load(struct added *a, const struct json *list,
    const struct vocab *vocab, const struct normalizer *n, struct arena *arena,
    struct err *e)
{
    size_t count = json_count(list);

    *a = (struct added){ .v = NULL };
    if (list != NULL && json_kind(list) != JSON_NULL &&
        json_kind(list) != JSON_ARRAY)
        return err_set(e, ERR_REFUSED, "'added_tokens' is no list");
    if (count > ADDED_MAX)
        return err_set(e, ERR_REFUSED, "more than %d added tokens", ADDED_MAX);
    a->v = arena_alloc(arena, count, sizeof(*a->v), e);
    if (a->v == NULL)
        return -1;
    for (const struct json *i = json_first(list); i; i = json_next(i))
        if (load_token(&a->v[a->n++], i, vocab, arena, e) != 0)
            return -1;
    return build_sets(a, n, arena, e);
}

/* ---- looking ---- */

/* The longest text of the set that text starts with, or NULL. */
static const struct added_pattern *longest(
    const struct added_set *s, struct str text)
{
    const struct added_pattern *p;
    size_t lo = 0, hi = s->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (str_cmp(s->v[mid].text, text) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    p = lo > 0 ? &s->v[lo - 1] : NULL;
    while (p != NULL && !is_start(p, text))
        p = p->shorter;
    return p;
}

static bool is_alone(struct str text, size_t from, size_t to)
{
    if (from > 0 &&
        unicode_is_word(unicode_at(text, unicode_back(text, from)).cp))
        return false;
    return to >= text.len || !unicode_is_word(unicode_at(text, to).cp);
}

static size_t spaces_before(struct str text, size_t at, size_t least)
{
    while (at > least) {
        size_t back = unicode_back(text, at);

        if (unicode_at(text, back).kind != UNICODE_SPACE)
            break;
        at = back;
    }
    return at;
}

static size_t spaces_after(struct str text, size_t at)
{
    struct unicode_char c = unicode_at(text, at);

    while (c.len > 0 && c.kind == UNICODE_SPACE) {
        at += c.len;
        c = unicode_at(text, at);
    }
    return at;
}

/* The next token that counts: sets found, found_end and where it starts. */
static bool find(struct added_walk *w, size_t *from)
{
    while (w->at < w->text.len) {
        struct str rest = { w->text.p + w->at, w->text.len - w->at };
        const struct added_pattern *p = NULL;

        *from = w->at++;
        if (w->set->starts[(unsigned char)*rest.p])
            p = longest(w->set, rest);
        if (p == NULL)
            continue;
        w->at = *from + p->text.len;
        if (p->token->single_word && !is_alone(w->text, *from, w->at))
            continue;
        w->found = p->token;
        w->found_end = w->at;
        if (w->found->lstrip && *from > w->done)
            *from = spaces_before(w->text, *from, w->done);
        /* What an earlier rstrip took is known to be white space. */
        if (w->found->rstrip)
            w->found_end = spaces_after(w->text, size_max(w->at, w->done));
        return true;
    }
    *from = w->text.len;
    return false;
}

bool added_next(struct added_walk *w, struct added_piece *out)
{
    size_t from = w->done;

    if (w->found == NULL && !find(w, &from) && w->done >= w->text.len)
        return false;
    out->from = w->done;
    if (from > w->done) {
        out->token = NULL;
        out->text = (struct str){ w->text.p + w->done, from - w->done };
        w->done = from;
        return true;
    }
    out->token = w->found;
    out->text = (struct str){ w->text.p + from, w->found_end - from };
    w->done = w->found_end;
    w->found = NULL;
    return true;
}
