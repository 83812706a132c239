/*
 * opt.h - option tables. One const table per command is its parser, its
 * --help, the OPTIONS part of its manual page and its shell completion.
 *
 * A value lands in a plain struct of the caller's at the offset the entry
 * names. No statics, no callbacks. GNU habits: "--name value",
 * "--name=value", "-n value", "-nvalue", bundled flags, "--" ends the
 * options, options and arguments may mix, unambiguous prefixes are refused
 * (scripts must not break when a table grows).
 */
#ifndef BASE_OPT_H
#define BASE_OPT_H

#include "base/buf.h"
#include "base/err.h"

enum opt_type {
    OPT_FLAG,   /* bool: set to true */
    OPT_STR,    /* const char *: points into argv */
    OPT_LIST,   /* struct opt_list: may be given several times */
    OPT_INT,    /* int64_t, checked against min..max */
    OPT_SIZE,   /* uint64_t bytes, "10M", "1.5GB" (human.h) */
    OPT_CHOICE, /* int: index into choices */
    OPT_SET     /* int: set to the entry's min; several options, one choice */
};

struct opt_list {
    const char **v; /* points into argv; freed by opt_list_free */
    size_t n;
};

struct opt {
    char letter;      /* 0 when there is none */
    const char *name; /* without dashes; NULL ends a table */
    enum opt_type type;
    size_t at;        /* offsetof the value in the options struct */
    const char *arg;  /* what the argument is called, e.g. "N", "GLOB" */
    const char *help; /* one sentence, lower case, no full stop */
    int64_t min, max; /* OPT_INT */
    const char *const *choices; /* OPT_CHOICE, ended by NULL */
};

#define OPT_END                                                                \
    {                                                                          \
        .name = NULL                                                           \
    }

/*
 * opt_parse - take the options out of argv
 * tables     n_tables option tables; values[i] is the struct of tables[i]
 * argc/argv  arguments without the program's name; permuted so that the
 *            remaining arguments come first
 * Returns    the number of remaining arguments, or -1 with *e: USAGE,
 *            naming the option as the user wrote it
 */
int opt_parse(const struct opt *const *tables, void *const *values,
    size_t n_tables, int argc, char **argv, struct err *e);

void opt_list_free(struct opt_list *l);

/* opt_help - append the table as help text, at most 80 columns. */
void opt_help(struct buf *out, const struct opt *table);

/* opt_man - append the table as man(7) .TP entries. */
void opt_man(struct buf *out, const struct opt *table);

#endif
