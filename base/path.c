#include "base/path.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

size_t path_len(const char *path)
{
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/')
        n--;
    return n;
}

void path_dir(char *out, size_t out_len, const char *path)
{
    size_t n = path_len(path);

    while (n > 0 && path[n - 1] != '/')
        n--;
    while (n > 1 && path[n - 1] == '/')
        n--;
    if (n == 0)
        snprintf(out, out_len, ".");
    else
        snprintf(out, out_len, "%.*s", (int)n, path);
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

int path_fmt(char *out, struct err *e, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(out, PATH_MAX, fmt, ap);
    va_end(ap);
    if (n < 0 || n >= PATH_MAX)
        return err_set(e, ERR_USAGE, "%.200s...: path too long", out);
    return 0;
}

int path_join(char *out, const char *dir, const char *name, struct err *e)
{
    return path_fmt(out, e, "%s/%s", dir, name);
}

static int refuse(struct str path, const char *why, struct err *e)
{
    return err_set(e, ERR_REFUSED, "unsafe file name '%.*s': %s",
        path.len > 200 ? 200 : (int)path.len, path.p, why);
}

int path_check(struct str path, struct err *e)
{
    size_t start = 0;

    if (path.len == 0 || path.len > 1024)
        return refuse(path, "empty or longer than 1024 bytes", e);
    if (path.p[0] == '/' || (path.len > 1 && path.p[1] == ':'))
        return refuse(path, "absolute path", e);
    for (size_t i = 0; i <= path.len; i++) {
        unsigned char c = i < path.len ? (unsigned char)path.p[i] : '/';
        size_t n = i - start;

        if (c < 0x20 || c == 0x7F)
            return refuse(path, "control character", e);
        if (c == '\\')
            return refuse(path, "backslash", e);
        if (c != '/')
            continue;
        if (n == 0 || (n == 1 && path.p[start] == '.'))
            return refuse(path, "empty or '.' component", e);
        if (n == 2 && path.p[start] == '.' && path.p[start + 1] == '.')
            return refuse(path, "'..' component", e);
        if (n > 255)
            return refuse(path, "component longer than 255 bytes", e);
        start = i + 1;
    }
    return 0;
}

int path_clean(char *out, const char *text, struct err *e)
{
    if (path_fmt(out, e, "%.*s", (int)path_len(text), text) != 0)
        return -1;
    return path_check(str_of(out), e);
}
