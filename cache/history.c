#include "cache/history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cache/walk.h"

#include "base/file.h"
#include "base/path.h"

/* The last line of a log in which everything is done. */
enum { TAIL = 64 };

int history_path(const struct volume *v, char *out, struct err *e)
{
    return path_join(out, v->root, "log", e);
}

int history_parse(
    struct str text, struct arena *arena, struct history *out, struct err *e)
{
    struct rd r = rd_of(text.p, text.len);
    uint64_t cap = 0;

    *out = (struct history){ .size = text.len };
    out->torn = text.len > 0 && text.p[text.len - 1] != '\n';
    for (;;) {
        struct step one, *list;
        int kind = step_next(&r, arena, &one, e);

        if (kind < 0)
            return -1;
        if (kind == STEP_END)
            return 0;
        if (kind == STEP_DONE && one.number <= out->last)
            out->done = size_max(out->done, one.number);
        if (kind != STEP_STEP || one.number <= out->last)
            continue;
        list = arena_grow(arena, out->steps, out->n, &cap, sizeof(*list), e);
        if (list == NULL)
            return -1;
        out->steps = list;
        list[out->n++] = one;
        out->last = one.number;
    }
}

int history_read(const struct volume *v, struct arena *arena,
    struct history *out, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(HISTORY_MAX);
    struct err why = ERR_INIT;
    char path[PATH_MAX];

    *out = (struct history){ .n = 0 };
    if (history_path(v, path, e) != 0)
        return -1;
    if (file_slurp(path, &text, &why) != 0) {
        if (why.kind == ERR_MISSING)
            return 0;
        *e = why;
        return -1;
    }
    return history_parse(buf_str(&text), arena, out, e);
}

/* Does the log end in a line that says that its last step is done? */
static bool ends_done(int fd, uint64_t size, uint64_t *number)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(TAIL);
    struct err ignored = ERR_INIT;
    uint64_t from = size > TAIL ? size - TAIL : 0;
    size_t len = (size_t)(size - from), i = len > 0 ? len - 1 : 0;
    char tail[TAIL];
    struct step one;
    struct rd r;

    if (len == 0 || file_read_at(fd, tail, len, from, "log", &ignored) != 0 ||
        tail[len - 1] != '\n')
        return false;
    while (i > 0 && tail[i - 1] != '\n')
        i--;
    r = rd_of(tail + i, len - i);
    if (step_next(&r, &arena, &one, &ignored) != STEP_DONE)
        return false;
    *number = one.number;
    return true;
}

uint64_t history_size(const struct volume *v)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];
    struct stat st;

    if (history_path(v, path, &ignored) != 0 || stat(path, &st) != 0)
        return 0;
    return (uint64_t)st.st_size;
}

int history_pending(const struct volume *v, struct arena *arena,
    struct history *out, struct err *e)
{
    struct err why = ERR_INIT;
    char path[PATH_MAX];
    uint64_t size, last, gone = 0;
    int fd AUTO(fd_close) = -1;

    *out = (struct history){ .n = 0 };
    if (history_path(v, path, e) != 0)
        return -1;
    fd = file_open(path, &size, &why);
    if (fd < 0 && why.kind == ERR_MISSING)
        return 0;
    if (fd < 0) {
        *e = why;
        return -1;
    }
    if (size == 0)
        return 0;
    if (ends_done(fd, size, &last)) {
        out->last = out->done = last;
        out->size = size;
        return 0;
    }
    if (history_read(v, arena, out, e) != 0)
        return -1;
    while (gone < out->n && out->steps[gone].number <= out->done)
        gone++;
    out->steps += gone;
    out->n -= gone;
    return 0;
}

static int cmp_change(const void *key, const void *change)
{
    const struct change *c = change;
    const struct str *name = key;

    return str_cmp(*name, c->name);
}

const struct change *history_find(
    const struct step *steps, uint64_t n, struct str name)
{
    for (; n > 0; n--) {
        const struct step *s = &steps[n - 1];
        const struct change *c = s->n == 0 ? NULL
                                           : bsearch(&name, s->changes, s->n,
                                                 sizeof(*c), cmp_change);

        if (c != NULL)
            return c;
    }
    return NULL;
}
