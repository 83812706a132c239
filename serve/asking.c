#include "serve/asking.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/url.h"

enum {
    PATIENCE_MS = 20000, /* for another one's question, or for its turn */
    NO_MS = 30000,       /* a refusal is believed, */
    CORRUPT_MS = 60000,  /* and that a file comes wrong, */
    DOWN_MS = 5000,      /* and that nobody answers: */
    DOWN_TIMES = 8,      /* so many times as long as it took to find out, */
    DOWN_MAX_MS = 60000, /* at most */
    PROBE_MS = 10000,    /* one asks again; others do not, for so long */
    SINCE_MS = 1000,     /* so late may be heard of an answer */
    LATE_MAX = 16,       /* questions that nobody waits for any more */
    LIMIT_MAX_S = 600
};

struct asking {
    char name[URL_SHOW_MAX];
    pthread_mutex_t lock;
    pthread_cond_t changed; /* an answer came, or an asker is free */
    struct memos memos;
    bool busy[PROVIDER_QUESTIONS];
    uint64_t down_until_ms;
    uint64_t up_ms;    /* when he answered last */
    uint64_t fell_ms;  /* when he was first found not to */
    unsigned failures; /* in a row */
    unsigned late;     /* threads of asking_put_soon */
    bool closing;
};

/* ---- life ---- */

struct asking *asking_open(const char *name, struct err *e)
{
    struct asking *a = calloc(1, sizeof(*a));
    pthread_condattr_t attr;

    if (a == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, &attr);
    pthread_condattr_destroy(&attr);
    snprintf(a->name, sizeof(a->name), "%s", name);
    if (memos_open(&a->memos, e) == 0)
        return a;
    asking_close(a);
    return NULL;
}

void asking_close(struct asking *a)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    a->closing = true;
    pthread_cond_broadcast(&a->changed);
    while (a->late > 0)
        pthread_cond_wait(&a->changed, &a->lock);
    pthread_mutex_unlock(&a->lock);
    memos_free(&a->memos);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

const char *asking_name(const struct asking *a)
{
    return a->name;
}

/* ---- what a refusal means ---- */

static bool is(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}

/* Without one of the Hub's words: what stands between may have said it. A
 * token that is refused is the mirror's matter, and no client's. */
static enum lack by_status(const struct hub_refusal *r, const struct err *e)
{
    if (r->status == 429)
        return LACK_LIMIT;
    if (r->status == 403)
        return LACK_FORBIDDEN;
    if (r->status == 404 || r->status == 410 ||
        (r->status == 401 && e->kind != ERR_AUTH))
        return LACK_PERHAPS;
    return LACK_BYTES;
}

/* Without an answer that is a refusal. */
static enum lack by_kind(const struct err *e)
{
    return e->kind == ERR_NET || e->kind == ERR_CORRUPT ||
                   e->kind == ERR_CANCELLED || e->kind == ERR_REFUSED
               ? LACK_BYTES
               : LACK_FAULT;
}

static enum lack lack_of(const struct hub_refusal *r, const struct err *e)
{
    if (e->kind == ERR_NOSPACE)
        return LACK_SPACE;
    if (r->moved)
        return LACK_POLICY;
    if (r->status == 0)
        return by_kind(e);
    if (is(r->code, "RepoNotFound"))
        return LACK_REPO;
    if (is(r->code, "RevisionNotFound"))
        return LACK_REVISION;
    if (is(r->code, "EntryNotFound"))
        return LACK_ENTRY;
    if (is(r->code, "GatedRepo"))
        return LACK_GATED;
    if (is(r->message, "Access to this resource is disabled."))
        return LACK_DISABLED;
    return by_status(r, e);
}

static uint64_t believed_ms(
    enum lack lack, const struct hub_refusal *r, const struct err *e)
{
    if (e->kind == ERR_CORRUPT)
        return CORRUPT_MS;
    if (lack == LACK_LIMIT && r->wait_s > 0)
        return size_min(r->wait_s, LIMIT_MAX_S) * 1000;
    return lack == LACK_BYTES || lack == LACK_FAULT || lack == LACK_SPACE
               ? DOWN_MS
               : NO_MS;
}

/* ---- with the lock held ---- */

/* The client sees two servers: this one, which lacks it, and that one. */
static void name_both(const struct asking *a, enum lack lack, struct err *e)
{
    if (lack == LACK_BYTES)
        err_ctx(e, "this mirror does not hold it, and cannot get it from %s",
            a->name);
}

static void note_up(struct asking *a)
{
    if (a->failures > 0)
        log_info("%s answers again", a->name);
    a->failures = 0;
    a->down_until_ms = 0;
    a->up_ms = clock_ms();
}

/*
 * Once is nothing, and so is what was under way at that time: it tells the
 * same. Again: who finds out must not have waited for long.
 */
