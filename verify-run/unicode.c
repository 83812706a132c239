/*
 * Look-ups in the tables of unicode_tables.c and the canonical normal forms.
 * Hangul syllables are composed by arithmetic (Unicode 3.12).
 */
#include "verify-run/unicode.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "verify-run/unicode_tables.h"

enum {
    HANGUL_S = 0xAC00,
    HANGUL_L = 0x1100,
    HANGUL_V = 0x1161,
    HANGUL_T = 0x11A7,
    HANGUL_LS = 19,
    HANGUL_VS = 21,
    HANGUL_TS = 28,
    HANGUL_SS = HANGUL_LS * HANGUL_VS * HANGUL_TS,
};

/* The last of n rows of width numbers that starts at or before cp. */
static const uint32_t *row_at(
    const uint32_t *rows, size_t n, size_t width, uint32_t cp)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (rows[mid * width] <= cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo == 0 ? NULL : rows + (lo - 1) * width;
}

static bool in_ranges(const uint32_t *rows, size_t n, uint32_t cp)
{
    const uint32_t *row = row_at(rows, n, 2, cp);

    return row != NULL && cp <= row[1];
}

static bool is_space(uint32_t cp)
{
    return (cp >= 0x09 && cp <= 0x0D) || cp == 0x20 || cp == 0x85 ||
           cp == 0xA0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) ||
           cp == 0x2028 || cp == 0x2029 || cp == 0x202F || cp == 0x205F ||
           cp == 0x3000;
}

static bool is_ascii_letter(uint32_t cp)
{
    return (cp | 0x20) >= 'a' && (cp | 0x20) <= 'z';
}

static bool is_letter(uint32_t cp)
{
    return in_ranges(unicode_letters, unicode_letters_n, cp);
}

enum unicode_class unicode_class(uint32_t cp)
{
    if (is_space(cp))
        return UNICODE_SPACE;
    if (cp < 0x80) {
        if (is_ascii_letter(cp))
            return UNICODE_LETTER;
        return cp >= '0' && cp <= '9' ? UNICODE_NUMBER : UNICODE_OTHER;
    }
    if (is_letter(cp))
        return UNICODE_LETTER;
    if (in_ranges(unicode_numbers, unicode_numbers_n, cp))
        return UNICODE_NUMBER;
    return UNICODE_OTHER;
}

struct unicode_char unicode_at(struct str text, size_t i)
{
    struct unicode_char c = { .kind = UNICODE_OTHER };

    if (i < text.len)
        c.len = utf8_get((struct str){ text.p + i, text.len - i }, &c.cp);
    if (c.len > 0)
        c.kind = unicode_class(c.cp);
    return c;
}

bool unicode_is_word(uint32_t cp)
{
    return is_letter(cp) || in_ranges(unicode_words, unicode_words_n, cp);
}

size_t unicode_back(struct str text, size_t end)
{
    do
        end--;
    while (end > 0 && ((unsigned char)text.p[end] & 0xC0) == 0x80);
    return end;
}

static unsigned combining(uint32_t cp)
{
    const uint32_t *row = row_at(unicode_combining, unicode_combining_n, 3, cp);

    return row != NULL && cp <= row[1] ? row[2] : 0;
}

/*
 * A list of characters being normalised. Each is combining class, place and
 * code point in one number, so that sorting numbers is a stable sort by
 * class. v == NULL only counts.
 */
struct form {
    uint64_t *v;
    uint64_t n;
};

static uint32_t form_cp(uint64_t c)
{
    return (uint32_t)c & 0xFFFFFF;
}

static unsigned form_class(uint64_t c)
{
    return (unsigned)(c >> 56);
}

static void form_add(struct form *f, uint32_t cp)
{
    if (f->v != NULL)
        f->v[f->n] =
            (uint64_t)combining(cp) << 56 | (f->n & 0xFFFFFFFF) << 24 | cp;
    f->n++;
}

static void decompose(struct form *f, uint32_t cp)
{
    const uint32_t *row;

    if (cp >= HANGUL_S && cp < HANGUL_S + HANGUL_SS) {
        uint32_t s = cp - HANGUL_S;

        form_add(f, HANGUL_L + s / (HANGUL_VS * HANGUL_TS));
        form_add(f, HANGUL_V + s / HANGUL_TS % HANGUL_VS);
        if (s % HANGUL_TS != 0)
            form_add(f, HANGUL_T + s % HANGUL_TS);
        return;
    }
    row = row_at(unicode_singles, unicode_singles_n, 2, cp);
    if (row != NULL && row[0] == cp) {
        decompose(f, row[1]);
        return;
    }
    row = row_at(unicode_pairs, unicode_pairs_n, 3, cp);
    if (row != NULL && row[0] == cp) {
        decompose(f, row[1]);
        decompose(f, row[2]);
        return;
    }
    form_add(f, cp);
}

