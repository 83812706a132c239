#include "base/scope.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/progress.h"
#include "tests/unit/tap.h"

struct owner {
    struct scope scope;
    atomic_bool cancelled;
    _Atomic unsigned lines, told, in_scope;
    uint64_t done, total;
    char last[200];
};

static bool cancelled(struct scope *s)
{
    return atomic_load(&((struct owner *)s)->cancelled);
}

static void say(struct scope *s, enum log_level level, const char *text)
{
    struct owner *o = (struct owner *)s;

    (void)level;
    atomic_fetch_add(&o->lines, 1);
    snprintf(o->last, sizeof(o->last), "%s", text);
}

static void tell(struct scope *s, const struct scope_progress *now)
{
    struct owner *o = (struct owner *)s;

    atomic_fetch_add(&o->told, 1);
    o->done = now->done;
    o->total = now->total;
}

static void open_owner(struct owner *o)
{
    *o = (struct owner){ .scope = { .level = LOG_INFO,
                             .cancelled = cancelled,
                             .say = say,
                             .progress = tell } };
}

static void look(void *ctx, size_t i)
{
    struct owner *o = ctx;

    (void)i;
    if (scope_now() == &o->scope)
        atomic_fetch_add(&o->in_scope, 1);
    usleep(100);
}

static void test_threads(struct owner *o)
{
    struct err e = ERR_INIT;
    struct scope *before = scope_enter(&o->scope);
    struct pool *p AUTO(pool_close_auto) = pool_open(4, &e);

    pool_run(p, 100, look, o);
    is_int(o->in_scope, 100, "a pool's threads are in the scope of its owner");
    scope_enter(before);
    ok(scope_now() == NULL, "and the thread leaves it");
}

static void test_own(struct owner *a, struct owner *b)
{
    struct err e = ERR_INIT;

    scope_enter(&a->scope);
    log_warn("a %d\x1b[2J", 1);
    log_debug("not this");
    atomic_store(&a->cancelled, true);
    ok(cancel_check(&e) != 0 && e.kind == ERR_CANCELLED, "a is interrupted");
    scope_enter(&b->scope);
    err_clear(&e);
    ok(cancel_check(&e) == 0, "b is not");
    log_info("b");
    scope_enter(NULL);
    ok(cancel_check(&e) == 0, "nor is who is in no scope");
    is_int(a->lines, 1, "a is told what it wants to hear");
    ok(strstr(a->last, "a 1") != NULL && strchr(a->last, '\x1b') == NULL,
        "safe for a terminal");
    is_str(b->last, "b", "b is told its own");
}

static void test_progress(struct owner *a, struct owner *b)
{
    struct err e = ERR_INIT;
    struct progress *p, *q;
    struct progress_item *it;

    scope_enter(&a->scope);
    p = progress_open(PROGRESS_SCOPE, "one", 10, &e);
    scope_enter(&b->scope);
    q = progress_open(PROGRESS_SCOPE, "two", 7, &e);
    ok(p != NULL && q != NULL, "two displays at once");
    it = progress_item(p, "x", 10);
    progress_add(it, 10);
    usleep(250000);
    progress_close(q);
    scope_enter(&a->scope);
    progress_close(p);
    ok(a->told >= 2 && b->told >= 2, "both are told, and at the end");
    ok(a->done == 10 && a->total == 10 && b->done == 0 && b->total == 7,
        "each its own");
    a->scope.progress = NULL;
    p = progress_open(PROGRESS_SCOPE, "three", 1, &e);
    ok(p != NULL && progress_item(p, "x", 1) == NULL,
        "who does not listen is not told");
    progress_close(p);
    scope_enter(NULL);
}

static unsigned ended;

static void end(void *what)
{
    ended += *(unsigned *)what;
}

static void test_kept(struct owner *a)
{
    unsigned one = 1, ten = 10;

    ok(scope_keep(&a->scope, "k", &one, end), "a thing is kept");
    ok(!scope_keep(&a->scope, "k", &ten, end) && ended == 10,
        "another of its key ends at once");
    scope_end(&a->scope);
    scope_end(&a->scope);
    is_int(ended, 11, "what was kept ends with the scope, once");
}

static void test_torn(struct owner *a)
{
    char path[] = "/tmp/t_scope.XXXXXX";
    int fd = mkstemp(path);
    struct err e = ERR_INIT;
    struct map m = MAP_INIT;
    const volatile uint8_t *p;

    ok(fd >= 0 && ftruncate(fd, 1 << 20) == 0, "a file");
    scope_enter(&a->scope);
    is_int(map_open(&m, path, &e), 0, "is mapped");
    p = m.p;
    ok(!a->scope.torn && p[0] == 0, "and whole");
    ok(ftruncate(fd, 0) == 0, "it is shortened");
    ok(p[700000] == 0 && p[5000] == 0, "what is missing reads as zeros");
    ok(a->scope.torn, "and the owner is told");
    is_str(a->scope.torn_path, path, "which file it was");
    map_close(&m);
    scope_enter(NULL);
    close(fd);
    unlink(path);
}

int main(void)
{
    static struct owner a, b;

    open_owner(&a);
    open_owner(&b);
    test_threads(&a);
    test_own(&a, &b);
    test_progress(&a, &b);
    test_kept(&a);
    test_torn(&a);
    return done();
}
