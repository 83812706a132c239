/*
 * log.h - messages for people, on stderr only.
 *
 * The level is the one global of the suite. A line is written whole; while a
 * progress display is on the screen it is taken away for the line and drawn
 * again after it (see log_set_screen). In a scope (scope.h) a line, and what
 * counts, is its owner's.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* log_set_name - the program's name, put in front of every line. */
void log_set_name(const char *program);

/* log_set_screen - hide is called before a line is written, show after. */
void log_set_screen(void (*hide)(void), void (*show)(void));

/*
 * log_set_fd - where lines go, in place of stderr. One that cannot be written,
 * since the descriptor does not wait, is lost; the next that can be says so.
 */
void log_set_fd(int fd);

/* One line each: "PROGRAM: warning: text". Info lines carry no level word. */
void log_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_debug(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* log_err - "PROGRAM: error: what: why", then "hint: what to do". */
void log_err(const struct err *e);

#endif
