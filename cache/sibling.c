#include "cache/sibling.h"

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
#include "base/path.h"
#include "base/str.h"

extern char **environ;

enum { POLL_MS = 20, GRACE_MS = 500 };

static bool runnable(char *out, const char *name, struct str dir)
{
    struct err ignored = ERR_INIT;

    return path_fmt(out, &ignored, "%.*s/%s", STR_ARG(dir), name) == 0 &&
           access(out, X_OK) == 0;
}

/*
 * The one that was installed with us, else what PATH has: of its folders
 * only those that are the same wherever we are.
 */
int sibling_find(const char *name, char *out, struct err *e)
{
    const char *path = getenv("PATH");
    char self[PATH_MAX], dir[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n > 0) {
        self[n] = '\0';
        path_dir(dir, sizeof(dir), self);
        if (runnable(out, name, str_of(dir)))
            return 0;
    }
    while (path != NULL) {
        struct str part = { path, strcspn(path, ":") };

        if (part.len > 0 && part.p[0] == '/' && runnable(out, name, part))
            return 0;
        path = part.p[part.len] == ':' ? part.p + part.len + 1 : NULL;
    }
    err_set(e, ERR_MISSING, "%s is not beside this program, nor in PATH", name);
    return err_hint(e, "install it; the suite comes with it");
}

static int start(
    const char *program, const char *const *argv, pid_t *out, struct err *e)
{
    posix_spawn_file_actions_t actions;
    int error;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return err_set(e, ERR_NOMEM, "out of memory");
    /* What it prints is found in another way; our stdout is our own. */
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
static int wait_for(
    pid_t child, const char *program, int *status, struct err *e)
{
    const struct timespec nap = { .tv_nsec = POLL_MS * 1000000L };
    uint64_t asked_ms = 0;
    bool told = false;

    for (;;) {
        pid_t got = waitpid(child, status, WNOHANG);

        if (got == child)
            return 0;
        if (got < 0 && errno != EINTR)
            return err_sys(e, "waiting for %s", program);
        if (cancel_asked() && asked_ms == 0)
            asked_ms = clock_ms();
        if (asked_ms != 0 && !told && clock_ms() - asked_ms >= GRACE_MS) {
            kill(child, SIGTERM);
            told = true;
        }
        nanosleep(&nap, NULL);
    }
}

int sibling_run(const char *program, const char *const *argv,
    enum err_kind *out_kind, struct err *e)
{
    int status = 0;
    pid_t child;

    if (start(program, argv, &child, e) != 0 ||
        wait_for(child, program, &status, e) != 0)
        return -1;
    *out_kind = kind_of(status);
    return 0;
}

const char *sibling_progress(enum progress_mode mode)
{
    static const char *const words[] = { "auto", "tty", "plain", "json",
        "none" };

    return words[mode];
}
