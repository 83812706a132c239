#include "fetch/token.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "base/file.h"
#include "base/str.h"

/* In the order in which they are looked at. */
static const char *const variables[] = { "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN" };

void token_home(char *out)
{
    char base[PATH_MAX];

    if (env_path("HF_HOME", out))
        return;
    if (env_path("XDG_CACHE_HOME", base))
        snprintf(out, PATH_MAX, "%.4000s/huggingface", base);
    else
        snprintf(out, PATH_MAX, "%.4000s/.cache/huggingface", env_home());
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

/* Line ends go, wherever they are; then blanks at both ends. */
static int clean(struct token *out, struct str text, struct err *e)
{
    size_t n = 0;

    while (text.len > 0 && strchr(" \t\r\n\v\f", text.p[0]) != NULL) {
        text.p++;
        text.len--;
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if (c == '\r' || c == '\n')
            continue;
        if ((c < 0x20 && !is_space((char)c)) || c >= 0x7F ||
            n + 1 >= sizeof(out->value))
            return err_set(e, ERR_REFUSED,
                "the token from %s is not a token: it is too long or holds "
                "characters no token has",
                out->source);
        out->value[n++] = (char)c;
    }
    while (n > 0 && is_space(out->value[n - 1]))
        n--;
    out->value[n] = '\0';
    if (n == 0)
        out->source[0] = '\0';
    return 0;
}

static int from_env(struct token *out, const char *name, struct err *e)
{
    const char *v = env_get(name);

    if (v == NULL)
        return 0;
    snprintf(out->source, sizeof(out->source), "%s", name);
    return clean(out, str_of(v), e);
}

void token_path(char *out)
{
    char home[PATH_MAX];

    if (env_path("HF_TOKEN_PATH", out))
        return;
    token_home(home);
    snprintf(out, PATH_MAX, "%.4000s/token", home);
}

int token_set(
    struct token *out, struct str text, const char *source, struct err *e)
{
    *out = (struct token){ .value = "" };
    snprintf(out->source, sizeof(out->source), "%s", source);
    return clean(out, text, e);
}

static int from_file(struct token *out, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(2 * TOKEN_MAX);
    char path[PATH_MAX];

    token_path(path);
    if (access(path, F_OK) != 0)
        return 0;
    snprintf(out->source, sizeof(out->source), "the file %s", path);
    if (file_slurp(path, &b, e) != 0) {
        err_ctx(e, "reading the token");
        return err_hint(
            e, "make the file readable, mlfetch login again, or set HF_TOKEN");
    }
    return clean(out, buf_str(&b), e);
}

const char *token_variable(void)
{
    for (size_t i = 0; i < ARRAY_LEN(variables); i++)
        if (env_get(variables[i]) != NULL)
            return variables[i];
    return NULL;
}

int token_find(struct token *out, struct err *e)
{
    *out = (struct token){ .value = "" };
    if (env_true("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(variables) && out->value[0] == '\0'; i++)
        if (from_env(out, variables[i], e) != 0)
            return -1;
    return out->value[0] == '\0' ? from_file(out, e) : 0;
}
