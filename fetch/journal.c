#include "fetch/journal.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/boot.h"
#include "base/decimal.h"
#include "base/file.h"
#include "base/rd.h"

static const char head_line[] = "ml-journal 1";

void journal_live(const char *path, char *out)
{
    snprintf(out, PATH_MAX, "%.*s.live", PATH_MAX - 6, path);
}

static size_t count_from(const struct ranges *have, uint64_t least)
{
    size_t n = 0;

    for (size_t i = 0; i < have->n; i++)
        n += have->v[i].to - have->v[i].from >= least;
    return n;
}

/* Those of least bytes are few enough, and spare ones of half of it. */
static uint64_t least_bytes(const struct ranges *have, size_t *spare)
{
    size_t n = have->n;
    uint64_t least = 1;

    while (n > JOURNAL_RANGES) {
        least *= 2;
        n = count_from(have, least);
    }
    *spare = JOURNAL_RANGES - n;
    return least;
}

static void put_ranges(const struct ranges *have, struct buf *out)
{
    size_t spare;
    uint64_t least = least_bytes(have, &spare);

    for (size_t i = 0; i < have->n; i++) {
        const struct range *r = &have->v[i];
        uint64_t n = r->to - r->from;

        if (n < least && (n < least / 2 || spare == 0))
            continue;
        spare -= n < least;
        buf_printf(out, "range %llu %llu\n", (unsigned long long)r->from,
            (unsigned long long)r->to);
    }
}

int journal_text(const char *boot, const struct digest *etag, uint64_t size,
    const struct ranges *have, struct buf *out, struct err *e)
{
    struct digest sum;
    size_t start = out->len;

    buf_printf(out, "%s\n", head_line);
    if (boot != NULL)
        buf_printf(out, "boot %s\n", boot);
    buf_printf(
        out, "etag %s\nsize %llu\n", etag->hex, (unsigned long long)size);
    put_ranges(have, out);
    if (hash_bytes(HASH_SHA256, out->p + start, out->len - start, &sum, e) != 0)
        return -1;
    buf_printf(out, "sum %s\n", sum.hex);
    return buf_check(out, e);
}

/* A decimal number at the front of s, without leading zeros; moves s. */
static bool number(struct str *s, uint64_t *out)
{
    size_t n = 0;

    while (n < s->len && isdigit((unsigned char)s->p[n]))
        n++;
    if (!decimal_u64((struct str){ s->p, n }, out))
        return false;
    s->p += n;
    s->len -= n;
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

/* The next line is "name value"; value is what is left of it. */
static bool value_of(struct rd *r, const char *name, struct str *value)
{
    struct str line = rd_line(r);
    size_t n = strlen(name);

    if (r->bad || !str_starts(line, name))
        return false;
    *value = (struct str){ line.p + n, line.len - n };
    return true;
}

/* The lines in front of the ranges. */
static bool parse_head(
    struct rd *r, const char *boot, const struct digest *etag, uint64_t size)
{
    struct str value;
    uint64_t n;

    if (!value_of(r, head_line, &value) || value.len != 0)
        return false;
    if (boot != NULL && (!value_of(r, "boot ", &value) || value.len == 0 ||
                            !str_is(value, boot)))
        return false;
    return value_of(r, "etag ", &value) && str_is(value, etag->hex) &&
           value_of(r, "size ", &value) && number(&value, &n) &&
           value.len == 0 && n == size;
}

static bool parse(struct str text, const char *boot, const struct digest *etag,
    uint64_t size, struct ranges *out)
{
    struct rd r = rd_of(text.p, text.len);
    struct str line;
    uint64_t covered;

    if (!parse_head(&r, boot, etag, size))
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
    return check_sum(text, covered, line) && (boot != NULL || rd_left(&r) == 0);
}

bool journal_parse(struct str text, const char *boot, const struct digest *etag,
    uint64_t size, struct ranges *out)
{
    struct ranges found AUTO(ranges_free) = RANGES_INIT;
    struct err ignored = ERR_INIT;

    if (!parse(text, boot, etag, size, &found))
        return false;
    for (size_t i = 0; i < found.n; i++)
        if (ranges_add(out, found.v[i].from, found.v[i].to, &ignored) != 0)
            return false;
    return true;
}

int journal_write(const char *path, const struct digest *etag, uint64_t size,
    const struct ranges *have, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(JOURNAL_MAX);

    if (journal_text(NULL, etag, size, have, &text, e) != 0)
        return -1;
    return file_put(path, text.p, text.len, 0644, e);
}

static bool read_one(const char *path, const char *boot,
    const struct digest *etag, uint64_t size, struct ranges *out)
{
    struct buf text AUTO(buf_free) = BUF_INIT(JOURNAL_MAX);
    struct err ignored = ERR_INIT;

    return file_slurp(path, &text, &ignored) == 0 &&
           journal_parse(buf_str(&text), boot, etag, size, out);
}

void journal_read(const char *path, const struct digest *etag, uint64_t size,
    struct ranges *out, bool *out_live)
{
    char live[PATH_MAX], boot[BOOT_ID_MAX];
    bool used;

    read_one(path, NULL, etag, size, out);
    journal_live(path, live);
    boot_id(boot);
    used = boot[0] != '\0' && read_one(live, boot, etag, size, out);
    if (out_live != NULL)
        *out_live = used;
}

void journal_remove(const char *path)
{
    char live[PATH_MAX];

    journal_live(path, live);
    unlink(live);
    unlink(path);
}
