#include "bucket/proof.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "bucket/intent.h"
#include "bucket/retire.h"

struct proving {
    struct proof *p;
    struct content_proof *v; /* of each need */
    uint64_t room;           /* of what is wrong */
    bool asked;              /* for the turn; why: it is not ours */
    struct turn turn;
    struct err why;
};

static struct proof_wrong *add_wrong(
    struct proving *w, const struct proof_wrong *x, struct err *e)
{
    struct proof *p = w->p;
    struct proof_wrong *v =
        arena_grow(p->arena, p->wrong, p->n_wrong, &w->room, sizeof(*v), e);

    if (v == NULL)
        return NULL;
    p->wrong = v;
    v[p->n_wrong] = *x;
    return &v[p->n_wrong++];
}

/* Archived, denied: it is told, and the others are read. */
static int unread(void *arg, uint64_t i, const struct err *why, struct err *e)
{
    struct proving *w = arg;
    const struct need *n = &w->p->survey.v[i];
    const struct proof_wrong x = { .kind = PROOF_UNREAD,
        .need = n,
        .ref = n->ref,
        .why = arena_str(w->p->arena, str_of(why->msg), e) };

    w->p->unread++;
    return x.why.p == NULL || add_wrong(w, &x, e) == NULL ? -1 : 0;
}

static int check_all(struct proving *w, struct err *e)
{
    struct proof *p = w->p;
    uint64_t n = p->survey.n;
    int rc;

    w->v = arena_alloc(p->arena, n, sizeof(*w->v), e);
    if (w->v == NULL)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        const struct need *need = &p->survey.v[i];

        w->v[i] = (struct content_proof){ .kind = need->kind,
            .sha256 = &need->sha256,
            .size = need->size,
            .shown = need->name.len > 0 ? need->name.p : need->sha256.hex };
    }
    rc = content_prove(p->b, w->v, n, p->progress, unread, w, e);
    for (uint64_t i = 0; i < n; i++) {
        if (w->v[i].state == CONTENT_UNREAD)
            continue;
        p->checked++;
        p->checked_bytes += w->v[i].size;
    }
    return rc;
}

static int ask_turn(struct proving *w, struct err *e)
{
    struct intent claim AUTO(intent_drop) = INTENT_INIT;
    struct bucket *b = w->p->b;
    int64_t now_s;

    if (!w->asked) {
        w->asked = true;
        if (intent_add(&claim, b, NULL, 0, &w->why) == 0 &&
            bucket_now(b, claim.key, &now_s, &w->why) == 0)
            turn_take(&w->turn, b, "verify", now_s, &w->why);
    }
    if (w->why.kind == ERR_NONE)
        return 0;
    *e = w->why;
    return -1;
}

static int still(void *arg, struct err *e)
{
    return turn_check(arg, e);
}

static void go_on(void *arg)
{
    struct err ignored = ERR_INIT; /* it counts when something goes */

    turn_check(arg, &ignored);
}

/* What was sent again since it was read stays. */
static int set_aside(
    struct proving *w, uint64_t i, struct str *moved, struct err *e)
{
    struct proof *p = w->p;
    const struct need *n = &p->survey.v[i];
    struct retire a = {
        .s3 = p->b->s3, .go_on = go_on, .may = still, .arg = &w->turn
    };
    struct s3_info read = { .modified_s = w->v[i].written_s }, now;
    char key[S3_KEY_MAX + 1], to[S3_KEY_MAX + 1];
    bool gone;

    memcpy(read.etag, w->v[i].etag, sizeof(w->v[i].etag));
    if (ask_turn(w, e) != 0 ||
        content_key(p->b, n->kind, &n->sha256, key, e) != 0 ||
        bucket_key(p->b, to, e, "quarantine/%s", n->sha256.hex) != 0 ||
        s3_head(p->b->s3, key, &now, e) != 0)
        return -1;
    if (!retire_same(&read, &now))
        return 0;
    if (retire_move(&a, key, to, &now, &gone, e) != 0)
        return -1;
    if (gone)
        *moved = arena_str(p->arena, str_of(to), e);
    return gone && moved->p == NULL ? -1 : 0;
}

/* Who may only read there is told what is wrong all the same. */
static int try_aside(
    struct proving *w, uint64_t i, struct str *moved, struct err *e)
{
    struct err why = ERR_INIT;

    if (set_aside(w, i, moved, &why) == 0)
        return 0;
    if (why.kind == ERR_CANCELLED || why.kind == ERR_NOMEM) {
        *e = why;
        return -1;
    }
    log_warn("it stays where it is: %s", why.msg);
    return 0;
}

