/*
 * published.h - what projects that save no config keep in their source
 * instead: gpt-fast's table of models by name, and the sizes that others
 * never vary. Facts only; infer.c decides what to believe.
 * Source: architectures, sections 7 to 9.
 */
#ifndef VERIFY_RUN_PUBLISHED_H
#define VERIFY_RUN_PUBLISHED_H

#include "base/sys.h"

/* A project whose tensors have names that no other uses. */
struct project {
    const char *family; /* its model_type; NULL ends the table */
    const char *title;
    const char *telltale[2]; /* tensors that are there */
    uint32_t head_dim;       /* as published; 0: it varies */
    uint32_t context;
    double eps;
    double rope_base;
    bool in_table; /* its numbers may stand in published_models */
};

extern const struct project published_projects[];

/* Names of saved rotary tables of a first layer; NULL ends. */
extern const char *const published_rotary[];

/* A model of gpt-fast's table. */
struct published {
    const char *name; /* looked for in the folder's name; NULL ends */
    uint32_t layers;
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t dim;
    uint32_t inner;
    uint32_t vocab;
    uint32_t context;
    double rope_base;
    bool llama31_rope;
};

extern const struct published published_models[];

/* rope_scaling of Llama 3.1, as JSON. */
extern const char published_llama31_rope[];

/* published_find - by its whole name, whatever the case; or NULL. */
const struct published *published_find(const char *name);

/* published_in - the one with the longest name inside text, or NULL. */
const struct published *published_in(const char *text);

/*
 * published_fits - are these the shapes of m?
 * v        by enum infer_number; vocabulary, dim, layers and inner count
 * kv, q    rows of all key heads, of all query heads
 */
bool published_fits(
    const struct published *m, const double *v, uint64_t kv, uint64_t q);

/* published_only - the only model with these shapes; NULL: none, or more. */
const struct published *published_only(
    const double *v, uint64_t kv, uint64_t q);

/* published_alike - "7B, CodeLlama-7b-Python-hf": all with these shapes. */
void published_alike(
    char *out, size_t len, const double *v, uint64_t kv, uint64_t q);

/* published_text - "32 layers of 4096, ..."; in out. */
const char *published_text(const struct published *m, char *out, size_t len);

#endif
