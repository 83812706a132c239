#include "verify-run/tiktoken.h"

#include "base/rd.h"
#include "verify-run/base64.h"
#include "verify-run/unicode.h"
#include "verify-run/words.h"

/* ---- loading ---- */

struct table {
    struct rd r;
    uint64_t line;
    uint64_t at; /* where the line starts [bytes] */
};

struct entry {
    struct str base64;
    uint32_t rank;
};

static int bad_line(const struct table *in, const char *why, struct err *e)
{
    return err_set(e, ERR_REFUSED, "line %llu at byte %llu: %s",
        (unsigned long long)in->line, (unsigned long long)in->at, why);
}

/* "base64 rank" */
static bool read_entry(struct str line, struct entry *out)
{
    const char *space = line.len > 0 ? memchr(line.p, ' ', line.len) : NULL;
    uint64_t rank = 0;
    size_t i;

    if (space == NULL)
        return false;
    out->base64 = (struct str){ line.p, (size_t)(space - line.p) };
    i = out->base64.len + 1;
    if (i == line.len || (line.p[i] == '0' && i + 1 < line.len))
        return false;
    for (; i < line.len && rank < VOCAB_MAX; i++) {
        if (line.p[i] < '0' || line.p[i] > '9')
            return false;
        rank = rank * 10 + (unsigned)(line.p[i] - '0');
    }
    out->rank = (uint32_t)rank;
    return out->base64.len > 0;
}

/* The next line that is not empty: 1, 0 at the end, -1 with *e. */
static int next_entry(struct table *in, struct entry *out, struct err *e)
{
    struct str line = { NULL, 0 };

    while (line.len == 0) {
        if (rd_left(&in->r) == 0)
            return 0;
        in->at = in->r.pos;
        in->line++;
        line = rd_line(&in->r);
        /* The last line may have no end. */
        if (in->r.bad) {
            line = (struct str){ (const char *)in->r.p + in->at,
                (size_t)(in->r.len - in->at) };
            in->r.bad = false;
            in->r.pos = in->r.len;
        }
        if (line.len > 0 && line.p[line.len - 1] == '\r')
            line.len--;
    }
    if (!read_entry(line, out))
        return bad_line(in,
            "no base64, one space and a rank, as a table of tokens has them",
            e);
    if (out->rank >= VOCAB_MAX)
        return bad_line(in, "the rank is too large", e);
    return 1;
}

/* How many entries, and one more than the largest rank. */
static int measure(struct str text, uint32_t *n, uint32_t *size,
    uint64_t *bytes, struct err *e)
{
    struct table in = { .r = rd_of(text.p, text.len) };
    struct entry entry;
    int rc;

    *n = *size = 0;
    *bytes = 0;
    while ((rc = next_entry(&in, &entry, e)) > 0) {
        ++*n;
        *size = (uint32_t)size_max(*size, entry.rank + 1u);
        *bytes += base64_size(entry.base64.len);
    }
    return rc;
}

static int put_entry(struct tiktoken *t, const struct table *in,
    const struct entry *entry, uint8_t *bytes, size_t *len, struct err *e)
{
    struct str token = { (const char *)bytes, 0 };

    if (!base64_decode(entry->base64, bytes, len) || *len == 0)
        return bad_line(in, "the token is no base64", e);
    token.len = *len;
    if (t->vocab.by_id[entry->rank].p != NULL)
        return bad_line(in, "a rank that an earlier line has, too", e);
    if (vocab_put(&t->vocab, entry->rank, token) != VOCAB_NONE)
        return bad_line(in, "a token that an earlier line has, too", e);
    t->bpe.longest = size_max(t->bpe.longest, token.len);
    return 0;
}

static int load_table(
    struct tiktoken *t, struct str text, struct arena *arena, struct err *e)
{
    struct table in = { .r = rd_of(text.p, text.len) };
    struct entry entry;
    uint32_t n, size, *rank;
    uint64_t bytes;
    uint8_t *p;
    size_t len = 0;
    int rc;