/* A ref of the survey; one that was mended and is damaged again is not. */
static struct proof_wrong *add_ref(
    struct proving *w, const struct bad_ref *bad, struct err *e)
{
    struct proof *p = w->p;
    const struct proof_wrong x = {
        .kind = PROOF_REF, .ref = bad->ref, .why = bad->why
    };

    for (uint64_t i = 0; i < p->n_wrong; i++) {
        if (p->wrong[i].kind != PROOF_REF || !str_eq(p->wrong[i].ref, bad->ref))
            continue;
        if (p->wrong[i].mended)
            p->wrong[i] = x;
        return &p->wrong[i];
    }
    return add_wrong(w, &x, e);
}

/* What keeps one from being mended is told of it, and the others go on. */
static int mend_one(struct proving *w, const struct bad_ref *bad, struct err *e)
{
    struct proof *p = w->p;
    struct proof_wrong *x = add_ref(w, bad, e);
    struct err why = ERR_INIT;
    char text[2 * sizeof(why.msg)];
    int rc;

    if (x == NULL)
        return -1;
    rc = ask_turn(w, &why) != 0 || turn_check(&w->turn, &why) != 0
             ? -1
             : mend_ref(p->b, bad->ref.p, &x->to, &why);
    x->mended = rc == 0;
    if (rc >= 0)
        return 0;
    if (why.kind == ERR_CANCELLED || why.kind == ERR_NOMEM) {
        *e = why;
        return -1;
    }
    snprintf(text, sizeof(text), "%.*s; not repaired: %s", STR_ARG(bad->why),
        why.msg);
    x->why = arena_str(p->arena, str_of(text), e);
    return x->why.p != NULL ? 0 : -1;
}

/* And then all of it is looked at again. */
static int mend_all(struct proving *w, struct err *e)
{
    struct proof *p = w->p;
    int rc = 0;

    for (uint64_t i = 0; i < p->survey.n_bad && rc == 0; i++)
        rc = mend_one(w, &p->survey.bad[i], e);
    turn_end(&w->turn);
    w->asked = false; /* looking takes longer than a turn */
    err_clear(&w->why);
    if (rc != 0)
        return -1;
    p->survey = (struct survey){ .arena = p->arena };
    return survey_run(p->b, INT64_MAX, &p->survey, e);
}

static const char *const whys[] = {
    [CONTENT_WRONG] = "its bytes are not what its name says",
    [CONTENT_GONE] = "it is not in the bucket",
    [CONTENT_OTHER] = "its bytes are right, and not as long as its catalog "
                      "says",
};

static int tell(struct proving *w, struct err *e)
{
    struct proof *p = w->p;
    const struct survey *s = &p->survey;
    struct err why = ERR_INIT; /* then nothing more is moved */

    for (uint64_t i = 0; i < s->n_bad; i++)
        if (add_ref(w, &s->bad[i], e) == NULL)
            return -1;
    for (uint64_t i = 0; i < s->n; i++) {
        enum content_state state = w->v[i].state;
        struct proof_wrong x = { .kind = state == CONTENT_GONE ? PROOF_MISSING
                                                               : PROOF_DAMAGED,
            .need = &s->v[i],
            .ref = s->v[i].ref };

        if (state == CONTENT_RIGHT || state == CONTENT_UNREAD)
            continue;
        x.why = str_of(whys[state]);
        if (state == CONTENT_WRONG && why.kind == ERR_NONE)
            try_aside(w, i, &x.moved, &why);
        if (add_wrong(w, &x, e) == NULL)
            return -1;
    }
    if (why.kind == ERR_NONE)
        return 0;
    *e = why;
    return -1;
}

static int prove(struct proving *w, struct err *e)
{
    struct proof *p = w->p;
    struct err why = ERR_INIT;

    p->survey = (struct survey){ .arena = p->arena };
    if (bucket_need(p->b, e) != 0 ||
        survey_run(p->b, INT64_MAX, &p->survey, e) != 0 ||
        (p->repair && p->survey.n_bad > 0 && mend_all(w, e) != 0))
        return -1;
    /* What was found wrong by then is told, and set aside, all the same. */
    if (check_all(w, &why) != 0)
        *e = why;
    if (w->v != NULL && tell(w, &why) != 0 && e->kind == ERR_NONE)
        *e = why;
    return e->kind == ERR_NONE ? 0 : -1;
}

int proof_run(struct proof *p, struct err *e)
{
    struct proving w = { .p = p, .why = ERR_INIT };
    int rc = prove(&w, e);

    turn_end(&w.turn);
    return rc;
}
