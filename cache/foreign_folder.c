/* LM Studio's folder, and any other: every file under its own path. */
#include "cache/foreign.h"
#include "cache/foreign_internal.h"
#include "cache/volume_internal.h"

#include <stdlib.h>

#include "base/path.h"

struct folder {
    struct foreign *f;
    const char *front; /* of every name */
    const struct foreign_entry *found;
    uint64_t n;
    int64_t set;
};

/* What tools keep beside the files is not the user's. */
static bool is_foreign_state(struct str path)
{
    return str_starts(path, ".git/") ||
           str_starts(path, ".cache/huggingface/") ||
           strstr(path.p, "/.git/") != NULL ||
           strstr(path.p, "/.cache/huggingface/") != NULL;
}

/* Of LM Studio: PUBLISHER/REPO; else all is one. */
static struct str set_of(const struct folder *d, struct str path)
{
    const char *slash = strchr(path.p, '/');

    if (d->f->kind == FOREIGN_LMSTUDIO && slash != NULL)
        slash = strchr(slash + 1, '/');
    else
        slash = NULL;
    return (struct str){ path.p, slash != NULL ? (size_t)(slash - path.p) : 0 };
}

static int turn_to(struct folder *d, struct str path, struct err *e)
{
    struct str part = set_of(d, path);
    struct foreign_set set = { .repo = NULL };
    char label[PATH_MAX];

    if (path_fmt(label, e, "%s%s%.*s", d->front, part.len > 0 ? "/" : "",
            STR_ARG(part)) != 0)
        return -1;
    if (d->set >= 0 && str_is(d->f->sets[d->set].label, label))
        return 0;
    set.label = arena_str(d->f->arena, str_of(label), e);
    if (set.label.p == NULL)
        return -1;
    d->set = foreign_add_set(d->f, set, e);
    return d->set < 0 ? -1 : 0;
}

static int cmp_file(const void *key, const void *file)
{
    const struct str *path = key;
    const struct foreign_entry *at = file;

    return str_cmp(*path, at->path);
}

/* Why an entry cannot be taken, or NULL with what it leads to. */
static const char *judge(const struct folder *d, const struct foreign_entry *at,
    struct foreign_file *file, char *real, enum fault_kind *kind)
{
    const char *base = path_base(at->path.p);
    const char *why;
    struct str path;

    *kind = FAULT_UNFINISHED;
    if (foreign_leftover(base))
        return "an unfinished download";
    *kind = FAULT_UNSAFE;
    if (at->kind == WALK_OTHER)
        return "not a regular file";
    if (at->kind == WALK_FILE)
        return NULL;
    why = foreign_follow(d->f, at->path.p, real, &file->st, kind);
    if (why != NULL)
        return why;
    path = str_of(real);
    /* What a link leads to is listed itself, if it is to be taken. */
    if (is_foreign_state(path) ||
        bsearch(&path, d->found, d->n, sizeof(*d->found), cmp_file) == NULL)
        return "a link that leads to what is not taken";
    file->path = path;
    return NULL;
}

static int add_entry(
    struct folder *d, const struct foreign_entry *at, struct err *e)
{
    struct foreign_file file = { .path = at->path, .st = at->st };
    struct foreign_name name = { .entry = at->path };
    char full[PATH_MAX], real[PATH_MAX];
    enum fault_kind kind = FAULT_UNSAFE;
    struct err unsafe = ERR_INIT;
    const char *why;
    int64_t i;

    if (strcmp(path_base(at->path.p), volume_marker) == 0) {
        if (path_join(full, d->f->root, at->path.p, e) != 0)
            return -1;
        path_dir(real, sizeof(real), full);
        return foreign_refuse_volume(real, e);
    }
    if (is_foreign_state(at->path) || foreign_litter(path_base(at->path.p)))
        return 0;
    if (turn_to(d, at->path, e) != 0)
        return -1;
    why = judge(d, at, &file, real, &kind);
    if (why == NULL &&
        (path_fmt(full, &unsafe, "%s/%s", d->front, at->path.p) != 0 ||
            path_check(str_of(full), &unsafe) != 0)) {
        kind = FAULT_UNSAFE;
        why = unsafe.msg;
    }
    if (why != NULL) {
        d->f->sets[d->set].broken++;
        return foreign_fault(d->f, kind, at->path, str_of(""), why, e);
    }
    i = foreign_add_file(d->f, file, e);
    name.file = (uint64_t)i;
    name.set = (uint64_t)d->set;
    name.name = str_of(full);
    return i < 0 ? -1 : foreign_add_name(d->f, name, e);
}

int foreign_folder(struct foreign *f, const char *front, struct err *e)
{
    struct folder d = { .f = f, .front = front, .set = -1 };
    struct foreign_entry *found;

    if (foreign_walk(f, "", &found, &d.n, e) != 0)
        return -1;
    d.found = found;
    for (uint64_t i = 0; i < d.n; i++)
        if (add_entry(&d, &found[i], e) != 0)
            return -1;
    return 0;
}
