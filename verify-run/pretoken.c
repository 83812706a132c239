#include "verify-run/pretoken.h"

#include "base/utf8.h"
#include "verify-run/bytechar.h"
#include "verify-run/component.h"
#include "verify-run/normalize.h"
#include "verify-run/unicode.h"
#include "verify-run/wordsplit.h"

enum step_kind { STEP_BYTES, STEP_SPLIT, STEP_METASPACE, STEP_DIGITS };

/* What becomes of the matches of a pattern. */
enum behavior {
    SPLIT_REMOVED,
    SPLIT_ISOLATED,
    SPLIT_PREVIOUS,
    SPLIT_NEXT,
    SPLIT_CONTIGUOUS
};

struct pretoken_step {
    struct pretoken_step *next;
    enum step_kind kind;
    enum wordsplit_kind regex; /* BYTES and SPLIT, when by_regex */
    bool by_regex;
    bool prefix;            /* BYTES: a space in front */
    bool invert;            /* SPLIT */
    enum behavior behavior; /* SPLIT, DIGITS */
    struct str text;        /* SPLIT, when not by_regex */
    struct metaspace metaspace;
};

/* ---- loading ---- */

static int load_bytes(
    struct pretoken_step *s, const struct component *c, struct err *e)
{
    s->prefix = s->by_regex = true;
    s->regex = WORDSPLIT_GPT2;
    if (component_bool(c, "add_prefix_space", &s->prefix, e) != 0)
        return -1;
    return component_bool(c, "use_regex", &s->by_regex, e);
}

/* The place of a name in a list, or -1 with *e. */
static int pick(const struct component *c, const char *key, const char *name,
    const char *const *names, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0)
            return (int)i;
    return err_set(e, ERR_UNSUPPORTED, "%s %s: this program has no %s '%.100s'",
        c->part, c->type, key, name);
}

static int load_split(struct pretoken_step *s, const struct component *c,
    struct arena *arena, struct err *e)
{
    static const char *const names[] = {
        [SPLIT_REMOVED] = "Removed",
        [SPLIT_ISOLATED] = "Isolated",
        [SPLIT_PREVIOUS] = "MergedWithPrevious",
        [SPLIT_NEXT] = "MergedWithNext",
        [SPLIT_CONTIGUOUS] = "Contiguous",
    };
    struct str name;
    int at;

    if (component_pattern(c, &s->text, &s->by_regex, arena, e) != 0 ||
        component_bool(c, "invert", &s->invert, e) != 0 ||
        component_str(c, "behavior", &name, arena, e) != 0)
        return -1;
    at = pick(c, "behavior", name.p, names, ARRAY_LEN(names), e);
    if (at < 0)
        return -1;
    s->behavior = (enum behavior)at;
    if (s->by_regex && !wordsplit_find(s->text, &s->regex))
        return err_set(e, ERR_UNSUPPORTED,
            "pre_tokenizer Split: this program does not know the regex "
            "'%.200s'",
            s->text.p);
    return 0;
}

int metaspace_load(struct metaspace *m, const struct component *c,
    struct arena *arena, struct err *e)
{
    static const char *const names[] = {
        [METASPACE_ALWAYS] = "always",
        [METASPACE_FIRST] = "first",
        [METASPACE_NEVER] = "never",
    };
    const char *scheme = "always";
    bool prefix = true;
    int at;

    m->split = true;
    json_str(json_get(c->v, "prepend_scheme"), &scheme);
    if (component_str(c, "replacement", &m->mark, arena, e) != 0 ||
        component_bool(c, "split", &m->split, e) != 0 ||
        component_bool(c, "add_prefix_space", &prefix, e) != 0)
        return -1;
    at = pick(c, "prepend_scheme", scheme, names, ARRAY_LEN(names), e);
    if (at < 0)
        return -1;
    m->scheme = prefix ? (enum metaspace_scheme)at : METASPACE_NEVER;
    if (m->mark.len == 0 || unicode_at(m->mark, 0).len != m->mark.len)
        return err_set(e, ERR_REFUSED,
            "%s Metaspace: 'replacement' is not one character", c->part);
    return 0;
}