    if (measure(text, &n, &size, &bytes, e) != 0)
        return -1;
    if (n == 0)
        return err_set(e, ERR_REFUSED,
            "neither a tokenizer.json, a SentencePiece model nor a table of "
            "tokens: nothing is in it");
    if (n != size)
        return err_set(e, ERR_REFUSED,
            "no tiktoken table: %u lines have ranks up to %u", n, size - 1);
    p = arena_alloc(arena, bytes, 1, e);
    rank = arena_alloc(arena, n, sizeof(*rank), e);
    if (p == NULL || rank == NULL || vocab_make(&t->vocab, n, n, arena, e) != 0)
        return -1;
    t->bpe = (struct spanbpe){ .vocab = &t->vocab, .rank = rank };
    for (uint32_t i = 0; i < n; i++)
        rank[i] = i;
    while ((rc = next_entry(&in, &entry, e)) > 0) {
        if (put_entry(t, &in, &entry, p, &len, e) != 0)
            return -1;
        p += len;
    }
    return rc;
}

static int check_bytes(const struct tiktoken *t, struct err *e)
{
    for (unsigned i = 0; i < 256; i++) {
        char c = (char)i;

        if (vocab_find(&t->vocab, (struct str){ &c, 1 }) == VOCAB_NONE)
            return err_set(
                e, ERR_REFUSED, "no token of the table is the byte 0x%02X", i);
    }
    return 0;
}

static int load_specials(struct tiktoken *t, struct arena *arena, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(256);
    uint32_t n = t->family->n_specials;

    t->n_specials = n;
    t->specials = arena_alloc(arena, n, sizeof(*t->specials), e);
    if (t->specials == NULL || prefixes_make(&t->matcher, n, arena, e) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        buf_clear(&text);
        tikfamily_special(t->family, i, &text);
        if (text.len == 0)
            continue;
        t->specials[i] = arena_str(arena, buf_str(&text), e);
        if (t->specials[i].p == NULL)
            return -1;
        prefixes_add(&t->matcher, t->specials[i], t->vocab.size + i);
    }
    prefixes_sort(&t->matcher);
    return 0;
}

int tiktoken_load(struct tiktoken *t, struct str text,
    const struct tikfamily *family, const char *file, struct arena *arena,
    struct err *e)
{
    *t = (struct tiktoken){ .family = family };
    if (load_table(t, text, arena, e) != 0 || check_bytes(t, e) != 0)
        return -1;
    if (t->family == NULL)
        t->family = tikfamily_find(t->vocab.size, file);
    if (t->family == NULL)
        return err_set(e, ERR_UNSUPPORTED,
            "a tiktoken table of %u tokens: which regular expression and "
            "special tokens belong to it is not known",
            t->vocab.size);
    return load_specials(t, arena, e);
}

/* ---- text to ids ---- */

static int encode_word(const struct tiktoken *t, struct str word,
    struct spanbpe_work *w, struct ids *out, struct err *e)
{
    uint32_t id = vocab_find(&t->vocab, word);

    if (id != VOCAB_NONE)
        return ids_add(out, id, e);
    w->n = 0;
    for (size_t i = 0; i < word.len; i++)
        if (spanbpe_symbol(w, 1, false, e) != 0)
            return -1;
    if (spanbpe_join(&t->bpe, word, w, e) != 0)
        return -1;
    for (uint32_t i = 0; i != SPAN_NEVER; i = w->v[i].next) {
        struct str span = { word.p + w->v[i].start, w->v[i].len };

        if (ids_add(out, vocab_find(&t->vocab, span), e) != 0)
            return -1;
    }
    return 0;
}

int tiktoken_encode(
    const struct tiktoken *t, struct str text, struct ids *out, struct err *e)
{
    struct buf form AUTO(buf_free) = BUF_INIT(WORDS_MAX_BYTES);
    struct spanbpe_work w AUTO(spanbpe_work_free) = SPANBPE_WORK_INIT;

    if (t->family->nfc) {
        if (unicode_form(text, true, &form, e) != 0 || buf_check(&form, e) != 0)
            return -1;
        text = buf_str(&form);
    }
    for (size_t i = 0, n = 0; i < text.len; i += n) {
        n = wordsplit_next(t->family->regex, text, i);
        if (encode_word(t, (struct str){ text.p + i, n }, &w, out, e) != 0)
            return -1;
    }
    return 0;
}

uint32_t tiktoken_size(const struct tiktoken *t)
{
    return t->vocab.size + t->n_specials;
}

void tiktoken_decode(
    const struct tiktoken *t, uint32_t id, bool special, struct buf *out)
{
    struct str s = vocab_text(&t->vocab, id);

    if (id >= t->vocab.size && special)
        s = t->specials[id - t->vocab.size];
    buf_put(out, s.p, s.len);
}
