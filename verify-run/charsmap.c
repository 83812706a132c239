/*
 * A unit of the double array: bits 0 to 7 the byte that leads to it, bit 8
 * says that a text ends here, bits 10 to 30 the way on, times 256 with bit 9.
 * With bit 31 it is a value instead.
 */
#include "verify-run/charsmap.h"

#include "base/rd.h"
#include "base/utf8.h"

static uint32_t way_on(uint32_t unit)
{
    return unit >> 10 << ((unit & 0x200) >> 6);
}

static bool is_utf8(struct str s)
{
    uint32_t cp;

    while (s.len > 0) {
        unsigned n = utf8_get(s, &cp);

        if (n == 0)
            return false;
        s.p += n;
        s.len -= n;
    }
    return true;
}

static bool is_inside(struct str s, uint64_t at)
{
    return at < s.len && ((unsigned char)s.p[at] & 0xC0) != 0x80;
}

/* What is replaced is a few characters, and so is what it becomes. */
static int check_lengths(struct str texts, struct err *e)
{
    size_t start = 0;

    for (size_t i = 0; i < texts.len; i++) {
        if (i - start > CHARSMAP_TEXT_MAX)
            return err_set(e, ERR_REFUSED,
                "precompiled charsmap: the replacement at byte %zu has more "
                "than %d bytes",
                start, CHARSMAP_TEXT_MAX);
        if (texts.p[i] == '\0')
            start = i + 1;
    }
    return 0;
}

/* All values lead to the start of a character. */
static int check(const struct charsmap *m, struct err *e)
{
    if (m->texts.len == 0 || m->texts.p[m->texts.len - 1] != '\0')
        return err_set(e, ERR_REFUSED,
            "precompiled charsmap: the last replacement has no end");
    if (!is_utf8(m->texts))
        return err_set(e, ERR_REFUSED,
            "precompiled charsmap: the replacements are no UTF-8");
    if (check_lengths(m->texts, e) != 0)
        return -1;
    for (uint64_t i = 0; i < m->n; i++) {
        uint64_t value = i ^ way_on(m->units[i]);

        if ((m->units[i] & 0x80000100) != 0x100)
            continue;
        if (value >= m->n || !is_inside(m->texts, m->units[value] & 0x7FFFFFFF))
            return err_set(e, ERR_REFUSED,
                "precompiled charsmap: unit %llu leads to no replacement",
                (unsigned long long)i);
    }
    return 0;
}

int charsmap_load(
    struct charsmap *m, struct str bytes, struct arena *arena, struct err *e)
{
    struct rd r = rd_of(bytes.p, bytes.len);
    uint32_t size = rd_u32(&r);

    *m = (struct charsmap){ .units = NULL };
    if (bytes.len == 0)
        return 0;
    if (r.bad || size % 4 != 0 || size == 0 || size > rd_left(&r))
        return err_set(e, ERR_REFUSED,
            "precompiled charsmap: %zu bytes hold no table of %u", bytes.len,
            size);
    m->n = size / 4;
    m->units = arena_alloc(arena, m->n, sizeof(*m->units), e);
    if (m->units == NULL)
        return -1;
    for (uint64_t i = 0; i < m->n; i++)
        m->units[i] = rd_u32(&r);
    m->texts = arena_str(
        arena, (struct str){ bytes.p + r.pos, (size_t)rd_left(&r) }, e);
    return m->texts.p == NULL ? -1 : check(m, e);
}

static struct str text_at(const struct charsmap *m, uint32_t at)
{
    const char *p = m->texts.p + at;

    return (struct str){ p, strlen(p) };
}

/* Half a character is no match. */
static bool is_end(struct str text, size_t at)
{
    return at == text.len || ((unsigned char)text.p[at] & 0xC0) != 0x80;
}

static struct charsmap_match match(
    const struct charsmap *m, struct str text, bool longest)
{
    struct charsmap_match best = { .len = 0 };
    uint64_t at = 0;

    if (m->units == NULL)
        return best;
    at ^= way_on(m->units[0]);
    /* The table of a stranger may lead in a circle. */
    for (size_t i = 0; i < text.len && i < CHARSMAP_TEXT_MAX; i++) {
        uint32_t byte = (unsigned char)text.p[i];
        bool ends;

        at ^= byte;
        if (at >= m->n || (m->units[at] & 0x800000FF) != byte)
            break;
        ends = (m->units[at] & 0x100) != 0 && is_end(text, i + 1);
        at ^= way_on(m->units[at]);
        if (ends) {
            best.len = i + 1;
            best.to = text_at(m, m->units[at] & 0x7FFFFFFF);
            if (!longest)
                break;
        }
    }
    return best;
}

struct charsmap_match charsmap_longest(
    const struct charsmap *m, struct str text)
{
    return match(m, text, true);
}

struct charsmap_match charsmap_shortest(
    const struct charsmap *m, struct str text)
{
    return match(m, text, false);
}
