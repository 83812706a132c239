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
    TORCH_DEPTH_MAX = 200,      /* of nested containers */
    TORCH_TENSORS_MAX = 10000000,
    TORCH_CONFIG_MAX = 4 << 20, /* JSON of a config [bytes] */
    TORCH_CONFIG_DEPTH = 64,
    TORCH_KEY_MAX = 64          /* name of a storage [bytes] */
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
    struct arena *arena;
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

/* The dialects: callables of torch, persistent ids of either container. */
extern const struct pickle_dialect torch_zip_dialect;
extern const struct pickle_dialect torch_legacy_dialect;
extern const struct pickle_known torch_known[];
extern const size_t torch_n_known;

/*
 * torch_storage_get - the storage that a persistent id speaks of
 * pid      ('storage', class, key, location, numel, ...): items 0 to 4
 * Returns  0, or -1 with *p->e: REFUSED (malformed, or the same key with
 *          another class or size), UNSUPPORTED
 */
int torch_storage_get(struct pickle *p, const struct node *pid,
    struct torch_storage **out);

/* torch_storage_add - a new storage under a key not yet taken; NULL: *e. */
struct torch_storage *torch_storage_add(struct torch_reader *r, struct str key,
    struct err *e);

/* torch_storage_node - a NODE_STORAGE; NULL with *p->e. */
struct node *torch_storage_node(struct pickle *p, struct torch_storage *s);

/* What stands in the tree, before anything is chosen. */
struct torch_found {
    struct tensor *v; /* under full paths, in file order */
    uint64_t n;
    uint64_t cap;
    /* The first object that is a tensor of a kind not read here. */
    struct torch_alien *aliens;
    uint64_t n_aliens;
    uint64_t cap_aliens;
};

struct torch_alien {
    struct str path;
    struct str kind; /* the callable that would make it */
};

/*
 * torch_walk - every tensor below a node, under its path
 * Marks the nodes' note: afterwards torch_has_tensors() answers at once.
 * Returns  0, or -1 with *e: REFUSED (too deep, too many, a name that is not
 *          one), NOMEM
 */
int torch_walk(const struct torch_reader *r, struct node *root,
    struct torch_found *out, struct err *e);

bool torch_has_tensors(const struct node *n);

/* torch_is_module - an nn.Module pickled whole; its state, or NULL. */
const struct node *torch_module(const struct node *n);

/*
 * torch_key_text - a mapping's key as a part of a path: text, or a decimal
 * number. Returns false for keys of other kinds.
 */
bool torch_key_text(const struct node *key, struct buf *out);

/*
 * torch_choose - section 7's rule: which branch holds the weights
 * Sets out->tensors, n_tensors, branch; *beside is the mapping in which the
 * branch stands.
 */
int torch_choose(const struct torch_reader *r, const struct torch_found *f,
    const char *select, struct torch_file *out, struct node **beside,
    struct err *e);

/*
 * torch_config - the JSON text of a config among a mapping's values; "" when
 * there is none or it is too large.
 */
int torch_config(struct node *mapping, struct arena *arena, struct str *out,
    struct err *e);

/*
 * torch_json - one node as JSON, objects of unknown classes included
 * Returns  0, or -1 with *e: REFUSED (too large), NOMEM
 */
int torch_json(struct node *n, struct buf *out, struct err *e);

#endif
