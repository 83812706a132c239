#include "fetch/account.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/file.h"
#include "base/path.h"

enum { STORED_MAX = 1 << 20, SECTIONS_MAX = 1024, POLL_MS = 100, POLLS = 300 };

/* One "[name]" of stored_tokens: its lines, as they are. */
struct section {
    struct str name;
    struct str body;
};

struct stored {
    char path[PATH_MAX];
    struct buf text;
    struct section v[SECTIONS_MAX];
    size_t n;
};

static void wipe(struct buf *b)
{
    if (b->cap > 0)
        explicit_bzero(b->p, b->cap);
    buf_free(b);
}

static void stored_free(struct stored **s)
{
    if (*s != NULL)
        wipe(&(*s)->text);
    free(*s);
}

static struct str line_of(struct str *text)
{
    const char *end = memchr(text->p, '\n', text->len);
    size_t n = end != NULL ? (size_t)(end - text->p) : text->len;
    struct str line = { text->p, n };

    n += end != NULL;
    *text = (struct str){ text->p + n, text->len - n };
    return line;
}

static int parse(struct stored *s, struct err *e)
{
    struct str rest = buf_str(&s->text);

    while (rest.len > 0) {
        const char *start = rest.p;
        struct str line = line_of(&rest);

        while (line.len > 0 && strchr(" \t\r", line.p[line.len - 1]) != NULL)
            line.len--;
        if (line.len > 2 && line.p[0] == '[' && line.p[line.len - 1] == ']') {
            if (s->n == SECTIONS_MAX)
                return err_set(e, ERR_REFUSED, "%s: too many tokens", s->path);
            s->v[s->n++] =
                (struct section){ { line.p + 1, line.len - 2 }, { rest.p, 0 } };
        } else if (s->n > 0 && line.len > 0) {
            struct section *last = &s->v[s->n - 1];
            last->body.len = (size_t)(line.p + line.len - last->body.p);
        } else if (line.len > 0) {
            return err_set(e, ERR_REFUSED,
                "%s: byte %zu: text in front of the first [name]", s->path,
                (size_t)(start - s->text.p));
        }
    }
    return 0;
}

static struct stored *stored_read(struct err *e)
{
    struct stored *s = calloc(1, sizeof(*s));
    char dir[PATH_MAX], token[PATH_MAX];

    if (s == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    s->text = (struct buf)BUF_INIT(STORED_MAX);
    token_path(token);
    path_dir(dir, sizeof(dir), token);
    if (path_join(s->path, dir, "stored_tokens", e) == 0 &&
        (access(s->path, F_OK) != 0 ||
            (file_slurp(s->path, &s->text, e) == 0 && parse(s, e) == 0)))
        return s;
    stored_free(&s);
    return NULL;
}

/* The value of hf_token in a section, "" when there is none. */
static struct str token_of(const struct section *s)
{
    struct str rest = s->body;

    while (rest.len > 0) {
        struct str line = line_of(&rest);

        if (!str_starts(line, "hf_token"))
            continue;
        line.p += 8;
        line.len -= 8;
        while (line.len > 0 && strchr(" \t=:", line.p[0]) != NULL) {
            line.p++;
            line.len--;
        }
        while (line.len > 0 && strchr(" \t\r", line.p[line.len - 1]) != NULL)
            line.len--;
        return line;
    }
    return (struct str){ "", 0 };
}

static int by_name(const void *a, const void *b)
{
    const struct section *x = a, *y = b;

    return str_cmp(x->name, y->name);
}

static int stored_write(struct stored *s, struct err *e)
{
    struct buf out AUTO(wipe) = BUF_INIT(2 * STORED_MAX);

    if (s->n == 0)
        return unlink(s->path) == 0 || errno == ENOENT
                   ? 0
                   : err_sys(e, "cannot remove %s", s->path);
    qsort(s->v, s->n, sizeof(s->v[0]), by_name);
    for (size_t i = 0; i < s->n; i++) {
        buf_printf(&out, "[%.*s]\n%.*s\n\n", STR_ARG(s->v[i].name),
            STR_ARG(s->v[i].body));
    }
    if (buf_check(&out, e) != 0)
        return -1;
    return file_put(s->path, out.p, out.len, 0600, e);
}

/*
 * The official client's own guard of both files. It saves a surprise, no
 * more: after half a minute we go on without.
 */
static int guard(struct err *e)
{
    const struct timespec nap = { .tv_nsec = POLL_MS * 1000000L };
    char path[PATH_MAX], token[PATH_MAX], dir[PATH_MAX];
    int fd;

    token_path(token);
    path_dir(dir, sizeof(dir), token);
    if (path_join(path, dir, "stored_tokens.lock", e) != 0)
        return -1;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (int i = 0; fd >= 0 && i < POLLS; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK ||
            cancel_check(e) != 0)
            break;
        nanosleep(&nap, NULL);
    }
    return fd;
}