static void note_down(struct asking *a, const struct err *e, uint64_t begun_ms)
{
    uint64_t now = clock_ms(), ms = DOWN_MS;

    if (a->failures == 0) {
        log_warn("%s cannot be reached: %s", a->name, e->msg);
        a->fell_ms = now;
    } else if (begun_ms <= a->fell_ms) {
        return;
    } else {
        ms = size_min(
            size_max((now - begun_ms) * DOWN_TIMES, DOWN_MS), DOWN_MAX_MS);
    }
    a->failures++;
    a->down_until_ms = now + ms;
}

static void note_refusal(struct asking *a, struct memo *m,
    const struct hub_refusal *r, const struct err *e, uint64_t begun_ms)
{
    enum lack lack = lack_of(r, e);

    if (e->kind == ERR_NET && r->status == 0 && !r->answered &&
        a->up_ms < begun_ms + SINCE_MS)
        note_down(a, e, begun_ms);
    m->until_ms = clock_ms() + believed_ms(lack, r, e);
    m->err = *e;
    m->lack = lack;
    if (lack_is_word(lack))
        m->commit[0] = '\0';
    /* A branch does not go away because nobody can be asked about it. */
    if (m->commit[0] != '\0')
        m->lack = LACK_NONE;
    else
        name_both(a, lack, &m->err);
}

static int recall(
    const struct memo *m, char *commit, enum lack *lack, struct err *e)
{
    if (!memo_fresh(m, clock_ms()))
        return 0;
    if (m->lack == LACK_NONE) {
        if (commit != NULL)
            memcpy(commit, m->commit, sizeof(m->commit));
        return 1;
    }
    *lack = m->lack;
    *e = m->err;
    return -1;
}

/* Nobody was reached a moment ago: an old answer, or none. 0: it is not so. */
static int recall_down(const struct asking *a, const struct memo *m,
    char *commit, enum lack *lack, struct err *e)
{
    if (clock_ms() >= a->down_until_ms)
        return 0;
    if (m != NULL && m->commit[0] != '\0') {
        memcpy(commit, m->commit, sizeof(m->commit));
        return 1;
    }
    /* Why may name what its asker alone may see. */
    *lack = LACK_BYTES;
    err_set(e, ERR_NET,
        "nobody was reached there a moment ago; the mirror's log says why");
    name_both(a, *lack, e);
    return -1;
}

/* PROVIDER_QUESTIONS: all are asked already. */
static unsigned free_turn(const struct asking *a)
{
    unsigned i = 0;

    while (i < PROVIDER_QUESTIONS && a->busy[i])
        i++;
    return i;
}

static int ask(struct asking *a, unsigned nth, struct question *q,
    struct memo *m, enum lack *lack, struct err *e)
{
    const struct hub_refusal *refusal = &q->refusal;
    uint64_t begun_ms = clock_ms();
    struct err why = ERR_INIT;

    m->asking = a->busy[nth] = true;
    m->since_ms = begun_ms;
    if (a->failures > 0)
        a->down_until_ms = begun_ms + PROBE_MS;
    pthread_mutex_unlock(&a->lock);
    q->refusal = (struct hub_refusal){ .status = 0 };
    q->ask(q, nth, &why);
    pthread_mutex_lock(&a->lock);
    m->asking = a->busy[nth] = false;
    pthread_cond_broadcast(&a->changed);
    if (why.kind == ERR_NONE || refusal->status != 0 || refusal->answered)
        note_up(a);
    if (why.kind == ERR_NONE) {
        m->lack = LACK_NONE;
        m->until_ms = clock_ms() + q->good_ms;
        memcpy(m->commit, q->commit, sizeof(m->commit));
        m->said_ms = begun_ms;
        return 0;
    }
    note_refusal(a, m, refusal, &why, begun_ms);
    memcpy(q->commit, m->commit, sizeof(m->commit));
    *lack = m->lack;
    *e = m->err;
    if (m->lack == LACK_NONE)
        err_clear(e);
    return m->lack == LACK_NONE ? 0 : -1;
}

static int too_many(const struct asking *a, enum lack *lack, struct err *e)
{
    *lack = LACK_LIMIT;
    return err_set(
        e, ERR_BUSY, "too many questions to %s wait for an answer", a->name);
}

/* What can be said without a question: 1, -1, or 0: nothing. */
static int look(struct asking *a, const char *key, char *commit,
    enum lack *lack, struct err *e)
{
    const struct memo *m = memo_find(&a->memos, key, clock_ms());
    int known = recall(m, commit, lack, e);

    return known != 0 ? known : recall_down(a, m, commit, lack, e);
}

/* One turn: 2 when it has to wait for others, else as asking_put. */
static int try(struct asking *a, struct question *q, bool wait, enum lack *lack,
    struct err *e)
{
    int known = look(a, q->key, q->commit, lack, e);
    unsigned nth = free_turn(a);
    struct memo *m;

    if (known != 0)
        return known > 0 ? 0 : -1;
    if (!wait)
        return 1;
    if (a->closing)
        return too_many(a, lack, e);
    m = memo_find(&a->memos, q->key, clock_ms());
    if (nth == PROVIDER_QUESTIONS || (m != NULL && m->asking))
        return 2;
    m = memo_make(&a->memos, q->key, clock_ms());
    return m != NULL ? ask(a, nth, q, m, lack, e) : too_many(a, lack, e);
}

