/*
 * A user of the library, who sees its public header only. Prints TAP.
 *
 *     use HUB-URL FOLDER MODEL-FOLDER
 *
 * The hub has tiny/model (good) and tiny/slow (throttled); FOLDER is empty.
 */
#include <dirent.h>
#include <fcntl.h>
#include <mlfetch.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/tap.h"

struct world {
    const char *hub, *folder, *model;
    struct mlfetch_error *e;
};

static const char *below(const struct world *w, const char *name)
{
    static char path[4][MLFETCH_PATH_MAX];
    static unsigned n;
    char *out = path[n++ % 4];

    snprintf(out, MLFETCH_PATH_MAX, "%s/%s", w->folder, name);
    return out;
}

static void write_file(const char *path, const char *text, size_t times)
{
    FILE *f = fopen(path, "w");

    for (size_t i = 0; f != NULL && i < times; i++)
        fputs(text, f);
    if (f == NULL || fclose(f) != 0)
        ok(false, "%s is written", path);
}

static bool same_as(const char *path, const char *text)
{
    char got[256] = "";
    FILE *f = fopen(path, "r");
    size_t n = f != NULL ? fread(got, 1, sizeof(got) - 1, f) : 0;

    if (f != NULL)
        fclose(f);
    return n == strlen(text) && memcmp(got, text, n) == 0;
}

/* The status, and that a failure has words. */
static bool is(const struct world *w, enum mlfetch_status got,
    enum mlfetch_status want, const char *name)
{
    bool words = mlfetch_error_message(w->e)[0] != '\0';

    if (ok(got == want && mlfetch_error_status(w->e) == got &&
                words == (got != MLFETCH_OK),
            "%s", name))
        return true;
    printf("# got %d, want %d: %s\n", (int)got, (int)want,
        mlfetch_error_message(w->e));
    return false;
}

/* ---- sessions ---- */

static void test_settings(const struct world *w)
{
    struct mlfetch *m = mlfetch_new();

    is(w, mlfetch_set_endpoint(m, "ftp://x", w->e), MLFETCH_USAGE,
        "an endpoint that is none");
    is(w, mlfetch_set_token(m, "a\001b", w->e), MLFETCH_REFUSED,
        "a token that is none");
    is(w, mlfetch_set_number(m, MLFETCH_CONNECTIONS, 65, w->e), MLFETCH_USAGE,
        "too many connections");
    is(w, mlfetch_set_number(m, (enum mlfetch_number)77, 1, w->e),
        MLFETCH_USAGE, "a number nobody knows");
    is(w, mlfetch_set_number(m, MLFETCH_RATE, 3, w->e), MLFETCH_USAGE,
        "a rate like a stall");
    is(w, mlfetch_set_number(m, MLFETCH_THREADS, 2, w->e), MLFETCH_OK,
        "two threads");
    is(w, mlfetch_set_cache(m, "", w->e), MLFETCH_USAGE, "a cache nowhere");
    is(w, mlfetch_set_cache(m, "s3://a/b", w->e), MLFETCH_USAGE,
        "a cache in object storage");
    ok(mlfetch_set_cache(m, "", NULL) == MLFETCH_USAGE,
        "without an error object");
    is_str(mlfetch_error_hint(w->e), "", "no hint where there is none");
    mlfetch_free(m);
    mlfetch_free(NULL);
    mlfetch_pull_free(NULL);
    mlfetch_volume_free(NULL);
    mlfetch_error_free(NULL);
}

/* ---- volumes ---- */

struct seen {
    unsigned n, stop_at;
    char names[256];
    uint64_t bytes;
};

static int see_entry(void *user, const struct mlfetch_entry *entry)
{
    struct seen *s = user;
    size_t at = strlen(s->names);

    snprintf(s->names + at, sizeof(s->names) - at, "%s ", entry->name);
    s->bytes += entry->size;
    ok(strlen(entry->sha256) == 64 && entry->time > 1600000000,
        "%s has a digest and a time", entry->name);
    return ++s->n == s->stop_at;
}

