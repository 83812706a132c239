/* shell_internal.h - what the completions of all shells are made from. */
#ifndef BASE_SHELL_INTERNAL_H
#define BASE_SHELL_INTERNAL_H

#include "base/doc.h"

enum { SHELL_ARGS_MAX = 8, SHELL_OPTS_MAX = 96 };

enum shell_kind {
    KIND_NONE,
    KIND_WORDS, /* one of a few */
    KIND_FILES,
    KIND_DIRS,
    KIND_VOLUMES, /* a name below MLFETCH_VOLUMES, or a folder */
    KIND_NAMES,   /* in the volume that is the first argument */
    KIND_REPOS,   /* that the hub cache holds */
    KIND_MODELS   /* one of these, or a file */
};

/* Their names: in the generated text, a function's is "_PROGRAM_NAME". */
extern const char *const shell_kinds[];

struct shell_arg {
    enum shell_kind kind;
    struct str called; /* "VOLUME", or "create|ls|rm" */
    bool optional;
    bool many; /* it, and all behind it */
};

/* shell_args - what the arguments of a command are; returns how many. */
size_t shell_args(const struct cmd *c, struct shell_arg out[SHELL_ARGS_MAX]);

/* shell_opts - the options that are shown, its own and those that all have. */
size_t shell_opts(const struct cmd *c, const struct opt *out[SHELL_OPTS_MAX]);

bool shell_takes(const struct opt *o); /* an argument */
enum shell_kind shell_kind(const struct opt *o);

/* shell_put - text, with every '@' the name of the program's functions. */
void shell_put(struct buf *out, const struct program *p, const char *text);

/* The words of a choice, or of "create|ls|rm", with something between. */
void shell_choices(
    struct buf *out, const char *const *choices, const char *between);
void shell_words(struct buf *out, struct str words, char between);

/* All of a shell's file for a program. */
void shell_bash(struct buf *out, const struct program *p);
void shell_zsh(struct buf *out, const struct program *p);
void shell_fish(struct buf *out, const struct program *p);

#endif