static void decompose_text(struct form *f, struct str text)
{
    uint32_t cp = 0;
    unsigned n;

    while ((n = utf8_get(text, &cp)) > 0) {
        decompose(f, cp);
        text.p += n;
        text.len -= n;
    }
}

static int cmp_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void order_marks(struct form *f)
{
    for (uint64_t i = 0, j; i < f->n; i = j + 1) {
        for (j = i; j < f->n && form_class(f->v[j]) != 0; j++)
            ;
        if (j - i > 1)
            qsort(f->v + i, j - i, sizeof(*f->v), cmp_u64);
    }
}

static uint32_t compose_hangul(uint32_t a, uint32_t b)
{
    uint32_t l = a - HANGUL_L, v = b - HANGUL_V, s = a - HANGUL_S;

    if (l < HANGUL_LS && v < HANGUL_VS)
        return HANGUL_S + (l * HANGUL_VS + v) * HANGUL_TS;
    if (s < HANGUL_SS && s % HANGUL_TS == 0 && b > HANGUL_T &&
        b < HANGUL_T + HANGUL_TS)
        return a + (b - HANGUL_T);
    return 0;
}

/* The composition of two characters, or 0. */
static uint32_t compose(uint32_t a, uint32_t b)
{
    uint64_t want = (uint64_t)a << 32 | b;
    size_t lo = 0, hi = unicode_composed_n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const uint32_t *row = unicode_pairs + 3 * unicode_composed[mid];
        uint64_t got = (uint64_t)row[1] << 32 | row[2];

        if (got == want)
            return row[0];
        if (got < want)
            lo = mid + 1;
        else
            hi = mid;
    }
    return compose_hangul(a, b);
}

/*
 * Each character joins the last starter unless something of its own class
 * or higher stands between.
 */
static void compose_all(struct form *f)
{
    uint64_t n = 0, starter = UINT64_MAX;

    for (uint64_t i = 0; i < f->n; i++) {
        uint64_t c = f->v[i];
        uint32_t joined = 0;

        if (starter != UINT64_MAX &&
            (n == starter + 1 || form_class(f->v[n - 1]) < form_class(c)))
            joined = compose(form_cp(f->v[starter]), form_cp(c));
        if (joined != 0) {
            f->v[starter] = joined;
            continue;
        }
        if (form_class(c) == 0)
            starter = n;
        f->v[n++] = c;
    }
    f->n = n;
}

static bool is_ascii(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.p[i] >= 0x80)
            return false;
    return true;
}

int unicode_form(struct str text, bool composed, struct buf *out, struct err *e)
{
    struct form f = { .v = NULL };

    if (is_ascii(text)) {
        buf_put(out, text.p, text.len);
        return buf_check(out, e);
    }
    decompose_text(&f, text);
    f.v = calloc(f.n + 1, sizeof(*f.v));
    if (f.v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    f.n = 0;
    decompose_text(&f, text);
    order_marks(&f);
    if (composed)
        compose_all(&f);
    for (uint64_t i = 0; i < f.n; i++) {
        char c[4];

        buf_put(out, c, utf8_put(c, form_cp(f.v[i])));
    }
    free(f.v);
    return buf_check(out, e);
}

/* The longest start of a character at s.p, which is no whole one. */
static size_t cut_length(struct str s)
{
    unsigned char c = (unsigned char)s.p[0];
    unsigned char lo = 0x80, hi = 0xBF;
    size_t want = c < 0xC2 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    size_t n = 1;

    if (c > 0xF4)
        return 1;
    if (c == 0xE0)
        lo = 0xA0;
    if (c == 0xED)
        hi = 0x9F;
    if (c == 0xF0)
        lo = 0x90;
    if (c == 0xF4)
        hi = 0x8F;
    while (n < want && n < s.len && (unsigned char)s.p[n] >= lo &&
           (unsigned char)s.p[n] <= hi) {
        lo = 0x80;
        hi = 0xBF;
        n++;
    }
    return n;
}

void unicode_repair(struct str text, struct buf *out)
{
    size_t start = 0, i = 0;

    while (i < text.len) {
        struct str rest = { text.p + i, text.len - i };
        uint32_t cp = 0;
        unsigned n = utf8_get(rest, &cp);

        if (n > 0) {
            i += n;
            continue;
        }
        buf_put(out, text.p + start, i - start);
        buf_puts(out, "\xEF\xBF\xBD");
        i += cut_length(rest);
        start = i;
    }
    buf_put(out, text.p + start, i - start);
}