/* The folder of the files: ours alone, if it is not there yet. */
static int make_folder(struct err *e)
{
    char token[PATH_MAX], dir[PATH_MAX], up[PATH_MAX];

    token_path(token);
    path_dir(dir, sizeof(dir), token);
    path_dir(up, sizeof(up), dir);
    if (dir_make(up, e) != 0)
        return -1;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_sys(e, "cannot create folder %s", dir);
    return 0;
}

/* "[my-laptop]": what the Hub calls it, fit for a line in brackets. */
static void section_name(const struct hub_user *who, char out[160])
{
    if (who->token_name[0] != '\0')
        snprintf(out, 160, "%s", who->token_name);
    else
        snprintf(out, 160, "oauth-%s", who->name);
    for (char *p = out; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F || *p == '[' || *p == ']')
            *p = '_';
}

static int keep(const struct token *t, const struct hub_user *who,
    struct stored *s, struct err *e)
{
    char name[160], path[PATH_MAX];
    struct buf line AUTO(wipe) = BUF_INIT(2 * TOKEN_MAX);
    size_t at = 0;

    section_name(who, name);
    buf_printf(&line, "hf_token = %s", t->value);
    if (buf_check(&line, e) != 0)
        return -1;
    while (at < s->n && !str_is(s->v[at].name, name))
        at++;
    if (at == SECTIONS_MAX)
        return err_set(e, ERR_REFUSED, "%s: too many tokens", s->path);
    if (at == s->n)
        s->n++;
    s->v[at] = (struct section){ str_of(name), buf_str(&line) };
    token_path(path);
    if (stored_write(s, e) != 0)
        return -1;
    return file_put(path, t->value, strlen(t->value), 0600, e);
}

int account_login(
    struct hub *hub, struct str text, struct hub_user *who, struct err *e)
{
    struct stored *s AUTO(stored_free) = NULL;
    int lock AUTO(fd_close) = -1;

    if (token_set(&hub->token, text, "standard input", e) != 0)
        return -1;
    hub->token_known = true;
    if (hub->token.value[0] == '\0')
        return err_set(e, ERR_USAGE, "no token was given");
    if (str_starts(str_of(hub->token.value), "api_org"))
        return err_set(e, ERR_REFUSED,
            "a token of an organisation: log in with one of a user");
    if (hub_whoami(hub, who, e) != 0 || make_folder(e) != 0)
        return -1;
    lock = guard(e);
    s = e->kind == ERR_NONE ? stored_read(e) : NULL;
    return s == NULL ? -1 : keep(&hub->token, who, s, e);
}

/* Remove the token file, if it holds this value; value "": whatever. */
static int remove_token(struct str value, bool *removed, struct err *e)
{
    struct buf now AUTO(wipe) = BUF_INIT(2 * TOKEN_MAX);
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];

    token_path(path);
    if (value.len > 0) {
        if (file_slurp(path, &now, &ignored) != 0)
            return 0;
        while (now.len > 0 && strchr(" \t\r\n", now.p[now.len - 1]) != NULL)
            now.len--;
        if (!str_eq(buf_str(&now), value))
            return 0;
    }
    if (unlink(path) == 0)
        *removed = true;
    else if (errno != ENOENT)
        return err_sys(e, "cannot remove %s", path);
    return 0;
}

static int drop(
    struct stored *s, const char *name, bool *removed, struct err *e)
{
    size_t at = 0;

    if (name == NULL) {
        *removed = s->n > 0;
        s->n = 0;
        return stored_write(s, e) != 0 ||
                       remove_token((struct str){ "", 0 }, removed, e) != 0
                   ? -1
                   : 0;
    }
    while (at < s->n && !str_is(s->v[at].name, name))
        at++;
    if (at == s->n)
        return err_set(
            e, ERR_MISSING, "%s holds no token named '%s'", s->path, name);
    if (remove_token(token_of(&s->v[at]), removed, e) != 0)
        return -1;
    memmove(&s->v[at], &s->v[at + 1], (--s->n - at) * sizeof(s->v[0]));
    *removed = true;
    return stored_write(s, e);
}

int account_logout(const char *name, bool *out_none, struct err *e)
{
    struct stored *s AUTO(stored_free) = NULL;
    int lock AUTO(fd_close) = -1;
    const char *variable = token_variable();
    bool removed = false;

    lock = guard(e);
    s = e->kind == ERR_NONE ? stored_read(e) : NULL;
    if (s == NULL || drop(s, name, &removed, e) != 0)
        return -1;
    *out_none = !removed;
    if (variable == NULL)
        return 0;
    err_set(e, ERR_AUTH, "the files are gone, but %s still holds a token",
        variable);
    return err_hint(e, "unset %s", variable);
}
