#include "bucket/tip.h"
#include "bucket/tip_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cancel.h"
#include "base/decimal.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/rd.h"
#include "s3/list.h"

enum { DIGITS = 20, TAIL = TIP_TAIL, READ_TRIES = 8 };

/* ---- the text ---- */

static int add_sum(struct buf *out, struct err *e)
{
    struct digest sum;

    if (buf_check(out, e) != 0 ||
        hash_bytes(HASH_SHA256, out->p, out->len, &sum, e) != 0)
        return -1;
    buf_printf(out, "sum %s\n", sum.hex);
    return buf_check(out, e);
}

int tip_text(struct buf *out, uint64_t number, const struct tip_side *side,
    struct err *e)
{
    buf_clear(out);
    buf_printf(out, "ml-ref 1\nnumber %llu\ncatalog %s %llu\n",
        (unsigned long long)number, side->catalog.hex,
        (unsigned long long)side->size);
    return add_sum(out, e);
}

/* The rest of a line that starts with word. */
static bool after(struct str line, const char *word, struct str *rest)
{
    size_t n = strlen(word);

    if (!str_starts(line, word))
        return false;
    *rest = (struct str){ line.p + n, line.len - n };
    return true;
}

static bool parse_lines(struct rd *r, uint64_t *number, struct tip_side *out)
{
    struct str rest, first = rd_line(r);

    if (r->bad || !str_is(first, "ml-ref 1") ||
        !after(rd_line(r), "number ", &rest) || !decimal_u64(rest, number) ||
        *number == 0 || !after(rd_line(r), "catalog ", &rest) || rest.len < 66)
        return false;
    return hex_is((struct str){ rest.p, 64 }, 64) &&
           digest_parse(&out->catalog, (struct str){ rest.p, 64 }) &&
           rest.p[64] == ' ' &&
           decimal_u64((struct str){ rest.p + 65, rest.len - 65 }, &out->size);
}

int tip_parse(
    struct str text, uint64_t *number, struct tip_side *out, struct err *e)
{
    struct rd r = rd_of(text.p, text.len);
    struct digest sum;
    struct str rest;
    uint64_t covered;

    if (!parse_lines(&r, number, out))
        return err_set(e, ERR_CORRUPT, "not a ref");
    covered = r.pos;
    if (hash_bytes(HASH_SHA256, text.p, covered, &sum, e) != 0)
        return -1;
    if (!after(rd_line(&r), "sum ", &rest) || r.bad || rd_left(&r) != 0 ||
        !str_is(rest, sum.hex))
        return err_set(e, ERR_CORRUPT, "its checksum does not fit");
    return 0;
}

/* ---- reading ---- */

static int bad_ref(const struct bucket *b, const char *name, struct err *e)
{
    err_ctx(e, "%s: the ref '%s' is damaged", b->shown, name);
    return err_hint(e,
        "mlcache verify --volume %s tells more, and with "
        "--repair falls back to what is whole",
        b->shown);
}

/* One object; a damaged one is asked for once more. 1: there is none. */
static int read_one(struct bucket *b, const char *name, const char *key,
    uint64_t *number, struct tip_side *out, char *etag, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(TIP_TEXT_MAX);
    struct s3_info info = { .found = false };
    struct err why = ERR_INIT;

    for (int tries = 0; tries < 2; tries++) {
        int rc = bucket_read(b->s3, key, &text, &info, e);

        if (rc != 0)
            return rc;
        err_clear(&why);
        out->written_s = info.modified_s;
        if (etag != NULL)
            memcpy(etag, info.etag, S3_ETAG_MAX);
        if (tip_parse(buf_str(&text), number, out, &why) == 0)
            return 0;
    }
    *e = why;
    return bad_ref(b, name, e);
}

int tip_key(const struct bucket *b, char *out, const char *name,
    const char *tail, struct err *e)
{
    return bucket_key(b, out, e, "refs/%s/%s", name, tail);
}

