#include "verify-run/detoken.h"

#include "base/utf8.h"
#include "verify-run/bytechar.h"
#include "verify-run/component.h"
#include "verify-run/normalize.h"
#include "verify-run/pretoken.h"
#include "verify-run/unicode.h"

enum step_kind {
    STEP_BYTES,
    STEP_REPLACE,
    STEP_FALLBACK,
    STEP_FUSE,
    STEP_STRIP,
    STEP_METASPACE
};

struct detoken_step {
    struct detoken_step *next;
    enum step_kind kind;
    struct str from;  /* REPLACE; STRIP: the character */
    struct str to;    /* REPLACE */
    uint32_t n_start; /* STRIP: at most so many at each end */
    uint32_t n_stop;
    struct metaspace metaspace;
};

/* ---- loading ---- */

static int load_replace(struct detoken_step *s, const struct component *c,
    struct arena *arena, struct err *e)
{
    bool is_regex = false;

    if (component_pattern(c, &s->from, &is_regex, arena, e) != 0 ||
        component_str(c, "content", &s->to, arena, e) != 0)
        return -1;
    if (is_regex)
        return err_set(e, ERR_UNSUPPORTED,
            "decoder Replace: this program does not know the regex '%.200s'",
            s->from.p);
    return 0;
}

static int load_strip(struct detoken_step *s, const struct component *c,
    struct arena *arena, struct err *e)
{
    if (component_str(c, "content", &s->from, arena, e) != 0 ||
        component_count(c, "start", &s->n_start, e) != 0 ||
        component_count(c, "stop", &s->n_stop, e) != 0)
        return -1;
    if (s->from.len == 0 || unicode_at(s->from, 0).len != s->from.len)
        return err_set(
            e, ERR_REFUSED, "decoder Strip: 'content' is not one character");
    return 0;
}

static int load_step(
    void *arg, const struct component *c, struct arena *arena, struct err *e)
{
    static const char *const names[] = {
        [STEP_BYTES] = "ByteLevel",
        [STEP_REPLACE] = "Replace",
        [STEP_FALLBACK] = "ByteFallback",
        [STEP_FUSE] = "Fuse",
        [STEP_STRIP] = "Strip",
        [STEP_METASPACE] = "Metaspace",
    };
    struct detoken *d = arg;
    struct detoken_step *s = arena_alloc(arena, 1, sizeof(*s), e);
    int kind = component_kind(c, names, ARRAY_LEN(names), e);

    if (s == NULL || kind < 0)
        return -1;
    s->kind = (enum step_kind)kind;
    if (d->last != NULL)
        d->last->next = s;
    else
        d->first = s;
    d->last = s;
    if (s->kind == STEP_REPLACE)
        return load_replace(s, c, arena, e);
    if (s->kind == STEP_STRIP)
        return load_strip(s, c, arena, e);
    if (s->kind == STEP_METASPACE)
        return metaspace_load(&s->metaspace, c, arena, e);
    return 0;
}

int detoken_load(
    struct detoken *d, const struct json *v, struct arena *arena, struct err *e)
{
    *d = (struct detoken){ .first = NULL };
    return component_each(v, "decoder", "decoders", load_step, d, arena, e);
}

/* ---- running ---- */

static bool is_utf8(struct str s)
{
    uint32_t cp;
    unsigned n;

    while (s.len > 0 && (n = utf8_get(s, &cp)) > 0) {
        s.p += n;
        s.len -= n;
    }
    return s.len == 0;
}

/* A run of bytes is one text, or nothing but replacement characters. */
static int flush_bytes(struct buf *bytes, struct words *out, struct err *e)
{
    size_t n = bytes->len;
    int rc = 0;

    if (buf_check(bytes, e) != 0)
        return -1;
    if (n > 0 && is_utf8(buf_str(bytes)))
        rc = words_add(out, buf_str(bytes), e);
    else
        for (size_t i = 0; i < n && rc == 0; i++)
            rc = words_add(out, str_of("\xEF\xBF\xBD"), e);
    buf_clear(bytes);
    return rc;
}

