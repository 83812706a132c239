/* commands.h - the commands of mlverify-run, for its main(). */
#ifndef VERIFY_RUN_COMMANDS_H
#define VERIFY_RUN_COMMANDS_H

#include "base/cmd.h"
#include "verify-run/bench.h"

extern const struct cmd cmd_run;

/* Where the results of --bench go. */
struct bench_out {
    bool json;        /* to stdout, instead of the table */
    const char *file; /* the document as well, or NULL */
};

/*
 * cmd_bench - measure models; those that cannot be are told in their row
 * Returns  0, or -1 with the first failure, printed rows or not
 */
int cmd_bench(const struct bench_opts *o, const struct bench_out *to, int argc,
    char **argv, struct err *e);

#endif
