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
    enum dtype dtype;      /* DTYPE_NONE: elements that are not read */
    const char *quant;     /* "qint8": dtype is that of its integers; or NULL */
    unsigned element;      /* bytes; 0: the record says how many it has */
    bool untyped;          /* elements are bytes, the tensor has the dtype */
    bool no_data;          /* saved on the meta device */
    uint64_t numel;
    uint64_t bytes;
    uint64_t at;                /* in the file; legacy: known at the end */
    struct torch_storage *root; /* legacy: a slice of that one, or NULL */
    uint64_t root_offset;       /* [bytes] */
    bool listed;                /* legacy: its data were found */
};

/* How the integers of a quantised tensor stand for numbers. */
struct torch_qparams {
    double scale;
    int32_t zero;
    uint32_t axis;
    const struct torch_view *scales; /* NULL: one for the whole tensor */
    const struct torch_view *zeros;
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
    const struct torch_qparams *quant; /* or NULL */
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
    bool script; /* a TorchScript archive */
    bool big_endian;
    const char *records; /* the folder of tensor data: "data" */
    struct pickle_names names;
    struct node *root;
    struct node *constants; /* of a TorchScript program, or NULL */
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
    struct torch_held held;
};

/*
 * torch_alien - whether an object is a tensor of a kind that is not read
 * out      gets what is known of it: alien, alien_hint, dtype, shape
 * Returns  1 when it is, 0 when not, -1 with *e: NOMEM
 */
int torch_alien(const struct torch_reader *r, const struct node *n,
    struct tensor *out, struct err *e);

/* torch_mark - "conj" or "neg": what a view is of its storage; or NULL. */
const char *torch_mark(const struct node *meta);

/* torch_is_alien - the same question alone. */
bool torch_is_alien(const struct node *n);

/*
 * torch_dims - the sizes a tuple of integers holds; false when it holds
 * anything else, or more than a tensor may have
 * out      NULL: only look
 */
bool torch_dims(const struct node *tuple, uint64_t *out);

/*
 * torch_script_state - the attributes of an object of a TorchScript program
 * that is a module; NULL when n is none
 */
const struct node *torch_script_state(const struct node *n);

/*
 * torch_walk - every tensor of the file, under its path
 * Returns  0, or -1 with *e: REFUSED (too deep, too many, a name that is not
 *          one), NOMEM
 */
int torch_walk(
    const struct torch_reader *r, struct torch_found *out, struct err *e);

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
 * Sets out->tensors, n_tensors, branch and alien.
 * Returns  0, or -1 with *e: REFUSED (two candidates, two equal names),
 *          MISSING (no such branch), UNSUPPORTED (alien: a tensor of a kind
 *          that is not read), NOMEM
 */
int torch_choose(const struct torch_reader *r, const struct torch_found *f,
    const char *select, struct torch_file *out, struct torch_beside *beside,
    struct err *e);

/*
 * torch_config - the JSON text of a config beside the weights; "" when there
 * is none, or none of a sane size. Of several, the innermost and most
 * architectural one (torch_config.c has the order); the others are named.
 */
int torch_config(const struct torch_beside *beside, struct arena *arena,
    struct torch_file *out, struct err *e);

/*
 * torch_json - one node as JSON, objects of unknown classes included
 * out      its limit bounds the text; over it the buffer turns bad
 */
void torch_json(struct node *n, struct buf *out);

#endif
