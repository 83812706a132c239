/* password.h - asking for a secret (a password, a token) without showing it. */
#ifndef BASE_PASSWORD_H
#define BASE_PASSWORD_H

#include "base/err.h"

/*
 * password_ask - one line from the terminal, with echo off; where standard
 * input is no terminal, its next line
 * out      of len bytes; the caller wipes it
 * what     what it is, for messages: "password", "token"
 * Returns  0, or -1 with *e: USAGE (none is given, or too long), CANCELLED,
 *          IO; the terminal is as before in any case
 */
int password_ask(
    char *out, size_t len, const char *what, const char *prompt, struct err *e);

#endif