static int run_fallback(
    const struct words *in, struct words *out, struct err *e)
{
    struct buf bytes AUTO(buf_free) = BUF_INIT(WORDS_MAX_BYTES);

    for (size_t i = 0; i < in->n; i++) {
        struct str t = words_get(in, i);
        int byte = bytechar_token(t);

        if (byte >= 0)
            buf_putc(&bytes, (char)byte);
        else if (flush_bytes(&bytes, out, e) != 0 || words_add(out, t, e) != 0)
            return -1;
    }
    return flush_bytes(&bytes, out, e);
}

static bool is_bytechars(struct str t)
{
    struct unicode_char c;

    for (size_t i = 0; i < t.len; i += c.len) {
        c = unicode_at(t, i);
        if (bytechar_byte(c.cp) < 0)
            return false;
    }
    return true;
}

/* A token with a character that stands for no byte is taken as it is. */
static void put_bytes(struct str t, struct buf *out)
{
    struct unicode_char c;

    if (!is_bytechars(t)) {
        buf_put(out, t.p, t.len);
        return;
    }
    for (size_t i = 0; i < t.len; i += c.len) {
        c = unicode_at(t, i);
        buf_putc(out, (char)bytechar_byte(c.cp));
    }
}

static int run_bytes(const struct words *in, struct words *out, struct err *e)
{
    struct buf bytes AUTO(buf_free) = BUF_INIT(WORDS_MAX_BYTES);

    for (size_t i = 0; i < in->n; i++)
        put_bytes(words_get(in, i), &bytes);
    if (buf_check(&bytes, e) != 0)
        return -1;
    unicode_repair(buf_str(&bytes), &out->text);
    return words_end(out, e);
}

static struct str strip(const struct detoken_step *s, struct str t)
{
    size_t n = s->from.len;

    for (uint32_t i = 0; i < s->n_start && str_starts(t, s->from.p); i++) {
        t.p += n;
        t.len -= n;
    }
    for (uint32_t i = 0; i < s->n_stop && str_ends(t, s->from.p); i++)
        t.len -= n;
    return t;
}

/* In the first token the marks were put there by the encoder. */
static void put_metaspace(
    const struct metaspace *m, bool first, struct str t, struct buf *out)
{
    bool drop = first && m->scheme != METASPACE_NEVER;

    normalize_replace(t, m->mark, str_of(drop ? "" : " "), out);
}

static int run_step(const struct detoken_step *s, const struct words *in,
    struct words *out, struct err *e)
{
    if (s->kind == STEP_BYTES)
        return run_bytes(in, out, e);
    if (s->kind == STEP_FALLBACK)
        return run_fallback(in, out, e);
    if (s->kind == STEP_FUSE)
        return words_add(out, buf_str(&in->text), e);
    for (size_t i = 0; i < in->n; i++) {
        struct str t = words_get(in, i);

        if (s->kind == STEP_REPLACE) {
            normalize_replace(t, s->from, s->to, &out->text);
        } else if (s->kind == STEP_METASPACE) {
            put_metaspace(&s->metaspace, i == 0, t, &out->text);
        } else {
            t = strip(s, t);
            buf_put(&out->text, t.p, t.len);
        }
        if (words_end(out, e) != 0)
            return -1;
    }
    return 0;
}

static int join_by_space(
    const struct words *tokens, struct buf *out, struct err *e)
{
    for (size_t i = 0; i < tokens->n; i++) {
        struct str t = words_get(tokens, i);

        if (i > 0)
            buf_putc(out, ' ');
        buf_put(out, t.p, t.len);
    }
    return buf_check(out, e);
}

int detoken_run(const struct detoken *d, struct words *tokens, struct buf *out,
    struct err *e)
{
    struct words in AUTO(words_free) = WORDS_INIT;

    if (d->first == NULL)
        return join_by_space(tokens, out, e);
    for (const struct detoken_step *s = d->first; s != NULL; s = s->next) {
        struct words done = *tokens;

        *tokens = in;
        in = done;
        words_clear(tokens);
        if (run_step(s, &in, tokens, e) != 0)
            return -1;
    }
    buf_put(out, tokens->text.p, tokens->text.len);
    return buf_check(out, e);
}
