#include "base/env.h"

#include <ctype.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"

const char *env_get(const char *name)
{
    const char *v = getenv(name);

    return v != NULL && *v != '\0' ? v : NULL;
}

bool env_true(const char *name)
{
    static const char *const yes[] = { "1", "on", "yes", "true" };
    const char *v = env_get(name);

    for (size_t i = 0; v != NULL && i < ARRAY_LEN(yes); i++)
        if (strcasecmp(v, yes[i]) == 0)
            return true;
    return false;
}

const char *env_home(void)
{
    const char *home = env_get("HOME");
    static _Thread_local char text[4096];
    struct passwd pw, *found = NULL;

    if (home != NULL)
        return home;
    if (getpwuid_r(getuid(), &pw, text, sizeof(text), &found) != 0 ||
        found == NULL || found->pw_dir == NULL)
        return "/";
    return found->pw_dir;
}

/* One "$NAME" or "${NAME}" at *at; an unknown name stays as it is. */
static void expand_name(const char **at, struct buf *out)
{
    const char *p = *at + 1;
    bool brace = *p == '{';
    const char *start = p + brace, *end = start;
    char name[128];
    const char *value;

    while (isalnum((unsigned char)*end) || *end == '_')
        end++;
    if (end == start || (size_t)(end - start) >= sizeof(name) ||
        (brace && *end != '}')) {
        buf_putc(out, '$');
        *at += 1;
        return;
    }
    memcpy(name, start, (size_t)(end - start));
    name[end - start] = '\0';
    end += brace;
    value = getenv(name);
    if (value != NULL)
        buf_puts(out, value);
    else
        buf_put(out, *at, (size_t)(end - *at));
    *at = end;
}

bool env_path(const char *name, char *out)
{
    struct buf b AUTO(buf_free) = BUF_INIT(PATH_MAX - 1);
    const char *p = env_get(name);

    if (p == NULL)
        return false;
    if (p[0] == '~' && (p[1] == '/' || p[1] == '\0')) {
        buf_puts(&b, env_home());
        p++;
    }
    while (*p != '\0') {
        if (*p == '$')
            expand_name(&p, &b);
        else
            buf_putc(&b, *p++);
    }
    if (b.bad != ERR_NONE || b.len == 0)
        return false;
    memcpy(out, b.p, b.len + 1);
    return true;
}