/* ---- from outside ---- */

static struct timespec at_ms(uint64_t ms)
{
    return (struct timespec){ .tv_sec = (time_t)(ms / 1000),
        .tv_nsec = (long)(ms % 1000) * 1000000 };
}

int asking_put(struct asking *a, struct question *q, bool wait, enum lack *lack,
    struct err *e)
{
    struct timespec end = at_ms(clock_ms() + PATIENCE_MS);
    int rc, late = 0;

    pthread_mutex_lock(&a->lock);
    while ((rc = try(a, q, wait, lack, e)) == 2 && late == 0)
        late = pthread_cond_timedwait(&a->changed, &a->lock, &end);
    pthread_mutex_unlock(&a->lock);
    return rc == 2 ? too_many(a, lack, e) : rc;
}

static void *ask_late(void *arg)
{
    struct question *q = arg;
    struct asking *a = q->late;
    struct err ignored = ERR_INIT;
    enum lack lack;

    pthread_setname_np(pthread_self(), "ml-ask");
    asking_put(a, q, true, &lack, &ignored);
    q->drop(q);
    pthread_mutex_lock(&a->lock);
    a->late--;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* It is asked on a thread of its own, unless there are too many. */
static bool begin_late(struct asking *a, struct question *q)
{
    pthread_attr_t attr;
    pthread_t thread;
    bool begun = false;

    if (a->late >= LATE_MAX || a->closing || pthread_attr_init(&attr) != 0)
        return false;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    q->late = a;
    begun = pthread_create(&thread, &attr, ask_late, q) == 0;
    a->late += begun;
    pthread_attr_destroy(&attr);
    return begun;
}

int asking_put_soon(struct asking *a, struct question *q, uint64_t ms,
    char commit[41], enum lack *lack, struct err *e)
{
    char key[MEMO_KEY_MAX];
    const struct memo *m;
    struct timespec end;
    int known, late = 0;

    memcpy(key, q->key, sizeof(key));
    pthread_mutex_lock(&a->lock);
    m = memo_find(&a->memos, key, clock_ms());
    end = at_ms((m != NULL && m->asking ? m->since_ms : clock_ms()) +
                (a->failures > 0 ? 0 : ms));
    known = look(a, key, commit, lack, e);
    if (known == 0 && !(m != NULL && m->asking)) {
        late = !begin_late(a, q);
        q = late ? q : NULL;
    }
    while (known == 0 && late == 0) {
        late = pthread_cond_timedwait(&a->changed, &a->lock, &end);
        known = look(a, key, commit, lack, e);
    }
    pthread_mutex_unlock(&a->lock);
    if (q != NULL)
        q->drop(q);
    if (known != 0)
        return known > 0 ? 0 : -1;
    *lack = LACK_BYTES;
    return err_set(e, ERR_NET, "%s takes its time to answer", a->name);
}

enum lack asking_refused(struct asking *a, const char *key,
    const struct hub_refusal *r, uint64_t begun_ms, struct err *e)
{
    enum lack lack = lack_of(r, e);
    struct memo *m;

    pthread_mutex_lock(&a->lock);
    m = memo_make(&a->memos, key, clock_ms());
    if (m != NULL)
        note_refusal(a, m, r, e, begun_ms);
    name_both(a, lack, e);
    pthread_mutex_unlock(&a->lock);
    return lack;
}

void asking_forget(struct asking *a, const char *key)
{
    struct memo *m;

    pthread_mutex_lock(&a->lock);
    m = memo_find(&a->memos, key, clock_ms());
    if (m != NULL)
        m->until_ms = 0;
    pthread_mutex_unlock(&a->lock);
}

void asking_answered(struct asking *a)
{
    pthread_mutex_lock(&a->lock);
    note_up(a);
    pthread_mutex_unlock(&a->lock);
}

int asking_known(
    struct asking *a, const char *key, enum lack *lack, struct err *e)
{
    int known;

    pthread_mutex_lock(&a->lock);
    known = recall(memo_find(&a->memos, key, clock_ms()), NULL, lack, e);
    pthread_mutex_unlock(&a->lock);
    return known;
}

bool asking_down(struct asking *a, enum lack *lack, struct err *e)
{
    bool down;

    pthread_mutex_lock(&a->lock);
    down = recall_down(a, NULL, NULL, lack, e) < 0;
    pthread_mutex_unlock(&a->lock);
    return down;
}

size_t asking_with(struct asking *a, const char *front, const char *commit,
    struct asking_found *out, size_t max)
{
    size_t len = strlen(front), n = 0;

    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < MEMO_ENTRIES && n < max; i++) {
        const struct memo *m = &a->memos.v[i];

        if (strncmp(m->key, front, len) != 0 || strcmp(m->commit, commit) != 0)
            continue;
        memcpy(out[n].rest, m->key + len, strlen(m->key + len) + 1);
        out[n++].age_ms = clock_ms() - m->said_ms;
    }
    pthread_mutex_unlock(&a->lock);
    return n;
}
