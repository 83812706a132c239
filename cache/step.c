#include "cache/step.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/decimal.h"
#include "base/hex.h"
#include "base/path.h"

enum { SUM_DIGITS = 16, NUMBER_DIGITS = 18, LINE_MAX_BYTES = 4096 };

bool step_same(const struct volume_entry *a, const struct volume_entry *b)
{
    return a->size == b->size && digest_eq(&a->sha256, &b->sha256);
}

/* ---- writing ---- */

/* A field has no blank, no control character and no lone '%'; "" is "-". */
static void put_field(struct buf *out, struct str s)
{
    if (s.len == 0 || str_is(s, "-"))
        buf_puts(out, s.len == 0 ? "-" : "%2d");
    else
        for (size_t i = 0; i < s.len; i++) {
            unsigned char c = (unsigned char)s.p[i];

            if (c <= 0x20 || c == 0x7F || c == '%')
                buf_printf(out, "%%%02x", c);
            else
                buf_putc(out, (char)c);
        }
}

static void put_meaning(
    struct buf *out, bool there, const struct volume_entry *entry)
{
    if (there)
        buf_printf(out, "\t%s:%llu:%lld", entry->sha256.hex,
            (unsigned long long)entry->size, (long long)entry->mtime);
    else
        buf_puts(out, "\t-");
}

/* The first digits of a SHA-256, over one text or two. */
static int sum_of(struct str a, struct str b, struct digest *out, struct err *e)
{
    struct hash h AUTO(hash_free) = HASH_INIT;

    if (hash_begin(&h, HASH_SHA256, 0, e) != 0)
        return -1;
    hash_add(&h, a.p, a.len);
    if (b.len > 0)
        hash_add(&h, b.p, b.len);
    hash_end(&h, out);
    out->hex[SUM_DIGITS] = '\0';
    return 0;
}

int step_text(const struct step *s, struct buf *out, struct err *e)
{
    struct buf head AUTO(buf_free) = BUF_INIT(LINE_MAX_BYTES);
    struct buf body AUTO(buf_free) = BUF_INIT(out->limit);
    struct digest sum;

    for (uint64_t i = 0; i < s->n; i++) {
        const struct change *c = &s->changes[i];

        buf_putc(&body, '\t');
        put_field(&body, c->name);
        put_meaning(&body, c->was, &c->old);
        put_meaning(&body, c->is, &c->now);
        buf_putc(&body, '\n');
    }
    buf_printf(&head, "step %llu %lld ", (unsigned long long)s->number,
        (long long)s->when);
    put_field(&head, s->what);
    buf_putc(&head, ' ');
    put_field(&head, s->who);
    buf_printf(&head, " %llu %zu ", (unsigned long long)s->n, body.len);
    if (buf_check(&head, e) != 0 || buf_check(&body, e) != 0 ||
        sum_of(buf_str(&head), buf_str(&body), &sum, e) != 0)
        return -1;
    buf_printf(out, "%s%s\n", head.p, sum.hex);
    buf_put(out, body.p, body.len);
    return buf_check(out, e);
}

int step_done_text(uint64_t number, struct buf *out, struct err *e)
{
    char line[64];
    struct digest sum;

    snprintf(line, sizeof(line), "done %llu ", (unsigned long long)number);
    if (sum_of(str_of(line), (struct str){ NULL, 0 }, &sum, e) != 0)
        return -1;
    buf_printf(out, "%s%s\n", line, sum.hex);
    return buf_check(out, e);
}

/* ---- reading ---- */

/* What stands before the next sep, which is taken with it. */
static bool cut(struct str *s, char sep, struct str *out)
{
    const char *at = s->len > 0 ? memchr(s->p, sep, s->len) : NULL;

    if (at == NULL)
        return false;
    *out = (struct str){ s->p, (size_t)(at - s->p) };
    s->len -= out->len + 1;
    s->p = at + 1;
    return true;
}

static bool number(struct str s, uint64_t *out)
{
    return s.len <= NUMBER_DIGITS && decimal_u64(s, out);
}

static bool when(struct str s, int64_t *out)
{
    bool before = s.len > 0 && s.p[0] == '-';
    uint64_t n;

    if (before) {
        s.p++;
        s.len--;
    }
    if (!number(s, &n) || (before && n == 0))
        return false;
    *out = before ? -(int64_t)n : (int64_t)n;
    return true;
}

static bool meaning(struct str s, bool *there, struct volume_entry *out)
{
    struct str sha, size;

    *there = !str_is(s, "-");
    if (!*there)
        return true;
    return cut(&s, ':', &sha) && cut(&s, ':', &size) &&
           digest_parse(&out->sha256, sha) && out->sha256.kind == HASH_SHA256 &&
           number(size, &out->size) && when(s, &out->mtime);
}

/* 0, 1: it is no field; -1: *e. */
static int field(
    struct str s, struct arena *arena, struct str *out, struct err *e)
{
    char *p;
    size_t n = 0;