/* The highest moves that a list of one name's objects has. */
struct highest {
    size_t front;           /* of the key, before the tail */
    int64_t before_s;       /* only those written before; 0: all */
    const struct tip *seen; /* is there another one of its number? or NULL */
    bool unseen;            /* there is */
    uint64_t number;
    char tails[TIP_SIDES_MAX][TAIL + 1];
    size_t n;
    bool more; /* than tails has room for */
};

bool tip_tail(const char *tail, uint64_t *number)
{
    size_t zeros = strspn(tail, "0");

    return strlen(tail) == TAIL && tail[DIGITS] == '-' &&
           hex_is(str_of(tail + DIGITS + 1), 16) && zeros < DIGITS &&
           decimal_u64((struct str){ tail + zeros, DIGITS - zeros }, number);
}

static bool is_older(const struct s3_entry *entry, int64_t before_s)
{
    return before_s == 0 ||
           (entry->modified_s > 0 && entry->modified_s < before_s);
}

static bool was_read(const struct tip *t, const char *tail)
{
    for (size_t i = 0; i < t->n_tails; i++)
        if (strcmp(t->tails[i], tail) == 0)
            return true;
    return false;
}

static int keep_highest(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct highest *h = arg;
    uint64_t number;
    const char *tail;

    (void)e;
    if (entry->folder || strlen(entry->key) < h->front)
        return 0;
    tail = entry->key + h->front;
    if (!tip_tail(tail, &number))
        return 0;
    h->unseen = h->unseen || (h->seen != NULL && number == h->seen->number &&
                                 !was_read(h->seen, tail));
    if (number < h->number || !is_older(entry, h->before_s))
        return 0;
    if (number > h->number)
        h->n = 0;
    h->number = number;
    h->more = h->n == TIP_SIDES_MAX;
    if (!h->more)
        memcpy(h->tails[h->n++], tail, TAIL + 1);
    return 0;
}

/* Behind a number; 0: all of them. */
static int find_highest(struct bucket *b, const char *name, uint64_t behind,
    struct highest *out, struct err *e)
{
    char prefix[S3_KEY_MAX + 1], from[S3_KEY_MAX + 1], tail[TAIL + 2];
    struct s3_list l = {
        .prefix = prefix, .folders = true, .entry = keep_highest, .arg = out
    };

    snprintf(tail, sizeof(tail), "%020llu-~", (unsigned long long)behind);
    if (tip_key(b, prefix, name, "", e) != 0 ||
        tip_key(b, from, name, tail, e) != 0)
        return -1;
    out->front = strlen(prefix);
    if (behind > 0)
        l.after = from;
    return s3_list(b->s3, &l, e);
}

int tip_order(const void *a, const void *b)
{
    const struct tip_side *x = a, *y = b;

    if (x->written_s != y->written_s)
        return x->written_s < y->written_s ? -1 : 1;
    return strcmp(x->catalog.hex, y->catalog.hex);
}

static int read_append(
    struct bucket *b, const char *name, struct tip *out, struct err *e)
{
    char key[S3_KEY_MAX + 1];
    struct highest h = { .n = 0 };
    uint64_t number;

    if (find_highest(b, name, 0, &h, e) != 0)
        return -1;
    /* One of them may count for good: none is left out. */
    if (h.more)
        return 1;
    for (size_t i = 0; i < h.n; i++) {
        int rc;

        if (tip_key(b, key, name, h.tails[i], e) != 0)
            return -1;
        rc = read_one(b, name, key, &number, &out->sides[out->n], NULL, e);
        if (rc < 0)
            return -1;
        if (rc != 0)
            continue;
        out->n++;
        memcpy(out->tails[out->n_tails++], h.tails[i], TAIL + 1);
    }
    out->number = h.number;
    if (out->n > 1)
        qsort(out->sides, out->n, sizeof(*out->sides), tip_order);
    /* Who had written it has taken it away meanwhile. */
    return h.n > 0 && out->n == 0 ? 1 : 0;
}

