#include "fetch/journal.h"

#include <ctype.h>

#include "base/file.h"
#include "base/rd.h"

static const char head_line[] = "ml-journal 1";

int journal_text(const struct digest *etag, uint64_t size,
    const struct ranges *have, struct buf *out, struct err *e)
{
    struct digest sum;
    size_t start = out->len;

    buf_printf(out, "%s\netag %s\nsize %llu\n", head_line, etag->hex,
        (unsigned long long)size);
    for (size_t i = 0; i < have->n; i++)
        buf_printf(out, "range %llu %llu\n",
            (unsigned long long)have->v[i].from,
            (unsigned long long)have->v[i].to);
    if (hash_bytes(HASH_SHA256, out->p + start, out->len - start, &sum, e) !=
        0)
        return -1;
    buf_printf(out, "sum %s\n", sum.hex);
    return buf_check(out, e);
}

/* A decimal number at the front of s, without leading zeros; moves s. */
static bool number(struct str *s, uint64_t *out)
{
    uint64_t v = 0;
    size_t i = 0;

    for (; i < s->len && isdigit((unsigned char)s->p[i]); i++)
        if (!size_mul(v, 10, &v) ||
            !size_add(v, (uint64_t)(s->p[i] - '0'), &v))
            return false;
    if (i == 0 || (i > 1 && s->p[0] == '0'))
        return false;
    s->p += i;
    s->len -= i;
    *out = v;
    return true;
}

/* "range FROM TO", behind the ranges before it and inside the file. */
static bool add_range(struct str line, uint64_t size, struct ranges *out)
{
    struct err ignored = ERR_INIT;
    uint64_t from, to;
    uint64_t last = out->n > 0 ? out->v[out->n - 1].to : 0;
    struct str s = { line.p + 6, line.len - 6 };

    if (!number(&s, &from) || s.len == 0 || s.p[0] != ' ')
        return false;
    s.p++;
    s.len--;
    if (!number(&s, &to) || s.len != 0)
        return false;
    return from < to && to <= size && (out->n == 0 || from > last) &&
           ranges_add(out, from, to, &ignored) == 0;
}

static bool check_sum(struct str text, size_t covered, struct str line)
{
    struct err ignored = ERR_INIT;
    struct digest sum;

    return str_starts(line, "sum ") &&
           hash_bytes(HASH_SHA256, text.p, covered, &sum, &ignored) == 0 &&
           line.len == 4 + 64 && memcmp(line.p + 4, sum.hex, 64) == 0;
}

static bool parse(struct str text, const struct digest *etag, uint64_t size,
    struct ranges *out)
{
    struct rd r = rd_of(text.p, text.len);
    struct str line = rd_line(&r);
    struct str value;
    uint64_t n, covered;

    if (r.bad || !str_is(line, head_line))
        return false;
    line = rd_line(&r);
    if (r.bad || !str_starts(line, "etag ") ||
        !str_is((struct str){ line.p + 5, line.len - 5 }, etag->hex))
        return false;
    line = rd_line(&r);
    if (r.bad || !str_starts(line, "size "))
        return false;
    value = (struct str){ line.p + 5, line.len - 5 };
    if (!number(&value, &n) || value.len != 0 || n != size)
        return false;
    for (;;) {
        covered = r.pos;
        line = rd_line(&r);
        if (r.bad)
            return false;
        if (!str_starts(line, "range "))
            break;
        if (!add_range(line, size, out))
            return false;
    }
    return check_sum(text, covered, line) && rd_left(&r) == 0;
}

bool journal_parse(struct str text, const struct digest *etag, uint64_t size,
    struct ranges *out)
{
    if (parse(text, etag, size, out))
        return true;
    ranges_free(out);
    return false;
}

int journal_write(const char *path, const struct digest *etag, uint64_t size,
    const struct ranges *have, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(JOURNAL_MAX);

    if (journal_text(etag, size, have, &text, e) != 0)
        return -1;
    return file_put(path, text.p, text.len, 0644, e);
}

bool journal_read(const char *path, const struct digest *etag, uint64_t size,
    struct ranges *out)
{
    struct buf text AUTO(buf_free) = BUF_INIT(JOURNAL_MAX);
    struct err ignored = ERR_INIT;

    return file_slurp(path, &text, &ignored) == 0 &&
           journal_parse(buf_str(&text), etag, size, out);
}
