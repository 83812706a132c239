/*
 * pickle_internal.h - the machine's state, shared by the files that execute
 * its opcodes and by the dialects. Handlers return 0, or -1 with *p->e set.
 */
#ifndef FORMATS_PICKLE_INTERNAL_H
#define FORMATS_PICKLE_INTERNAL_H

#include "base/rd.h"
#include "formats/pickle.h"

enum {
    PICKLE_NODES_MAX = 50000000,
    PICKLE_NAME_MAX = 1024, /* of a module or an attribute [bytes] */
    PICKLE_GLOBALS_MAX = 20000,
    PICKLE_INT_BYTES_MAX = 1024,
    PICKLE_INT_DIGITS_MAX = 320
};

struct pickle_marks {
    uint64_t *v; /* heights of the stack */
    uint64_t n;
    uint64_t cap;
};

struct pickle {
    struct rd rd;
    uint64_t at; /* of the current opcode */
    uint8_t op;
    const struct pickle_env *env;
    struct node_list stack;
    struct pickle_marks marks;
    struct node **memo;
    uint64_t memo_cap;
    uint64_t memo_n; /* indices in use, for MEMOIZE */
    uint64_t puts;
    uint64_t nodes;
    struct node *none;
    struct node *truth[2];
    struct node *result; /* set by STOP */
    struct err *e;
};

typedef int pickle_op(struct pickle *p);

/* The handlers, by opcode; NULL: unknown. */
extern pickle_op *const pickle_ops[256];

/* pickle_bad - refuse, naming opcode and offset. Returns -1. */
int pickle_bad(struct pickle *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* pickle_doubt - notes that Python might not have refused; returns rc. */
int pickle_doubt(struct pickle *p, int rc);

/* pickle_grow - room for n more nodes in a list; 0 or -1. */
int pickle_grow(struct pickle *p, struct node_list *l, uint64_t n);

/* pickle_extend - append n nodes to a list; 0 or -1. */
int pickle_extend(
    struct pickle *p, struct node_list *l, struct node *const *v, uint64_t n);

/* Nodes. NULL with *p->e on failure. */
struct node *pickle_node(struct pickle *p, enum node_kind kind);
struct node *pickle_int(struct pickle *p, int64_t v);
struct node *pickle_text(struct pickle *p, enum node_kind kind, struct str s);
struct node *pickle_seq(
    struct pickle *p, enum node_kind kind, struct node *const *v, uint64_t n);
/* An integer of n two's-complement bytes, little-endian. */
struct node *pickle_long(struct pickle *p, const uint8_t *bytes, uint64_t n);
/* A Python 2 string: text when it is UTF-8, else bytes. */
struct node *pickle_str2(struct pickle *p, struct str s);
/* Refuses names that are not UTF-8 or too long. */
struct node *pickle_global(
    struct pickle *p, struct str module, struct str name);

/* The stack; nothing reaches below the topmost mark. */
int pickle_push(struct pickle *p, struct node *n); /* NULL: -1 */
struct node *pickle_pop(struct pickle *p);
struct node *pickle_top(struct pickle *p);
/* The nodes above the topmost mark; the mark is removed, the nodes too. */
int pickle_pop_mark(struct pickle *p, struct node ***v, uint64_t *n);

/* pickle_is_utf8 - well-formed; lone surrogates pass when allowed. */
bool pickle_is_utf8(struct str s, bool surrogates);

/* pickle_call - evaluate a known callable, or push an opaque node. */
int pickle_call(struct pickle *p, struct node *callee, struct node *args,
    struct node *kwargs);

/* pickle_known_find - in the machine's own table, or NULL. */
const struct pickle_known *pickle_known_find(
    struct str module, struct str name);

/* The opcodes with one binary value. */
int pickle_op_binint(struct pickle *p);
int pickle_op_binint1(struct pickle *p);
int pickle_op_binint2(struct pickle *p);
int pickle_op_long1(struct pickle *p);
int pickle_op_long4(struct pickle *p);
int pickle_op_binfloat(struct pickle *p);
int pickle_op_binunicode(struct pickle *p);
int pickle_op_short_binunicode(struct pickle *p);
int pickle_op_binunicode8(struct pickle *p);
int pickle_op_binbytes(struct pickle *p);
int pickle_op_short_binbytes(struct pickle *p);
int pickle_op_binbytes8(struct pickle *p);
int pickle_op_binstring(struct pickle *p);
int pickle_op_short_binstring(struct pickle *p);

/* The opcodes whose argument is a line of text. */
int pickle_op_int(struct pickle *p);
int pickle_op_long(struct pickle *p);
int pickle_op_float(struct pickle *p);
int pickle_op_string(struct pickle *p);
int pickle_op_unicode(struct pickle *p);
/* Decimal digits of a memo index. */
int pickle_index_line(struct pickle *p, uint64_t *out);

#endif
