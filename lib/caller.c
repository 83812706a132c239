#include "lib/caller.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/path.h"
#include "base/version.h"
#include "fetch/pace.h"
#include "fetch/pull.h"
#include "net/retry.h"
#include "net/url.h"

const char *mlfetch_version(void)
{
    return ML_VERSION;
}

/* ---- errors ---- */

struct mlfetch_error *mlfetch_error_new(void)
{
    return calloc(1, sizeof(struct mlfetch_error));
}

void mlfetch_error_free(struct mlfetch_error *e)
{
    free(e);
}

enum mlfetch_status mlfetch_error_status(const struct mlfetch_error *e)
{
    return e->status;
}

const char *mlfetch_error_message(const struct mlfetch_error *e)
{
    return e->why.msg;
}

const char *mlfetch_error_hint(const struct mlfetch_error *e)
{
    return e->why.hint;
}

/* ---- what the rooms ask a scope ---- */

static bool is_cancelled(struct scope *s)
{
    return atomic_load(&((struct mlfetch *)s)->cancelled);
}

static void say(struct scope *s, enum log_level level, const char *text)
{
    struct mlfetch *m = (struct mlfetch *)s;

    pthread_mutex_lock(&m->calling);
    m->on_message(m->message_user, (enum mlfetch_level)level, text);
    pthread_mutex_unlock(&m->calling);
}

static void tell(struct scope *s, const struct scope_progress *now)
{
    struct mlfetch *m = (struct mlfetch *)s;
    struct mlfetch_progress shown = { .what = now->what,
        .done = now->done,
        .held = now->held,
        .total = now->total };

    pthread_mutex_lock(&m->calling);
    if (m->on_progress(m->progress_user, &shown) != 0)
        mlfetch_cancel(m);
    pthread_mutex_unlock(&m->calling);
}

/* ---- sessions ---- */

struct mlfetch *mlfetch_new(void)
{
    struct mlfetch *m = calloc(1, sizeof(*m));

    if (m == NULL)
        return NULL;
    m->scope.cancelled = is_cancelled;
    m->scope.level = LOG_ERROR;
    m->offline = pull_offline();
    m->retry_s = RETRY_TIME_S;
    pthread_mutex_init(&m->calling, NULL);
    return m;
}

void mlfetch_free(struct mlfetch *m)
{
    if (m == NULL)
        return;
    scope_end(&m->scope);
    pthread_mutex_destroy(&m->calling);
    explicit_bzero(m->token.value, sizeof(m->token.value));
    free(m);
}

enum mlfetch_status mlfetch_set_endpoint(
    struct mlfetch *m, const char *url, struct mlfetch_error *e)
{
    struct work w;

    if (work_begin(&w, m, e))
        url_endpoint(m->endpoint, sizeof(m->endpoint), url, &w.e);
    return work_end(&w);
}

enum mlfetch_status mlfetch_set_token(
    struct mlfetch *m, const char *token, struct mlfetch_error *e)
{
    struct work w;

    if (work_begin(&w, m, e)) {
        m->token = (struct token){ .value = "" };
        m->token_known = token[0] == '\0' || token_set(&m->token, str_of(token),
                                                 "the program", &w.e) == 0;
    }
    return work_end(&w);
}

enum mlfetch_status mlfetch_set_cache(
    struct mlfetch *m, const char *folder, struct mlfetch_error *e)
{
    struct work w;

    if (work_begin(&w, m, e)) {
        if (folder[0] == '\0')
            err_set(&w.e, ERR_USAGE, "the cache's folder is empty");
        else if (strncmp(folder, "s3://", 5) == 0)
            err_set(&w.e, ERR_USAGE, "%s: a cache is a folder of this machine",
                folder);
        else
            path_fmt(m->cache.root, &w.e, "%s", folder);
    }
    return work_end(&w);
}

void mlfetch_set_offline(struct mlfetch *m, int offline)
{
    m->offline = offline != 0;
}

static int set_number(
    struct mlfetch *m, enum mlfetch_number which, uint64_t value, struct err *e)
{
    static const uint64_t most[] = { [MLFETCH_CONNECTIONS] = PULL_JOBS_MAX,
        [MLFETCH_RATE] = INT64_MAX,
        [MLFETCH_RETRY_TIME] = RETRY_TIME_MAX_S,
        [MLFETCH_THREADS] = 1024 };
    uint64_t *const at[] = { [MLFETCH_CONNECTIONS] = &m->connections,
        [MLFETCH_RATE] = &m->rate,
        [MLFETCH_RETRY_TIME] = &m->retry_s,
        [MLFETCH_THREADS] = &m->threads };
    size_t i = (size_t)which;

