#include "cache/past.h"
#include "cache/volume_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "cache/edit.h"

#include "base/path.h"

/* ---- points ---- */

static bool parse_number(const char *text, uint64_t *out)
{
    *out = 0;
    for (const char *p = text; *p != '\0'; p++)
        if (*p < '0' || *p > '9' || !size_mul(*out, 10, out) ||
            !size_add(*out, (uint64_t)(*p - '0'), out))
            return false;
    return text[0] != '\0';
}

/* Midnight where no time is given. */
static bool parse_date(const char *text, int64_t *out)
{
    static const char *const forms[] = { "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M",
        "%Y-%m-%d" };

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct tm tm = { .tm_mday = 1 };
        const char *end = strptime(text, forms[i], &tm);

        if (end == NULL || *end != '\0')
            continue;
        *out = (int64_t)timegm(&tm);
        return true;
    }
    return false;
}

static int no_step(const struct history *h, const char *text, struct err *e)
{
    if (h->last == 0)
        return err_set(
            e, ERR_MISSING, "no step %s: nothing has changed yet", text);
    return err_set(e, ERR_MISSING, "no step %s: the last one is %llu", text,
        (unsigned long long)h->last);
}

int past_point(
    const struct history *h, const char *text, uint64_t *out, struct err *e)
{
    int64_t when;

    if (strcmp(text, "now") == 0) {
        *out = h->last;
        return 0;
    }
    if (parse_number(text, out))
        return *out <= h->last ? 0 : no_step(h, text, e);
    if (!parse_date(text, &when)) {
        err_set(e, ERR_USAGE, "'%s' is no point of a volume's log", text);
        return err_hint(e, "a step's number, 'now', or a time like "
                           "2026-11-21 or 2026-11-21T09:30 (UTC)");
    }
    *out = 0;
    for (uint64_t i = 0; i < h->n && h->steps[i].when < when; i++)
        *out = h->steps[i].number;
    return 0;
}

/* ---- between two points ---- */

/* One change, and the step that it is of. */
struct dated {
    struct change c;
    uint64_t step;
};

static int cmp_dated(const void *a, const void *b)
{
    const struct dated *x = a, *y = b;
    int rc = str_cmp(x->c.name, y->c.name);

    if (rc != 0)
        return rc;
    return x->step < y->step ? -1 : x->step > y->step;
}

/* The point behind which every step is there. */
static uint64_t earliest(const struct history *h)
{
    uint64_t point = h->last;

    for (uint64_t i = h->n; i > 0 && h->steps[i - 1].number == point; i--)
        point--;
    return point;
}

/* Every step behind low is there, up to high. */
static int check_whole(
    const struct history *h, uint64_t low, uint64_t high, struct err *e)
{
    uint64_t next = low + 1;

    for (uint64_t i = 0; i < h->n && next <= high; i++) {
        if (h->steps[i].number > next)
            break;
        if (h->steps[i].number == next)
            next++;
    }
    if (next > high)
        return 0;
    err_set(e, ERR_CORRUPT,
        "step %llu of the log is damaged: what was before it is not known",
        (unsigned long long)next);
    return err_hint(e, "%llu is the earliest point that can be gone back to",
        (unsigned long long)earliest(h));
}

/* All that those steps say. */
static int gather(const struct history *h, uint64_t low, uint64_t high,
    struct arena *arena, struct dated **out, uint64_t *n, struct err *e)
{
    uint64_t most = 0;

    *n = 0;
    for (uint64_t i = 0; i < h->n; i++)
        most += h->steps[i].n;
    *out = arena_alloc(arena, most, sizeof(**out), e);
    if (*out == NULL)
        return -1;
    for (uint64_t i = 0; i < h->n; i++)
        for (uint64_t k = 0; k < h->steps[i].n; k++)
            if (h->steps[i].number > low && h->steps[i].number <= high)
                (*out)[(*n)++] = (struct dated){ h->steps[i].changes[k],
                    h->steps[i].number };
    if (*n > 1)
        qsort(*out, *n, sizeof(**out), cmp_dated);
    return 0;
}

static bool is_change(const struct change *c)
{
    return c->was != c->is || (c->is && !step_same(&c->old, &c->now));
}