    if (s.len == 0)
        return 1;
    if (str_is(s, "-"))
        s.len = 0;
    p = arena_alloc(arena, s.len + 1, 1, e);
    if (p == NULL)
        return -1;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = (uint8_t)s.p[i];

        if (c <= 0x20 || c == 0x7F)
            return 1;
        if (c == '%') {
            if (s.len - i < 3 ||
                !hex_decode(&c, 1, (struct str){ s.p + i + 1, 2 }) || c == 0)
                return 1;
            i += 2;
        }
        p[n++] = (char)c;
    }
    *out = (struct str){ p, n };
    return 0;
}

static int change_line(
    struct str line, struct arena *arena, struct change *out, struct err *e)
{
    struct err unsafe = ERR_INIT;
    struct str skip, name, old;
    int rc;

    if (!cut(&line, '\t', &skip) || skip.len != 0 || !cut(&line, '\t', &name) ||
        !cut(&line, '\t', &old) || !meaning(old, &out->was, &out->old) ||
        !meaning(line, &out->is, &out->now) || (!out->was && !out->is))
        return 1;
    rc = field(name, arena, &out->name, e);
    if (rc == 0 && path_check(out->name, &unsafe) != 0)
        return 1;
    return rc;
}

/* The lines behind the first: body is all of them. */
static int change_lines(
    struct str body, struct arena *arena, struct step *out, struct err *e)
{
    struct str line;

    /* A change takes more bytes than its tabs, so this is no more memory
     * than a small multiple of what is there. */
    if (out->n > body.len / 6)
        return 1;
    out->changes = arena_alloc(arena, out->n, sizeof(*out->changes), e);
    if (out->changes == NULL)
        return -1;
    for (uint64_t i = 0; i < out->n; i++) {
        struct change *c = &out->changes[i];
        int rc = cut(&body, '\n', &line) ? change_line(line, arena, c, e) : 1;

        if (rc != 0)
            return rc;
        if (i > 0 && str_cmp(c[-1].name, c->name) >= 0)
            return 1;
    }
    return body.len != 0;
}

/* "42 1763712000 put ann@host 2 261 " behind "step "; the sum is cut off. */
static int head_line(struct str s, struct arena *arena, struct step *out,
    uint64_t *body, struct err *e)
{
    struct str n, t, what, who, changes, bytes;
    int rc;

    if (!cut(&s, ' ', &n) || !cut(&s, ' ', &t) || !cut(&s, ' ', &what) ||
        !cut(&s, ' ', &who) || !cut(&s, ' ', &changes) ||
        !cut(&s, ' ', &bytes) || s.len != 0 || !number(n, &out->number) ||
        out->number == 0 || !when(t, &out->when) || !number(changes, &out->n) ||
        !number(bytes, body) || what.len > 3 * STEP_WHAT_MAX ||
        who.len > 3 * STEP_WHO_MAX)
        return 1;
    rc = field(what, arena, &out->what, e);
    return rc != 0 ? rc : field(who, arena, &out->who, e);
}

static bool sum_is(struct str front, struct str body, struct str digits)
{
    struct err ignored = ERR_INIT;
    struct digest sum;

    return sum_of(front, body, &sum, &ignored) == 0 && str_is(digits, sum.hex);
}

static int read_step(struct rd *r, struct str front, struct str digits,
    struct arena *arena, struct step *out, struct err *e)
{
    const size_t word = sizeof("step ") - 1;
    uint64_t start = r->pos, len;
    struct str body;
    int rc = head_line(
        (struct str){ front.p + word, front.len - word }, arena, out, &len, e);

    if (rc != 0 || len > rd_left(r))
        return rc < 0 ? -1 : STEP_BAD;
    body = (struct str){ (const char *)rd_bytes(r, len), (size_t)len };
    rc = sum_is(front, body, digits) ? change_lines(body, arena, out, e) : 1;
    if (rc == 0)
        return STEP_STEP;
    rd_seek(r, start);
    return rc < 0 ? -1 : STEP_BAD;
}

int step_next(
    struct rd *r, struct arena *arena, struct step *out, struct err *e)
{
    struct str line = rd_line(r), front, digits, n;

    *out = (struct step){ .number = 0 };
    if (r->bad)
        return STEP_END;
    if (line.len <= SUM_DIGITS)
        return STEP_BAD;
    front = (struct str){ line.p, line.len - SUM_DIGITS };
    digits = (struct str){ line.p + front.len, SUM_DIGITS };
    if (str_starts(front, "step "))
        return read_step(r, front, digits, arena, out, e);
    if (!str_starts(front, "done ") || !str_ends(front, " "))
        return STEP_BAD;
    n = (struct str){ front.p + 5, front.len - 6 };
    if (front.len < 7 || !number(n, &out->number) ||
        !sum_is(front, (struct str){ NULL, 0 }, digits))
        return STEP_BAD;
    return STEP_DONE;
}
