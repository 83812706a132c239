#include "s3/ini.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "base/file.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct str trim(struct str s)
{
    while (s.len > 0 && is_blank(s.p[0])) {
        s.p++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.p[s.len - 1]))
        s.len--;
    return s;
}

/* The next line, without its end; false behind the last. */
static bool next_line(struct str *text, struct str *line)
{
    const char *end;

    if (text->len == 0)
        return false;
    end = memchr(text->p, '\n', text->len);
    line->p = text->p;
    line->len = end != NULL ? (size_t)(end - text->p) : text->len;
    text->p += line->len + (end != NULL);
    text->len -= line->len + (end != NULL);
    return true;
}

/* "[ name ]" - the name, with one blank where there are several. */
static bool is_section(struct str line, const char *name)
{
    struct str s = trim(line), want = str_of(name);
    size_t i = 0, k = 0;

    if (s.len < 2 || s.p[0] != '[')
        return false;
    s = (struct str){ s.p + 1, s.len - 1 };
    if (memchr(s.p, ']', s.len) == NULL)
        return false;
    s.len = (size_t)((const char *)memchr(s.p, ']', s.len) - s.p);
    s = trim(s);
    while (i < s.len && k < want.len) {
        if (s.p[i] == '"' || s.p[i] == '\'') { /* [profile "name"] */
            i++;
            continue;
        }
        if (is_blank(s.p[i]) != is_blank(want.p[k]) ||
            (!is_blank(s.p[i]) && s.p[i] != want.p[k]))
            return false;
        while (is_blank(s.p[i]) && i + 1 < s.len && is_blank(s.p[i + 1]))
            i++;
        i++;
        k++;
    }
    while (i < s.len && (s.p[i] == '"' || s.p[i] == '\''))
        i++;
    return i == s.len && k == want.len;
}

/* "name = value # said" - the value; false: another name's line. */
static bool is_value(struct str line, const char *name, struct str *out)
{
    const char *at = memchr(line.p, '=', line.len);
    struct str v;

    if (at == NULL ||
        !str_is(trim((struct str){ line.p, (size_t)(at - line.p) }), name))
        return false;
    v = (struct str){ at + 1, line.len - (size_t)(at + 1 - line.p) };
    for (size_t i = 1; i < v.len; i++)
        if ((v.p[i] == '#' || v.p[i] == ';') && is_blank(v.p[i - 1]))
            v.len = i;
    *out = trim(v);
    return true;
}

bool s3_ini_has(struct str text, const char *section)
{
    struct str line;

    while (next_line(&text, &line))
        if (is_section(line, section))
            return true;
    return false;
}

bool s3_ini_get(struct str text, const char *section, const char *under,
    const char *key, struct str *out)
{
    bool in = false, below = false, found = false;
    struct str line, v;

    while (next_line(&text, &line)) {
        struct str s = trim(line);

        if (s.len == 0 || s.p[0] == '#' || s.p[0] == ';')
            continue;
        if (s.p[0] == '[') {
            in = is_section(line, section);
            below = false;
            continue;
        }
        if (!is_blank(line.p[0]))
            below = under != NULL && is_value(line, under, &v) && v.len == 0;
        if (!in || (under != NULL) != is_blank(line.p[0]) ||
            (under != NULL && !below) || !is_value(line, key, &v))
            continue;
        *out = v;
        found = true;
    }
    return found;
}

/* ---- the two files ---- */

static int read_one(struct buf *out, char path[PATH_MAX], const char *variable,
    const char *usual, struct err *e)
{
    if (!env_path(variable, path))
        snprintf(path, PATH_MAX, "%.4000s/.aws/%s", env_home(), usual);
    if (access(path, F_OK) != 0)
        return 0;
    if (file_slurp(path, out, e) != 0)
        return err_hint(
            e, "make the file readable, or name another one in %s", variable);
    return 0;
}

/* What the profile is called in the file of settings. */
static const char *config_section(
    const struct s3_profile *p, char out[sizeof(p->name) + 16])
{
    snprintf(out, sizeof(p->name) + 16, "profile %s", p->name);
    if (strcmp(p->name, "default") == 0 &&
        !s3_ini_has(buf_str(&p->config), out))
        snprintf(out, sizeof(p->name) + 16, "default");
    return out;
}

int s3_profile_read(struct s3_profile *out, const char *name, struct err *e)
{
    const char *env = env_get("AWS_PROFILE");
    char section[sizeof(out->name) + 16];

    out->named = name != NULL && name[0] != '\0';
    if (!out->named)
        name = env != NULL ? env : "default";
    if (strlen(name) >= sizeof(out->name))
        return err_set(e, ERR_USAGE, "no profile has so long a name");
    snprintf(out->name, sizeof(out->name), "%s", name);
    if (read_one(&out->credentials, out->credentials_path,
            "AWS_SHARED_CREDENTIALS_FILE", "credentials", e) != 0 ||
        read_one(&out->config, out->config_path, "AWS_CONFIG_FILE", "config",
            e) != 0)
        return -1;
    if ((out->named || env != NULL) &&
        !s3_ini_has(buf_str(&out->credentials), out->name) &&
        !s3_ini_has(buf_str(&out->config), config_section(out, section))) {
        err_set(e, ERR_USAGE, "there is no profile %s in %s nor in %s",
            out->name, out->credentials_path, out->config_path);
        return err_hint(e, "%s",
            out->named ? "name one that is there"
                       : "AWS_PROFILE names it: unset it, or write it there");
    }
    return 0;
}

bool s3_profile_get(const struct s3_profile *p, const char *under,
    const char *key, struct str *out, const char **source)
{
    char section[sizeof(p->name) + 16];

    if (s3_ini_get(buf_str(&p->credentials), p->name, under, key, out)) {
        *source = p->credentials_path;
        return true;
    }
    *source = p->config_path;
    return s3_ini_get(
        buf_str(&p->config), config_section(p, section), under, key, out);
}

static void wipe(struct buf *b)
{
    if (b->cap > 0)
        explicit_bzero(b->p, b->len);
    buf_free(b);
}

void s3_profile_free(struct s3_profile *p)
{
    wipe(&p->credentials);
    wipe(&p->config);
}
