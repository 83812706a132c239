#include "cache/find.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cache/hubdir.h"
#include "cache/lease.h"
#include "cache/unfinished.h"
#include "cache/used.h"
#include "cache/volume.h"

#include "base/hash.h"
#include "base/hex.h"
#include "base/path.h"

enum { FIND_ARENA_MAX = 256 << 20 };

/* "./x", "../x", "/x", "." and "..": never anything but a path. */
static bool is_path_form(const char *text)
{
    return text[0] == '/' || strncmp(text, "./", 2) == 0 ||
           strncmp(text, "../", 3) == 0 || strcmp(text, ".") == 0 ||
           strcmp(text, "..") == 0;
}

/* Returns 1 found, 0 nothing there, -1 with *e. */
static int find_path(const char *text, struct found *out, struct err *e)
{
    struct stat st;

    if (stat(text, &st) != 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return 0;
        return err_sys(e, "%s", text);
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return err_set(e, ERR_REFUSED, "%s: neither a file nor a folder", text);
    out->kind = S_ISDIR(st.st_mode) ? FOUND_FOLDER : FOUND_FILE;
    return path_fmt(out->path, e, "%s", text) == 0 ? 1 : -1;
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;

    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_ino == y.st_ino &&
           x.st_dev == y.st_dev;
}

static int found_put(const struct volume *v, const struct volume_entry *entry,
    const char *name, struct found *out, struct err *e)
{
    char view[PATH_MAX];

    if (volume_path(v, entry, out->path, e) != 0 ||
        volume_view(v, name, view, e) != 0 ||
        volume_converted(v, out->converted, e) != 0)
        return -1;
    /* Its own name, where that is the same file: shards have neighbours. */
    if (same_file(view, out->path))
        memcpy(out->path, view, sizeof(view));
    out->kind = FOUND_PUT;
    path_dir(out->below, sizeof(out->below), name);
    return path_fmt(out->volume, e, "%s", v->root);
}

/* name in a volume that exists; MISSING when it is not there. */
static int look_for_put(
    const struct volume *v, const char *name, struct found *out, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(FIND_ARENA_MAX);
    struct volume_entry entry, *below;
    struct err why = ERR_INIT;
    char lease[PATH_MAX];
    uint64_t n;

    if (volume_exists(v) && lease_of_volume(v, lease, e) == 0)
        lease_for_life(lease);
    if (volume_find(v, name, &arena, &entry, &why) == 0)
        return found_put(v, &entry, name, out, e);
    if (why.kind == ERR_MISSING && volume_exists(v) &&
        volume_list(v, name, &arena, &below, &n, e) == 0 && n > 0) {
        out->kind = FOUND_FOLDER;
        if (path_fmt(out->below, e, "%s", name) != 0 ||
            path_fmt(out->volume, e, "%s", v->root) != 0)
            return -1;
        return volume_view(v, name, out->path, e);
    }
    if (e->kind == ERR_NONE)
        *e = why;
    return -1;
}

/* VOLUME:NAME, the first colon splits. */
static int find_in_named(
    const char *text, const char *colon, struct found *out, struct err *e)
{
    char name[PATH_MAX];
    struct volume v;

    if (path_fmt(name, e, "%.*s", (int)(colon - text), text) != 0 ||
        volume_locate(&v, name, e) != 0)
        return -1;
    if (!volume_exists(&v)) {
        err_set(e, ERR_MISSING, "'%s': no such file, and no volume at %s", text,
            v.root);
        return err_hint(e, "mlfetch put VOLUME FILE makes a volume");
    }
    return look_for_put(&v, colon + 1, out, e);
}

static int not_held(const struct repo *r, const struct hubdir *h,
    const char *text, const char *volume, struct err *e)
{
    err_set(e, ERR_MISSING, "'%s': no such file, and not held in %s", text,
        h->root);
    if (strchr(r->id, '/') == NULL && strchr(r->id, '.') != NULL)
        return -1; /* a mistyped file rather than a repository */
    return err_hint(e, "run: mlfetch pull %s%s%s%s%s", r->id,
        strcmp(r->revision, "main") != 0 ? "@" : "",
        strcmp(r->revision, "main") != 0 ? r->revision : "",
        volume != NULL ? " --volume " : "", volume != NULL ? volume : "");
}

static int find_repo(const char *text, const char *volume,
    const struct hubdir *h, bool whole, struct found *out, struct err *e)
{
    char lease[PATH_MAX];
    struct stat st;
    struct repo r;
    int have;

    if (repo_parse(&r, REPO_MODEL, text, e) != 0 ||
        lease_of_repo(h, &r, lease, e) != 0)
        return -1;
    have = hubdir_ref(h, &r, out->commit, e);
    if (have < 0)
        return -1;
    if (have == HAVE_DAMAGED) {
        err_set(e, ERR_CORRUPT, "%s/%s/refs/%s: not a commit", h->root,
            r.folder, r.revision);
        return err_hint(e, "run: mlfetch pull %s@%s", r.id, r.revision);
    }
    if (have == HAVE_NOT)
        return not_held(&r, h, text, volume, e);
    /* Before the look at what is there, which then stays. */
    lease_for_life(lease);
    if (hubdir_snapshot(h, &r, out->commit, out->path, e) != 0 ||
        hubdir_converted(h, &r, out->converted, e) != 0)
        return -1;
    if (stat(out->path, &st) != 0 || !S_ISDIR(st.st_mode))
        return not_held(&r, h, text, volume, e);
    if (whole && unfinished_check(h, &r, out->commit, e) != 0)
        return -1;
    snprintf(out->repository, sizeof(out->repository), "%s", r.id);
    out->kind = FOUND_REPO;
    used_note(h, &r, out->commit);
    return 0;
}

/* What cannot be an id was meant as a path, unless it says otherwise. */
static bool meant_as_repo(const char *text)
{
    return strncmp(text, "hf://", 5) == 0 || strchr(text, '@') != NULL;
}

static int find_in(const char *text, const char *volume, bool whole,
    struct found *out, struct err *e)
{
    struct err why = ERR_INIT, put = ERR_INIT;
    struct hubdir h;
    struct volume v;

    if (volume == NULL) {
        if (hubdir_default(&h, e) != 0)
            return -1;
    } else {
        if (volume_locate(&v, volume, e) != 0)
            return -1;
        if (!volume_exists(&v)) {
            err_set(e, ERR_MISSING, "%s: no volume there", v.root);
            return err_hint(e, "mlfetch put VOLUME FILE makes one");
        }
        if (volume_hub(&v, &h, e) != 0)
            return -1;
    }
    if (find_repo(text, volume, &h, whole, out, &why) == 0)
        return 0;
    if (volume != NULL && look_for_put(&v, text, out, &put) == 0)
        return 0;
    if (put.kind == ERR_CORRUPT)
        *e = put;
    else if (why.kind != ERR_USAGE || meant_as_repo(text))
        *e = why;
    else
        err_set(e, ERR_MISSING, "'%s': no such file or folder%s", text,
            volume != NULL ? ", and not in the volume" : "");
    return -1;
}

/* A failed attempt on the way may have left something behind. */
static void settle(struct found *f)
{
    if (f->kind != FOUND_REPO)
        f->repository[0] = f->commit[0] = '\0';
    if (f->kind == FOUND_FILE || f->kind == FOUND_FOLDER)
        f->converted[0] = '\0';
    if (f->kind == FOUND_FILE || f->kind == FOUND_REPO)
        f->volume[0] = '\0';
}

static int find(const char *text, const char *volume, bool whole,
    struct found *out, struct err *e)
{
    struct found f = { .kind = FOUND_FILE };
    const char *colon = strchr(text, ':');
    int rc = find_path(text, &f, e);

    if (rc == 0 && is_path_form(text))
        return err_set(e, ERR_MISSING, "'%s': no such file or folder", text);
    if (rc == 0 && colon != NULL && strncmp(text, "hf://", 5) != 0)
        rc = find_in_named(text, colon, &f, e) == 0 ? 1 : -1;
    if (rc == 0)
        rc = find_in(text, volume, whole, &f, e) == 0 ? 1 : -1;
    if (rc < 0)
        return -1;
    settle(&f);
    *out = f;
    return 0;
}

int find_model(
    const char *text, const char *volume, struct found *out, struct err *e)
{
    return find(text, volume, true, out, e);
}

int find_to_check(
    const char *text, const char *volume, struct found *out, struct err *e)
{
    return find(text, volume, false, out, e);
}

int find_put(
    const struct volume *v, const char *name, struct found *out, struct err *e)
{
    struct found f = { .kind = FOUND_FILE };

    if (volume_check(v, e) != 0 || look_for_put(v, name, &f, e) != 0)
        return -1;
    settle(&f);
    *out = f;
    return 0;
}

int find_held(const struct hubdir *h, const char *text, bool whole,
    struct found *out, struct err *e)
{
    struct found f = { .kind = FOUND_FILE };

    if (find_repo(text, NULL, h, whole, &f, e) != 0)
        return -1;
    settle(&f);
    *out = f;
    return 0;
}

/* What names/ says of the file, if its view is that very file. */
static bool put_digest(
    const struct found *f, const char *path, struct digest *out)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(FIND_ARENA_MAX);
    struct volume_entry entry;
    struct err why = ERR_INIT;
    char name[PATH_MAX], store[PATH_MAX];
    struct volume v;

    if (path_fmt(v.root, &why, "%s", f->volume) != 0 ||
        (strcmp(f->below, ".") == 0
                ? path_fmt(name, &why, "%s", path_base(path))
                : path_join(name, f->below, path_base(path), &why)) != 0 ||
        volume_find(&v, name, &arena, &entry, &why) != 0 ||
        volume_path(&v, &entry, store, &why) != 0 || !same_file(path, store))
        return false;
    *out = entry.sha256;
    return true;
}

bool found_digest(const struct found *f, const char *path, struct digest *out)
{
    char real[PATH_MAX];

    if (f->kind != FOUND_REPO && f->volume[0] == '\0')
        return false;
    if (realpath(path, real) != NULL && hex_is(str_of(path_base(real)), 64))
        return digest_parse(out, str_of(path_base(real)));
    return f->volume[0] != '\0' && put_digest(f, path, out);
}