static void test_put(const struct world *w, struct mlfetch_volume *v)
{
    char path[MLFETCH_PATH_MAX];

    write_file(below(w, "a"), "one\n", 1);
    is(w, mlfetch_volume_put(v, below(w, "a"), NULL, 0, w->e), MLFETCH_OK,
        "a file is put");
    is(w, mlfetch_volume_put(v, below(w, "a"), "d/b", 0, w->e), MLFETCH_OK,
        "and under another name");
    write_file(below(w, "a"), "two\n", 1);
    is(w, mlfetch_volume_put(v, below(w, "a"), "a", 0, w->e), MLFETCH_USAGE,
        "other content needs MLFETCH_REPLACE");
    is(w, mlfetch_volume_put(v, below(w, "a"), "a", MLFETCH_REPLACE, w->e),
        MLFETCH_OK, "and takes it");
    is(w, mlfetch_volume_put(v, below(w, "a"), "x", 64, w->e), MLFETCH_USAGE,
        "a flag that is not known is refused");
    is(w, mlfetch_volume_put(v, below(w, "a"), "../x", 0, w->e),
        MLFETCH_REFUSED, "so is a name that leads out");
    is(w, mlfetch_volume_put(v, below(w, "none"), "x", 0, w->e),
        MLFETCH_MISSING, "a file that is not there");
    is(w, mlfetch_volume_path(v, "a", path, w->e), MLFETCH_OK, "its path");
    ok(path[0] == '/' && same_as(path, "two\n"), "has its bytes");
    is(w, mlfetch_volume_path(v, "d", path, w->e), MLFETCH_USAGE,
        "a folder is no file");
    is(w, mlfetch_volume_path(v, "nope", path, w->e), MLFETCH_MISSING,
        "a name that is not there");
    is_str(path, "", "leaves no path");
}

static void test_get(const struct world *w, struct mlfetch_volume *v)
{
    struct seen all = { .n = 0 }, one = { .stop_at = 1 }, d = { .n = 0 };

    is(w, mlfetch_volume_get(v, "d/b", below(w, "got"), 0, w->e), MLFETCH_OK,
        "a file is got");
    ok(same_as(below(w, "got"), "one\n"), "with its bytes");
    is(w, mlfetch_volume_get(v, "a", below(w, "got"), 0, w->e), MLFETCH_USAGE,
        "another is not written over it");
    is(w, mlfetch_volume_get(v, "a", below(w, "got"), MLFETCH_REPLACE, w->e),
        MLFETCH_OK, "but with MLFETCH_REPLACE");
    ok(same_as(below(w, "got"), "two\n"), "its bytes");
    is(w, mlfetch_volume_list(v, NULL, see_entry, &all, w->e), MLFETCH_OK,
        "a list");
    is_str(all.names, "a d/b ", "of two names");
    ok(all.bytes == 8, "and eight bytes");
    is(w, mlfetch_volume_list(v, "d", see_entry, &d, w->e), MLFETCH_OK,
        "of a folder");
    is_str(d.names, "d/b ", "its name");
    is(w, mlfetch_volume_list(v, NULL, see_entry, &one, w->e),
        MLFETCH_CANCELLED, "a list that is stopped");
    is(w, mlfetch_volume_list(v, NULL, see_entry, &d, w->e), MLFETCH_OK,
        "does not stop the next call");
}

static void test_volume(const struct world *w)
{
    struct mlfetch *m = mlfetch_new();
    struct mlfetch_volume *v;

    is(w, mlfetch_volume_open(m, below(w, "vol"), 0, &v, w->e), MLFETCH_MISSING,
        "a volume that is not there");
    ok(v == NULL && mlfetch_error_hint(w->e)[0] != '\0', "comes with a hint");
    is(w, mlfetch_volume_open(m, "s3://a/b", MLFETCH_CREATE, &v, w->e),
        MLFETCH_USAGE, "a volume in object storage");
    ok(v == NULL && strstr(mlfetch_error_message(w->e), "s3://a/b: the lib"),
        "is named, and none is made");
    if (chdir(w->folder) != 0 ||
        !is(w, mlfetch_volume_open(m, "./vol", MLFETCH_CREATE, &v, w->e),
            MLFETCH_OK, "a volume is made"))
        return;
    ok(chdir("/") == 0 && mlfetch_volume_folder(v)[0] == '/',
        "and found after a chdir");
    test_put(w, v);
    test_get(w, v);
    mlfetch_volume_free(v);
    mlfetch_free(m);
}

/* ---- pulls ---- */

