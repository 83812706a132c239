#include "base/map.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/scope.h"

enum { PAGE = 4096, POPULATE_READ = 22 /* since Linux 5.14 */ };

/* What the handler must know; entries are never freed, only emptied. */
struct map_guard {
    struct map_guard *next;
    const uint8_t *p;
    uint64_t len;
    struct scope *scope; /* of who mapped it, or NULL */
    bool checked;        /* zeros will be found out: nobody is told */
    atomic_bool zeros;   /* and there were some */
    char path[256];
};

static struct map_guard *guards; /* writers hold lock; the handler only reads */
static struct sigaction before;  /* the handler that was there */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void say(const char *text)
{
    ssize_t n = write(STDERR_FILENO, text, strlen(text));
    (void)n;
}

/*
 * A caller's process goes on: the page reads as zeros from now on, and the
 * caller learns that nothing found in this file counts.
 */
static bool put_zeros(struct map_guard *g, const uint8_t *at)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    void *start = (void *)((uintptr_t)at & ~(page - 1));

    if (mmap(start, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
            -1, 0) == MAP_FAILED)
        return false;
    if (!atomic_exchange(&g->zeros, true) && !g->checked &&
        !atomic_exchange(&g->scope->torn, true))
        memcpy(g->scope->torn_path, g->path, sizeof(g->path));
    return true;
}

/* Not ours: to whom it went before. */
static void pass_on(int sig, siginfo_t *info, void *uc)
{
    if (before.sa_flags & SA_SIGINFO)
        before.sa_sigaction(sig, info, uc);
    else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
        before.sa_handler(sig);
    else
        signal(sig, SIG_DFL);
}

static void on_bus(int sig, siginfo_t *info, void *uc)
{
    const uint8_t *at = info->si_addr;

    for (struct map_guard *g = guards; g != NULL; g = g->next) {
        if (g->p == NULL || at < g->p || at >= g->p + g->len)
            continue;
        if ((g->checked || g->scope != NULL) && put_zeros(g, at))
            return;
        say("error: ");
        say(g->path);
        say(": shortened by another program, or unreadable, while in use\n");
        _exit(6);
    }
    pass_on(sig, info, uc);
}

/* Claimed under the lock, or two maps would share it. */
static struct map_guard *guard_add(
    const char *path, const uint8_t *p, uint64_t len, bool checked)
{
    struct map_guard *g;

    pthread_mutex_lock(&lock);
    for (g = guards; g != NULL && g->p != NULL; g = g->next)
        ;
    if (g == NULL) {
        g = calloc(1, sizeof(*g));
        if (g != NULL && guards == NULL) {
            struct sigaction sa = { .sa_sigaction = on_bus,
                .sa_flags = SA_SIGINFO };
            sigemptyset(&sa.sa_mask);
            sigaction(SIGBUS, &sa, &before);
        }
        if (g != NULL) {
            g->next = guards;
            guards = g;
        }
    }
    if (g != NULL) {
        err_escape(g->path, sizeof(g->path), path);
        g->scope = scope_now();
        g->checked = checked;
        atomic_store(&g->zeros, false);
        g->len = len;
        g->p = p;
    }
    pthread_mutex_unlock(&lock);
    return g;
}

int map_open(struct map *m, const char *path, struct err *e)
{
    void *p;

    *m = (struct map)MAP_INIT;
    m->fd = file_open(path, &m->len, e);
    if (m->fd < 0)
        return -1;
    if (m->len == 0)
        return 0;
    p = mmap(NULL, m->len, PROT_READ, MAP_SHARED, m->fd, 0);
    if (p != MAP_FAILED)
        m->guard = guard_add(path, p, m->len, false);
    if (m->guard == NULL) {
        err_sys(e, "%s: cannot map", path);
        if (p != MAP_FAILED)
            munmap(p, m->len);
        fd_close(&m->fd);
        return -1;
    }
    m->p = p;
    return 0;
}

int map_fd(struct map *m, int fd, uint64_t len, struct err *e)
{
    void *p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);

    *m = (struct map)MAP_INIT;
    if (p == MAP_FAILED)
        return err_sys(e, "cannot map");
    m->guard = guard_add("", p, len, true);
    if (m->guard == NULL) {
        munmap(p, len);
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    m->p = p;
    m->len = len;
    return 0;
}

void map_alone(const struct map *m)
{
    madvise((void *)(uintptr_t)m->p, m->len, MADV_RANDOM);
}

bool map_torn(const struct map *m)
{
    return m->guard != NULL && atomic_load(&m->guard->zeros);
}

bool map_ready(const struct map *m, uint64_t from, uint64_t to)
{
    unsigned char in[256];

    for (uint64_t at = from - from % PAGE, n; at < to; at += n) {
        void *p = (void *)(uintptr_t)(m->p + at);

        n = size_min(to - at, sizeof(in) * PAGE);
        if (mincore(p, n, in) != 0)
            return false;
        for (uint64_t i = 0; i * PAGE < n; i++)
            if (!(in[i] & 1))
                return false;
        /* One call for many faults, where the kernel has it. */
        madvise(p, n, POPULATE_READ);
    }
    return true;
}

void map_forget_part(const struct map *m, uint64_t from, uint64_t to)
{
    uint64_t first = size_align(from, PAGE);
    uint64_t last = to - to % PAGE;

    if (m->p != NULL && first < last)
        madvise((void *)(uintptr_t)(m->p + first), last - first, MADV_DONTNEED);
}

void map_forget(const void *p)
{
    const uint8_t *at = p;

    pthread_mutex_lock(&lock);
    for (struct map_guard *g = guards; g != NULL; g = g->next)
        if (g->p != NULL && at >= g->p && at < g->p + g->len)
            madvise((void *)(uintptr_t)g->p, g->len, MADV_DONTNEED);
    pthread_mutex_unlock(&lock);
}

void map_close(struct map *m)
{
    if (m->p != NULL) {
        /* Not while map_forget looks at it. */
        pthread_mutex_lock(&lock);
        m->guard->p = NULL;
        pthread_mutex_unlock(&lock);
        munmap((void *)(uintptr_t)m->p, m->len);
    }
    fd_close(&m->fd);
    *m = (struct map)MAP_INIT;
}
