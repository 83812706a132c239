/*
 * lineage.h - the moves of one ref, where a store has no conditional writes:
 * which of them count, and what each of those knows of. Pure: a list of names.
 *
 *   <20 digits>-<16 hex>[-<16 hex>...]
 *
 * The number of the move, its id, which is random, and the ids of those that
 * it was put on top of: theirs is in it, they are covered. No writer changes
 * or deletes a move, so what one does is lost to no other: who did not know of
 * another's move did not cover it, and then both count. Who wants to undo his
 * own puts one more on top of it.
 */
#ifndef BUCKET_LINEAGE_H
#define BUCKET_LINEAGE_H

#include "base/arena.h"

#define MOVE_NUMBER_MAX ((uint64_t)1 << 60)

enum {
    MOVE_ID = 16,
    MOVE_NUMBER = 20,
    MOVE_HEAD = MOVE_NUMBER + 1 + MOVE_ID,
    MOVE_OVER_MAX = 16, /* so many one can cover */
    MOVE_TAIL_MAX = MOVE_HEAD + MOVE_OVER_MAX * (1 + MOVE_ID)
};

/* The move that gave a name its meaning. */
struct origin {
    uint64_t number;
    char id[MOVE_ID + 1];
};

struct move {
    struct str tail; /* of its key */
    uint64_t number;
    int64_t written_s; /* by the store's clock */
    bool covered;
    bool settled; /* by one that was written before the time of lineage_sort */
    bool gone;    /* the owner's: it was taken away since */
    bool marked;  /* by lineage_since */
};

struct lineage {
    struct arena *arena;
    struct move *v; /* by number, then by id */
    uint64_t n, room;
    struct move **by_id;
};

/* move_number - the number in a tail, up to MOVE_NUMBER_MAX; false: none. */
bool move_number(struct str tail, uint64_t *number);

/* move_tail - write one, of MOVE_TAIL_MAX + 1 bytes; n_over ids of over. */
void move_tail(char *out, uint64_t number, const char *id,
    const char *const *over, unsigned n_over);

/* move_id - MOVE_ID digits in its tail. */
const char *move_id(const struct move *m);

/* origin_same - the same move? NULL is one of its own. */
bool origin_same(const struct origin *a, const struct origin *b);

/* lineage_add - one more; what is no tail is passed over. -1 with *e: NOMEM */
int lineage_add(
    struct lineage *m, struct str tail, int64_t written_s, struct err *e);

/* lineage_sort - when all are there: who is covered. -1 with *e: NOMEM */
int lineage_sort(struct lineage *m, int64_t before_s, struct err *e);

/* lineage_since - mark what was written since then, and what that covers. */
void lineage_since(struct lineage *m, int64_t since_s);

/* lineage_find - the one of that id, or NULL. */
struct move *lineage_find(const struct lineage *m, const char *id);

/* lineage_bare - is all gone that it was put on top of? Else that would count
 * again without it. */
bool lineage_bare(const struct lineage *m, const struct move *of);

/* What moves know of: each was made from others, and those from others. */
struct kin {
    const struct lineage *moves;
    size_t n;            /* moves; "side" is an index */
    unsigned char *bits; /* of each move of the list, in rows: of each side */
    uint64_t *whole_to;  /* of each side: below this number what is not in the
                            list any more was known, too */
    bool torn; /* the list lacks something, and not for all sides alike */
};

/* lineage_kin - of n moves of the list; NULL knows nothing. -1 with *e: NOMEM
 */
int lineage_kin(struct lineage *m, struct move *const *v, size_t n,
    struct kin *out, struct err *e);

/* kin_knows - was the side made from that move, or is it that? NULL: so old
 * that everybody knows it. */
bool kin_knows(const struct kin *k, size_t side, const struct origin *of);

/* kin_order - below 0: of two that did not know of each other the first one
 * counts: the higher, or the one written first. */
int kin_order(
    const struct kin *k, const struct origin *a, const struct origin *b);

#endif
