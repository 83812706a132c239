#include "fetch/localdir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "cache/mode.h"

enum { COPY_CHUNK = 1 << 20, NOTE_MAX = 4096, POLL_MS = 50 };

/* A record's time is cut to microseconds, and read as a double [s]. */
static const double CLOCK_SLACK = 1e-5;

int localdir_at(struct localdir *out, const char *path, struct err *e)
{
    char here[PATH_MAX];

    if (path[0] == '\0')
        return err_set(e, ERR_USAGE, "--local-dir: an empty name");
    if (path[0] != '/' && getcwd(here, sizeof(here)) == NULL)
        return err_sys(e, "the current folder");
    if (path[0] == '/' ? path_fmt(out->root, e, "%s", path) != 0
                       : path_join(out->root, here, path, e) != 0)
        return -1;
    out->root[path_len(out->root)] = '\0';
    return path_join(out->work.root, out->root, ".cache/huggingface/ml", e);
}

static int put_tag(
    const struct localdir *l, const char *name, const char *text, struct err *e)
{
    char path[PATH_MAX];

    if (path_fmt(path, e, "%s/.cache/huggingface/%s", l->root, name) != 0)
        return -1;
    if (access(path, F_OK) == 0)
        return 0;
    return file_put(path, text, strlen(text), mode_masked(0666), e);
}

int localdir_init(const struct localdir *l, struct err *e)
{
    /* git shall not see what is beside the files. */
    if (hubdir_init(&l->work, e) != 0 || put_tag(l, ".gitignore", "*", e) != 0)
        return -1;
    return put_tag(l, "CACHEDIR.TAG",
        "Signature: 8a477f597d28d172789f06886806bc55\n"
        "# This file is a cache directory tag created by huggingface_hub.\n"
        "# For information about cache directory tags, see:\n"
        "#\thttps://bford.info/cachedir/\n",
        e);
}

int localdir_enter(const struct localdir *l, bool *waited, struct err *e)
{
    const struct timespec nap = { .tv_nsec = POLL_MS * 1000000L };
    char path[PATH_MAX];
    int fd;

    *waited = false;
    if (path_join(path, l->work.root, ".locks/folder.lock", e) != 0)
        return -1;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, mode_masked(0666));
    if (fd < 0)
        return err_sys(e, "%s", path);
    while (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        if (!*waited)
            log_info("waiting for another process that fills %s", l->root);
        *waited = true;
        if (cancel_check(e) != 0) {
            close(fd);
            return -1;
        }
        nanosleep(&nap, NULL);
    }
    return fd;
}

static int file_path(const struct localdir *l, const struct tree_file *f,
    char *out, struct err *e)
{
    if (path_check(f->path, e) != 0)
        return -1;
    return path_fmt(out, e, "%s/%.*s", l->root, STR_ARG(f->path));
}

static int note_path(const struct localdir *l, const struct tree_file *f,
    char *out, struct err *e)
{
    return path_fmt(out, e, "%s/.cache/huggingface/download/%.*s.metadata",
        l->root, STR_ARG(f->path));
}

static bool next_line(struct str *text, struct str *line)
{
    const char *end = text->len > 0 ? memchr(text->p, '\n', text->len) : NULL;

    if (end == NULL)
        return false;
    *line = (struct str){ text->p, (size_t)(end - text->p) };
    text->len -= line->len + 1;
    text->p = end + 1;
    return true;
}

struct note {
    char commit[41];
    struct digest etag;
    double at; /* when [s] */
};

/* What was recorded of it last, if anything. */
static bool read_note(
    const struct localdir *l, const struct tree_file *f, struct note *out)
{
    struct buf b AUTO(buf_free) = BUF_INIT(NOTE_MAX);
    struct err ignored = ERR_INIT;
    struct str text, commit, hex, when;
    char path[PATH_MAX], number[64], *end;

    if (note_path(l, f, path, &ignored) != 0 ||
        file_slurp(path, &b, &ignored) != 0)
        return false;
    text = buf_str(&b);
    if (!next_line(&text, &commit) || !next_line(&text, &hex) ||
        !next_line(&text, &when) || when.len >= sizeof(number) ||
        commit.len != 40 || !digest_parse(&out->etag, hex))
        return false;
    snprintf(out->commit, sizeof(out->commit), "%.*s", STR_ARG(commit));
    snprintf(number, sizeof(number), "%.*s", STR_ARG(when));
    out->at = strtod(number, &end);
    return *end == '\0' && end != number;
}

