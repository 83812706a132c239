#include "bucket/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/hex.h"
#include "base/path.h"
#include "base/rd.h"

uint64_t catalog_pieces(uint64_t size)
{
    return size > CATALOG_PIECE ? (size - 1) / CATALOG_PIECE + 1 : 0;
}

/* ---- writing ---- */

static const char *or_none(const char *text)
{
    return text[0] != '\0' ? text : "-";
}

static void move_text(
    const char *word, const struct origin *from, struct buf *out)
{
    if (from == NULL)
        buf_printf(out, "%s -\n", word);
    else
        buf_printf(out, "%s %llu %s\n", word, (unsigned long long)from->number,
            from->id);
}

static void file_text(const struct catalog_file *f, struct buf *out)
{
    uint64_t pieces = f->pieces != NULL ? catalog_pieces(f->size) : 0;

    buf_printf(out, "%s %llu %lld %s %s %s %.*s\n", or_none(f->sha256.hex),
        (unsigned long long)f->size, (long long)f->mtime, or_none(f->oid.hex),
        f->lfs ? "lfs" : "-", f->held ? "+" : "-", STR_ARG(f->name));
    for (uint64_t i = 0; i < pieces; i++)
        buf_printf(out, "piece %s\n", f->pieces[i].hex);
}

static uint64_t count_meanings(const struct catalog *c)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < c->n; i++)
        for (const struct catalog_file *f = &c->files[i]; f != NULL;
             f = f->beside)
            n++;
    return n;
}

int catalog_text(const struct catalog *c, struct buf *out, struct err *e)
{
    buf_printf(
        out, "ml-catalog 1\nnumber %llu\n", (unsigned long long)c->number);
    if (c->parent[0] != '\0')
        buf_printf(out, "parent %s %llu\n", c->parent,
            (unsigned long long)c->parent_size);
    else
        buf_puts(out, "parent -\n");
    buf_printf(out, "when %lld\nwhat %s\nwho %s\ncommit %s\nfiles %llu\n",
        (long long)c->when, or_none(c->what), or_none(c->who),
        or_none(c->commit), (unsigned long long)count_meanings(c));
    for (uint64_t i = 0; i < c->n; i++) {
        const struct origin *from = c->files[i].from;

        if (!origin_same(from, i > 0 ? c->files[i - 1].from : NULL))
            move_text("move", from, out);
        file_text(&c->files[i], out);
        for (const struct catalog_file *f = c->files[i].beside; f != NULL;
             f = f->beside) {
            move_text("beside", f->from, out);
            file_text(f, out);
        }
    }
    return buf_check(out, e);
}

/* ---- reading ---- */

struct reader {
    struct rd r;
    uint64_t line;
    uint64_t files; /* that are still to come */
};

static int bad(const struct reader *in, const char *what, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "catalog, line %llu: %s",
        (unsigned long long)in->line, what);
}

static struct str next_line(struct reader *in)
{
    in->line++;
    return rd_line(&in->r);
}

/* The text up to the next blank, which is taken too. */
static struct str next_word(struct str *rest)
{
    const char *end = rest->len > 0 ? memchr(rest->p, ' ', rest->len) : NULL;
    struct str word = *rest;

    if (end == NULL) {
        *rest = (struct str){ NULL, 0 };
        return word;
    }
    word.len = (size_t)(end - rest->p);
    rest->p += word.len + 1;
    rest->len -= word.len + 1;
    return word;
}

static bool to_time(struct str text, int64_t *out)
{
    uint64_t v;
    bool minus = str_starts(text, "-");

    if (minus)
        text = (struct str){ text.p + 1, text.len - 1 };
    if (!decimal_u64(text, &v) || v > INT64_MAX)
        return false;
    *out = minus ? -(int64_t)v : (int64_t)v;
    return true;
}

/* digits of hex, or "-". */
static bool to_digest(struct str text, size_t digits, struct digest *out)
{
    out->hex[0] = '\0';
    return str_is(text, "-") ||
           (hex_is(text, digits) && digest_parse(out, text));
}

/* The value of the line that must come next, as text. */
static bool head_line(struct reader *in, const char *word, struct str *out)
{
    *out = next_line(in);
    return !in->r.bad && str_is(next_word(out), word);
}