static int load_digits(
    struct pretoken_step *s, const struct component *c, struct err *e)
{
    bool single = false;

    if (component_bool(c, "individual_digits", &single, e) != 0)
        return -1;
    s->behavior = single ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS;
    return 0;
}

static int load_step(
    void *arg, const struct component *c, struct arena *arena, struct err *e)
{
    static const char *const names[] = {
        [STEP_BYTES] = "ByteLevel",
        [STEP_SPLIT] = "Split",
        [STEP_METASPACE] = "Metaspace",
        [STEP_DIGITS] = "Digits",
    };
    struct pretoken *p = arg;
    struct pretoken_step *s = arena_alloc(arena, 1, sizeof(*s), e);
    int kind = component_kind(c, names, ARRAY_LEN(names), e);

    if (s == NULL || kind < 0)
        return -1;
    s->kind = (enum step_kind)kind;
    if (p->last != NULL)
        p->last->next = s;
    else
        p->first = s;
    p->last = s;
    if (s->kind == STEP_BYTES)
        return load_bytes(s, c, e);
    if (s->kind == STEP_SPLIT)
        return load_split(s, c, arena, e);
    if (s->kind == STEP_METASPACE)
        return metaspace_load(&s->metaspace, c, arena, e);
    return load_digits(s, c, e);
}

int pretoken_load(struct pretoken *p, const struct json *v, struct arena *arena,
    struct err *e)
{
    *p = (struct pretoken){ .first = NULL };
    return component_each(
        v, "pre_tokenizer", "pretokenizers", load_step, p, arena, e);
}

/* ---- running ---- */

/* The words being made from one word, piece by piece. */
struct cut {
    struct words *out;
    size_t first; /* number of its first word */
    bool matched; /* the piece before was a match */
    enum behavior behavior;
    bool invert;
};

static int cut_add(struct cut *k, struct str piece, bool match, struct err *e)
{
    bool glue = false;
    bool before = k->matched;

    if (piece.len == 0)
        return 0;
    match = match != k->invert;
    k->matched = match;
    switch (k->behavior) {
    case SPLIT_REMOVED:
        if (match) {
            k->out->headless = k->out->headless || k->out->n == 0;
            return 0;
        }
        break;
    case SPLIT_ISOLATED:
        break;
    case SPLIT_PREVIOUS:
        glue = match && !before;
        break;
    case SPLIT_NEXT:
        glue = before && !match;
        break;
    case SPLIT_CONTIGUOUS:
        glue = match == before;
        break;
    }
    if (glue && k->out->n > k->first)
        return words_glue(k->out, piece, e);
    return words_add(k->out, piece, e);
}

static int cut_by_text(
    struct cut *k, struct str word, struct str mark, struct err *e)
{
    while (word.len > 0) {
        size_t n = normalize_find(word, mark);

        if (cut_add(k, (struct str){ word.p, n }, false, e) != 0)
            return -1;
        word.p += n;
        word.len -= n;
        if (word.len == 0)
            break;
        if (cut_add(k, (struct str){ word.p, mark.len }, true, e) != 0)
            return -1;
        word.p += mark.len;
        word.len -= mark.len;
    }
    return 0;
}

static int cut_by_regex(
    struct cut *k, struct str word, enum wordsplit_kind regex, struct err *e)
{
    for (size_t i = 0; i < word.len;) {
        size_t n = wordsplit_next(regex, word, i);

        if (cut_add(k, (struct str){ word.p + i, n }, true, e) != 0)
            return -1;
        i += n;
    }
    return 0;
}

