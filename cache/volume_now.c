/*
 * What the names mean now: names/, and over it the steps of the log that are
 * not done there yet. What is read while another process does them is read
 * again, so nobody sees half a step.
 */
#include "cache/volume.h"
#include "cache/volume_internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

#include "cache/history.h"
#include "cache/walk.h"

#include "base/file.h"
#include "base/path.h"

/* Then the log is held while it is read once more. */
enum { TRIES_MAX = 8 };

/* One reading of names/. */
struct reading {
    const struct volume *v;
    struct arena *arena;
    int tries;
    int lock;
    struct history before;
};

#define READING_INIT                                                           \
    {                                                                          \
        .lock = -1                                                             \
    }

static void reading_end(struct reading *r)
{
    fd_close(&r->lock);
}

static int reading_begin(struct reading *r, struct err *e)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];

    if (r->tries++ >= TRIES_MAX && history_path(r->v, path, &ignored) == 0) {
        r->lock = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (r->lock >= 0)
            flock(r->lock, LOCK_SH);
    }
    return history_pending(r->v, r->arena, &r->before, e);
}

/* Has nobody added to the log meanwhile? */
static bool reading_counts(const struct reading *r)
{
    return r->tries > TRIES_MAX || history_size(r->v) == r->before.size;
}

/* ---- one name ---- */

int volume_now(const struct volume *v, struct str name, struct arena *arena,
    struct volume_entry *out, struct err *e)
{
    struct reading r AUTO(reading_end) = READING_INIT;
    const struct change *c;
    struct err why;
    int rc;

    r.v = v;
    r.arena = arena;
    do {
        why = (struct err)ERR_INIT;
        if (reading_begin(&r, e) != 0)
            return -1;
        rc = volume_entry_read(v, name, arena, out, &why);
    } while (!reading_counts(&r));
    c = history_find(r.before.steps, r.before.n, name);
    if (c == NULL) {
        *e = why;
        return rc;
    }
    if (!c->is)
        return 1;
    *out = c->now;
    out->name = c->name;
    return 0;
}

int volume_find(const struct volume *v, const char *name, struct arena *arena,
    struct volume_entry *out, struct err *e)
{
    int rc = path_check(str_of(name), e) != 0 ? -1 : volume_check(v, e);

    if (rc == 0)
        rc = volume_now(v, str_of(name), arena, out, e);
    if (rc <= 0)
        return rc;
    err_set(e, ERR_MISSING, "%s: no file '%s' in this volume", v->root, name);
    return err_hint(e, "see what is there: mlfetch ls %s", v->root);
}

/* ---- many ---- */

static int cmp_entries(const void *a, const void *b)
{
    const struct volume_entry *x = a, *y = b;

    return str_cmp(x->name, y->name);
}

bool volume_is_below(struct str name, struct str folder)
{
    return folder.len == 0 ||
           (name.len >= folder.len &&
               memcmp(name.p, folder.p, folder.len) == 0 &&
               (name.len == folder.len || name.p[folder.len] == '/'));
}

/* What the steps say of names that are not in the list; those that they
 * speak of have been taken out. */
static int add_pending(const struct history *h, struct str folder,
    struct arena *arena, struct volume_entry **list, uint64_t *n, struct err *e)
{
    uint64_t cap = *n;

    for (uint64_t i = 0; i < h->n; i++)
        for (uint64_t k = 0; k < h->steps[i].n; k++) {
            const struct change *c = &h->steps[i].changes[k];
            struct volume_entry *grown;

            if (!c->is || !volume_is_below(c->name, folder) ||
                history_find(h->steps, h->n, c->name) != c)
                continue;
            grown = arena_grow(arena, *list, *n, &cap, sizeof(*grown), e);
            if (grown == NULL)
                return -1;
            *list = grown;
            grown[*n] = c->now;
            grown[(*n)++].name = c->name;
        }
    return 0;
}

static int lay_over(const struct history *h, const char *prefix,
    struct arena *arena, struct volume_entry **list, uint64_t *n, struct err *e)
{
    const char *text = prefix != NULL ? prefix : "";
    struct str folder = { text, path_len(text) };
    uint64_t kept = 0;

    for (uint64_t i = 0; i < *n; i++)
        if (history_find(h->steps, h->n, (*list)[i].name) == NULL)
            (*list)[kept++] = (*list)[i];
    *n = kept;
    if (add_pending(h, folder, arena, list, n, e) != 0)
        return -1;
    if (*n > 1)
        qsort(*list, *n, sizeof(**list), cmp_entries);
    return 0;
}

static int list_now(const struct volume *v, const char *prefix, bool shown,
    struct arena *arena, struct volume_entry **out, uint64_t *out_n,
    struct err *e)
{
    struct reading r AUTO(reading_end) = READING_INIT;
    int rc;

    r.v = v;
    r.arena = arena;
    do {
        if (reading_begin(&r, e) != 0)
            return -1;
        rc = shown ? volume_glanced(v, prefix, arena, out, out_n, e)
                   : volume_listed(v, prefix, arena, out, out_n, e);
        if (rc != 0)
            return -1;
    } while (!reading_counts(&r));
    return r.before.n == 0 ? 0
                           : lay_over(&r.before, prefix, arena, out, out_n, e);
}

int volume_list(const struct volume *v, const char *prefix, struct arena *arena,
    struct volume_entry **out, uint64_t *out_n, struct err *e)
{
    return list_now(v, prefix, false, arena, out, out_n, e);
}

int volume_shown(const struct volume *v, const char *prefix,
    struct arena *arena, struct volume_entry **out, uint64_t *out_n,
    struct err *e)
{
    return list_now(v, prefix, true, arena, out, out_n, e);
}
