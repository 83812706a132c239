/*
 * textset.h - the built-in texts a model is asked to expect: plain prose
 * that any language model has seen the like of, and lines of code and of
 * other languages. They are part of the program, so that a number can be
 * compared between machines and years: whoever changes them raises
 * TEXTSET_VERSION.
 */
#ifndef VERIFY_RUN_TEXTSET_H
#define VERIFY_RUN_TEXTSET_H

struct passage {
    const char *name; /* "story" */
    const char *text;
};

enum { TEXTSET_COUNT = 6, TEXTSET_VERSION = 1 };

extern const struct passage textset[TEXTSET_COUNT];

#endif