    if (i >= ARRAY_LEN(at) || at[i] == NULL)
        return err_set(e, ERR_USAGE, "there is no number %zu to set", i);
    if (value > most[i])
        return err_set(e, ERR_USAGE, "%llu is more than %llu, the most here",
            (unsigned long long)value, (unsigned long long)most[i]);
    if (which == MLFETCH_RATE && pace_check(value, e) != 0)
        return -1;
    *at[i] = value;
    return 0;
}

enum mlfetch_status mlfetch_set_number(struct mlfetch *m,
    enum mlfetch_number which, uint64_t value, struct mlfetch_error *e)
{
    struct work w;

    if (work_begin(&w, m, e))
        set_number(m, which, value, &w.e);
    return work_end(&w);
}

void mlfetch_on_progress(struct mlfetch *m,
    int (*fn)(void *user, const struct mlfetch_progress *now), void *user)
{
    m->on_progress = fn;
    m->progress_user = user;
    m->scope.progress = fn != NULL ? tell : NULL;
}

void mlfetch_on_message(struct mlfetch *m, enum mlfetch_level level,
    void (*fn)(void *user, enum mlfetch_level level, const char *text),
    void *user)
{
    m->on_message = fn;
    m->message_user = user;
    m->scope.say = fn != NULL ? say : NULL;
    m->scope.level = fn != NULL ? (enum log_level)level : LOG_ERROR;
}

void mlfetch_cancel(struct mlfetch *m)
{
    atomic_store(&m->cancelled, true);
}

int session_hub(const struct mlfetch *m, const struct mlfetch_volume *v,
    struct hubdir *out, struct err *e)
{
    if (v != NULL && v->session != m)
        return err_set(e, ERR_USAGE, "%s: of another session", v->volume.root);
    if (v != NULL)
        return volume_hub(&v->volume, out, e);
    if (m->cache.root[0] == '\0')
        return hubdir_default(out, e);
    *out = m->cache;
    return 0;
}

/* ---- one call ---- */

static const int kept_off[] = { SIGPIPE, SIGXFSZ };

static void mask_signals(struct work *w)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(kept_off); i++)
        sigaddset(&set, kept_off[i]);
    sigpending(&w->pending);
    pthread_sigmask(SIG_BLOCK, &set, &w->mask);
}

/* What came from our own writes goes, what the caller had stays. */
static void unmask_signals(const struct work *w)
{
    const struct timespec now = { 0 };
    sigset_t pending, one;

    sigpending(&pending);
    for (size_t i = 0; i < ARRAY_LEN(kept_off); i++) {
        int sig = kept_off[i];

        if (!sigismember(&pending, sig) || sigismember(&w->pending, sig))
            continue;
        sigemptyset(&one);
        sigaddset(&one, sig);
        sigtimedwait(&one, NULL, &now);
    }
    pthread_sigmask(SIG_SETMASK, &w->mask, NULL);
}

bool work_begin(struct work *w, struct mlfetch *m, struct mlfetch_error *out)
{
    *w = (struct work){ .m = m, .out = out, .e = ERR_INIT };
    if (atomic_exchange(&m->busy, true)) {
        err_set(&w->e, ERR_USAGE, "the session is in use by another call");
        err_hint(&w->e, "a session of its own for each thread");
        return false;
    }
    w->entered = true;
    mask_signals(w);
    w->before = scope_enter(&m->scope);
    return true;
}

static void leave(struct work *w)
{
    struct mlfetch *m = w->m;

    if (atomic_exchange(&m->scope.torn, false)) {
        err_clear(&w->e);
        err_set(&w->e, ERR_CORRUPT,
            "%s: shortened by another program, or unreadable, while in use",
            m->scope.torn_path);
    }
    scope_enter(w->before);
    unmask_signals(w);
    atomic_store(&m->cancelled, false);
    atomic_store(&m->busy, false);
}

enum mlfetch_status work_end(struct work *w)
{
    enum mlfetch_status status;

    if (w->entered)
        leave(w);
    status = (enum mlfetch_status)err_exit(&w->e);
    if (w->out != NULL)
        *w->out = (struct mlfetch_error){ .status = status, .why = w->e };
    return status;
}

int work_flags(unsigned flags, unsigned known, struct err *e)
{
    if ((flags & ~known) == 0)
        return 0;
    return err_set(
        e, ERR_USAGE, "flags that are not known here: %#x", flags & ~known);
}
