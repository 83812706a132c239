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

enum { READ_TRIES = 8, MOVES_MAX = 1 << 28 };

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

struct listing {
    struct lineage *to;
    size_t front; /* of the key, before the tail */
};

static int keep_move(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct listing *l = arg;

    return entry->folder || strlen(entry->key) < l->front
               ? 0
               : lineage_add(l->to, str_of(entry->key + l->front),
                     entry->modified_s, e);
}

int tip_lineage(struct bucket *b, const char *name, int64_t before_s,
    struct lineage *out, struct err *e)
{
    char prefix[S3_KEY_MAX + 1];
    struct listing own = { .to = out };
    struct s3_list l = {
        .prefix = prefix, .folders = true, .entry = keep_move, .arg = &own
    };

    if (tip_key(b, prefix, name, "", e) != 0)
        return -1;
    own.front = strlen(prefix);
    return s3_list(b->s3, &l, e) != 0 ? -1 : lineage_sort(out, before_s, e);
}

int tip_order(const void *a, const void *b)
{
    const struct tip_side *x = a, *y = b;

    if (x->written_s != y->written_s)
        return x->written_s < y->written_s ? -1 : 1;
    return strcmp(x->catalog.hex, y->catalog.hex);
}

static int read_move(struct bucket *b, const char *name, const struct move *m,
    struct tip_side *out, struct err *e)
{
    char key[S3_KEY_MAX + 1];
    uint64_t number;

    if (tip_key(b, key, name, m->tail.p, e) != 0)
        return -1;
    snprintf(out->id, sizeof(out->id), "%.*s", MOVE_ID, move_id(m));
    return read_one(b, name, key, &number, out, NULL, e);
}

int tip_kin(const struct tip *t, struct kin *out, struct err *e)
{
    struct move **v =
        arena_alloc(t->moves->arena, t->n, sizeof(struct move *), e);

    if (v == NULL)
        return -1;
    for (size_t i = 0; i < t->n; i++)
        v[i] = lineage_find(t->moves, t->sides[i].id);
    return lineage_kin(t->moves, v, t->n, out, e);
}

/* Read those that are marked, or count; what is gone is left out. */
static int read_moves(struct bucket *b, const char *name, struct lineage *m,
    struct arena *arena, struct tip_side **out, size_t *n, struct err *e)
{
    size_t room = 0;

    for (uint64_t i = 0; i < m->n; i++)
        room += !m->v[i].covered || m->v[i].marked;
    *n = 0;
    *out = arena_alloc(arena, room, sizeof(**out), e);
    if (*out == NULL)
        return -1;
    for (uint64_t i = 0; i < m->n; i++) {
        int rc;

        if (m->v[i].covered && !m->v[i].marked)
            continue;
        rc = read_move(b, name, &m->v[i], &(*out)[*n], e);
        if (rc < 0)
            return -1;
        *n += rc == 0;
    }
    return 0;
}

int tip_recent(struct bucket *b, const char *name, int64_t since_s,
    struct arena *arena, struct tip_side **out, uint64_t *n, struct err *e)
{
    struct arena own AUTO(arena_free) = ARENA_INIT(MOVES_MAX);
    struct lineage m = { .arena = &own };
    size_t count;

    *n = 0;
    if (b->conditional)
        return 0;
    if (tip_lineage(b, name, 0, &m, e) != 0)
        return -1;
    lineage_since(&m, since_s);
    if (read_moves(b, name, &m, arena, out, &count, e) != 0)
        return -1;
    *n = count;
    return 0;
}

/*
 * 1: what the list had is not there any more, or it seems to hide something;
 * last: that is how it is, then, a writer that slept for a day has left it.
 */
static int read_append(struct bucket *b, const char *name, bool last,
    struct arena *arena, struct tip *out, struct err *e)
{
    struct kin kin;

    *out = (struct tip){ .n = 0 };
    out->moves = arena_alloc(arena, 1, sizeof(*out->moves), e);
    if (out->moves == NULL)
        return -1;
    out->moves->arena = arena;
    if (tip_lineage(b, name, 0, out->moves, e) != 0 ||
        read_moves(b, name, out->moves, arena, &out->sides, &out->n, e) != 0)
        return -1;
    for (size_t i = 0; i < out->n; i++)
        out->number = size_max(
            out->number, lineage_find(out->moves, out->sides[i].id)->number);
    if (out->moves->n > 0 && out->n == 0)
        return 1;
    if (out->n < 2)
        return 0;
    qsort(out->sides, out->n, sizeof(*out->sides), tip_order);
    if (tip_kin(out, &kin, e) != 0)
        return -1;
    return kin.torn && !last ? 1 : 0;
}

static int nap(int tries, struct err *e)
{
    const struct timespec t = { .tv_nsec = (10000000L << tries) / 2 };

    nanosleep(&t, NULL);
    return cancel_check(e);
}

static int read_swapped(struct bucket *b, const char *name, struct arena *arena,
    struct tip *out, struct err *e)
{
    char key[S3_KEY_MAX + 1];
    int rc;

