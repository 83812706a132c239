#include "verify-run/spm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "verify-run/bytechar.h"
#include "verify-run/normalize.h"
#include "verify-run/unicode.h"
#include "verify-run/words.h"

#define MARK "\xE2\x96\x81"

/* ---- loading ---- */

static bool in_text(enum sp_type type)
{
    return type == SP_NORMAL || type == SP_USER || type == SP_UNUSED;
}

static int load_vocab(struct spm *s, struct arena *arena, struct err *e)
{
    uint32_t other;

    s->unk = VOCAB_NONE;
    if (vocab_make(&s->vocab, s->model.n, s->model.n, arena, e) != 0)
        return -1;
    for (uint32_t id = 0; id < s->model.n; id++) {
        const struct sp_piece *p = &s->model.pieces[id];

        other = vocab_put(&s->vocab, id, p->text);
        if (other != VOCAB_NONE)
            return err_set(e, ERR_REFUSED,
                "pieces %u and %u have the same text '%.100s'", other, id,
                p->text.p);
        if (p->type == SP_UNKNOWN && s->unk != VOCAB_NONE)
            return err_set(e, ERR_REFUSED,
                "pieces %u and %u are both the unknown piece", s->unk, id);
        if (p->type == SP_UNKNOWN)
            s->unk = id;
    }
    if (s->unk == VOCAB_NONE)
        return err_set(e, ERR_REFUSED, "no piece is the unknown piece");
    return 0;
}

static int load_bytes(struct spm *s, struct err *e)
{
    char text[8];
    uint32_t n = 0;

    for (unsigned i = 0; i < 256; i++) {
        uint32_t id;

        snprintf(text, sizeof(text), "<0x%02X>", i);
        id = vocab_find(&s->vocab, str_of(text));
        s->bytes[i] = id;
        if (id != VOCAB_NONE && s->model.pieces[id].type != SP_BYTE)
            s->bytes[i] = VOCAB_NONE;
        if (s->bytes[i] == VOCAB_NONE && s->model.byte_fallback)
            return err_set(e, ERR_REFUSED,
                "the trainer says byte_fallback, but no byte piece is '%s'",
                text);
        n += s->bytes[i] != VOCAB_NONE;
    }
    for (uint32_t id = 0; id < s->model.n; id++)
        if (s->model.pieces[id].type == SP_BYTE && n-- == 0)
            return err_set(e, ERR_REFUSED,
                "a byte piece among the first %u is no <0xHH>", id + 1);
    return 0;
}

static int load_user(struct spm *s, struct arena *arena, struct err *e)
{
    if (prefixes_make(&s->user, s->model.n, arena, e) != 0)
        return -1;
    for (uint32_t id = 0; id < s->model.n; id++)
        if (s->model.pieces[id].type == SP_USER)
            prefixes_add(&s->user, s->model.pieces[id].text, id);
    prefixes_sort(&s->user);
    return 0;
}

static int load_unigram(struct spm *s, struct arena *arena, struct err *e)
{
    struct unigram *u = &s->unigram;
    float least = INFINITY;

    *u = (struct unigram){ .sum = UNIGRAM_FLOAT, .unk = s->unk };
    u->score = arena_alloc(arena, s->model.n, sizeof(*u->score), e);
    u->bonus = arena_alloc(arena, s->model.n, sizeof(*u->bonus), e);
    if (u->score == NULL || u->bonus == NULL ||
        prefixes_make(&u->pieces, s->model.n, arena, e) != 0)
        return -1;
    for (uint32_t id = 0; id < s->model.n; id++) {
        const struct sp_piece *p = &s->model.pieces[id];

        if (p->type == SP_NORMAL)
            least = fminf(least, p->score);
        if (p->type == SP_NORMAL || p->type == SP_USER)
            prefixes_add(&u->pieces, p->text, id);
    }
    if (isinf(least))
        return err_set(e, ERR_REFUSED, "no piece is an ordinary one");
    for (uint32_t id = 0; id < s->model.n; id++) {
        const struct sp_piece *p = &s->model.pieces[id];

        u->bonus[id] = p->type == SP_USER;
        /* Measured in release 0.2.3. Up to 0.2.1 it was the length times the
         * largest score above zero, less 0.1: of log probabilities, which
         * are below zero, both choose the same but for near ties. */
        u->score[id] = p->type == SP_USER ? (double)p->text.len * 0.1 - 0.1
                                          : (double)p->score;
    }
    u->unk_score = least - (float)UNIGRAM_PENALTY;
    prefixes_sort(&u->pieces);
    return 0;
}

static int cmp_scores(const void *a, const void *b, void *arg)
{
    const struct sp_piece *pieces = arg;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    if (pieces[x].score != pieces[y].score)
        return pieces[x].score > pieces[y].score ? -1 : 1;
    return x < y ? -1 : x > y;
}

