#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/scope.h"

static enum log_level level = LOG_INFO;
static const char *name = "ml";
static void (*screen_hide)(void);
static void (*screen_show)(void);
static int out = STDERR_FILENO;
static unsigned long long lost; /* lines */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void log_set_level(enum log_level l)
{
    level = l;
}

bool log_enabled(enum log_level l)
{
    const struct scope *s = scope_now();

    return l <= (s != NULL ? s->level : level);
}

void log_set_name(const char *program)
{
    name = program;
}

void log_set_screen(void (*hide)(void), void (*show)(void))
{
    pthread_mutex_lock(&lock);
    screen_hide = hide;
    screen_show = show;
    pthread_mutex_unlock(&lock);
}

void log_set_fd(int fd)
{
    pthread_mutex_lock(&lock);
    out = fd;
    pthread_mutex_unlock(&lock);
}

static void put_line(const char *word, const char *text)
{
    pthread_mutex_lock(&lock);
    if (screen_hide != NULL)
        screen_hide();
    if (lost > 0 && dprintf(out, "%s: warning: %llu lines were lost here\n",
                        name, lost) > 0)
        lost = 0;
    lost += dprintf(out, "%s: %s%s\n", name, word, text) < 0;
    if (screen_show != NULL)
        screen_show();
    pthread_mutex_unlock(&lock);
}

PRINTF_LIKE(3, 0)
static void put_format(
    enum log_level l, const char *word, const char *fmt, va_list ap)
{
    struct scope *s = scope_now();
    char raw[1024], text[1024];

    if (!log_enabled(l))
        return;
    vsnprintf(raw, sizeof(raw), fmt, ap);
    err_escape(text, sizeof(text), raw);
    if (s == NULL)
        put_line(word, text);
    else if (s->say != NULL)
        s->say(s, l, text);
}

void log_warn(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    put_format(LOG_WARN, "warning: ", fmt, ap);
    va_end(ap);
}

void log_info(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    put_format(LOG_INFO, "", fmt, ap);
    va_end(ap);
}

void log_debug(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    put_format(LOG_DEBUG, "debug: ", fmt, ap);
    va_end(ap);
}

void log_err(const struct err *e)
{
    char text[sizeof(e->msg) + sizeof(e->hint) + 16];

    if (e->hint[0] != '\0')
        snprintf(text, sizeof(text), "%s\nhint: %s", e->msg, e->hint);
    else
        snprintf(text, sizeof(text), "%s", e->msg);
    put_line("error: ", text);
}
