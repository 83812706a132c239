/* Files that are fetched for who asks: whose turn it is. */
#include "serve/flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#include "tests/unit/tap.h"

enum { MANY = 1000 };

/* A provider that is at one file until it is told to end. */
struct slow {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned begun, let;
    char at[64]; /* the file */
};

static int fetch(void *self, unsigned nth, struct single *s,
    struct hub_refusal *why, struct err *e)
{
    struct slow *p = self;
    unsigned mine;

    (void)nth, (void)why, (void)e;
    pthread_mutex_lock(&p->lock);
    mine = ++p->begun;
    snprintf(p->at, sizeof(p->at), "%.*s", STR_ARG(s->file->path));
    pthread_cond_broadcast(&p->changed);
    while (p->let < mine)
        pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
    return 0;
}

static enum lack ended(void *arg, const struct flow_end *end, struct err *e)
{
    (void)arg, (void)end, (void)e;
    return LACK_NONE;
}

/* Is it at this file, as its nth? */
static bool is_at(struct slow *p, unsigned nth, const char *name)
{
    struct timespec end;
    bool is;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 5;
    pthread_mutex_lock(&p->lock);
    while (p->begun < nth &&
           pthread_cond_timedwait(&p->changed, &p->lock, &end) == 0)
        ;
    is = p->begun == nth && strcmp(p->at, name) == 0;
    if (!is)
        printf("# %u: %s\n", p->begun, p->at);
    pthread_mutex_unlock(&p->lock);
    return is;
}

static void let_go(struct slow *p, unsigned n)
{
    pthread_mutex_lock(&p->lock);
    p->let += n;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

static void wake(struct watch_reader *r)
{
    (void)r;
}

struct client {
    struct watch_reader reader;
    struct flow *flow;
    enum lack lack;
};

/* A file of 100 bytes that is named so. */
static void ask(struct flows *all, struct client *c, const char *name)
{
    struct edition ed = { .repo = { .type = REPO_MODEL } };
    struct tree_file f = { .path = str_of(name), .size = 100, .lfs = true };
    struct err e = ERR_INIT;

    repo_parse(&ed.repo, REPO_MODEL, "acme/m", &e);
    memset(ed.commit, 'a', 40);
    hash_bytes(HASH_SHA256, name, strlen(name), &f.sha256, &e);
    *c = (struct client){ .reader = { .to = 100, .wake = wake } };
    c->flow = flow_join(all, &ed, &f, &c->reader, &c->lack, &e);
}

static void leave(struct flows *all, struct client *c)
{
    if (c->flow != NULL)
        flow_leave(all, c->flow, &c->reader);
    c->flow = NULL;
}

static void who_has_left(void)
{
    struct slow p = { .lock = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER };
    struct provider from = { .self = &p, .fetch = fetch };
    struct flows_opts opts = { .from = &from, .most = 1, .ended = ended };
    struct err e = ERR_INIT;
    struct flows *all = flows_open(&opts, &e);
    struct client first, second, third, gone;
    char name[16];
    int refused = 0;

    ok(all != NULL, "files can be fetched");
    ask(all, &first, "first");
    ok(is_at(&p, 1, "first"), "one is");
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        ask(all, &gone, name);
        refused += gone.flow == NULL;
        leave(all, &gone);
    }
    is_int(refused, 0, "others wait for their turn, whose clients leave");
    ask(all, &second, "second");
    ok(second.flow != NULL, "they give way to one that is there");
    ask(all, &third, "n7");
    ok(third.flow != NULL, "one comes back");
    let_go(&p, 1);
    ok(is_at(&p, 2, "n7"), "who was first, and is there, is first");
    let_go(&p, 1);
    ok(is_at(&p, 3, "second"), "then the other who is there");
    let_go(&p, 1);
    ok(is_at(&p, 4, "n1"), "then what nobody waits for");
    leave(all, &first);
    leave(all, &second);
    leave(all, &third);
    let_go(&p, 2 * MANY);
    flows_close(all);
}

static void who_stays(void)
{
    static struct client v[MANY + 2];
    struct slow p = { .lock = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER };
    struct provider from = { .self = &p, .fetch = fetch };
    struct flows_opts opts = { .from = &from, .most = 1, .ended = ended };
    struct err e = ERR_INIT;
    struct flows *all = flows_open(&opts, &e);
    char name[16];

    for (int i = 0; i < MANY + 2; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        ask(all, &v[i], name);
        if (i == 0)
            ok(is_at(&p, 1, "n0"), "one is fetched");
    }
    ok(v[MANY].flow != NULL, "as many as may wait do");
    ok(v[MANY + 1].flow == NULL && v[MANY + 1].lack == LACK_LIMIT,
        "no more of them, where all are there");
    for (int i = 0; i < MANY + 2; i++)
        leave(all, &v[i]);
    let_go(&p, 2 * MANY);
    flows_close(all);
}

int main(void)
{
    who_has_left();
    who_stays();
    return done();
}
