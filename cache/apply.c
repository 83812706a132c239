#include "cache/apply.h"
#include "cache/volume_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cache/aside.h"
#include "cache/mode.h"

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"

/* More names than this are synced together. */
enum { ALONE_MAX = 8 };

/* Parts of names that are longer are tried. */
enum { PLAIN_MAX = 128 };

struct apply {
    const struct volume *v;
    bool together; /* nothing is synced but all of it, at the end */
    bool behind;   /* files/ does not show all */
    bool linkless; /* nor can it: there are no links here. It has been said */
};

static int sync_folder(const struct apply *a, const char *path, struct err *e)
{
    char dir[PATH_MAX];

    if (a->together)
        return 0;
    path_dir(dir, sizeof(dir), path);
    return dir_sync(dir, e);
}

/* No folder on the way may be a link: what it leads to is not ours. */
static int inside(const struct volume *v, const char *part, struct str name,
    char *out, struct err *e)
{
    char top[PATH_MAX], dir[PATH_MAX], below[PATH_MAX];

    if (path_join(top, v->root, part, e) != 0 ||
        path_fmt(below, e, "%.*s", STR_ARG(name)) != 0)
        return -1;
    path_dir(dir, sizeof(dir), below);
    if (aside_inside(top, dir, out, e) != 0)
        return -1;
    return path_join(out, top, below, e);
}

static int remove_at(
    const struct apply *a, const char *path, const char *part, struct err *e)
{
    char top[PATH_MAX];

    if (unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR)
        return err_sys(e, "cannot remove %s", path);
    if (path_join(top, a->v->root, part, e) != 0)
        return -1;
    if (sync_folder(a, path, e) != 0) {
        /* The folder may be gone, with all that was in it. */
        if (e->kind != ERR_MISSING)
            return -1;
        err_clear(e);
    }
    aside_prune(path, top);
    return 0;
}

/* ---- files/ ---- */

/* From the view's entry to the store: "../" for files/ and every folder. */
static int view_target(
    const struct volume_entry *entry, struct str name, char *out, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(PATH_MAX - 1);

    for (size_t i = 0; i < name.len; i++)
        if (name.p[i] == '/')
            buf_puts(&b, "../");
    buf_printf(
        &b, "../store/sha256/%.2s/%s", entry->sha256.hex, entry->sha256.hex);
    if (buf_check(&b, e) != 0)
        return -1;
    memcpy(out, b.p, b.len + 1);
    return 0;
}

/* Neither link(2) nor symlink(2): is there none of them in tmp/ at all? */
static int no_link(const char *path, struct err *e)
{
    int sys = errno;

    err_sys(e, "cannot link %s", path);
    if (sys == EPERM || sys == EOPNOTSUPP || sys == ENOSYS)
        e->kind = ERR_UNSUPPORTED;
    return -1;
}

static int show(const struct apply *a, const struct change *c, struct err *e)
{
    char stored[PATH_MAX], path[PATH_MAX], dir[PATH_MAX], tmp[PATH_MAX];
    char target[PATH_MAX], link_tmp[PATH_MAX];
    int rc;

    if (volume_stored(a->v, &c->now.sha256, stored, e) != 0 ||
        inside(a->v, "files", c->name, path, e) != 0)
        return -1;
    path_dir(dir, sizeof(dir), path);
    if (dir_make(dir, e) != 0 || volume_tmp(a->v, tmp, e) != 0 ||
        file_temp_name(link_tmp, tmp, path, e) != 0)
        return -1;
    if (link(stored, link_tmp) != 0) {
        if (view_target(&c->now, c->name, target, e) != 0)
            return -1;
        if (symlink(target, link_tmp) != 0)
            return no_link(path, e);
    }
    rc = rename(link_tmp, path) == 0 ? sync_folder(a, path, e)
                                     : err_sys(e, "cannot rename to %s", path);
    /* A rename onto another name of the same file leaves both. */
    unlink(link_tmp);
    return rc;
}

static int hide(const struct apply *a, const struct change *c, struct err *e)
{
    char path[PATH_MAX];

    if (inside(a->v, "files", c->name, path, e) != 0)
        return -1;
    return remove_at(a, path, "files", e);
}

static void view(struct apply *a, const struct change *c)
{
    struct err why = ERR_INIT;

    if ((c->is ? show(a, c, &why) : hide(a, c, &why)) == 0)
        return;
    if (why.kind == ERR_UNSUPPORTED) {
        if (!a->linkless)
            log_warn("%s: this file system has no links: files/ shows nothing, "
                     "and files are read by name: mlfetch get",
                a->v->root);
        a->linkless = true;
        return;
    }
    log_warn("'%.*s' is %s, but files/ does not show it: %s", STR_ARG(c->name),
        c->is ? "stored" : "removed", why.msg);
    /* A link in the way stays there. */
    a->behind = a->behind || why.kind != ERR_REFUSED;
}