/*
 * Is it the file the record is about? A write, and mv and cp -p, which keep
 * the file's time, all set the time of the change.
 */
static bool untouched(const struct note *n, const struct stat *st)
{
    double changed =
        (double)st->st_ctim.tv_sec + (double)st->st_ctim.tv_nsec / 1e9;

    return changed <= n->at + CLOCK_SLACK;
}

/* A repository must not bring records, or downloads that seem begun. */
static int check_name(const struct tree_file *f, struct err *e)
{
    static const char ours[] = ".cache/huggingface";
    size_t n = size_min(f->path.len, sizeof(ours) - 1);

    /* Some file systems take capitals for the same; ".cache" is a folder. */
    if (strncasecmp(f->path.p, ours, n) != 0 ||
        (f->path.len > n ? f->path.p[n] != '/' : n != 6 && ours[n] != '\0'))
        return 0;
    err_set(e, ERR_REFUSED,
        "'%.*s' of the repository lies where a plain folder's records are",
        STR_ARG(f->path));
    return err_hint(e, "pull it without --local-dir, or --exclude it");
}

/* Nothing is read or written through a folder that is a symbolic link. */
static int check_folders(
    const struct localdir *l, const struct tree_file *f, struct err *e)
{
    char path[PATH_MAX];
    struct stat st;

    for (size_t i = 0; i < f->path.len; i++) {
        if (f->path.p[i] != '/')
            continue;
        if (path_fmt(path, e, "%s/%.*s", l->root, (int)i, f->path.p) != 0)
            return -1;
        if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
            return err_set(e, ERR_REFUSED,
                "%s: a symbolic link where a folder should be", path);
    }
    return 0;
}

/* 1: path has the content of that digest; 0: another; -1 with *e. */
static int has_content(
    const char *path, const struct digest *want, struct err *e)
{
    struct digest found;

    if (file_hash(path, (int)want->kind, &found, NULL, NULL, e) != 0)
        return -1;
    return digest_eq(&found, want);
}

int localdir_have(
    const struct localdir *l, const struct tree_file *f, struct err *e)
{
    const struct digest *want = tree_etag(f);
    int same = 0;
    bool known;
    struct note note;
    char path[PATH_MAX];
    struct stat st;

    if (check_name(f, e) != 0 || file_path(l, f, path, e) != 0 ||
        check_folders(l, f, e) != 0)
        return -1;
    if (lstat(path, &st) != 0)
        return errno == ENOENT || errno == ENOTDIR ? HAVE_NOT
                                                   : err_sys(e, "%s", path);
    if (!S_ISREG(st.st_mode))
        return HAVE_DAMAGED;
    known = read_note(l, f, &note);
    if (known && untouched(&note, &st)) {
        if (!digest_eq(&note.etag, want))
            return HAVE_NOT;
        if ((uint64_t)st.st_size == f->size)
            return HAVE;
    }
    /* Its bytes must say whose it is. */
    if ((uint64_t)st.st_size == f->size)
        same = has_content(path, want, e);
    if (same != 0)
        return same < 0 ? -1 : HAVE;
    if (known && !digest_eq(&note.etag, want))
        same = has_content(path, &note.etag, e);
    if (same < 0)
        return -1;
    return same > 0 ? HAVE_NOT : HAVE_DAMAGED;
}

/* A temporary name for what becomes path, on the same file system. */
static int temp_name(
    const struct localdir *l, const char *path, char *out, struct err *e)
{
    char dir[PATH_MAX];

    if (path_join(dir, l->work.root, ".locks", e) != 0)
        return -1;
    return file_temp_name(out, dir, path, e);
}

static bool share_extents(int from, int to)
{
    return ioctl(to, FICLONE, from) == 0;
}

/* The user's own slip must not reach into the cache: root ignores modes. */
static bool may_link(const char *blob)
{
    struct stat st;

    return geteuid() != 0 && stat(blob, &st) == 0 && S_ISREG(st.st_mode) &&
           (st.st_mode & 0222) == 0;
}

/* 0: path is one more name of blob; 1: not possible here; -1 with *e. */
static int link_blob(
    const struct localdir *l, const char *blob, const char *path, struct err *e)
{
    char tmp[PATH_MAX];
    int rc;

    if (!may_link(blob))
        return 1;
    if (temp_name(l, path, tmp, e) != 0)
        return -1;
    if (linkat(AT_FDCWD, blob, AT_FDCWD, tmp, AT_SYMLINK_FOLLOW) != 0)
        return 1;
    rc = file_publish(tmp, path, e);
    /* A rename onto another name of the same file leaves both. */
    unlink(tmp);
    return rc;
}

