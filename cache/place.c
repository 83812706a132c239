#include "cache/place.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/path.h"

int place_open(struct place *out, const char *volume, struct err *e)
{
    *out = (struct place){ .name = volume };
    if (volume == NULL)
        return hubdir_default(&out->hub, e);
    out->has_volume = true;
    if (volume_locate(&out->volume, volume, e) != 0)
        return -1;
    if (!volume_exists(&out->volume)) {
        err_set(e, ERR_MISSING, "%s: no volume there", out->volume.root);
        return err_hint(e, "mlfetch put VOLUME FILE makes one");
    }
    return volume_hub(&out->volume, &out->hub, e);
}

/* The type that stands in front of an id, as the commands print it. */
static const char *cut_type(const char *text, enum repo_type *type)
{
    static const char *const front[] = { "models/", "datasets/", "spaces/" };

    for (size_t i = 0; i < ARRAY_LEN(front); i++) {
        size_t n = strlen(front[i]);
        if (strncmp(text, front[i], n) == 0 && strchr(text + n, '/') != NULL) {
            *type = (enum repo_type)i;
            return text + n;
        }
    }
    *type = REPO_MODEL;
    return text;
}

int place_repo(const char *text, struct repo *out, bool *whole, struct err *e)
{
    enum repo_type type;
    const char *id = cut_type(text, &type);

    *whole = strchr(id, '@') == NULL;
    return repo_parse(out, type, id, e);
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* 1: it is held, 0: it is not, -1: *e. */
static int parse_repo(
    const struct place *p, const char *text, struct target *out, struct err *e)
{
    char path[PATH_MAX];
    bool whole;
    int have;

    if (place_repo(text, &out->repo, &whole, e) != 0)
        return -1;
    if (path_join(path, p->hub.root, out->repo.folder, e) != 0)
        return -1;
    if (!is_folder(path))
        return 0;
    out->kind = whole ? TARGET_REPO : TARGET_REVISION;
    if (out->kind == TARGET_REPO)
        return 1;
    have = hubdir_ref(&p->hub, &out->repo, out->commit, e);
    if (have < 0 ||
        hubdir_snapshot(&p->hub, &out->repo, out->commit, path, e) != 0)
        return -1;
    return have == HAVE && is_folder(path);
}

/* The same of a put name. */
static int parse_put(const struct place *p, const char *text,
    struct target *out, struct arena *arena, struct err *e)
{
    struct volume_entry *list;
    uint64_t n;

    out->kind = TARGET_PUT;
    out->name = arena_str(arena, (struct str){ text, path_len(text) }, e);
    if (out->name.p == NULL || path_check(out->name, e) != 0 ||
        volume_list(&p->volume, out->name.p, arena, &list, &n, e) != 0)
        return -1;
    return n > 0;
}

static int parse(const struct place *p, const char *text, struct target *out,
    struct arena *arena, struct err *e)
{
    struct err why = ERR_INIT, put = ERR_INIT;
    int rc;

    *out = (struct target){ .text = text };
    rc = parse_repo(p, text, out, &why);
    if (rc == 0 || (rc < 0 && why.kind == ERR_USAGE && p->has_volume)) {
        int got = p->has_volume ? parse_put(p, text, out, arena, &put) : 0;

        if (got > 0)
            return 0;
        if (got < 0 && put.kind != ERR_REFUSED) {
            *e = put;
            return -1;
        }
        rc = 0;
    }
    if (rc > 0)
        return 0;
    if (rc < 0) {
        *e = why;
        return -1;
    }
    err_set(e, ERR_MISSING, "'%s' is not held in %s", text,
        p->has_volume ? p->volume.root : p->hub.root);
    return err_hint(e, "see what is: mlcache ls%s%s",
        p->name != NULL ? " --volume " : "", p->name != NULL ? p->name : "");
}

/* "VOLUME:NAME": where NAME begins; NULL when it is not of that form. */
static const char *behind_colon(const char *ref)
{
    const char *colon = strchr(ref, ':');

    if (colon == NULL || strncmp(ref, "hf://", 5) == 0)
        return NULL;
    return colon + 1;
}

/* The volume that the REFs themselves name, into out; "" when none does. */
static int named_volume(char **refs, size_t n, char *out, struct err *e)
{
    char other[PATH_MAX];

    out[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        const char *name = behind_colon(refs[i]);

        other[0] = '\0';
        if (name != NULL &&
            path_fmt(other, e, "%.*s", (int)(name - 1 - refs[i]), refs[i]) != 0)
            return -1;
        if (i > 0 && strcmp(out, other) != 0)
            return err_set(e, ERR_USAGE,
                "'%s' and '%s' are not in the same place", refs[0], refs[i]);
        memcpy(out, other, strlen(other) + 1);
    }
    return 0;
}

int place_targets(struct place *p, const char *volume, char **refs, size_t n,
    struct target **out, struct arena *arena, struct err *e)
{
    char named[PATH_MAX] = "";
    struct str kept;

    *out = arena_alloc(arena, n, sizeof(**out), e);
    if (*out == NULL)
        return -1;
    if (volume == NULL && named_volume(refs, n, named, e) != 0)
        return -1;
    if (named[0] != '\0') {
        kept = arena_str(arena, str_of(named), e);
        if (kept.p == NULL)
            return -1;
        volume = kept.p;
    }
    if (place_open(p, volume, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (parse(p, named[0] != '\0' ? behind_colon(refs[i]) : refs[i],
                &(*out)[i], arena, e) != 0)
            return -1;
    return 0;
}

bool target_has(
    const struct target *t, const struct repo *r, const char *commit)
{
    if (t->kind == TARGET_PUT || strcmp(t->repo.folder, r->folder) != 0)
        return false;
    return t->kind == TARGET_REPO || commit == NULL ||
           strcmp(t->commit, commit) == 0;
}

bool target_has_put(const struct target *t, struct str name)
{
    return t->kind == TARGET_PUT && str_starts(name, t->name.p) &&
           (name.len == t->name.len || name.p[t->name.len] == '/');
}
