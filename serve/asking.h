/*
 * asking.h - questions to who may have what is not held: so many at a time, the
 * same one only once, and the answers are remembered. One that cannot be
 * reached is not asked again for a while.
 *
 * Any thread may call.
 */
#ifndef SERVE_ASKING_H
#define SERVE_ASKING_H

#include "serve/memo.h"
#include "serve/provider.h"

struct asking;

struct question {
    char key[MEMO_KEY_MAX]; /* those with the same are the same */
    uint64_t good_ms;       /* its answer is believed for so long */
    /* Without a lock, as the nth of PROVIDER_QUESTIONS: 0, or -1 with *e and
     * refusal. */
    int (*ask)(struct question *q, unsigned nth, struct err *e);
    char commit[41]; /* of the answer, remembered with it; or "" */
    struct hub_refusal refusal;
    void (*drop)(struct question *q); /* asking_put_soon: it is over */
    struct asking *late;              /* asking.c's */
};

/* asking_open - name: who is asked, for messages. */
struct asking *asking_open(const char *name, struct err *e);
void asking_close(struct asking *a); /* NULL is fine */

/* asking_name - who is asked, for messages. */
const char *asking_name(const struct asking *a);

/*
 * asking_put - the answer that is known, or else ask
 * wait     false: do not ask, nor wait for who does
 * Returns  0 with q->commit (and whatever ask did, if it was asked); 1: it
 *          would have to wait; -1 with *lack and *e. Where nobody can be
 *          reached, or may be asked now, an old commit is an answer still.
 */
int asking_put(struct asking *a, struct question *q, bool wait, enum lack *lack,
    struct err *e);

/*
 * asking_put_soon - the same, for who can do without the answer: so long after
 * the question was put he is told that there is none yet, and at once where
 * nobody could be reached before. It goes on meanwhile, for who comes later.
 * q        taken: its drop is called when it is over
 * Returns  0 with commit, or -1 with *lack (BYTES: none yet) and *e
 */
int asking_put_soon(struct asking *a, struct question *q, uint64_t ms,
    char commit[41], enum lack *lack, struct err *e);

/*
 * asking_refused - what a refusal, or a failure without one, means; it is
 * remembered under the key, and under none that nobody can be reached: not
 * where the server itself has answered, this or any other question since
 * begun_ms, when it was begun
 * *e says whose word it is, then.
 */
enum lack asking_refused(struct asking *a, const char *key,
    const struct hub_refusal *r, uint64_t begun_ms, struct err *e);

/* asking_forget - what was answered to it is not so any more. */
void asking_forget(struct asking *a, const char *key);

/* asking_answered - somebody is there: something has come from him. */
void asking_answered(struct asking *a);

/* asking_known - 0: nothing; 1: an answer; -1 with *lack and *e. */
int asking_known(
    struct asking *a, const char *key, enum lack *lack, struct err *e);

/* asking_down - nobody was reached a moment ago: with *lack and *e. */
bool asking_down(struct asking *a, enum lack *lack, struct err *e);

/*
 * asking_with - of the answers that are this commit, whose keys begin with
 * front, the rest of the key, and how old they are
 * Returns how many, max at most.
 */
struct asking_found {
    char rest[MEMO_KEY_MAX];
    uint64_t age_ms; /* since it was asked for */
};
size_t asking_with(struct asking *a, const char *front, const char *commit,
    struct asking_found *out, size_t max);

#endif
