/*
 * pickle.h - Python's pickle, read as data. Opcodes are executed on a stack
 * of nodes; nothing is imported, called or looked up. What the machine does
 * not know becomes an opaque node that keeps all its parts.
 *
 * The machine is iterative, and every length is compared with the bytes left
 * before it is used. Nodes form a graph: they are shared, and lists and
 * mappings may contain themselves, so whoever walks them bounds the walk.
 * Source: checkpoint formats, section 3.
 */
#ifndef FORMATS_PICKLE_H
#define FORMATS_PICKLE_H

#include "base/arena.h"
#include "formats/pickle_table.h"

enum { PICKLE_BYTES_MAX = 256 << 20 };

enum node_kind {
    NODE_NONE,
    NODE_BOOL,
    NODE_INT,
    NODE_BIGINT, /* s: two's complement, little-endian, more than 8 bytes */
    NODE_FLOAT,
    NODE_STR, /* s: UTF-8, lone surrogates allowed */
    NODE_BYTES,
    NODE_LIST,
    NODE_TUPLE,
    NODE_DICT, /* list: key, value, key, value, ... in order */
    NODE_SET,
    NODE_GLOBAL,
    NODE_STORAGE, /* made by the dialect of torch */
    NODE_TENSOR,  /* likewise */
    NODE_OPAQUE
};

struct node;
struct pickle;
struct torch_storage;
struct torch_view;

struct node_list {
    struct node **v;
    uint64_t n;
    uint64_t cap;
};

struct node {
    uint8_t kind;   /* enum node_kind */
    bool busy;      /* whoever walks: it is on the path from the root */
    uint8_t note;   /* whoever walks: 0 at birth */
    uint16_t level; /* whoever walks: its depth while busy */
    union {
        bool truth;
        int64_t i;
        double f;
        struct str s;
        struct node_list list;
        struct pickle_global *global;
        struct node_opaque *opaque;
        struct torch_storage *storage;
        struct torch_view *view;
    };
};

/* An object that was never made: what the file asked for. */
struct node_opaque {
    struct node *callee;
    struct node *args;       /* a tuple */
    struct node *kwargs;     /* or NULL */
    struct node_list states; /* one for each BUILD */
    struct node_list items;
    struct node_list pairs; /* key, value, ... */
    uint64_t offset;        /* of the opcode that made it [bytes] */
};

/*
 * A callable the machine may evaluate, because its meaning is plain data.
 * Returns 0 with *out set, or with *out left NULL when the arguments are not
 * the expected ones (the node becomes opaque), or -1 with the error set.
 */
typedef int pickle_fn(
    struct pickle *p, const struct node *args, struct node **out);

struct pickle_known {
    const char *module;
    const char *name;
    pickle_fn *call; /* NULL: a class or constant, harmless as a name */
};

/* One row for each distinct module.name that the pickles of a file mention. */
struct pickle_global {
    struct str module;
    struct str name;
    const struct pickle_known *known; /* or NULL */
    uint64_t offset;                  /* of the first mention [bytes] */
    bool called;
    bool held;      /* an attribute of some object: its method, perhaps */
    bool rewritten; /* the file changes attributes of the class itself */
};

struct pickle_names {
    struct pickle_table table;
    bool obscure;  /* what is called, or becomes an attribute, is not known */
    bool doubtful; /* the run failed where Python might have gone on */
    struct pickle_global **v;
    uint64_t n;
    uint64_t cap;
};

/* What a family of files adds to plain pickles. */
struct pickle_dialect {
    const struct pickle_known *known;
    size_t n_known;
    /* A persistent id; NULL: they are refused. *out is set on success. */
    int (*persid)(struct pickle *p, const struct node *pid, struct node **out);
};

/*
 * Every persistent id is some object: for those who only want the names, of
 * any family. Nothing but Python's own data is evaluated.
 */
extern const struct pickle_dialect pickle_names_only;

struct pickle_env {
    struct arena *arena;            /* nodes, stack and memo live there */
    struct pickle_names *names;     /* filled also when the run fails */
    const struct pickle_dialect *d; /* or NULL */
    void *ctx;                      /* for the dialect */
};

/*
 * pickle_run - execute one pickle up to its STOP
 * bytes    must outlive the nodes: strings point into it
 * used     the bytes up to and including STOP
 * Returns  0, or -1 with *e: REFUSED, naming the opcode and its offset;
 *          NOMEM. Calls asked for before the failure stand in env->names.
 * Cost     linear
 */
int pickle_run(const void *bytes, uint64_t len, const struct pickle_env *env,
    struct node **out, uint64_t *used, struct err *e);

/* node_is_text - a NODE_STR that reads exactly text. */
bool node_is_text(const struct node *n, const char *text);

/* node_get - the value under a text key of a NODE_DICT, or NULL; linear. */
struct node *node_get(const struct node *dict, const char *key);

/* node_pair - likewise, in a list of keys and values. */
struct node *node_pair(const struct node_list *pairs, const char *key);

/* node_is_global - a NODE_GLOBAL of that module (today's name) and name. */
bool node_is_global(const struct node *n, const char *module, const char *name);

/* node_u64 - true and *out set for a NODE_INT that is not negative. */
bool node_u64(const struct node *n, uint64_t *out);

/* The node's kind in words: "a list". */
const char *node_kind_name(const struct node *n);

#endif
