/*
 * tap.h - the few lines a unit test needs: one "ok" or "not ok" per promise,
 * the plan at the end. Each test is a program of its own.
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_n;
static int tap_failed;

/* ok - one promise; the name says which. Returns cond. */
__attribute__((format(printf, 2, 3))) static inline bool ok(bool cond,
    const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    printf("%sok %d - ", cond ? "" : "not ", ++tap_n);
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
    if (!cond)
        tap_failed++;
    fflush(stdout);
    return cond;
}

/* is_str, is_int - equal, and both shown when they are not. */
static inline bool is_str(const char *got, const char *want, const char *name)
{
    bool same = strcmp(got, want) == 0;

    ok(same, "%s", name);
    if (!same)
        printf("#   got  '%s'\n#   want '%s'\n", got, want);
    return same;
}

static inline bool is_int(long long got, long long want, const char *name)
{
    ok(got == want, "%s", name);
    if (got != want)
        printf("#   got  %lld\n#   want %lld\n", got, want);
    return got == want;
}

/* skip - counted as skipped, never as passed. */
static inline void skip(const char *name, const char *why)
{
    printf("ok %d - %s # SKIP %s\n", ++tap_n, name, why);
}

/* done - the plan; return this from main. */
static inline int done(void)
{
    printf("1..%d\n", tap_n);
    return tap_failed > 0;
}

#endif