static struct change turned(struct change c)
{
    return (struct change){
        .name = c.name, .was = c.is, .is = c.was, .old = c.now, .now = c.old
    };
}

int past_diff(const struct history *h, uint64_t from, uint64_t to,
    struct arena *arena, struct change **out, uint64_t *n, struct err *e)
{
    bool back = from > to;
    uint64_t low = back ? to : from, high = back ? from : to, count;
    struct dated *all;

    *n = 0;
    if (check_whole(h, low, high, e) != 0 ||
        gather(h, low, high, arena, &all, &count, e) != 0)
        return -1;
    *out = arena_alloc(arena, count, sizeof(**out), e);
    if (*out == NULL)
        return -1;
    for (uint64_t i = 0, k; i < count; i = k) {
        struct change c = all[i].c;

        for (k = i + 1; k < count && str_eq(all[k].c.name, c.name); k++) {
            c.is = all[k].c.is;
            c.now = all[k].c.now;
        }
        if (is_change(&c))
            (*out)[(*n)++] = back ? turned(c) : c;
    }
    return 0;
}

/* ---- back ---- */

/* Is the content there that a name is to have again? */
static int check_held(
    const struct volume *v, const struct change *c, struct err *e)
{
    char path[PATH_MAX];
    struct stat st;

    if (!c->is)
        return 0;
    if (volume_stored(v, &c->now.sha256, path, e) != 0)
        return -1;
    /* Whoever stored it again may not have come to syncing its folders. */
    if (stat(path, &st) == 0 && (uint64_t)st.st_size == c->now.size)
        return volume_stored_sync(v, &c->now.sha256, e);
    err_set(e, ERR_MISSING, "'%.*s': its content of then is no longer held",
        STR_ARG(c->name));
    return err_hint(e, "mlcache gc removes what no name has led to for a day; "
                       "put the file again, or roll back other names only");
}

static int set_all(struct edit *ed, const struct change *changes, uint64_t n,
    const char *name, struct err *e)
{
    struct str folder = str_of(name != NULL ? name : "");

    for (uint64_t i = 0; i < n; i++) {
        const struct change *c = &changes[i];

        if (!volume_is_below(c->name, folder))
            continue;
        if (check_held(ed->v, c, e) != 0 ||
            edit_set(ed, c->name, c->is ? &c->now : NULL, e) != 0)
            return -1;
    }
    return 0;
}

int past_known(const struct volume *v, const struct history *h,
    const char *name, struct arena *arena, struct err *e)
{
    struct volume_entry *list;
    uint64_t n;

    if (path_check(str_of(name), e) != 0 ||
        volume_list(v, name, arena, &list, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < h->n && n == 0; i++)
        for (uint64_t k = 0; k < h->steps[i].n; k++)
            n += volume_is_below(h->steps[i].changes[k].name, str_of(name));
    if (n > 0)
        return 0;
    err_set(e, ERR_MISSING, "%s: there never was a file '%s'", v->root, name);
    return err_hint(e, "see what was: mlfetch log %s", v->root);
}

int past_rollback(const struct volume *v, const char *point, const char *name,
    struct step *out, struct arena *arena, struct err *e)
{
    struct edit ed AUTO(edit_close) = EDIT_INIT;
    char what[STEP_WHAT_MAX];
    struct change *changes;
    struct history h;
    uint64_t to, n, number;

    /* The point is looked up in the log that the step is added to. */
    if (edit_begin(&ed, v, "rollback", false, arena, e) != 0 ||
        history_read(v, arena, &h, e) != 0 ||
        past_point(&h, point, &to, e) != 0 ||
        (name != NULL && past_known(v, &h, name, arena, e) != 0) ||
        past_diff(&h, h.last, to, arena, &changes, &n, e) != 0)
        return -1;
    snprintf(what, sizeof(what), "rollback %llu", (unsigned long long)to);
    ed.step.what = arena_str(arena, str_of(what), e);
    if (ed.step.what.p == NULL || set_all(&ed, changes, n, name, e) != 0 ||
        edit_commit(&ed, &number, e) != 0)
        return -1;
    *out = ed.step;
    out->number = number;
    return 0;
}