static int copy_bytes(int from, int to, uint64_t size, const char *from_name,
    const char *to_name, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(COPY_CHUNK);

    if (buf_room(&b, COPY_CHUNK) == NULL)
        return buf_check(&b, e);
    for (uint64_t at = 0; at < size;) {
        size_t n = size_min(COPY_CHUNK, size - at);

        if (cancel_check(e) != 0 ||
            file_read_at(from, b.p, n, at, from_name, e) != 0 ||
            file_write_at(to, b.p, n, at, to_name, e) != 0)
            return -1;
        at += n;
    }
    return 0;
}

static int share_or_copy(const struct localdir *l, const char *blob,
    const char *path, bool may_share, struct err *e)
{
    struct file_new f AUTO(file_new_abandon) = FILE_NEW_INIT;
    uint64_t size;
    int from AUTO(fd_close) = file_open(blob, &size, e);
    char dir[PATH_MAX];
    int rc;

    if (from < 0 || path_join(dir, l->work.root, ".locks", e) != 0 ||
        file_new_begin_in(&f, dir, path, e) != 0)
        return -1;
    if (!share_extents(from, f.fd)) {
        rc = may_share ? link_blob(l, blob, path, e) : 1;
        if (rc <= 0)
            return rc;
        if (copy_bytes(from, f.fd, size, blob, path, e) != 0)
            return -1;
    }
    return file_new_commit(&f, mode_masked(0666), e);
}

int localdir_put(const struct localdir *l, const struct tree_file *f,
    const char *blob, enum localdir_how how, struct err *e)
{
    int fd AUTO(fd_close) = -1;
    char path[PATH_MAX];

    if (file_path(l, f, path, e) != 0 ||
        hubdir_folders(l->root, f->path, e) != 0)
        return -1;
    if (how != LOCALDIR_MOVE)
        return share_or_copy(l, blob, path, how == LOCALDIR_SHARE, e);
    fd = open(blob, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || file_mode(fd, mode_masked(0666)) != 0)
        return err_sys(e, "%s", blob);
    return file_publish(blob, path, e);
}

/* Is it recorded already as this content of this commit? */
static bool is_noted(
    const struct localdir *l, const struct tree_file *f, const char *commit)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];
    struct note note;
    struct stat st;

    return file_path(l, f, path, &ignored) == 0 && lstat(path, &st) == 0 &&
           read_note(l, f, &note) && untouched(&note, &st) &&
           digest_eq(&note.etag, tree_etag(f)) &&
           strcmp(note.commit, commit) == 0;
}

int localdir_note(const struct localdir *l, const struct tree_file *f,
    const char *commit, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(NOTE_MAX);
    char path[PATH_MAX], root[PATH_MAX];
    struct timespec now;

    if (is_noted(l, f, commit))
        return 0;
    if (note_path(l, f, path, e) != 0 ||
        path_join(root, l->root, ".cache/huggingface/download", e) != 0 ||
        hubdir_folders(root, f->path, e) != 0)
        return -1;
    clock_gettime(CLOCK_REALTIME, &now);
    buf_printf(&b, "%s\n%s\n%lld.%06ld\n", commit, tree_etag(f)->hex,
        (long long)now.tv_sec, now.tv_nsec / 1000);
    if (buf_check(&b, e) != 0)
        return -1;
    return file_put(path, b.p, b.len, mode_masked(0666), e);
}

bool localdir_shares(const struct localdir *l, const char *blob)
{
    struct file_new f AUTO(file_new_abandon) = FILE_NEW_INIT;
    struct err ignored = ERR_INIT;
    struct stat a, b;
    char dir[PATH_MAX];
    int from AUTO(fd_close) = file_open(blob, NULL, &ignored);

    if (from < 0 || fstat(from, &a) != 0 ||
        path_join(dir, l->work.root, ".locks", &ignored) != 0 ||
        file_new_begin_in(&f, dir, "probe", &ignored) != 0 ||
        fstat(f.fd, &b) != 0)
        return false;
    return share_extents(from, f.fd) ||
           (a.st_dev == b.st_dev && may_link(blob));
}
