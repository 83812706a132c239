/*
 * torch_internal.h - what the files that read torch.save files share: a
 * storage, a view into one, and the reader that collects them.
 */
#ifndef FORMATS_TORCH_INTERNAL_H
#define FORMATS_TORCH_INTERNAL_H

#include "base/buf.h"
#include "formats/pickle_internal.h"
#include "formats/torch.h"
#include "formats/zip.h"

enum {
    TORCH_DEPTH_MAX = 200, /* of nested containers */
    TORCH_TENSORS_MAX = 10000000,
    TORCH_CONFIG_MAX = 4 << 20, /* JSON of a config [bytes] */
    TORCH_CONFIG_DEPTH = 64,
    TORCH_KEY_MAX = 64,          /* name of a storage [bytes] */
    TORCH_GROWTH_MAX = 64,       /* dense tensor: times the size of the file */
    TORCH_GROWTH_FREE = 1 << 24, /* a file counts as this large [bytes] */
    TORCH_HELD_MAX = 4 << 20 /* of arrays that are spelled as text [bytes] */
};

/* One buffer of elements, as the file stores it. */
struct torch_storage {
    struct str key;
    struct str class_name; /* "FloatStorage" */
    enum dtype dtype;      /* DTYPE_NONE: quantised, not read */
    unsigned element;      /* bytes */
    bool untyped;          /* elements are bytes, the tensor has the dtype */
    bool no_data;          /* saved on the meta device */
    uint64_t numel;
    uint64_t bytes;
    uint64_t at;                /* in the file; legacy: known at the end */
    struct torch_storage *root; /* legacy: a slice of that one, or NULL */
    uint64_t root_offset;       /* [bytes] */
    bool listed;                /* legacy: its data were found */
};

/* A tensor: a view into a storage. */
struct torch_view {
    struct torch_storage *storage; /* NULL: a shape without data */
    enum dtype dtype;
    uint32_t rank;
    const uint64_t *shape;
    const uint64_t *stride; /* NULL: dense row-major */
    uint64_t n;
    uint64_t offset; /* of the first element, in its storage [bytes] */
};

struct torch_reader {
    const uint8_t *bytes;
    uint64_t len;
    struct arena *arena;        /* for the parse alone */
    struct arena *keep;         /* for what stands in struct torch_file */
    struct zip zip;             /* zip container only */
    struct pickle_table by_key; /* struct torch_storage */
    struct torch_storage **storages;
    uint64_t n_storages;
    uint64_t cap_storages;
    uint64_t n_views;
    bool legacy;
    bool big_endian;
    struct pickle_names names;
    struct node *root;
};

/* The containers: fill r->root and the storages. */
int torch_zip_read(struct torch_reader *r, struct err *e);
int torch_legacy_read(struct torch_reader *r, struct err *e);

/* The callables and names of torch that mean data. */
extern const struct pickle_known torch_known[];
extern const size_t torch_n_known;

/*
 * torch_storage_get - the storage that a persistent id speaks of
 * pid      ('storage', class, key, location, numel, ...): items 0 to 4
 * Returns  0, or -1 with *p->e: REFUSED (malformed, or the same key with
 *          another class or size), UNSUPPORTED
 */
int torch_storage_get(
    struct pickle *p, const struct node *pid, struct torch_storage **out);

/* torch_storage_add - a new storage under a key not yet taken; NULL: *e. */
struct torch_storage *torch_storage_add(
    struct torch_reader *r, struct str key, struct err *e);

/* torch_storage_node - a NODE_STORAGE; NULL with *p->e. */
struct node *torch_storage_node(struct pickle *p, struct torch_storage *s);

/* Bytes of NumPy arrays that lie in memory only. */
struct torch_held {
    uint64_t bytes;
    struct pickle_table by_place; /* the copy, by where the node has them */
};

/* What stands in the tree, before anything is chosen. */
struct torch_found {
    struct tensor *v; /* under full paths, in file order */
    uint64_t n;
    uint64_t cap;
    struct torch_alien *aliens; /* tensors of kinds that are not read */
    uint64_t n_aliens;
    uint64_t cap_aliens;
    struct torch_held held;
};

struct torch_alien {
    struct str name;
    const struct pickle_global *maker;
};

/*
 * torch_walk - every tensor below a node, under its path
 * Returns  0, or -1 with *e: REFUSED (too deep, too many, a name that is not
 *          one), NOMEM
 */
int torch_walk(const struct torch_reader *r, struct node *root,
    struct torch_found *out, struct err *e);

/* torch_is_array - a NumPy array of numbers, of whatever type. */
bool torch_is_array(const struct node *n);

/*
 * torch_array - a node that torch_is_array, as a tensor without a name
 * held     what was copied into r->keep so far
 * alien    why it cannot be read: what makes its numbers, when they are of
 *          a type that is not read; then t says nothing
 * Returns  0, or -1 with *e: REFUSED (malformed), NOMEM
 */
int torch_array(const struct torch_reader *r, const struct node *n,
    struct torch_held *held, struct tensor *t,
    const struct pickle_global **alien, struct err *e);

/* torch_array_shape - the tuple of its sizes, or NULL when n is no array. */
const struct node *torch_array_shape(const struct node *n, enum dtype *dtype);

/* One number as NumPy pickles it. */
struct torch_number {
    enum dtype dtype; /* BOOL, an integer, or F16 F32 F64 */
    uint64_t bits;    /* its bytes, the lowest first */
    double value;     /* of the floating types */
};

/* torch_scalar - numpy's scalar(dtype, bytes); false: it is none. */
bool torch_scalar(const struct node_opaque *o, struct torch_number *out);

/* torch_has_tensors - after torch_walk: something below n is a tensor. */
bool torch_has_tensors(const struct node *n);

/*
 * torch_pairs - the keys and values of a mapping or of an object's
 * attributes; NULL when n is neither.
 */
const struct node_list *torch_pairs(const struct node *n);

/* The mappings above the chosen branch, innermost last. */
struct torch_beside {
    const struct node *v[4];
    uint32_t n;
};

/*
 * torch_choose - section 7's rule: which branch holds the weights
 * select   a branch by its path, or NULL
 * Sets out->tensors, n_tensors and branch.
 * Returns  0, or -1 with *e: REFUSED (two candidates, two equal names),
 *          MISSING (no such branch), UNSUPPORTED (a tensor of a kind that is
 *          not read), NOMEM
 */
int torch_choose(const struct torch_reader *r, const struct torch_found *f,
    const char *select, struct torch_file *out, struct torch_beside *beside,
    struct err *e);

/*
 * torch_config - the JSON text of a config beside the weights; "" when there
 * is none, or none of a sane size
 */
int torch_config(const struct torch_beside *beside, struct arena *arena,
    struct str *out, struct err *e);

/*
 * torch_json - one node as JSON, objects of unknown classes included
 * out      its limit bounds the text; over it the buffer turns bad
 */
void torch_json(struct node *n, struct buf *out);

#endif
