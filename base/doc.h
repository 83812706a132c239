/*
 * doc.h - help, manual page and shell completion, all from the tables that
 * parse the command line (cmd.h, opt.h).
 */
#ifndef BASE_DOC_H
#define BASE_DOC_H

#include "base/cmd.h"

/* The options every command has besides its own. */
extern const struct opt doc_common[];

/* doc_help - of one command; c NULL: of the program, listing its commands. */
void doc_help(struct buf *out, const struct program *p, const struct cmd *c);

/* doc_man - the page for section 1, man(7) macros. */
void doc_man(struct buf *out, const struct program *p);

/* doc_completion - for "bash", "zsh" or "fish"; else -1 with *e: USAGE. */
int doc_completion(
    struct buf *out, const struct program *p, const char *shell, struct err *e);

/* doc_wrap - text as paragraphs (split by "\n\n") of at most 79 columns. */
void doc_wrap(struct buf *out, const char *text);

#endif
