/*
 * Fetch a repository with libmlfetch, check every byte of it, and print the
 * folder where it is.
 *
 *     cc pull.c -o pull $(pkg-config --cflags --libs mlfetch)
 *     ./pull EleutherAI/pythia-70m [VOLUME]
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include <mlfetch.h>

static struct mlfetch *session;

/* The call that runs ends with MLFETCH_CANCELLED; what it fetched is kept. */
static void interrupt(int sig)
{
    (void)sig;
    mlfetch_cancel(session);
}

static int show(void *user, const struct mlfetch_progress *now)
{
    (void)user;
    fprintf(stderr, "\r%s: %" PRIu64 " of %" PRIu64 " bytes", now->what,
        now->done, now->total);
    if (now->done == now->total)
        fputc('\n', stderr);
    return 0;
}

static void message(void *user, enum mlfetch_level level, const char *text)
{
    (void)user;
    fprintf(stderr, "%s%s\n", level == MLFETCH_WARNING ? "warning: " : "",
        text);
}

static void finding(void *user, const struct mlfetch_finding *f)
{
    (void)user;
    if (f->result == MLFETCH_CHECK_FAIL)
        fprintf(stderr, "%s: %s: %s\n", f->target, f->check, f->detail);
}

static enum mlfetch_status pull(const char *repository, const char *where,
    struct mlfetch_error *e)
{
    struct mlfetch_volume *volume = NULL;
    struct mlfetch_pull *p = NULL;
    enum mlfetch_status status = MLFETCH_OK;

    if (where != NULL)
        status = mlfetch_volume_open(
            session, where, MLFETCH_CREATE, &volume, e);
    if (status == MLFETCH_OK)
        status = mlfetch_pull_new(session, volume, repository, &p, e);
    if (status == MLFETCH_OK)
        status = mlfetch_pull_run(p, e);
    if (status == MLFETCH_OK)
        status = mlfetch_check_repository(
            session, volume, repository, finding, NULL, e);
    if (status == MLFETCH_OK)
        puts(mlfetch_pull_folder(p));
    mlfetch_pull_free(p);
    mlfetch_volume_free(volume);
    return status;
}

int main(int argc, char **argv)
{
    struct mlfetch_error *e = mlfetch_error_new();
    enum mlfetch_status status = MLFETCH_FAILED;

    session = mlfetch_new();
    if (e == NULL || session == NULL || argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s REPOSITORY [VOLUME]\n", argv[0]);
        return MLFETCH_USAGE;
    }
    signal(SIGINT, interrupt);
    mlfetch_on_progress(session, show, NULL);
    mlfetch_on_message(session, MLFETCH_WARNING, message, NULL);
    status = pull(argv[1], argv[2], e);
    if (status != MLFETCH_OK) {
        fprintf(stderr, "error: %s\n", mlfetch_error_message(e));
        if (mlfetch_error_hint(e)[0] != '\0')
            fprintf(stderr, "hint: %s\n", mlfetch_error_hint(e));
    }
    mlfetch_free(session);
    mlfetch_error_free(e);
    return status;
}
