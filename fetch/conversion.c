#include "fetch/conversion.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/path.h"

extern char **environ;

enum {
    MANIFEST_MAX = 512 << 20,
    OPTION_MAX = 16,
    POLL_MS = 20,
    GRACE_MS = 500
};

static const char manifest_name[] = "ml-manifest.json";

static const char *const names[] = { "", "fp16", "bf16", "fp32", "keep",
    "int8" };

const char *conversion_name(enum conversion_kind kind)
{
    return names[kind];
}

bool conversion_parse(const char *name, enum conversion_kind *out)
{
    for (size_t i = 1; i < ARRAY_LEN(names); i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (enum conversion_kind)i;
            return true;
        }
    return false;
}

static bool is_text(const struct json *v, const char *want)
{
    const char *text;

    return json_str(v, &text) && strcmp(text, want) == 0;
}

/* Of this commit, by this recipe and nothing besides. */
static bool is_it(const struct conversion *c, const char *manifest)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct err ignored = ERR_INIT;
    const struct json *recipe, *source;

    if (json_read(&doc, manifest, MANIFEST_MAX, &ignored) != 0)
        return false;
    recipe = json_get(doc.root, "recipe");
    source = json_get(doc.root, "source");
    return json_count(recipe) == 1 &&
           is_text(json_get(recipe, "dtype"), names[c->kind]) &&
           is_text(json_get(source, "commit"), c->commit) &&
           is_text(json_get(source, "repository"), c->repo->id);
}

static void dir_close(DIR **d)
{
    if (*d != NULL)
        closedir(*d);
}