    out->sides = arena_alloc(arena, 1, sizeof(*out->sides), e);
    if (out->sides == NULL || tip_key(b, key, name, "head", e) != 0)
        return -1;
    rc = read_one(b, name, key, &out->number, &out->sides[0], out->etag, e);
    out->n = rc == 0 ? 1 : 0;
    return rc < 0 ? -1 : 0;
}

static int read_tries(struct bucket *b, const char *name, struct arena *arena,
    struct tip *out, struct err *e)
{
    int rc = 1;

    for (int tries = 0; tries < READ_TRIES && rc == 1; tries++) {
        if (tries > 0 && nap(tries, e) != 0)
            return -1;
        rc = read_append(b, name, tries + 1 == READ_TRIES, arena, out, e);
    }
    if (rc == 1)
        return err_set(e, ERR_BUSY, "%s: what is listed of '%s' is not there",
            b->shown, name);
    return rc;
}

int tip_read(struct bucket *b, const char *name, struct arena *arena,
    struct tip *out, struct err *e)
{
    *out = (struct tip){ .n = 0 };
    return b->conditional ? read_swapped(b, name, arena, out, e)
                          : read_tries(b, name, arena, out, e);
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
    struct arena arena AUTO(arena_free) = ARENA_INIT(MOVES_MAX);
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
    if (tip_read(b, name, &arena, &now, e) != 0)
        return -1;
    return is_ours(&now, seen->number + 1, next) ? 0 : 1;
}

static int append(struct bucket *b, const char *name, const struct tip *seen,
    struct str text, const char *id, struct err *e)
{
    char key[S3_KEY_MAX + 1], tail[MOVE_TAIL_MAX + 1];
    const char *over[MOVE_OVER_MAX];
    unsigned n = 0;

    for (size_t i = 0; i < seen->n && n < MOVE_OVER_MAX; i++)
        if (seen->sides[i].id[0] != '\0')
            over[n++] = seen->sides[i].id;
    move_tail(tail, seen->number + 1, id, over, n);
    return tip_key(b, key, name, tail, e) != 0 ? -1
                                               : bucket_write(b, key, text, e);
}

int tip_origin(struct bucket *b, const char *name, const struct tip *seen,
    struct arena *arena, const struct origin **out, struct err *e)
{
    struct origin *next;

    *out = NULL;
    if (seen->number >= MOVE_NUMBER_MAX)
        return err_set(e, ERR_REFUSED, "%s: the ref '%s' has no numbers left",
            b->shown, name);
    if (b->conditional)
        return 0;
    next = arena_alloc(arena, 1, sizeof(*next), e);
    if (next == NULL || bucket_random(next->id, e) != 0)
        return -1;
    next->number = seen->number + 1;
    *out = next;
    return 0;
}

int tip_unsure(struct err *e)
{
    if (e->kind != ERR_NET && e->kind != ERR_CANCELLED)
        return -1;
    e->hint[0] = '\0';
    return err_hint(e, "it may have been done all the same: see what is there, "
                       "or do it again");
}

int tip_move(struct bucket *b, const char *name, const struct tip *seen,
    struct tip_side *next, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(TIP_TEXT_MAX);
    int rc;

    if (tip_text(&text, seen->number + 1, next, e) != 0)
        return -1;
    rc = b->conditional ? swap(b, name, seen, next, buf_str(&text), e)
                        : append(b, name, seen, buf_str(&text), next->id, e);
    return rc < 0 ? tip_unsure(e) : rc;
}

int tip_beside(struct bucket *b, const char *name, const struct tip *seen,
    const char *id, bool *out, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(MOVES_MAX);
    struct lineage m = { .arena = &arena };

    *out = false;
    if (id[0] == '\0')
        return 0;
    if (tip_lineage(b, name, 0, &m, e) != 0)
        return -1;
    for (uint64_t i = 0; i < m.n && !*out; i++) {
        const char *other = move_id(&m.v[i]);
        bool known = m.v[i].covered || memcmp(other, id, MOVE_ID) == 0;

        /* A list that is late has what ours covers, and not ours. */
        for (size_t k = 0; k < seen->n && !known; k++)
            known = memcmp(other, seen->sides[k].id, MOVE_ID) == 0;
        *out = !known;
    }
    return 0;
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
        (strcmp(slash + 1, "head") != 0 &&
            !move_number(str_of(slash + 1), &number)))
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

/*
 * What is below first: else it would count again. Nothing while several count:
 * who knew of it could not be told any more.
 */
int tip_tidy(
    struct bucket *b, const char *name, int64_t before_s, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(MOVES_MAX);
    struct lineage m = { .arena = &arena };
    char key[S3_KEY_MAX + 1];
    uint64_t count = 0;

    if (b->conditional)
        return 0;
    if (tip_lineage(b, name, before_s, &m, e) != 0)
        return -1;
    for (uint64_t i = 0; i < m.n; i++)
        count += !m.v[i].covered;
    for (uint64_t i = 0; i < m.n && count == 1; i++) {
        struct move *of = &m.v[i];

        if (!of->covered || !of->settled || !lineage_bare(&m, of))
            continue;
        if (tip_key(b, key, name, of->tail.p, e) != 0 ||
            s3_delete(b->s3, key, e) != 0)
            return -1;
        of->gone = true;
    }
    return 0;
}