/* Every number character is a match of its own. */
static int cut_by_digits(struct cut *k, struct str word, struct err *e)
{
    size_t from = 0;

    for (size_t i = 0; i < word.len;) {
        struct unicode_char c = unicode_at(word, i);
        struct str gap = { word.p + from, i - from };

        i += c.len;
        if (c.kind != UNICODE_NUMBER)
            continue;
        from = i;
        if (cut_add(k, gap, false, e) != 0 ||
            cut_add(k, (struct str){ word.p + i - c.len, c.len }, true, e) != 0)
            return -1;
    }
    return cut_add(k, (struct str){ word.p + from, word.len - from }, false, e);
}

static int run_split(const struct pretoken_step *s, struct str word,
    struct words *out, struct err *e)
{
    struct cut k = { .out = out,
        .first = out->n,
        .behavior = s->behavior,
        .invert = s->invert };

    if (s->kind == STEP_DIGITS)
        return cut_by_digits(&k, word, e);
    if (s->by_regex)
        return cut_by_regex(&k, word, s->regex, e);
    return cut_by_text(&k, word, s->text, e);
}

static int run_bytes(const struct pretoken_step *s, struct str word,
    struct buf *spare, struct words *out, struct err *e)
{
    if (s->prefix && !str_starts(word, " ")) {
        buf_clear(spare);
        buf_putc(spare, ' ');
        buf_put(spare, word.p, word.len);
        if (buf_check(spare, e) != 0)
            return -1;
        word = buf_str(spare);
    }
    for (size_t i = 0; i < word.len;) {
        size_t n =
            s->by_regex ? wordsplit_next(s->regex, word, i) : word.len - i;

        bytechar_show((struct str){ word.p + i, n }, &out->text);
        if (words_end(out, e) != 0)
            return -1;
        i += n;
    }
    return 0;
}

static int run_metaspace(const struct metaspace *m, struct str word,
    bool at_start, struct buf *spare, struct words *out, struct err *e)
{
    struct cut k = { .out = out, .first = out->n, .behavior = SPLIT_NEXT };
    bool wanted = m->scheme == METASPACE_ALWAYS ||
                  (m->scheme == METASPACE_FIRST && at_start);

    buf_clear(spare);
    if (wanted && !str_starts(word, " ") && !str_starts(word, m->mark.p))
        buf_put(spare, m->mark.p, m->mark.len);
    normalize_replace(word, str_of(" "), m->mark, spare);
    if (buf_check(spare, e) != 0)
        return -1;
    if (!m->split)
        return words_add(out, buf_str(spare), e);
    return cut_by_text(&k, buf_str(spare), m->mark, e);
}

static int run_step(const struct pretoken_step *s, const struct words *in,
    bool at_start, struct words *out, struct err *e)
{
    struct buf spare AUTO(buf_free) = BUF_INIT(WORDS_MAX_BYTES);

    for (size_t i = 0; i < in->n; i++) {
        struct str word = words_get(in, i);
        int rc;

        if (s->kind == STEP_BYTES)
            rc = run_bytes(s, word, &spare, out, e);
        else if (s->kind == STEP_METASPACE)
            rc = run_metaspace(
                &s->metaspace, word, at_start && i == 0, &spare, out, e);
        else
            rc = run_split(s, word, out, e);
        if (rc != 0)
            return -1;
    }
    return 0;
}

int pretoken_run(const struct pretoken *p, struct str text, bool at_start,
    struct words *out, struct err *e)
{
    struct words in AUTO(words_free) = WORDS_INIT;

    words_clear(out);
    if (text.len > 0 && words_add(out, text, e) != 0)
        return -1;
    for (const struct pretoken_step *s = p->first; s != NULL; s = s->next) {
        struct words done = *out;

        *out = in;
        in = done;
        words_clear(out);
        if (run_step(s, &in, at_start, out, e) != 0)
            return -1;
        at_start = at_start && !out->headless;
    }
    return 0;
}