int conversion_find(struct conversion *c, struct err *e)
{
    char root[PATH_MAX], manifest[PATH_MAX];
    DIR *d AUTO(dir_close) = NULL;
    struct dirent *entry;

    if (hubdir_converted(c->dir, c->repo, root, e) != 0)
        return -1;
    d = opendir(root);
    if (d == NULL)
        return errno == ENOENT ? HAVE_NOT : err_sys(e, "%s", root);
    while ((entry = readdir(d)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        if (path_join(c->path, root, entry->d_name, e) != 0 ||
            path_join(manifest, c->path, manifest_name, e) != 0)
            return -1;
        if (is_it(c, manifest))
            return HAVE;
    }
    c->path[0] = '\0';
    return HAVE_NOT;
}

static int check_file(
    const struct conversion *c, const struct json *v, struct err *e)
{
    const char *name = json_key(v), *hex;
    struct digest want, got;
    char path[PATH_MAX];

    if (path_check(str_of(name), e) != 0)
        return -1;
    if (!json_str(json_get(v, "sha256"), &hex) ||
        !digest_parse(&want, str_of(hex)))
        return err_set(e, ERR_REFUSED, "%s/%s: '%.100s' has no digest", c->path,
            manifest_name, name);
    if (path_join(path, c->path, name, e) != 0 ||
        file_hash(path, HASH_SHA256, &got, NULL, NULL, e) != 0)
        return -1;
    if (digest_eq(&got, &want))
        return 0;
    err_set(
        e, ERR_CORRUPT, "%s: damaged on disk: it is not %s", path, want.hex);
    return err_hint(e, "remove %s: it is made anew", c->path);
}

int conversion_check(const struct conversion *c, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    char path[PATH_MAX];
    const struct json *files;

    if (path_join(path, c->path, manifest_name, e) != 0 ||
        json_read(&doc, path, MANIFEST_MAX, e) != 0)
        return -1;
    files = json_get(doc.root, "files");
    if (json_count(files) == 0)
        return err_set(e, ERR_CORRUPT, "%s: lists no files", path);
    for (const struct json *v = json_first(files); v; v = json_next(v))
        if (check_file(c, v, e) != 0)
            return -1;
    return 0;
}

/* ---- making it ---- */

static bool runnable(char out[PATH_MAX], struct str dir)
{
    struct err ignored = ERR_INIT;

    return path_fmt(out, &ignored, "%.*s/mlconvert", STR_ARG(dir)) == 0 &&
           access(out, X_OK) == 0;
}

/*
 * The one that was installed with us, else what PATH has: of its folders
 * only those that are the same wherever we are.
 */
static int find_program(char out[PATH_MAX], struct err *e)
{
    const char *path = getenv("PATH");
    char self[PATH_MAX], dir[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n > 0) {
        self[n] = '\0';
        path_dir(dir, sizeof(dir), self);
        if (runnable(out, str_of(dir)))
            return 0;
    }
    while (path != NULL) {
        struct str part = { path, strcspn(path, ":") };

        if (part.len > 0 && part.p[0] == '/' && runnable(out, part))
            return 0;
        path = part.p[part.len] == ':' ? part.p + part.len + 1 : NULL;
    }
    err_set(e, ERR_MISSING, "mlconvert is not beside mlfetch, nor in PATH");
    return err_hint(e, "install it; the suite comes with it");
}

int conversion_able(struct conversion *c, struct err *e)
{
    char program[PATH_MAX];
    int have = conversion_find(c, e);

    if (have != HAVE_NOT)
        return have < 0 ? -1 : 0;
    return find_program(program, e);
}

static int start(
    const struct conversion *c, const char *program, pid_t *out, struct err *e)
{
    static const char *const hows[] = { "auto", "tty", "plain", "json",
        "none" };
    char option[OPTION_MAX], source[512];
    const char *argv[8] = { "mlconvert", option, "--progress",
        hows[c->progress] };
    posix_spawn_file_actions_t actions;
    size_t n = 4;
    int error;

    snprintf(option, sizeof(option), "--%s", names[c->kind]);
    /* As an address no folder that is here can be meant by it. */
    snprintf(source, sizeof(source), "%s%s@%s",
        strchr(c->repo->id, '/') != NULL ? "hf://" : "", c->repo->id,
        c->commit);
    if (c->volume != NULL) {
        argv[n++] = "--volume";
        argv[n++] = c->volume;
    }
    argv[n++] = source;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return err_set(e, ERR_NOMEM, "out of memory");
    /* The path it prints is found in another way; our stdout is our own. */
    error = posix_spawn_file_actions_addopen(
        &actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (error == 0)
        error = posix_spawn(out, program, &actions, NULL,
            (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error == 0)
        return 0;
    errno = error;
    return err_sys(e, "cannot run %s", program);
}

/* What the exit status of a program of the suite means. */
static enum err_kind kind_of(int status)
{
    static const enum err_kind kinds[] = { ERR_NONE, ERR_IO, ERR_BUG,
        ERR_MISSING, ERR_AUTH, ERR_NET, ERR_CORRUPT, ERR_NOSPACE, ERR_REFUSED,
        ERR_VERDICT };

    if (!WIFEXITED(status))
        return ERR_IO;
    if (WEXITSTATUS(status) == 130)
        return ERR_CANCELLED;
    return (size_t)WEXITSTATUS(status) < ARRAY_LEN(kinds)
               ? kinds[WEXITSTATUS(status)]
               : ERR_IO;
}

/*
 * An interrupt from a terminal reaches it, too, and it ends by itself; one
 * that only we got is handed on.
 */
static int wait_for(pid_t child, int *status, struct err *e)
{
    const struct timespec nap = { .tv_nsec = POLL_MS * 1000000L };
    uint64_t asked_ms = 0;
    bool told = false;

    for (;;) {
        pid_t got = waitpid(child, status, WNOHANG);

        if (got == child)
            return 0;
        if (got < 0 && errno != EINTR)
            return err_sys(e, "waiting for mlconvert");
        if (cancel_asked() && asked_ms == 0)
            asked_ms = clock_ms();
        if (asked_ms != 0 && !told && clock_ms() - asked_ms >= GRACE_MS) {
            kill(child, SIGTERM);
            told = true;
        }
        nanosleep(&nap, NULL);
    }
}

static int failed(
    const struct conversion *c, const char *program, int status, struct err *e)
{
    enum err_kind kind = kind_of(status);

    if (cancel_check(e) != 0)
        return -1;
    err_set(e, kind, "%s@%s was fetched, but not converted to %s", c->repo->id,
        c->repo->revision, names[c->kind]);
    if (kind == ERR_BUG)
        return err_hint(e, "is %s of another version than mlfetch?", program);
    return -1;
}

int conversion_make(struct conversion *c, struct err *e)
{
    int have = conversion_find(c, e), status = 0;
    char program[PATH_MAX];
    pid_t child;

    if (have != HAVE_NOT)
        return have < 0 ? -1 : 0;
    if (find_program(program, e) != 0 || start(c, program, &child, e) != 0 ||
        wait_for(child, &status, e) != 0)
        return -1;
    if (kind_of(status) != ERR_NONE)
        return failed(c, program, status, e);
    have = conversion_find(c, e);
    if (have == HAVE_NOT)
        err_set(e, ERR_BUG, "%s left no %s form of %s", program, names[c->kind],
            c->repo->id);
    return have == HAVE ? 0 : -1;
}
