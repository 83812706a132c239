/*
 * catalog.h - what names mean: one text, kept under its SHA-256, never
 * changed. Pure: whoever reads it may not have written it.
 *
 *   ml-catalog 1
 *   number 7
 *   parent <64 hex> 1234            the one it was made from; "-": none
 *   when 1763712000
 *   what put                        "put", "rm" ...
 *   who ann@host
 *   commit <40 hex>                 of a repository's; else "-"
 *   files 2
 *   move 7 <16 hex>                 that gave the names from here on their
 *                                   meaning, where refs have lineages
 *   <sha256> <size> <date> - - + run/a
 *   <sha256> <size> 0 <oid> lfs - config.json
 *   piece <sha256>                  of each 64 MiB of a put file that is longer
 *   beside 7 <16 hex>               another writer's move gave the same name
 *   <sha256> <size> <date> ...      this meaning, and nobody has decided
 *
 * The words of a file: digest of its bytes ("-": not known), bytes, when it
 * was put, git's digest ("-": none), "lfs" or "-", "+" or "-": are its bytes
 * in the bucket; its name.
 */
#ifndef BUCKET_CATALOG_H
#define BUCKET_CATALOG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "bucket/lineage.h"

#define CATALOG_PIECE ((uint64_t)64 << 20)

enum { CATALOG_MAX = 1 << 30, CATALOG_WORD_MAX = 256 };

struct catalog_file {
    struct str name; /* checked by path_check */
    uint64_t size;   /* bytes */
    int64_t mtime;
    struct digest sha256; /* hex "": not known */
    struct digest oid;    /* hex "": none */
    bool lfs;
    bool held;
    struct digest *pieces;       /* catalog_pieces(size) of them, or NULL */
    const struct origin *from;   /* NULL: refs have no lineages */
    struct catalog_file *beside; /* the same name as another writer meant it at
                                    the same time; this one counts; or NULL */
};

struct catalog {
    uint64_t number;
    char parent[65]; /* "": none */
    uint64_t parent_size;
    int64_t when;
    char what[CATALOG_WORD_MAX];
    char who[CATALOG_WORD_MAX];
    char commit[41];            /* "": none */
    struct catalog_file *files; /* sorted by name, each once */
    uint64_t n;
};

/* catalog_pieces - how many a file of this size has: 0 up to 64 MiB. */
uint64_t catalog_pieces(uint64_t size);

/* catalog_text - append it. -1 with *e: REFUSED (too long), NOMEM */
int catalog_text(const struct catalog *c, struct buf *out, struct err *e);

/*
 * catalog_parse - strict; -1 with *e: CORRUPT, NOMEM. All is in arena.
 */
int catalog_parse(
    struct catalog *out, struct str text, struct arena *arena, struct err *e);

/* catalog_find - the file called name, or NULL. */
struct catalog_file *catalog_find(const struct catalog *c, struct str name);

/* catalog_same - do the two mean the same bytes? NULL: no such name. */
bool catalog_same(const struct catalog_file *a, const struct catalog_file *b);

/* catalog_alike - are they one file of a commit, held or not? */
bool catalog_alike(const struct catalog_file *a, const struct catalog_file *b);

/* catalog_goes - as a change: is the name to be taken away? */
bool catalog_goes(const struct catalog_file *f);

/*
 * catalog_lay - a catalog over another: the names of changes take their
 * meaning in out
 * changes  sorted by name, each once
 */
int catalog_lay(struct catalog *out, const struct catalog *under,
    const struct catalog_file *changes, uint64_t n, struct arena *arena,
    struct err *e);

/* What n of one ref say, none of which was made from another, or all the same.
 */
struct sides {
    struct catalog *v;
    size_t n;
    struct kin kin; /* in their order */
};

/*
 * catalog_join - what sides mean together
 * A meaning of a name stays unless a side that knew of it does not have it.
 * Of several the one that is held counts, then by kin_order; the others are
 * beside it.
 * out      all but its files is that of the first
 */
int catalog_join(struct catalog *out, const struct sides *sides,
    struct arena *arena, struct err *e);

/*
 * catalog_leave - what they mean by a name without the move own: what else is
 * there, and what was there before, where nobody else has replaced it
 * is       of catalog_join, with a meaning of own
 * was      what own was put on top of, or NULL
 * out      as a change of a catalog
 */
int catalog_leave(const struct sides *sides, const struct catalog_file *is,
    const struct catalog_file *was, const struct origin *own,
    struct arena *arena, struct catalog_file *out, struct err *e);

/* catalog_by - that of its meanings which a move gave it, or NULL; f may be. */
const struct catalog_file *catalog_by(
    const struct catalog_file *f, const struct origin *of);

/* catalog_split - has one beside it that means something else? */
bool catalog_split(const struct catalog_file *f);

#endif