static int load_bpe(struct spm *s, struct arena *arena, struct err *e)
{
    const struct sp_piece *pieces = s->model.pieces;
    uint32_t n = s->model.n;
    uint32_t *order = arena_alloc(arena, n, sizeof(*order), e);
    uint32_t *rank = arena_alloc(arena, n, sizeof(*rank), e);
    bool *again = arena_alloc(arena, n, sizeof(*again), e);

    if (order == NULL || rank == NULL || again == NULL)
        return -1;
    s->bpe = (struct spanbpe){ .vocab = &s->vocab, .rank = rank };
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    qsort_r(order, n, sizeof(*order), cmp_scores, s->model.pieces);
    for (uint32_t i = 0, r = 0; i < n; i++) {
        uint32_t id = order[i];

        if (i > 0 && pieces[order[i - 1]].score != pieces[id].score)
            r++;
        rank[id] = in_text(pieces[id].type) ? r : SPAN_NEVER;
        again[id] = pieces[id].type == SP_UNUSED;
        if (again[id])
            s->bpe.again = again;
        s->bpe.longest = size_max(s->bpe.longest, pieces[id].text.len);
    }
    return 0;
}

static int load_kind(struct spm *s, struct arena *arena, struct err *e)
{
    switch (s->model.kind) {
    case SP_UNIGRAM:
        return load_unigram(s, arena, e);
    case SP_BPE:
        return load_bpe(s, arena, e);
    case SP_WORD:
    case SP_CHAR:
        break;
    }
    return err_set(e, ERR_UNSUPPORTED,
        "this program has no SentencePiece models of the kind '%s'",
        s->model.kind == SP_WORD ? "word" : "char");
}

int spm_load(
    struct spm *s, struct str bytes, struct arena *arena, struct err *e)
{
    *s = (struct spm){ .unk = VOCAB_NONE };
    if (spmodel_parse(&s->model, bytes, arena, e) != 0)
        return -1;
    if (s->model.denormalizer.len > 0)
        return err_set(e, ERR_UNSUPPORTED,
            "this program has no denormalizer for SentencePiece models");
    if (load_vocab(s, arena, e) != 0 || load_bytes(s, e) != 0 ||
        load_user(s, arena, e) != 0 ||
        charsmap_load(&s->map, s->model.charsmap, arena, e) != 0)
        return -1;
    return load_kind(s, arena, e);
}

/* ---- normalising ---- */

/* What the next characters become. */
static struct charsmap_match next_chunk(const struct spm *s, struct str text)
{
    struct charsmap_match m;
    uint32_t cp, id;
    size_t n = prefixes_longest(&s->user, text, &id);

    if (n > 0)
        return (struct charsmap_match){ n, { text.p, n } };
    m = charsmap_longest(&s->map, text);
    if (m.len > 0)
        return m;
    n = utf8_get(text, &cp);
    return (struct charsmap_match){ n, { text.p, n } };
}

static struct str skip(struct str text, size_t n)
{
    return (struct str){ text.p + n, text.len - n };
}

static struct str without_front(const struct spm *s, struct str text)
{
    while (s->model.tidy && text.len > 0) {
        struct charsmap_match m = next_chunk(s, text);

        if (!str_is(m.to, " "))
            break;
        text = skip(text, m.len);
    }
    return text;
}

/* A text that may be put where a space stood. */
static struct str space_of(const struct spm *s)
{
    return str_of(s->model.escape ? MARK : " ");
}

static void put_chunks(const struct spm *s, struct str text, struct buf *out)
{
    bool spaced = s->model.tidy;

    while (text.len > 0) {
        struct charsmap_match m = next_chunk(s, text);
        struct str to = m.to;

        while (spaced && str_starts(to, " "))
            to = skip(to, 1);
        normalize_replace(to, str_of(" "), space_of(s), out);
        if (to.len > 0)
            spaced = s->model.tidy && str_ends(to, " ");
        text = skip(text, m.len);
    }
}

int spm_normalize(
    const struct spm *s, struct str text, struct buf *out, struct err *e)
{
    struct str space = space_of(s);
    size_t front = out->len;

    text = without_front(s, text);
    if (text.len == 0)
        return 0;
    if (s->model.dummy_prefix && !s->model.suffix)
        buf_put(out, space.p, space.len);
    put_chunks(s, text, out);
    if (buf_check(out, e) != 0)
        return -1;
    while (s->model.tidy && out->len - front >= space.len &&
           str_ends(buf_str(out), space.p))
        out->len -= space.len;
    if (s->model.dummy_prefix && s->model.suffix)
        buf_put(out, space.p, space.len);
    return buf_check(out, e);
}

/* ---- text to ids ---- */

struct encoding {
    const struct spm *s;
    struct str text;
    struct ids *out;
    bool after_unk;
};

/* One piece, or what stands for it when it is none. */
static int put_piece(
    struct encoding *c, struct str piece, uint32_t id, struct err *e)
{
    bool after = c->after_unk;

    c->after_unk = id == c->s->unk;
    if (id != c->s->unk)
        return ids_add(c->out, id, e);
    if (!c->s->model.byte_fallback)
        return after ? 0 : ids_add(c->out, id, e);
    for (size_t i = 0; i < piece.len; i++)
        if (ids_add(c->out, c->s->bytes[(unsigned char)piece.p[i]], e) != 0)
            return -1;
    return 0;
}

