/*
 * shortname.h - a repository as the user writes it on the command line: an
 * id, or one of a few short names, with a revision behind it or beside it.
 */
#ifndef FETCH_SHORTNAME_H
#define FETCH_SHORTNAME_H

#include "cache/hubdir.h"

/* For --help: all short names. */
#define SHORTNAME_HELP                                                         \
    "Short names: tinyllama (TinyLlama/TinyLlama-1.1B-Chat-v1.0), "            \
    "llama3.2-1b (meta-llama/Llama-3.2-1B-Instruct), stablelm "                \
    "(stabilityai/stablelm-2-1_6b-chat), pythia-1b "                           \
    "(EleutherAI/pythia-1b), pythia-12b (EleutherAI/pythia-12b)."

/*
 * shortname_parse - like repo_parse, and short names are known
 * revision  of an option, or NULL
 * Returns   0, or -1 with *e: USAGE (also: two revisions)
 */
int shortname_parse(struct repo *out, enum repo_type type, const char *revision,
    const char *text, struct err *e);

#endif