static int descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    while (d != NULL && readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static int threads(void)
{
    DIR *d = opendir("/proc/self/task");
    int n = 0;

    while (d != NULL && readdir(d) != NULL)
        n++;
    closedir(d);
    return n - 2;
}

struct watch {
    struct mlfetch *m;
    atomic_uint calls;
    _Atomic uint64_t done, total;
    uint64_t stop_after;
};

static int watch(void *user, const struct mlfetch_progress *now)
{
    struct watch *x = user;

    x->calls++;
    x->done = now->done;
    x->total = now->total;
    return x->stop_after > 0 && now->done >= x->stop_after;
}

static void test_pull(const struct world *w)
{
    struct mlfetch *m = mlfetch_new();
    struct mlfetch_volume *v;
    struct mlfetch_pull *p;
    struct watch x = { .m = m };
    char path[MLFETCH_PATH_MAX];

    mlfetch_on_progress(m, watch, &x);
    mlfetch_set_endpoint(m, w->hub, NULL);
    mlfetch_set_token(m, "", NULL);
    mlfetch_volume_open(m, below(w, "vol"), MLFETCH_CREATE, &v, w->e);
    is(w, mlfetch_pull_new(m, v, "a/b/c", &p, w->e), MLFETCH_USAGE,
        "no repository is called that");
    ok(p == NULL, "and none is made");
    mlfetch_pull_new(m, v, "tiny/model", &p, w->e);
    is_str(mlfetch_pull_folder(p), "", "no folder before the run");
    mlfetch_pull_exclude(p, "*.txt", NULL);
    is(w, mlfetch_pull_run(p, w->e), MLFETCH_OK, "a repository is pulled");
    ok(access(mlfetch_pull_folder(p), F_OK) == 0 &&
            strlen(mlfetch_pull_commit(p)) == 40,
        "to a folder, of a commit");
    ok(x.calls > 0 && x.done == x.total && x.total > 500000,
        "progress came, to the end");
    ok(mlfetch_pull_fetched(p) > 500000, "and bytes");
    is(w, mlfetch_pull_run(p, w->e), MLFETCH_OK, "it can be run again");
    ok(mlfetch_pull_fetched(p) == 0, "and fetches nothing");
    is(w, mlfetch_repository_path(m, v, "tiny/model", path, w->e), MLFETCH_OK,
        "it is held");
    is_str(path, mlfetch_pull_folder(p), "there");
    is(w, mlfetch_repository_path(m, NULL, "tiny/model", path, w->e),
        MLFETCH_MISSING, "not in the hub cache");
    mlfetch_set_offline(m, 1);
    is(w, mlfetch_pull_run(p, w->e), MLFETCH_OK, "offline it is there");
    mlfetch_pull_free(p);
    mlfetch_pull_new(m, NULL, "tiny/slow", &p, w->e);
    is(w, mlfetch_pull_run(p, w->e), MLFETCH_NETWORK, "what is not is not");
    mlfetch_pull_free(p);
    mlfetch_volume_free(v);
    mlfetch_free(m);
}

/* Two sessions in two threads; one of them is cancelled by a third. */
struct job {
    const struct world *w;
    struct mlfetch *m;
    const char *repository, *cache;
    struct watch x;
    enum mlfetch_status status;
    uint64_t fetched;
};

static void *pull_in_thread(void *arg)
{
    struct job *j = arg;
    struct mlfetch_pull *p = NULL;

    mlfetch_set_endpoint(j->m, j->w->hub, NULL);
    mlfetch_set_cache(j->m, j->cache, NULL);
    mlfetch_on_progress(j->m, watch, &j->x);
    if (mlfetch_pull_new(j->m, NULL, j->repository, &p, NULL) == MLFETCH_OK)
        j->status = mlfetch_pull_run(p, NULL);
    j->fetched = mlfetch_pull_fetched(p);
    mlfetch_pull_free(p);
    return NULL;
}

static void test_two(const struct world *w)
{
    struct job a = { .w = w, .repository = "tiny/slow" };
    struct job b = { .w = w, .repository = "tiny/model" };
    char caches[2][MLFETCH_PATH_MAX];
    pthread_t ta, tb;

    snprintf(caches[0], sizeof(caches[0]), "%s", below(w, "one"));
    snprintf(caches[1], sizeof(caches[1]), "%s", below(w, "two"));
    a.cache = caches[0];
    b.cache = caches[1];
    a.m = mlfetch_new();
    b.m = mlfetch_new();
    pthread_create(&ta, NULL, pull_in_thread, &a);
    pthread_create(&tb, NULL, pull_in_thread, &b);
    pthread_join(tb, NULL);
    for (int i = 0; i < 200 && a.x.done == 0; i++)
        usleep(50000);
    is(w, mlfetch_set_cache(a.m, "x", w->e), MLFETCH_USAGE,
        "a session that is at work is refused to another thread");
    mlfetch_cancel(a.m);
    pthread_join(ta, NULL);
    ok(b.status == MLFETCH_OK && b.fetched > 0, "one of two is done");
    ok(a.status == MLFETCH_CANCELLED && a.fetched == 0, "one is cancelled");
    ok(b.x.done == b.x.total && a.x.total != b.x.total,
        "each was told of its own");
    a.x.stop_after = 1;
    pull_in_thread(&a);
    ok(a.status == MLFETCH_CANCELLED, "a callback cancels, too");
    mlfetch_cancel(a.m);
    pull_in_thread(&a);
    ok(a.status == MLFETCH_OK || a.status == MLFETCH_CANCELLED,
        "cancelled while nothing runs: the next call, whichever it is");
    mlfetch_free(a.m);
    mlfetch_free(b.m);
}

/* ---- checks ---- */

struct found {
    unsigned n, failed;
    char first[256];
};

static void see_finding(void *user, const struct mlfetch_finding *f)
{
    struct found *s = user;

    s->n++;
    if (f->result != MLFETCH_CHECK_FAIL)
        return;
    if (s->failed++ == 0)
        snprintf(s->first, sizeof(s->first), "%s: %s", f->check, f->detail);
}

static void test_check(const struct world *w)
{
    struct mlfetch *m = mlfetch_new();
    struct mlfetch_volume *v;
    struct found good = { .n = 0 }, bad = { .n = 0 };

    is(w, mlfetch_check_path(m, w->model, see_finding, &good, w->e), MLFETCH_OK,
        "a good model is right");
    ok(good.n > 3 && good.failed == 0, "in %u checks", good.n);
    write_file(below(w, "bad.safetensors"), "garbage ", 20);
    is(w,
        mlfetch_check_path(
            m, below(w, "bad.safetensors"), see_finding, &bad, w->e),
        MLFETCH_REFUSED, "a bad one is not");
    ok(bad.failed > 0 && strncmp(bad.first, "structure: ", 11) == 0,
        "and why: %s", bad.first);
    ok(chdir(w->folder) == 0, "in the folder");
    is(w, mlfetch_check_path(m, "bad.safetensors", NULL, NULL, w->e),
        MLFETCH_REFUSED, "by its name, told to nobody");
    is(w, mlfetch_check_path(m, "tiny/model", NULL, NULL, w->e),
        MLFETCH_MISSING, "a repository is no path");
    mlfetch_volume_open(m, "./vol", 0, &v, NULL);
    is(w, mlfetch_check_put(v, "a", NULL, NULL, w->e), MLFETCH_OK,
        "what was put is right");
    is(w, mlfetch_check_repository(m, v, "tiny/model", NULL, NULL, w->e),
        MLFETCH_OK, "so is what was pulled");
    is(w, mlfetch_check_repository(m, v, "no/model", NULL, NULL, w->e),
        MLFETCH_MISSING, "and what was not is not there");
    mlfetch_volume_free(v);
    mlfetch_free(m);
}

/* ---- the process ---- */

static void message(void *user, enum mlfetch_level level, const char *text)
{
    (void)level;
    (void)text;
    ++*(unsigned *)user;
}

int main(int argc, char **argv)
{
    struct world w = { .e = mlfetch_error_new() };
    struct sigaction before[3], now;
    static const int signals[] = { SIGPIPE, SIGINT, SIGXFSZ };
    int fds, tasks;
    unsigned heard = 0;
    struct mlfetch *m = mlfetch_new();

    if (argc != 4)
        return 2;
    w.hub = argv[1];
    w.folder = argv[2];
    w.model = argv[3];
    for (int i = 0; i < 3; i++)
        sigaction(signals[i], NULL, &before[i]);
    fds = descriptors();
    tasks = threads();
    test_settings(&w);
    test_volume(&w);
    test_pull(&w);
    test_two(&w);
    test_check(&w);
    mlfetch_on_message(m, MLFETCH_DEBUG, message, &heard);
    mlfetch_free(m);
    is_int(descriptors(), fds, "as many descriptors as before");
    is_int(threads(), tasks, "and threads");
    for (int i = 0; i < 3; i++)
        ok(sigaction(signals[i], NULL, &now) == 0 &&
                now.sa_handler == before[i].sa_handler,
            "signal %d is as it was", signals[i]);
    mlfetch_error_free(w.e);
    return done();
}