void apply_show(const struct volume *v, const struct volume_entry *entry)
{
    struct change c = { .name = entry->name, .is = true, .now = *entry };
    struct apply a = { .v = v, .linkless = true };
    struct err ignored = ERR_INIT;
    char path[PATH_MAX], stored[PATH_MAX];
    struct stat shown, kept;

    if (inside(v, "files", c.name, path, &ignored) == 0 &&
        volume_stored(v, &entry->sha256, stored, &ignored) == 0 &&
        stat(path, &shown) == 0 && stat(stored, &kept) == 0 &&
        shown.st_ino == kept.st_ino && shown.st_dev == kept.st_dev)
        return;
    view(&a, &c);
}

/* ---- names/ ---- */

/* Without a sync: the step stays in the log until all of it is synced. */
static int write_quietly(const char *tmp_dir, const char *path,
    const struct buf *text, struct err *e)
{
    struct file_new f AUTO(file_new_abandon) = FILE_NEW_INIT;

    if (file_new_begin_in(&f, tmp_dir, path, e) != 0 ||
        file_write_at(f.fd, text->p, text->len, 0, path, e) != 0)
        return -1;
    if (file_mode(f.fd, mode_masked(0666)) != 0 || rename(f.tmp, path) != 0)
        return err_sys(e, "cannot write %s", path);
    fd_close(&f.fd);
    return 0;
}

static int write_name(
    const struct apply *a, const struct change *c, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(PATH_MAX);
    struct volume_entry entry = c->now;
    char path[PATH_MAX], dir[PATH_MAX], tmp[PATH_MAX];

    entry.name = c->name;
    if (!a->together)
        return volume_entry_write(a->v, &entry, e);
    if (volume_entry_text(&entry, &text, e) != 0 ||
        volume_named(a->v, c->name, path, e) != 0)
        return -1;
    path_dir(dir, sizeof(dir), path);
    if (dir_make(dir, e) != 0 || volume_tmp(a->v, tmp, e) != 0)
        return -1;
    return write_quietly(tmp, path, &text, e);
}

int apply_may(const struct volume *v, struct str name, struct err *e)
{
    char path[PATH_MAX], checked[PATH_MAX];

    if (volume_named(v, name, path, e) != 0)
        return -1;
    return inside(v, "names", str_of(path + strlen(v->root) + sizeof("/names")),
        checked, e);
}

/* Not of the disk's state, but of the name: it will never be possible. */
static bool is_of_name(int sys)
{
    return sys == ENAMETOOLONG || sys == EINVAL || sys == EILSEQ;
}

static int try_part(
    const char *tmp, struct str part, struct str name, struct err *e)
{
    char path[PATH_MAX];
    int fd AUTO(fd_close) = -1;

    if (path_fmt(path, e, "%s/%.*s", tmp, STR_ARG(part)) != 0)
        return -1;
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        unlink(path);
    else if (is_of_name(errno))
        return err_set(e, ERR_REFUSED,
            "unsafe file name '%.*s': this file system cannot have it: %s",
            STR_ARG(name), strerror(errno));
    return 0;
}

/* Any file system that is worth the name has these. */
static bool is_plain(struct str part)
{
    if (part.len > PLAIN_MAX || str_ends(part, ".") || str_ends(part, " "))
        return false;
    for (size_t i = 0; i < part.len; i++) {
        unsigned char c = (unsigned char)part.p[i];

        if (c >= 0x80 || strchr("\"*:<>?|", c) != NULL)
            return false;
    }
    return true;
}

int apply_can(const struct volume *v, struct str name, struct err *e)
{
    char path[PATH_MAX], tmp[PATH_MAX] = "";
    struct str part;

    if (volume_named(v, name, path, e) != 0)
        return -1;
    part.p = path + strlen(v->root) + sizeof("/names");
    for (;; part.p += part.len + 1) {
        part.len = strcspn(part.p, "/");
        if (!is_plain(part) &&
            ((tmp[0] == '\0' && volume_tmp(v, tmp, e) != 0) ||
                try_part(tmp, part, name, e) != 0))
            return -1;
        if (part.p[part.len] == '\0')
            return 0;
    }
}

static int apply_change(struct apply *a, const struct change *c, struct err *e)
{
    struct err outside = ERR_INIT;
    char path[PATH_MAX];

    /* Made a link since the step was planned. */
    if (apply_may(a->v, c->name, &outside) != 0) {
        log_warn("left alone: %s", outside.msg);
        return 0;
    }
    if (volume_named(a->v, c->name, path, e) != 0)
        return -1;
    if ((c->is ? write_name(a, c, e) : remove_at(a, path, "names", e)) != 0) {
        if (!is_of_name(e->sys))
            return -1;
        log_warn("left alone: %s", e->msg);
        err_clear(e);
        return 0;
    }
    view(a, c);
    return 0;
}

/* Names go before others come: one may be a folder of the other. */
int apply_step(const struct volume *v, const struct step *s, struct err *e)
{
    struct apply a = { .v = v, .together = s->n > ALONE_MAX };
    int fd AUTO(fd_close) = -1;

    for (int is = 0; is < 2; is++)
        for (uint64_t i = 0; i < s->n; i++)
            if (s->changes[i].is == is &&
                apply_change(&a, &s->changes[i], e) != 0)
                return -1;
    if (!a.together)
        return a.behind;
    fd = open(v->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || syncfs(fd) != 0)
        return err_sys(e, "%s: making it durable", v->root);
    return a.behind;
}
