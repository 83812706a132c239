/* What can be told of a damaged ref. */
#include "bucket/tip.h"
#include "bucket/tip_internal.h"

#include <string.h>

#include "s3/list.h"

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

/* The highest moves, the highest first. */
struct moves {
    struct arena *arena;
    size_t front;
    uint64_t number[TIP_SALVAGE_MAX];
    struct str key[TIP_SALVAGE_MAX];
    size_t n;
};

static int keep_move(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct moves *m = arg;
    uint64_t number;
    size_t at = 0;

    if (entry->folder || strlen(entry->key) < m->front ||
        !tip_tail(entry->key + m->front, &number))
        return 0;
    while (at < m->n && m->number[at] >= number)
        at++;
    if (at == TIP_SALVAGE_MAX)
        return 0;
    if (m->n < TIP_SALVAGE_MAX)
        m->n++;
    for (size_t i = m->n - 1; i > at; i--) {
        m->number[i] = m->number[i - 1];
        m->key[i] = m->key[i - 1];
    }
    m->number[at] = number;
    m->key[at] = arena_str(m->arena, str_of(entry->key), e);
    return m->key[at].p != NULL ? 0 : -1;
}

int tip_salvage(struct bucket *b, const char *name, struct arena *arena,
    struct tip_left *out, struct err *e)
{
    char key[S3_KEY_MAX + 1];
    struct moves m = { .arena = arena };
    struct s3_list l = {
        .prefix = key, .folders = true, .entry = keep_move, .arg = &m
    };

    *out = (struct tip_left){ .top = 1 };
    if (b->conditional)
        return tip_key(b, key, name, "head", e) != 0
                   ? -1
                   : salvage_one(b, key, arena, out, e);
    if (tip_key(b, key, name, "", e) != 0)
        return -1;
    m.front = strlen(key);
    if (s3_list(b->s3, &l, e) != 0)
        return -1;
    for (size_t i = 0; i < m.n; i++) {
        size_t n_damaged = out->n_damaged;

        if (salvage_one(b, m.key[i].p, arena, out, e) != 0)
            return -1;
        if (m.number[i] == m.number[0])
            out->top = out->tip.n;
        else
            out->n_damaged = n_damaged; /* it counts no more as it is */
    }
    out->tip.number = m.n > 0 ? m.number[0] : 0;
    return 0;
}
