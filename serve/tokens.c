#include "serve/tokens.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cache/look.h"

#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/hex.h"
#include "fetch/pattern.h"

enum { FILE_MAX = 16 << 20, TOKEN_LEAST = 37, TOKEN_MOST = 512 };

struct guest {
    struct digest digest; /* of the token */
    const char **may;     /* patterns of look_name */
    size_t n_may;
};

struct tokens {
    struct arena arena;
    struct guest *v;
    size_t n;
};

void tokens_free(struct tokens *t)
{
    if (t == NULL)
        return;
    arena_free(&t->arena);
    free(t);
}

size_t tokens_count(const struct tokens *t)
{
    return t->n;
}

/* The next word of a line; "" at its end. */
static struct str next_word(struct str *line)
{
    struct str word;

    while (line->len > 0 && isspace((unsigned char)*line->p)) {
        line->p++;
        line->len--;
    }
    word = (struct str){ line->p, 0 };
    while (line->len > 0 && !isspace((unsigned char)*line->p)) {
        line->p++;
        line->len--;
        word.len++;
    }
    return word;
}

/* Without what stands behind '#', which neither token nor name can have. */
static struct str next_line(struct str *text)
{
    const char *end = memchr(text->p, '\n', text->len), *comment;
    struct str line = { text->p,
        end != NULL ? (size_t)(end - text->p) : text->len };

    text->p += line.len + (end != NULL);
    text->len -= line.len + (end != NULL);
    comment = memchr(line.p, '#', line.len);
    if (comment != NULL)
        line.len = (size_t)(comment - line.p);
    return line;
}

static bool has_shape(struct str token)
{
    if (token.len < TOKEN_LEAST || token.len > TOKEN_MOST ||
        !str_starts(token, "hf_"))
        return false;
    for (size_t i = 3; i < token.len; i++)
        if (!isalnum((unsigned char)token.p[i]) && token.p[i] != '_')
            return false;
    return true;
}

static int read_digest(struct str word, const char *name, unsigned long at,
    struct digest *out, struct err *e)
{
    if (str_starts(word, "sha256:")) {
        word.p += 7;
        word.len -= 7;
        if (word.len == 64 && digest_parse(out, word))
            return 0;
        return err_set(e, ERR_REFUSED,
            "%s: line %lu: after 'sha256:' stand 64 hexadecimal digits", name,
            at);
    }
    if (has_shape(word))
        return hash_bytes(HASH_SHA256, word.p, word.len, out, e);
    err_set(
        e, ERR_REFUSED, "%s: line %lu does not begin with a token", name, at);
    return err_hint(e,
        "a token is 'hf_' and 34 or more letters and digits: Hub clients "
        "send no other");
}

static int read_guest(struct tokens *t, struct str line, const char *name,
    unsigned long at, struct err *e)
{
    struct guest *g = &t->v[t->n];
    struct str word = next_word(&line), rest = line;
    size_t n = 0;

    if (word.len == 0)
        return 0;
    if (read_digest(word, name, at, &g->digest, e) != 0)
        return -1;
    while (next_word(&rest).len > 0)
        n++;
    if (n == 0)
        return err_set(e, ERR_REFUSED,
            "%s: line %lu does not say what the token may have", name, at);
    g->may = arena_alloc(&t->arena, n, sizeof(*g->may), e);
    if (g->may == NULL)
        return -1;
    for (; g->n_may < n; g->n_may++) {
        g->may[g->n_may] = arena_str(&t->arena, next_word(&line), e).p;
        if (g->may[g->n_may] == NULL)
            return -1;
    }
    t->n++;
    return 0;
}

struct tokens *tokens_parse(struct str text, const char *name, struct err *e)
{
    struct tokens *t = calloc(1, sizeof(*t));
    struct str rest = text;
    unsigned long lines = 1;

    if (t == NULL) {
        err_set(e, ERR_NOMEM, "no memory for the tokens");
        return NULL;
    }
    t->arena = (struct arena)ARENA_INIT(256 << 20);
    for (size_t i = 0; i < text.len; i++)
        lines += text.p[i] == '\n';
    t->v = arena_alloc(&t->arena, lines, sizeof(*t->v), e);
    for (unsigned long at = 1; t->v != NULL && at <= lines; at++)
        if (read_guest(t, next_line(&rest), name, at, e) != 0) {
            tokens_free(t);
            return NULL;
        }
    if (t->v == NULL || t->n == 0) {
        err_set(e, ERR_REFUSED, "%s: there is no token in it", name);
        tokens_free(t);
        return NULL;
    }
    return t;
}

struct tokens *tokens_read(const char *path, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(FILE_MAX);
    struct tokens *t;

    if (file_slurp(path, &text, e) != 0)
        return NULL;
    t = tokens_parse(buf_str(&text), path, e);
    explicit_bzero(text.p, text.len);
    return t;
}

/* As long, whatever is in them. */
static bool same(const char *a, const char *b, size_t n)
{
    volatile unsigned char differ = 0;

    for (size_t i = 0; i < n; i++)
        differ = (unsigned char)(differ |
                                 ((unsigned char)a[i] ^ (unsigned char)b[i]));
    return differ == 0;
}

static const struct guest *find(const struct tokens *t, struct str token)
{
    const struct guest *found = NULL;
    struct err ignored = ERR_INIT;
    struct digest digest;

    if (hash_bytes(HASH_SHA256, token.p, token.len, &digest, &ignored) != 0)
        return NULL;
    for (size_t i = 0; i < t->n; i++)
        if (same(t->v[i].digest.hex, digest.hex, 64))
            found = &t->v[i];
    return found;
}

static enum tokens_answer known(
    const struct tokens *t, const char *header, const struct guest **out)
{
    struct str rest, token;

    if (header == NULL || *header == '\0')
        return TOKENS_NO_TOKEN;
    if (strncasecmp(header, "Bearer ", 7) != 0)
        return TOKENS_WRONG;
    rest = str_of(header + 7);
    token = next_word(&rest);
    if (token.len > TOKEN_MOST)
        return TOKENS_WRONG;
    *out = find(t, token);
    return *out != NULL ? TOKENS_YES : TOKENS_WRONG;
}

enum tokens_answer tokens_check(
    const struct tokens *t, const char *header, const struct repo *repo)
{
    const struct guest *g = NULL;
    enum tokens_answer said = known(t, header, &g);
    char name[192];

    if (said != TOKENS_YES || repo == NULL)
        return said;
    look_name(repo, name);
    return pattern_chosen(g->may, g->n_may, NULL, 0, str_of(name))
               ? TOKENS_YES
               : TOKENS_NOT_THIS;
}

enum tokens_answer tokens_check_all(const struct tokens *t, const char *header)
{
    const struct guest *g = NULL;
    enum tokens_answer said = known(t, header, &g);

    for (size_t i = 0; said == TOKENS_YES && i < g->n_may; i++)
        if (strcmp(g->may[i], "*") == 0)
            return TOKENS_YES;
    return said == TOKENS_YES ? TOKENS_NOT_THIS : said;
}
