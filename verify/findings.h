/*
 * findings.h - what was checked and what came out, collected before anything
 * is printed. Every problem is kept, not only the first.
 *
 * Added to by one thread. Texts may hold any byte: whoever prints escapes.
 */
#ifndef VERIFY_FINDINGS_H
#define VERIFY_FINDINGS_H

#include <limits.h>

#include "base/arena.h"

enum check_result {
    CHECK_OK,
    CHECK_FAIL,
    CHECK_SKIP, /* not checked; the detail says why */
    CHECK_NOTE  /* worth knowing, not a failure */
};

struct check {
    enum check_result result;
    enum err_kind kind; /* of a failure; decides the exit status */
    const char *name;   /* "structure", "digest", ...; a literal */
    struct str detail;
};

struct findings {
    struct arena arena;
    struct check *checks;
    size_t n;
    size_t cap;
    enum err_kind bad; /* NOMEM once something could not be kept */
};

#define FINDINGS_INIT                                                          \
    {                                                                          \
        .arena = ARENA_INIT((uint64_t)256 << 20)                               \
    }

void findings_free(struct findings *r);

/* One check each. Running out of memory is sticky: findings_check(). */
void findings_ok(struct findings *r, const char *name, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void findings_skip(struct findings *r, const char *name, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void findings_note(struct findings *r, const char *name, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void findings_fail(struct findings *r, const char *name, enum err_kind kind,
    const char *fmt, ...) PRINTF_LIKE(4, 5);

/* findings_err - a failure somebody else described; *why is cleared. */
void findings_err(struct findings *r, const char *name, struct err *why);

/*
 * One check that may fail many times: the first 20 problems are told one by
 * one, the rest are counted by problems_end().
 */
struct problems {
    struct findings *report;
    const char *name;
    enum err_kind kind;
    size_t n;
};

#define PROBLEMS_INIT(r, what, k)                                              \
    {                                                                          \
        .report = (r), .name = (what), .kind = (k)                             \
    }

void problem(struct problems *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
void problems_end(const struct problems *p);

/* findings_check - 0, or -1 with *e: NOMEM when the report is not whole. */
int findings_check(const struct findings *r, struct err *e);

/* findings_failed - how many checks failed. */
size_t findings_failed(const struct findings *r);

/*
 * findings_worst - the kind that decides the exit status: REFUSED before
 * CORRUPT before VERDICT before all others; ERR_NONE when nothing failed
 */
enum err_kind findings_worst(const struct findings *r);

/* findings_worse - the one of two kinds that decides. */
enum err_kind findings_worse(enum err_kind a, enum err_kind b);

/* "ok", "fail", "skip", "note". */
const char *check_result_name(enum check_result result);

#endif