/* Who has seen the others takes his own away: that wants some questions. */
static int nap(int tries, struct err *e)
{
    const struct timespec t = { .tv_nsec = (10000000L << tries) / 2 };

    nanosleep(&t, NULL);
    return cancel_check(e);
}

int tip_read(struct bucket *b, const char *name, struct tip *out, struct err *e)
{
    char key[S3_KEY_MAX + 1];
    int rc = 1;

    *out = (struct tip){ .n = 0 };
    if (b->conditional) {
        if (tip_key(b, key, name, "head", e) != 0)
            return -1;
        rc = read_one(b, name, key, &out->number, &out->sides[0], out->etag, e);
        out->n = rc == 0 ? 1 : 0;
        return rc < 0 ? -1 : 0;
    }
    for (int tries = 0; tries < READ_TRIES && rc == 1; tries++) {
        if (tries > 0 && nap(tries, e) != 0)
            return -1;
        *out = (struct tip){ .n = 0 };
        rc = read_append(b, name, out, e);
    }
    if (rc == 1)
        return err_set(e, ERR_BUSY,
            "%s: others change '%s' faster than it can be read", b->shown,
            name);
    return rc;
}

/* ---- moving ---- */

static bool is_ours(
    const struct tip *now, uint64_t number, const struct tip_side *next)
{
    return now->n == 1 && now->number == number &&
           digest_eq(&now->sides[0].catalog, &next->catalog);
}

static int swap(struct bucket *b, const char *name, const struct tip *seen,
    const struct tip_side *next, struct str text, struct err *e)
{
    struct s3_cond cond = { .when = seen->n > 0 ? S3_IF_MATCH : S3_IF_ABSENT,
        .etag = seen->etag };
    struct s3_body body = { .bytes = text.p, .fd = -1, .len = text.len };
    enum s3_did did = S3_NOT_SO;
    char key[S3_KEY_MAX + 1];
    struct tip now;

    if (tip_key(b, key, name, "head", e) != 0 ||
        s3_put(b->s3, key, &body, &cond, &did, NULL, e) != 0)
        return -1;
    if (did == S3_UNABLE)
        return err_set(e, ERR_UNSUPPORTED,
            "%s: the store had conditional writes, and has none now", b->shown);
    if (did != S3_UNSURE)
        return did == S3_DONE ? 0 : 1;
    if (tip_read(b, name, &now, e) != 0)
        return -1;
    return is_ours(&now, seen->number + 1, next) ? 0 : 1;
}

static int append(struct bucket *b, const char *name, const struct tip *seen,
    struct str text, struct err *e)
{
    struct highest h = { .seen = seen->n_tails > 0 ? seen : NULL };
    char key[S3_KEY_MAX + 1], tail[TAIL + 1], random[17];
    uint64_t behind = seen->number - (h.seen != NULL ? 1 : 0);

    if (bucket_random(random, e) != 0)
        return -1;
    snprintf(tail, sizeof(tail), "%020llu-%s",
        (unsigned long long)seen->number + 1, random);
    if (tip_key(b, key, name, tail, e) != 0 ||
        bucket_write(b, key, text, e) != 0 ||
        find_highest(b, name, behind, &h, e) != 0)
        return -1;
    /*
     * A list that is late may not have ours yet; another's must not be there.
     * Nor one beside those that ours is put on top of: its writer came when
     * they were being taken away, and may have seen none but itself.
     */
    if (!h.unseen && (h.n == 0 || h.number == seen->number ||
                         (h.n == 1 && strcmp(h.tails[0], tail) == 0)))
        return 0;
    log_debug("%s: '%s' was moved by another at the same time", b->shown, name);
    return s3_delete(b->s3, key, e) != 0 ? -1 : 1;
}

