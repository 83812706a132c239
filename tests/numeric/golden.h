/*
 * golden.h - tiny models with the numbers that a reference framework gave
 * for them: tests/fixtures/forward/golden.json, read once by golden_load.
 * The weights come from the generator of tinymodel.h.
 */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include "base/json.h"
#include "tests/numeric/tinymodel.h"

enum {
    GOLDEN_IDS = 10,
    GOLDEN_VOCAB = 64,
    GOLDEN_CASES = 31,
    GOLDEN_TENSORS = 64, /* of a model, at most */
    GOLDEN_NAME = 80
};

struct golden_case {
    const char *name;
    const char *config; /* JSON text */
    struct tiny_tensor tensors[GOLDEN_TENSORS];
    size_t n_tensors;
    uint32_t argmax[GOLDEN_IDS];
    double row_l2[GOLDEN_IDS];
    double last_logits[GOLDEN_VOCAB];
};

static struct golden_case golden_cases[GOLDEN_CASES];
static uint32_t golden_ids[GOLDEN_IDS];

static inline void golden_bail(const char *what)
{
    printf("Bail out! golden.json: %s\n", what);
    _exit(1);
}

static inline size_t golden_numbers(
    const struct json *list, double *out, size_t max)
{
    size_t n = 0;

    for (const struct json *v = json_first(list); v != NULL; v = json_next(v)) {
        if (n == max || !json_double(v, &out[n]))
            golden_bail("a list of numbers");
        n++;
    }
    return n;
}

static inline void golden_ints(const struct json *list, uint32_t *out)
{
    double d[GOLDEN_IDS];

    if (golden_numbers(list, d, GOLDEN_IDS) != GOLDEN_IDS)
        golden_bail("a list of 10");
    for (int i = 0; i < GOLDEN_IDS; i++)
        out[i] = (uint32_t)d[i];
}

/* "a.{i}.b" becomes "a.0.b" of layer 0. */
static inline const char *golden_name(const char *stem, unsigned layer)
{
    const char *hole = strstr(stem, "{i}");
    char name[GOLDEN_NAME];

    if (hole == NULL)
        snprintf(name, sizeof(name), "%s", stem);
    else
        snprintf(name, sizeof(name), "%.*s%u%s", (int)(hole - stem), stem,
            layer, hole + 3);
    return strdup(name);
}

static inline void golden_tensor(
    struct golden_case *g, const struct json *v, unsigned layer)
{
    struct tiny_tensor *t = &g->tensors[g->n_tensors++];
    double shape[2] = { 0, 0 };

    if (g->n_tensors == GOLDEN_TENSORS)
        golden_bail("too many tensors");
    t->rank = (uint32_t)golden_numbers(v, shape, 2);
    t->shape[0] = (uint64_t)shape[0];
    t->shape[1] = (uint64_t)shape[1];
    t->name = golden_name(json_key(v), layer);
}

static inline void golden_read(
    struct golden_case *g, const struct json *v, unsigned layers)
{
    struct buf text = BUF_INIT(1 << 16);
    const struct json *t = json_get(v, "tensors");

    if (!json_str(json_get(v, "name"), &g->name))
        golden_bail("a name");
    g->name = strdup(g->name);
    json_write(&text, json_get(v, "config"));
    g->config = text.p;
    for (t = json_first(t); t != NULL; t = json_next(t))
        for (unsigned i = 0; i < layers; i++)
            if (i == 0 || strstr(json_key(t), "{i}") != NULL)
                golden_tensor(g, t, i);
    golden_ints(json_get(v, "argmax"), g->argmax);
    golden_numbers(json_get(v, "row_l2"), g->row_l2, GOLDEN_IDS);
    golden_numbers(json_get(v, "last_logits"), g->last_logits, GOLDEN_VOCAB);
}

/* golden_load - call it first; the working directory is the project's. */
static inline void golden_load(void)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    const struct json *v;
    struct err e = ERR_INIT;
    uint64_t layers = 0;
    int n = 0;

    if (json_read(&doc, "tests/fixtures/forward/golden.json", 1 << 20, &e) != 0)
        golden_bail(e.msg);
    json_u64(json_get(doc.root, "layers"), &layers);
    golden_ints(json_get(doc.root, "ids"), golden_ids);
    v = json_first(json_get(doc.root, "cases"));
    for (; v != NULL && n < GOLDEN_CASES; v = json_next(v))
        golden_read(&golden_cases[n++], v, (unsigned)layers);
    if (v != NULL || n != GOLDEN_CASES)
        golden_bail("the number of cases");
}

static inline const struct golden_case *golden_find(const char *name)
{
    for (int i = 0; i < GOLDEN_CASES; i++)
        if (strcmp(golden_cases[i].name, name) == 0)
            return &golden_cases[i];
    golden_bail(name);
    return NULL;
}

#endif
