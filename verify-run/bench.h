/*
 * bench.h - how fast models answer: each is warmed up with a few tokens,
 * then the same prompt is continued several times, greedily, always by the
 * same number of tokens, whatever they are. A run's time holds the prompt's
 * pass. Models are measured one after the other, each alone in memory.
 */
#ifndef VERIFY_RUN_BENCH_H
#define VERIFY_RUN_BENCH_H

#include "verify-run/prompt.h"

enum {
    BENCH_WARM_UP = 20, /* tokens */
    BENCH_RUNS = 5,
    BENCH_TOKENS = 100
};

struct bench_opts {
    struct prompt_wish wish;
    uint32_t n_new;     /* tokens of each run; less where the context ends */
    const char *dtype;  /* what was asked for: "stored" */
    const char *volume; /* where models are looked for, or NULL */
    struct session_opts session; /* its path is each model's */
};

/* One model's row. */
struct bench_model {
    const char *name; /* as the user wrote it */
    struct err why;   /* of kind NONE when it was measured */
    const char *architecture;
    uint64_t parameters;
    uint64_t bytes;       /* of its weights */
    uint64_t token_bytes; /* of them that one token reads */
    enum dtype dtype;     /* of most of them */
    bool int8;            /* some are quantised */
    const char *backend;
    char device[BACKEND_DEVICE_MAX];
    double load_seconds;
    uint32_t n_prompt;
    uint32_t n_new;               /* tokens of each run */
    double seconds[BENCH_RUNS];   /* of each run */
    double first_token_seconds;   /* mean of the prompts' passes */
    double mean_seconds;          /* of a run */
    double std_seconds;           /* their standard deviation, n - 1 */
    double tokens_per_second;     /* n_new / mean_seconds */
    double std_tokens_per_second; /* of the runs' own rates */
    double gb_per_second;         /* token_bytes * tokens_per_second */
    uint64_t peak_memory;         /* bytes, while it was measured */
};

/*
 * bench_run - measure one model
 * Returns  0 also when it could not be: out->why says so; -1 with *e:
 *          CANCELLED
 */
int bench_run(struct bench_model *out, const char *name,
    const struct bench_opts *o, struct err *e);

/* bench_text - a table with a bar for each model. */
void bench_text(struct buf *out, const struct bench_model *v, size_t n);

/* bench_json - one document, ml-run(5). */
void bench_json(struct buf *out, const struct bench_model *v, size_t n,
    const struct bench_opts *o);

/* bench_deviation - the standard deviation (n - 1) of n values. */
double bench_deviation(const double *v, size_t n);

#endif
