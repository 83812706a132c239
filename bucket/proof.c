#include "bucket/proof.h"

#include "base/log.h"
#include "bucket/intent.h"

struct proving {
    struct proof *p;
    struct content_proof *v; /* of each need */
    bool asked;              /* for the turn; why: it is not ours */
    struct turn turn;
    struct err why;
};

static int check_all(struct proving *w, struct err *e)
{
    struct proof *p = w->p;
    uint64_t n = p->survey.n;

    w->v = arena_alloc(p->arena, n, sizeof(*w->v), e);
    if (w->v == NULL)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        const struct need *need = &p->survey.v[i];

        w->v[i] = (struct content_proof){ .kind = need->kind,
            .sha256 = &need->sha256,
            .size = need->size,
            .shown = need->name.len > 0 ? need->name.p : need->sha256.hex };
        p->checked_bytes += need->size;
    }
    p->checked = n;
    return content_prove(p->b, w->v, n, p->progress, e);
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

/*
 * A copy under quarantine/, then it goes: it is only moved. All else was read
 * since it was found wrong: what somebody has sent again meanwhile stays.
 */
static int set_aside(
    struct proving *w, uint64_t i, struct str *moved, struct err *e)
{
    struct proof *p = w->p;
    const struct need *n = &p->survey.v[i];
    char key[S3_KEY_MAX + 1], to[S3_KEY_MAX + 1];
    struct s3_info now;

    if (ask_turn(w, e) != 0 ||
        content_key(p->b, n->kind, &n->sha256, key, e) != 0 ||
        bucket_key(p->b, to, e, "quarantine/%s", n->sha256.hex) != 0 ||
        s3_head(p->b->s3, key, &now, e) != 0)
        return -1;
    if (!now.found || now.modified_s != w->v[i].written_s)
        return 0;
    if (s3_copy(p->b->s3, key, to, e) != 0 || turn_check(&w->turn, e) != 0 ||
        s3_delete(p->b->s3, key, e) != 0)
        return -1;
    *moved = arena_str(p->arena, str_of(to), e);
    return moved->p != NULL ? 0 : -1;
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

static int tell_ref(struct proving *w, const struct bad_ref *bad, struct err *e)
{
    struct proof *p = w->p;
    struct proof_wrong *x = &p->wrong[p->n_wrong++];
    int rc;

    *x = (struct proof_wrong){
        .kind = PROOF_REF, .ref = bad->ref, .why = bad->why
    };
    if (!p->repair)
        return 0;
    rc = ask_turn(w, e) != 0 ? -1 : mend_ref(p->b, bad->ref.p, &x->to, e);
    x->mended = rc == 0;
    return rc < 0 ? -1 : 0;
}

static int tell(struct proving *w, struct err *e)
{
    struct proof *p = w->p;
    const struct survey *s = &p->survey;

    p->wrong = arena_alloc(p->arena, s->n + s->n_bad, sizeof(*p->wrong), e);
    if (p->wrong == NULL)
        return -1;
    for (uint64_t i = 0; i < s->n_bad; i++)
        if (tell_ref(w, &s->bad[i], e) != 0)
            return -1;
    for (uint64_t i = 0; i < s->n; i++) {
        struct proof_wrong *x = &p->wrong[p->n_wrong];
        bool gone = w->v[i].state == CONTENT_GONE;

        if (w->v[i].state == CONTENT_RIGHT)
            continue;
        *x = (struct proof_wrong){ .kind = gone ? PROOF_MISSING : PROOF_DAMAGED,
            .need = &s->v[i],
            .ref = s->v[i].ref,
            .why = str_of(gone ? "it is not in the bucket"
                               : "its bytes are not what its name says") };
        if (!gone && s->v[i].size <= S3_PUT_BYTES_MAX &&
            try_aside(w, i, &x->moved, e) != 0)
            return -1;
        p->n_wrong++;
    }
    return 0;
}

int proof_run(struct proof *p, struct err *e)
{
    struct proving w = { .p = p, .why = ERR_INIT };
    int rc;

    p->survey = (struct survey){ .arena = p->arena };
    if (bucket_need(p->b, e) != 0 ||
        survey_run(p->b, INT64_MAX, &p->survey, e) != 0 ||
        check_all(&w, e) != 0)
        return -1;
    rc = tell(&w, e);
    turn_end(&w.turn);
    return rc;
}