static bool to_text(struct str text, size_t max, char *out)
{
    if (text.len >= max || text.len == 0 ||
        memchr(text.p, '\0', text.len) != NULL)
        return false;
    if (str_is(text, "-"))
        text.len = 0;
    memcpy(out, text.p, text.len);
    out[text.len] = '\0';
    return true;
}

static bool read_parent(struct reader *in, struct catalog *out)
{
    struct str v, word;

    if (!head_line(in, "parent", &v))
        return false;
    if (str_is(v, "-"))
        return true;
    word = next_word(&v);
    return hex_is(word, 64) &&
           to_text(word, sizeof(out->parent), out->parent) &&
           decimal_u64(v, &out->parent_size);
}

static bool read_head(struct reader *in, struct catalog *out)
{
    struct str v;

    return str_is(next_line(in), "ml-catalog 1") && !in->r.bad &&
           head_line(in, "number", &v) && decimal_u64(v, &out->number) &&
           read_parent(in, out) && head_line(in, "when", &v) &&
           to_time(v, &out->when) && head_line(in, "what", &v) &&
           to_text(v, sizeof(out->what), out->what) &&
           head_line(in, "who", &v) && to_text(v, sizeof(out->who), out->who) &&
           head_line(in, "commit", &v) && (str_is(v, "-") || hex_is(v, 40)) &&
           to_text(v, sizeof(out->commit), out->commit) &&
           head_line(in, "files", &v) && decimal_u64(v, &in->files);
}

static bool file_words(struct str line, struct catalog_file *f)
{
    struct str lfs, held;

    if (!to_digest(next_word(&line), 64, &f->sha256) ||
        !decimal_u64(next_word(&line), &f->size) ||
        !to_time(next_word(&line), &f->mtime) ||
        !to_digest(next_word(&line), 40, &f->oid))
        return false;
    lfs = next_word(&line);
    held = next_word(&line);
    f->lfs = str_is(lfs, "lfs");
    f->held = str_is(held, "+");
    f->name = line;
    return (f->lfs || str_is(lfs, "-")) && (f->held || str_is(held, "-")) &&
           (!f->held || f->sha256.hex[0] != '\0') && f->name.len > 0;
}

static bool next_is(const struct reader *in, const char *word)
{
    struct str rest = { (const char *)in->r.p + in->r.pos,
        (size_t)rd_left(&in->r) };

    return str_starts(rest, word);
}

static int read_pieces(struct reader *in, struct catalog_file *f,
    struct arena *arena, struct err *e)
{
    uint64_t n = f->held ? catalog_pieces(f->size) : 0;

    if (n == 0 || !next_is(in, "piece "))
        return 0;
    /* Each takes a line of 71 bytes: what is not there is not made room for. */
    if (n > rd_left(&in->r) / 71)
        return bad(in, "it ends too early", e);
    f->pieces = arena_alloc(arena, n, sizeof(*f->pieces), e);
    if (f->pieces == NULL)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        struct str v;

        if (!head_line(in, "piece", &v) || !hex_is(v, 64) ||
            !digest_parse(&f->pieces[i], v))
            return bad(in, "not a piece", e);
    }
    return 0;
}

/* "move 7 <id>" or "beside 7 <id>". */
static int read_origin(struct reader *in, const struct origin **from,
    struct arena *arena, struct err *e)
{
    struct str line = next_line(in), number;
    struct origin *is = NULL;

    next_word(&line);
    if (in->r.bad)
        return bad(in, "not a move", e);
    if (!str_is(line, "-")) {
        is = arena_alloc(arena, 1, sizeof(*is), e);
        if (is == NULL)
            return -1;
        number = next_word(&line);
        if (!decimal_u64(number, &is->number) || is->number == 0 ||
            is->number > MOVE_NUMBER_MAX || !hex_is(line, MOVE_ID))
            return bad(in, "not a move", e);
        memcpy(is->id, line.p, MOVE_ID);
    }
    *from = is;
    return 0;
}

static int read_meaning(struct reader *in, struct catalog_file *f,
    struct arena *arena, struct err *e)
{
    struct err why = ERR_INIT;
    struct str line = next_line(in);

