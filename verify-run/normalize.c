#include "verify-run/normalize.h"

#include "verify-run/bytechar.h"
#include "verify-run/component.h"
#include "verify-run/unicode.h"
#include "verify-run/words.h"

enum step_kind {
    STEP_NFC,
    STEP_NFD,
    STEP_BYTES,
    STEP_PREPEND,
    STEP_REPLACE,
    STEP_STRIP,
    STEP_SPACES /* a Replace, too */
};

/* The one regex that converted SentencePiece models have. */
#define SPACES " {2,}"

struct normalize_step {
    struct normalize_step *next;
    enum step_kind kind;
    struct str from; /* REPLACE */
    struct str to;   /* PREPEND, REPLACE, SPACES */
    bool left;       /* STRIP */
    bool right;
};

static int load_replace(struct normalize_step *s, const struct component *c,
    struct arena *arena, struct err *e)
{
    bool is_regex = false;

    if (component_pattern(c, &s->from, &is_regex, arena, e) != 0 ||
        component_str(c, "content", &s->to, arena, e) != 0)
        return -1;
    if (is_regex && !str_is(s->from, SPACES))
        return err_set(e, ERR_UNSUPPORTED,
            "normalizer Replace: this program does not know the regex '%.200s'",
            s->from.p);
    s->kind = is_regex ? STEP_SPACES : STEP_REPLACE;
    return 0;
}

static int load_strip(
    struct normalize_step *s, const struct component *c, struct err *e)
{
    s->left = s->right = true;
    if (component_bool(c, "strip_left", &s->left, e) != 0)
        return -1;
    return component_bool(c, "strip_right", &s->right, e);
}

static int load_step(
    void *arg, const struct component *c, struct arena *arena, struct err *e)
{
    static const char *const names[] = {
        [STEP_NFC] = "NFC",
        [STEP_NFD] = "NFD",
        [STEP_BYTES] = "ByteLevel",
        [STEP_PREPEND] = "Prepend",
        [STEP_REPLACE] = "Replace",
        [STEP_STRIP] = "Strip",
    };
    struct normalizer *n = arg;
    struct normalize_step *s = arena_alloc(arena, 1, sizeof(*s), e);
    int kind = component_kind(c, names, ARRAY_LEN(names), e);

    if (s == NULL || kind < 0)
        return -1;
    s->kind = (enum step_kind)kind;
    if (n->last != NULL)
        n->last->next = s;
    else
        n->first = s;
    n->last = s;
    if (s->kind == STEP_PREPEND)
        return component_str(c, "prepend", &s->to, arena, e);
    if (s->kind == STEP_REPLACE)
        return load_replace(s, c, arena, e);
    return s->kind == STEP_STRIP ? load_strip(s, c, e) : 0;
}

int normalizer_load(struct normalizer *n, const struct json *v,
    struct arena *arena, struct err *e)
{
    *n = (struct normalizer){ .first = NULL };
    return component_each(
        v, "normalizer", "normalizers", load_step, n, arena, e);
}

size_t normalize_find(struct str text, struct str mark)
{
    const char *at = mark.len == 1 ? memchr(text.p, mark.p[0], text.len)
                                   : memmem(text.p, text.len, mark.p, mark.len);

    return at == NULL ? text.len : (size_t)(at - text.p);
}

void normalize_replace(
    struct str text, struct str from, struct str to, struct buf *out)
{
    while (text.len > 0) {
        size_t n = normalize_find(text, from);

        buf_put(out, text.p, n);
        if (n < text.len) {
            buf_put(out, to.p, to.len);
            n += from.len;
        }
        text.p += n;
        text.len -= n;
    }
}

static struct str strip(
    const struct normalize_step *s, struct str text, bool *cut)
{
    while (s->left && text.len > 0) {
        struct unicode_char c = unicode_at(text, 0);

        if (c.kind != UNICODE_SPACE)
            break;
        *cut = true;
        text.p += c.len;
        text.len -= c.len;
    }
    while (s->right && text.len > 0) {
        size_t back = unicode_back(text, text.len);

        if (unicode_at(text, back).kind != UNICODE_SPACE)
            break;
        text.len = back;
    }
    return text;
}

/* Runs of two spaces and more. */
static void replace_spaces(struct str text, struct str to, struct buf *out)
{
    for (size_t i = 0; i < text.len;) {
        size_t n = 0;

        while (i + n < text.len && text.p[i + n] == ' ')
            n++;
        if (n >= 2)
            buf_put(out, to.p, to.len);
        else
            buf_put(out, text.p + i, n = 1);
        i += n;
    }
}

static int run_step(const struct normalize_step *s, struct str text,
    struct buf *out, bool *cut, struct err *e)
{
    switch (s->kind) {
    case STEP_NFC:
    case STEP_NFD:
        return unicode_form(text, s->kind == STEP_NFC, out, e);
    case STEP_BYTES:
        bytechar_show(text, out);
        break;
    case STEP_PREPEND:
        if (text.len > 0)
            buf_put(out, s->to.p, s->to.len);
        buf_put(out, text.p, text.len);
        break;
    case STEP_REPLACE:
        normalize_replace(text, s->from, s->to, out);
        break;
    case STEP_SPACES:
        replace_spaces(text, s->to, out);
        break;
    case STEP_STRIP:
        text = strip(s, text, cut);
        buf_put(out, text.p, text.len);
        break;
    }
    return buf_check(out, e);
}

/* Bytes read and written, and something for the step itself. */
static int spend(uint64_t *work, struct str in, struct str out, struct err *e)
{
    uint64_t cost = 64 + in.len + out.len;

    if (cost > *work)
        return err_set(e, ERR_REFUSED,
            "the normalizer has too many steps for its texts, or makes them "
            "too long");
    *work -= cost;
    return 0;
}

int normalizer_run(const struct normalizer *n, struct str text, struct buf *out,
    bool *cut, uint64_t *work, struct err *e)
{
    struct buf spare AUTO(buf_free) = BUF_INIT(WORDS_MAX_BYTES);

    buf_clear(out);
    if (n->first == NULL)
        buf_put(out, text.p, text.len);
    for (const struct normalize_step *s = n->first; s != NULL; s = s->next) {
        struct buf done = *out;
        struct str in;

        /* The last result becomes the input, its memory the next output. */
        *out = spare;
        spare = done;
        buf_clear(out);
        in = s == n->first ? text : buf_str(&spare);
        if (run_step(s, in, out, cut, e) != 0 ||
            spend(work, in, buf_str(out), e) != 0)
            return -1;
    }
    return buf_check(out, e);
}
