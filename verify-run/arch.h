/*
 * arch.h - families of decoders as data: the kinds of their parts, what
 * their tensors are called, how their config.json spells the numbers. A new
 * family is a row in a families_*.c; a new kind of part is a value of an
 * enum in kinds.h and a case in the backends.
 * Source: architectures, sections 2 to 11.
 */
#ifndef VERIFY_RUN_ARCH_H
#define VERIFY_RUN_ARCH_H

#include "base/json.h"
#include "base/str.h"
#include "formats/checkpoint.h"
#include "verify-run/kinds.h"

/* What a member of config.json becomes in struct model_config. */
enum key_kind {
    KEY_COUNT,      /* uint32_t, at least 1; null is absent */
    KEY_MAYBE,      /* uint32_t; null and 0 are 0: off, or derived */
    KEY_REAL,       /* double above 0; null is absent */
    KEY_REAL_MAYBE, /* double; null and 0 are 0: off */
    KEY_INVERSE,    /* double, 1/value */
    KEY_RSQRT,      /* double, value^-1/2 */
    KEY_FLAG,       /* bool */
    KEY_CHOICE,     /* an enum of struct arch_kinds: yes when true, else no */
    KEY_UNLESS,     /* uint32_t that becomes 0 unless the flag is true */
    KEY_MUST        /* a flag or number that has to be the fallback */
};

struct arch_key {
    const char *key; /* "a.b" is b inside a; NULL: a constant */
    enum key_kind kind;
    size_t at;       /* offsetof in struct model_config */
    double fallback; /* when absent; NAN: leave what stands there */
    uint32_t yes;    /* KEY_CHOICE */
    uint32_t no;
};

/* A member, a flag or a number, that a variant of a family goes by. */
struct arch_when {
    const char *key; /* NULL: no condition */
    double is;       /* flags are 0 and 1 */
};

enum { ARCH_IGNORED_MAX = 6 };

struct arch {
    const char *model_type; /* as config.json has it */
    const char *alias;      /* another spelling, or NULL */
    const char *title;
    struct arch_when when; /* else a later row of the same model_type */
    const char *telltale;  /* full name of a tensor that tells this row from
                              others of the same names, or NULL */
    struct arch_kinds kinds;
    bool in_out;                   /* matrices of layers are stored [in, out] */
    bool bias_may_lack;            /* norms without a bias tensor: it is 0 */
    bool embed_by_root;            /* embeddings are multiplied by sqrt(dim) */
    const char *activation;        /* default, a name of config.json */
    const char *act_key;           /* its member, or NULL: it is fixed */
    const char *base;              /* "transformer.", which some files lack */
    const struct arch_key *keys;   /* ended by at == 0 && key == NULL */
    const char *names[ROLE_COUNT]; /* stems, {i} is the layer; or NULL */
    /* leftover buffers, full names; NULL ends */
    const char *ignored[ARCH_IGNORED_MAX];
};

/* arch_nth - every row, in order; then NULL. */
const struct arch *arch_nth(size_t i);

/* arch_find - the first row of this name; NULL when there is none. */
const struct arch *arch_find(const char *model_type);

/*
 * arch_choose - the row for a model
 * model_type   NULL: by the tensors, the row that knows most of them
 * config       the object it stands in, or NULL
 * c            or NULL; with neither model_type nor this it is NULL
 */
const struct arch *arch_choose(const char *model_type,
    const struct json *config, const struct checkpoint *c);

/*
 * arch_lacks - what a well-known family has that no row can say:
 * "state-space layers" of "mamba"; NULL when it is not known
 */
const char *arch_lacks(const char *model_type);

/* arch_supported - "gpt_neox, llama" into out, each once. Returns out. */
char *arch_supported(char *out, size_t len);

/* arch_member - config's "a.b"; NULL when it is not there. */
const struct json *arch_member(const struct json *config, const char *key);

/* Longest name a template can make, its terminator included. */
enum { ARCH_NAME_MAX = 128 };

/* One tensor of a family. */
struct arch_part {
    enum role role;
    uint32_t layer; /* 0 for what exists once */
    uint32_t item;  /* head or expert; else 0 */
    bool bias;
};

/*
 * arch_tensor - its name, ".weight" or ".bias"
 * Returns false when the family has no such role.
 */
bool arch_tensor(
    const struct arch *a, struct arch_part p, char out[ARCH_NAME_MAX]);

/* arch_match - does name follow the template, any number for {i} or {e}? */
bool arch_match(const char *pattern, struct str name);

/* arch_ignores - a leftover buffer that no forward pass reads. */
bool arch_ignores(const struct arch *a, struct str name);

/* arch_knows - the name of some role's weight or bias, in any layer. */
bool arch_knows(const struct arch *a, struct str name);

/* How the names in a file differ from the family's own. */
struct arch_wrap {
    const char *add;  /* "module.", "_orig_mod.", "model.", or "" */
    const char *drop; /* the family's base where the file lacks it, or "" */
};

/* arch_wrap_of - as the embedding tells; nothing when it is not there. */
struct arch_wrap arch_wrap_of(const struct arch *a, const struct checkpoint *c);

enum { ARCH_WRAPPED_MAX = ARCH_NAME_MAX + 32 };

/* arch_outer - the name in the file, of the family's own name. Returns out. */
const char *arch_outer(
    const struct arch_wrap *w, const char *name, char out[ARCH_WRAPPED_MAX]);

/* arch_inner - the family's own name, of a name in the file. */
struct str arch_inner(const struct arch_wrap *w, const struct arch *a,
    struct str name, char room[ARCH_WRAPPED_MAX]);

#endif
