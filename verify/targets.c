#include "verify/targets.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/path.h"
#include "formats/manifest.h"

void targets_free(struct targets *t)
{
    for (size_t i = 0; i < t->n; i++)
        findings_free(&t->v[i].report);
    free(t->v);
    arena_free(&t->arena);
    *t = (struct targets)TARGETS_INIT;
}

static int add(struct targets *t, const char *text, const struct found *found,
    bool derived, struct err *e)
{
    size_t cap = t->cap == 0 ? 8 : 2 * t->cap;
    struct target one = {
        .derived = derived, .found = *found, .report = FINDINGS_INIT
    };

    if (t->n == t->cap) {
        struct target *v = realloc(t->v, cap * sizeof(*v));

        if (v == NULL)
            return err_set(e, ERR_NOMEM, "out of memory");
        t->v = v;
        t->cap = cap;
    }
    one.text = arena_str(&t->arena, str_of(text), e);
    if (one.text.p == NULL)
        return -1;
    t->v[t->n++] = one;
    return 0;
}

/* A finished conversion of this very commit, whole or damaged. */
static bool is_conversion(const char *folder, const char *commit)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT((uint64_t)256 << 20);
    struct err e = ERR_INIT;
    struct manifest m;
    char path[PATH_MAX];

    if (path_join(path, folder, MANIFEST_NAME, &e) != 0)
        return false;
    if (manifest_read(&m, path, &arena, &e) != 0)
        return e.kind != ERR_MISSING && e.kind != ERR_IO;
    return m.commit.len == 0 || *commit == '\0' || str_is(m.commit, commit);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_conversion(struct targets *t, const char *text,
    const struct found *of, const char *name, struct err *e)
{
    struct found f = { .kind = FOUND_FOLDER };
    char label[PATH_MAX];

    if (name[0] == '.')
        return 0;
    if (path_join(f.path, of->converted, name, e) != 0)
        return -1;
    if (!is_conversion(f.path, of->commit))
        return 0;
    if (path_fmt(label, e, "%s (converted)", text) != 0)
        return -1;
    return add(t, label, &f, true, e);
}

static int add_conversions(
    struct targets *t, const char *text, const struct found *of, struct err *e)
{
    struct dirent **names = NULL;
    int n = scandir(of->converted, &names, NULL, by_name);
    int rc = 0;

    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = add_conversion(t, text, of, names[i]->d_name, e);
        free(names[i]);
    }
    free(names);
    return rc;
}

int targets_add_found(struct targets *t, const char *text,
    const struct found *found, struct err *e)
{
    if (add(t, text, found, false, e) != 0)
        return -1;
    if (found->converted[0] == '\0')
        return 0;
    return add_conversions(t, text, found, e);
}

int targets_add(
    struct targets *t, const char *text, const char *volume, struct err *e)
{
    struct found found;

    if (find_to_check(text, volume, &found, e) != 0)
        return -1;
    return targets_add_found(t, text, &found, e);
}
