/*
 * cmd.h - a program is a table of commands; main() hands argv to cmd_main.
 *
 * cmd_main() knows --help, --version, --progress, -q and -v on every program
 * and command, prints what went wrong with a hint, and turns it into the
 * exit status. Hidden, for make install: --print-man, and
 * --print-completion bash|zsh|fish.
 *
 * Only this file, opt.c and the programs' cmd_*.c write to stdout.
 */
#ifndef BASE_CMD_H
#define BASE_CMD_H

#include "base/opt.h"
#include "base/progress.h"

/* What every command may use besides its own options. */
struct cmd_ctx {
    const char *program; /* "mlfetch" */
    enum progress_mode progress;
    bool quiet;   /* -q: warnings and errors only */
    bool verbose; /* -v: debug messages too */
};

struct cmd_example {
    const char *line; /* the command as typed */
    const char *what; /* what it does */
};

struct cmd {
    const char *name;  /* NULL in a program that has one command only */
    const char *args;  /* e.g. "REPO[@REV]...", "" */
    const char *brief; /* one line, lower case, no full stop */
    const char *text;  /* more, paragraphs split by "\n\n"; or NULL */
    const struct opt *opts;
    const void *defaults; /* an options struct to start from, or NULL: zero */
    size_t opts_size;     /* sizeof that struct */
    int min_args;
    int max_args; /* -1: no limit */
    /*
     * opts is the filled-in struct, argv holds argc arguments. Returns 0, or
     * -1 with *e. ERR_VERDICT with an empty text: the answer is no and was
     * printed already.
     */
    int (*run)(const struct cmd_ctx *ctx, void *opts, int argc, char **argv,
        struct err *e);
    const struct cmd_example *examples; /* ended by line == NULL; or NULL */
};

struct program {
    const char *name;
    const char *brief;
    const char *text;              /* or NULL */
    const struct cmd *const *cmds; /* ended by NULL */
    const char *environment;       /* man page section, or NULL: lines of
                                      "NAME\tmeaning" split by "\n" */
};

/* cmd_print - write text to stdout whole; for a command's run(). */
int cmd_print(const struct buf *text, struct err *e);

/* cmd_flush - let it be seen now. 0, or -1 with *e. */
int cmd_flush(struct err *e);

/* cmd_main - run it; returns the exit status for main(). */
int cmd_main(const struct program *p, int argc, char **argv);

#endif
