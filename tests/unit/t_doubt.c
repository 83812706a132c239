/* Wrong bytes were given out: who may know of it, and for how long. */
#include "serve/doubt.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

enum { ROUNDS = 3000 };

struct place {
    struct hubdir dir;
    struct repo repo;
    struct digest etag;
    char path[PATH_MAX];
    atomic_bool stop;
};

static void begin(struct place *p)
{
    struct err e = ERR_INIT;

    memset(p, 0, sizeof(*p));
    snprintf(p->dir.root, sizeof(p->dir.root), "%s", scratch);
    repo_parse(&p->repo, REPO_MODEL, "acme/m", &e);
    hash_bytes(HASH_SHA256, "x", 1, &p->etag, &e);
    snprintf(p->path, sizeof(p->path), "%s",
        at(".locks/%s/%s.doubt", p->repo.folder, p->etag.hex));
}

static bool note(struct place *p)
{
    struct err e = ERR_INIT;

    return doubt_note(&p->dir, &p->repo, &p->etag, &e) == 0;
}

static bool is(struct place *p)
{
    return doubt_is(&p->dir, &p->repo, &p->etag);
}

static void make_old(struct place *p)
{
    struct timespec v[2] = { { .tv_nsec = UTIME_OMIT },
        { .tv_sec = time(NULL) - DOUBT_S - 1 } };

    utimensat(AT_FDCWD, p->path, v, 0);
}

static void for_a_while(void)
{
    struct place p;

    begin(&p);
    ok(!is(&p), "nothing was given out");
    ok(note(&p) && is(&p), "wrong bytes were");
    make_old(&p);
    ok(!is(&p), "ten minutes later nobody comes back");
    ok(note(&p) && is(&p), "once more");
}

static void *look(void *arg)
{
    struct place *p = arg;

    while (!atomic_load(&p->stop))
        is(p);
    return NULL;
}

/* Who looks at an old note does not take the new one away. */
static void beside_others(void)
{
    struct place p;
    pthread_t thread;
    int lost = 0;

    begin(&p);
    pthread_create(&thread, NULL, look, &p);
    for (int i = 0; i < ROUNDS; i++) {
        note(&p);
        make_old(&p);
        note(&p);
        usleep(10);
        lost += !is(&p);
    }
    atomic_store(&p.stop, true);
    pthread_join(thread, NULL);
    is_int(lost, 0, "a new note stays while others look at the old one");
}

static void in_need(void)
{
    struct rlimit was, none;
    struct place p;
    const char *to = at("to");
    struct stat st;
    bool noted;

    begin(&p);
    unlink(p.path);
    ok(symlink(to, p.path) == 0 && note(&p) && is(&p) && stat(to, &st) != 0,
        "no link leads it elsewhere");
    unlink(p.path);
    getrlimit(RLIMIT_NOFILE, &was);
    none = was;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    noted = note(&p) && is(&p);
    setrlimit(RLIMIT_NOFILE, &was);
    ok(noted, "no descriptor has to be left for it");
    unlink(p.path);
    mkdir(p.path, 0755);
    ok(!note(&p), "where it cannot be noted that is told");
}

int main(void)
{
    scratch_open();
    for_a_while();
    beside_others();
    in_need();
    scratch_close();
    return done();
}
