/* What can be told of a damaged ref. */
#include "bucket/tip.h"
#include "bucket/tip_internal.h"

#include <string.h>

/* What stands where a catalog's digest does, damaged or not. */
static void read_roughly(struct str text, struct tip_side *out)
{
    static const char word[] = "catalog ";
    size_t n = strlen(word);

    out->catalog = (struct digest){ .kind = HASH_SHA256 };
    for (size_t i = 0; i + n + 64 <= text.len; i++)
        if (memcmp(text.p + i, word, n) == 0) {
            memcpy(out->catalog.hex, text.p + i + n, 64);
            return;
        }
}

/* One object: a side, and whether it is damaged. */
static int salvage_one(struct bucket *b, const char *key, struct arena *arena,
    struct tip_left *left, struct err *e)
{
    struct tip *out = &left->tip;
    struct buf text AUTO(buf_free) = BUF_INIT(TIP_TEXT_MAX);
    struct tip_side *side = &out->sides[out->n];
    struct s3_info info = { .found = false };
    struct err why = ERR_INIT;
    uint64_t number;

    if (bucket_read(b->s3, key, &text, &info, &why) < 0 &&
        why.kind != ERR_CORRUPT) {
        *e = why;
        return -1;
    }
    if (!info.found)
        return 0;
    memcpy(out->etag, info.etag, sizeof(out->etag));
    *side = (struct tip_side){ .written_s = info.modified_s };
    if (why.kind == ERR_NONE &&
        tip_parse(buf_str(&text), &number, side, &why) == 0) {
        out->number = number;
        out->n++;
        return 0;
    }
    left->damaged[left->n_damaged] = arena_str(arena, str_of(key), e);
    if (left->damaged[left->n_damaged++].p == NULL)
        return -1;
    read_roughly(buf_str(&text), side);
    out->n++;
    return 0;
}

/* Those that count first, then those that did, the newest before the others. */
static int salvage_moves(struct bucket *b, const char *name, struct lineage *m,
    bool covered, struct arena *arena, struct tip_left *out, struct err *e)
{
    char key[S3_KEY_MAX + 1];

    for (uint64_t i = m->n; i-- > 0 && out->tip.n < TIP_SALVAGE_MAX;) {
        size_t n_damaged = out->n_damaged, n = out->tip.n;
        const struct move *of = &m->v[i];

        if (of->covered != covered)
            continue;
        if (tip_key(b, key, name, of->tail.p, e) != 0 ||
            salvage_one(b, key, arena, out, e) != 0)
            return -1;
        if (out->tip.n > n)
            memcpy(out->tip.sides[n].id, move_id(of), MOVE_ID);
        if (covered)
            out->n_damaged = n_damaged; /* it counts no more as it is */
    }
    return 0;
}

int tip_salvage(struct bucket *b, const char *name, struct arena *arena,
    struct tip_left *out, struct err *e)
{
    char key[S3_KEY_MAX + 1];
    struct lineage *m;

    *out = (struct tip_left){ .top = 1 };
    out->tip.sides =
        arena_alloc(arena, TIP_SALVAGE_MAX, sizeof(*out->tip.sides), e);
    if (out->tip.sides == NULL)
        return -1;
    if (b->conditional)
        return tip_key(b, key, name, "head", e) != 0
                   ? -1
                   : salvage_one(b, key, arena, out, e);
    m = out->tip.moves = arena_alloc(arena, 1, sizeof(*m), e);
    if (m == NULL)
        return -1;
    m->arena = arena;
    if (tip_lineage(b, name, 0, m, e) != 0 ||
        salvage_moves(b, name, m, false, arena, out, e) != 0)
        return -1;
    out->top = out->tip.n;
    if (salvage_moves(b, name, m, true, arena, out, e) != 0)
        return -1;
    out->tip.number = m->n > 0 ? m->v[m->n - 1].number : 0;
    return 0;
}