static int encode_unigram(struct encoding *c, struct err *e)
{
    struct unigram_work w AUTO(unigram_work_free) = UNIGRAM_WORK_INIT;

    if (unigram_search(&c->s->unigram, c->text, &w, e) != 0)
        return -1;
    for (uint32_t at = 0, end; at < c->text.len; at = end) {
        end = w.v[at].next;
        if (put_piece(c, (struct str){ c->text.p + at, end - at }, w.v[end].id,
                e) != 0)
            return -1;
    }
    return 0;
}

/* A piece that is not to be used comes apart as it was put together. */
static int put_span(struct encoding *c, const struct spanbpe_work *w,
    struct str piece, struct err *e)
{
    uint32_t id = vocab_find(&c->s->vocab, piece), left = 0;

    if (id == VOCAB_NONE || !in_text(c->s->model.pieces[id].type))
        return put_piece(c, piece, c->s->unk, e);
    if (c->s->bpe.again != NULL && c->s->bpe.again[id])
        left = w->splits[id].left;
    if (left == 0)
        return put_piece(c, piece, id, e);
    if (put_span(c, w, (struct str){ piece.p, left }, e) != 0)
        return -1;
    return put_span(c, w, skip(piece, left), e);
}

static int encode_bpe(struct encoding *c, struct err *e)
{
    struct spanbpe_work w AUTO(spanbpe_work_free) = SPANBPE_WORK_INIT;
    struct str rest = c->text;

    while (rest.len > 0) {
        uint32_t cp, id;
        size_t user = prefixes_longest(&c->s->user, rest, &id);
        size_t n = user > 0 ? user : utf8_get(rest, &cp);

        if (spanbpe_symbol(&w, (uint32_t)n, user > 0, e) != 0)
            return -1;
        rest = skip(rest, n);
    }
    if (c->text.len == 0)
        return 0;
    if (spanbpe_join(&c->s->bpe, c->text, &w, e) != 0)
        return -1;
    for (uint32_t i = 0; i != SPAN_NEVER; i = w.v[i].next)
        if (put_span(c, &w,
                (struct str){ c->text.p + w.v[i].start, w.v[i].len }, e) != 0)
            return -1;
    return 0;
}

int spm_encode(
    const struct spm *s, struct str text, struct ids *out, struct err *e)
{
    struct buf normal AUTO(buf_free) = BUF_INIT(WORDS_MAX_BYTES);
    struct encoding c = { .s = s, .out = out };

    if (spm_normalize(s, text, &normal, e) != 0)
        return -1;
    c.text = buf_str(&normal);
    return s->model.kind == SP_UNIGRAM ? encode_unigram(&c, e)
                                       : encode_bpe(&c, e);
}

/* ---- ids to text ---- */

/* A run of byte pieces: what is no character becomes U+FFFD, byte by byte. */
static void put_bytes(struct buf *bytes, struct buf *out)
{
    struct str rest = buf_str(bytes);

    while (rest.len > 0) {
        uint32_t cp;
        unsigned n = utf8_get(rest, &cp);

        if (n == 0)
            buf_puts(out, "\xEF\xBF\xBD");
        else
            buf_put(out, rest.p, n);
        rest = skip(rest, n == 0 ? 1 : n);
    }
    buf_clear(bytes);
}

/* In front of a text a mark may be dropped that was put there. */
static bool put_text(
    const struct spm *s, struct str piece, bool front, struct buf *out)
{
    bool dropped = false;

    if (front && (s->model.dummy_prefix || s->model.tidy) &&
        str_starts(piece, MARK)) {
        piece = skip(piece, sizeof(MARK) - 1);
        /* Where all white space in front goes, one more may follow. */
        dropped = !s->model.tidy;
    }
    normalize_replace(piece, str_of(MARK), str_of(" "), out);
    return dropped;
}

static void put_other(const struct spm *s, const struct sp_piece *p,
    bool control, struct buf *out)
{
    if (p->type == SP_UNKNOWN)
        buf_put(out, s->model.unk_surface.p, s->model.unk_surface.len);
    else if (control)
        buf_put(out, p->text.p, p->text.len);
}

int spm_decode(const struct spm *s, const uint32_t *ids, size_t n, bool control,
    struct buf *out, struct err *e)
{
    struct buf bytes AUTO(buf_free) = BUF_INIT(WORDS_MAX_BYTES);
    size_t begin = out->len;
    bool front = true, dropped = false;

    for (size_t i = 0; i < n; i++) {
        const struct sp_piece *p = &s->model.pieces[ids[i]];

        if (p->type == SP_BYTE) {
            buf_putc(&bytes, (char)bytechar_token(p->text));
            continue;
        }
        if (buf_check(&bytes, e) != 0)
            return -1;
        put_bytes(&bytes, out);
        front = front && !dropped && out->len == begin;
        dropped = false;
        if (p->type == SP_UNKNOWN || p->type == SP_CONTROL)
            put_other(s, p, control, out);
        else
            dropped = put_text(s, p->text, front, out);
    }
    put_bytes(&bytes, out);
    return buf_check(out, e);
}