    if (in->r.bad || in->files == 0 || !file_words(line, f))
        return bad(in, "not a file", e);
    in->files--;
    if (path_check(f->name, &why) != 0)
        return bad(in, why.msg, e);
    f->name = arena_str(arena, f->name, e);
    return f->name.p != NULL ? read_pieces(in, f, arena, e) : -1;
}

static int read_beside(struct reader *in, struct catalog_file *f,
    struct arena *arena, struct err *e)
{
    while (next_is(in, "beside ")) {
        struct catalog_file *other = arena_alloc(arena, 1, sizeof(*other), e);

        if (other == NULL || read_origin(in, &other->from, arena, e) != 0 ||
            read_meaning(in, other, arena, e) != 0)
            return -1;
        if (!str_eq(other->name, f->name))
            return bad(in, "another name", e);
        f->beside = other;
        f = other;
    }
    return 0;
}

static int read_file(struct reader *in, struct catalog_file *f,
    const struct catalog_file *last, struct arena *arena, struct err *e)
{
    const struct origin *before = last != NULL ? last->from : NULL;

    f->from = before;
    if (next_is(in, "move ")) {
        if (read_origin(in, &f->from, arena, e) != 0)
            return -1;
        if (origin_same(f->from, before))
            return bad(in, "the same move once more", e);
    }
    if (read_meaning(in, f, arena, e) != 0)
        return -1;
    if (last != NULL && str_cmp(last->name, f->name) >= 0)
        return bad(in, "names are not in order", e);
    return read_beside(in, f, arena, e);
}

int catalog_parse(
    struct catalog *out, struct str text, struct arena *arena, struct err *e)
{
    struct reader in = { .r = rd_of(text.p, text.len) };

    *out = (struct catalog){ .n = 0 };
    if (!read_head(&in, out))
        return bad(&in, "not what stands there", e);
    /* "- 0 0 - - - x\n" is the shortest line. */
    if (in.files > rd_left(&in.r) / 14)
        return bad(&in, "it ends too early", e);
    out->files = arena_alloc(arena, in.files, sizeof(*out->files), e);
    if (out->files == NULL)
        return -1;
    for (uint64_t i = 0; in.files > 0; i = ++out->n)
        if (read_file(&in, &out->files[i], i > 0 ? &out->files[i - 1] : NULL,
                arena, e) != 0)
            return -1;
    return rd_left(&in.r) == 0 ? 0 : bad(&in, "more than its files", e);
}

/* ---- asking ---- */

static int cmp_name(const void *key, const void *file)
{
    return str_cmp(
        *(const struct str *)key, ((const struct catalog_file *)file)->name);
}

struct catalog_file *catalog_find(const struct catalog *c, struct str name)
{
    if (c->n == 0)
        return NULL;
    return bsearch(&name, c->files, c->n, sizeof(*c->files), cmp_name);
}

bool catalog_same(const struct catalog_file *a, const struct catalog_file *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return a->size == b->size && a->held == b->held &&
           strcmp(a->sha256.hex, b->sha256.hex) == 0 &&
           strcmp(a->oid.hex, b->oid.hex) == 0;
}

bool catalog_alike(const struct catalog_file *a, const struct catalog_file *b)
{
    return a != NULL && b != NULL && a->size == b->size &&
           a->oid.hex[0] != '\0' && strcmp(a->oid.hex, b->oid.hex) == 0;
}

/* ---- one over another ---- */

bool catalog_goes(const struct catalog_file *f)
{
    return !f->held && f->size == 0 && f->oid.hex[0] == '\0';
}

int catalog_lay(struct catalog *out, const struct catalog *under,
    const struct catalog_file *changes, uint64_t n, struct arena *arena,
    struct err *e)
{
    struct catalog_file *v = arena_alloc(arena, under->n + n, sizeof(*v), e);
    uint64_t i = 0, k = 0, count = 0;

    if (v == NULL)
        return -1;
    while (i < under->n || k < n) {
        int c = i == under->n ? 1
                : k == n      ? -1
                              : str_cmp(under->files[i].name, changes[k].name);

        if (c < 0) {
            v[count++] = under->files[i++];
            continue;
        }
        if (c == 0)
            i++;
        if (!catalog_goes(&changes[k]))
            v[count++] = changes[k];
        k++;
    }
    out->files = v;
    out->n = count;
    return 0;
}