int tip_move(struct bucket *b, const char *name, const struct tip *seen,
    const struct tip_side *next, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(TIP_TEXT_MAX);
    int rc;

    if (tip_text(&text, seen->number + 1, next, e) != 0)
        return -1;
    rc = b->conditional ? swap(b, name, seen, next, buf_str(&text), e)
                        : append(b, name, seen, buf_str(&text), e);
    /* It was sent, and nobody has said what became of it. */
    if (rc < 0 && (e->kind == ERR_NET || e->kind == ERR_CANCELLED)) {
        e->hint[0] = '\0';
        err_hint(e, "it may have been done all the same: see what is there, "
                    "or do it again");
    }
    return rc;
}

/* ---- all of them ---- */

struct naming {
    size_t front;
    struct arena *arena;
    struct str *v;
    uint64_t n, room;
};

static int keep_name(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct naming *g = arg;
    const char *name, *slash = strrchr(entry->key, '/');
    struct str text, *v;
    uint64_t number;

    if (entry->folder || slash == NULL || strlen(entry->key) <= g->front ||
        slash <= entry->key + g->front ||
        (strcmp(slash + 1, "head") != 0 && !tip_tail(slash + 1, &number)))
        return 0;
    name = entry->key + g->front;
    text = (struct str){ name, (size_t)(slash - name) };
    if (g->n > 0 && str_eq(g->v[g->n - 1], text))
        return 0;
    v = arena_grow(g->arena, g->v, g->n, &g->room, sizeof(*v), e);
    if (v == NULL)
        return -1;
    g->v = v;
    g->v[g->n] = arena_str(g->arena, text, e);
    return g->v[g->n++].p != NULL ? 0 : -1;
}

static int cmp_names(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

int tip_names(struct bucket *b, const char *below, struct arena *arena,
    struct str **out, uint64_t *n, struct err *e)
{
    char top[S3_KEY_MAX + 1], prefix[S3_KEY_MAX + 1];
    struct naming g = { .arena = arena };
    struct s3_list l = { .prefix = prefix, .entry = keep_name, .arg = &g };
    uint64_t kept = 0;

    if (bucket_key(b, top, e, "refs/") != 0 ||
        bucket_key(b, prefix, e, "refs/%s", below) != 0)
        return -1;
    g.front = strlen(top);
    if (s3_list(b->s3, &l, e) != 0)
        return -1;
    if (g.n > 0)
        qsort(g.v, g.n, sizeof(*g.v), cmp_names);
    for (uint64_t i = 0; i < g.n; i++)
        if (kept == 0 || !str_eq(g.v[kept - 1], g.v[i]))
            g.v[kept++] = g.v[i];
    *out = g.v;
    *n = kept;
    return 0;
}

/* Moves behind which there is a higher one, which stands for good. */
struct tidying {
    struct s3 *s3;
    size_t front;
    uint64_t below;
    int64_t before_s;
};

static int drop_old(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct tidying *t = arg;
    uint64_t number;

    if (entry->folder || strlen(entry->key) < t->front ||
        !tip_tail(entry->key + t->front, &number))
        return 0;
    if (number >= t->below || !is_older(entry, t->before_s))
        return 0;
    return s3_delete(t->s3, entry->key, e);
}

int tip_tidy(
    struct bucket *b, const char *name, int64_t before_s, struct err *e)
{
    char prefix[S3_KEY_MAX + 1];
    struct tidying t = { .s3 = b->s3, .before_s = before_s };
    struct s3_list l = {
        .prefix = prefix, .folders = true, .entry = drop_old, .arg = &t
    };
    struct highest h = { .before_s = before_s };

    if (b->conditional)
        return 0;
    if (find_highest(b, name, 0, &h, e) != 0 ||
        tip_key(b, prefix, name, "", e) != 0)
        return -1;
    t.front = strlen(prefix);
    t.below = h.number;
    return s3_list(b->s3, &l, e);
}
