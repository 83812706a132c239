#include "bucket/sweep.h"

#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/log.h"
#include "bucket/crew.h"
#include "bucket/ending.h"
#include "bucket/intent.h"
#include "bucket/retire.h"
#include "bucket/survey.h"
#include "bucket/turn.h"
#include "s3/list.h"
#include "s3/multipart.h"

#define SURVEY_MAX ((uint64_t)16 << 30)

/* Another's trash stays so long, and moves of refs: whoever is at work there
   may be about to delete something. */
enum { OTHERS_S = 86400 };

/* So many are moved together, eight at a time. */
enum { ASIDE_MAX = 512 };

/* What is to be moved. */
struct aside {
    struct digest sha256;
    uint64_t size;
    char key[S3_KEY_MAX + 1];
};

struct sweeping {
    struct sweep *s;
    pthread_mutex_t lock; /* while several are moved: of all but aside */
    struct aside *aside;
    size_t n_aside, at;
    struct pool *pool;
    struct turn turn;
    struct err why; /* what ended it: from then on nothing is removed */
    struct ending ending;
    bool at_end;
    bool moved;       /* something, or it may have been */
    bool blind;       /* what is needed could not be told any more */
    uint64_t n_stuck; /* objects that could not be moved */
    struct err stuck; /* the first of them */
    struct survey survey;
    struct arena arena; /* of it */
    int64_t now_s, before_s;
    enum content_kind kind;
    size_t front;      /* of a key, up to behind "v1/" */
    const char *below; /* whose uploads are looked at */
};

static int note(struct sweep *s, enum swept_kind kind, const char *name,
    uint64_t bytes, struct err *e)
{
    struct swept *v = arena_grow(s->arena, s->v, s->n, &s->room, sizeof(*v), e);

    if (v == NULL)
        return -1;
    s->v = v;
    s->v[s->n] = (struct swept){ .kind = kind,
        .name = arena_str(s->arena, str_of(name), e),
        .bytes = bytes };
    s->bytes += bytes;
    return s->v[s->n++].name.p != NULL ? 0 : -1;
}

/* The first counts. */
static void give_up(struct sweeping *w, const struct err *why)
{
    if (w->why.kind == ERR_NONE)
        w->why = *why;
}

/* Asked before anything goes. Once it is over, it stays so. */
static bool may_remove(struct sweeping *w)
{
    if (w->why.kind == ERR_NONE && w->at_end)
        ending_check(&w->ending, &w->why);
    if (w->why.kind == ERR_NONE)
        turn_check(&w->turn, &w->why);
    return w->why.kind == ERR_NONE;
}

/* It is told when it has gone; in a dry run, that it would. */
static int take_out(struct sweeping *w, enum swept_kind kind,
    const struct s3_entry *entry, const char *name, struct err *e)
{
    if (!w->s->dry_run && !may_remove(w))
        return 0;
    if (!w->s->dry_run && s3_delete(w->s->b->s3, entry->key, e) != 0)
        return -1;
    return note(w->s, kind, name, entry->size, e);
}

/* The digest that a key ends in. */
static bool digest_of(const char *key, struct digest *out)
{
    size_t n = strlen(key);

    return n > 65 && hex_is(str_of(key + n - 64), 64) &&
           digest_parse(out, str_of(key + n - 64));
}

/* ---- moving ---- */

/* "trash/<id>/blobs-<hex>" and "trash/<id>/manifests-<hex>". */
static int trash_key(const struct sweeping *w, const struct digest *sha256,
    char *out, struct err *e)
{
    return bucket_key(w->s->b, out, e, "trash/%s/%s-%s", w->turn.id,
        w->kind == CONTENT_BLOB ? "blobs" : "manifests", sha256->hex);
}

static int still(void *arg, struct err *e)
{
    struct sweeping *w = arg;
    bool may;

    pthread_mutex_lock(&w->lock);
    may = may_remove(w);
    if (!may)
        *e = w->why;
    pthread_mutex_unlock(&w->lock);
    return may ? 0 : -1;
}

static void go_on(void *arg)
{
    struct sweeping *w = arg;
    struct err ignored = ERR_INIT; /* it counts when something goes */

    pthread_mutex_lock(&w->lock);
    turn_check(&w->turn, &ignored);
    pthread_mutex_unlock(&w->lock);
}

/* It may have been written again since the list was made. */
static int set_aside(struct sweeping *w, const struct aside *x, struct s3 *s3,
    bool *left, struct err *e)
{
    struct retire a = { .s3 = s3, .go_on = go_on, .may = still, .arg = w };
    struct s3_info info = { .found = false };
    char trash[S3_KEY_MAX + 1];
    int rc;

    *left = false;
    if (s3_head(s3, x->key, &info, e) != 0)
        return -1;
    if (!info.found || info.modified_s >= w->before_s)
        return 0;
    if (trash_key(w, &x->sha256, trash, e) != 0)
        return -1;
    rc = retire_move(&a, x->key, trash, &info, NULL, e);
    *left = a.left;
    return rc;
}

/* 0: no reason to leave the others. */
static int stays(struct sweeping *w, const struct aside *x, bool left,
    const struct err *why, struct err *e)
{
    /* Who may not take it away again would only make the bucket larger. */
    if (left)
        give_up(w, why);
    if (why->kind == ERR_MISSING || w->why.kind != ERR_NONE)
        return 0;
    /* Archived, or not ours to touch. */
    if (why->kind != ERR_AUTH && why->kind != ERR_UNSUPPORTED &&
        why->kind != ERR_CORRUPT) {
        *e = *why;
        return -1;
    }
    if (w->n_stuck++ == 0)
        w->stuck = *why;
    w->s->left_bytes += x->size;
    return 0;
}

static int try_aside(void *arg, size_t i, struct s3 *s3, struct err *e)
{
    struct sweeping *w = arg;
    const struct aside *x = &w->aside[w->at + i];
    struct err why = ERR_INIT;
    bool left;
    int rc;

    if (still(w, &why) != 0 || set_aside(w, x, s3, &left, &why) == 0)
        return 0;
    pthread_mutex_lock(&w->lock);
    rc = stays(w, x, left, &why, e);
    pthread_mutex_unlock(&w->lock);
    return rc;
}

static int move_some(struct sweeping *w, struct err *e)
{
    size_t n = w->n_aside, first = w->moved ? 0 : 1;

    w->n_aside = 0;
    if (n == 0 || !may_remove(w))
        return 0;
    w->moved = true;
    w->at = 0;
    /* What the very first tells of our rights may end it. */
    if (first > 0 && crew_run(w->s->b, NULL, first, try_aside, w, e) != 0)
        return -1;
    w->at = first;
    return crew_run(w->s->b, w->pool, n - first, try_aside, w, e);
}

static int look_at(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct sweeping *w = arg;
    struct digest sha256;
    struct aside *x;

    if (!digest_of(entry->key, &sha256) || strlen(entry->key) > S3_KEY_MAX ||
        survey_find(&w->survey, w->kind, &sha256) != NULL ||
        entry->modified_s <= 0 || entry->modified_s >= w->before_s) {
        w->s->left_bytes += entry->size;
        return 0;
    }
    if (w->s->dry_run)
        return note(w->s, SWEPT_OBJECT, entry->key + w->front, entry->size, e);
    if (!may_remove(w))
        return S3_LIST_ENOUGH;
    x = &w->aside[w->n_aside++];
    x->sha256 = sha256;
    x->size = entry->size;
    snprintf(x->key, sizeof(x->key), "%s", entry->key);
    return w->n_aside == ASIDE_MAX ? move_some(w, e) : 0;
}

static int each(struct sweeping *w, const char *below,
    int (*fn)(void *arg, const struct s3_entry *entry, struct err *e),
    struct err *e)
{
    char prefix[S3_KEY_MAX + 1];
    struct s3_list l = { .prefix = prefix, .entry = fn, .arg = w };

    if (bucket_key(w->s->b, prefix, e, "%s", below) != 0)
        return -1;
    w->front = strlen(prefix) - strlen(below);
    return s3_list(w->s->b->s3, &l, e);
}

/* ---- the trash ---- */

/* Gone in between: only who had moved it may have done that, rightly. */
static int put_back(struct sweeping *w, enum content_kind kind,
    const struct digest *sha256, const struct s3_entry *entry, struct err *e)
{
    struct s3_copy c = {
        .from = entry->key, .size = entry->size, .part = go_on, .arg = w
    };
    struct s3_info info = { .found = false };
    struct err why = ERR_INIT;
    char key[S3_KEY_MAX + 1];

    if (content_key(w->s->b, kind, sha256, key, e) != 0 ||
        s3_head(w->s->b->s3, key, &info, e) != 0)
        return -1;
    if (info.found)
        return 0;
    c.to = key;
    if (s3_copy(w->s->b->s3, &c, &why) != 0 && why.kind != ERR_MISSING) {
        *e = why;
        return -1;
    }
    log_debug("%s: %s is needed again", w->s->b->shown, sha256->hex);
    w->s->left_bytes += entry->size;
    return 0;
}

/* Of an entry's copy. */
static void what_of(const struct s3_entry *entry, enum content_kind *out)
{
    const char *name = strrchr(entry->key, '/') + 1;

    *out = strncmp(name, "blobs-", 6) == 0 ? CONTENT_BLOB : CONTENT_MANIFEST;
}

/* One that does not come back is told, and keeps no other from doing so. */
static int try_back(struct sweeping *w, enum content_kind kind,
    const struct digest *sha256, const struct s3_entry *entry, struct err *e)
{
    struct err why = ERR_INIT;

    if (put_back(w, kind, sha256, entry, &why) == 0)
        return 0;
    log_warn("%s: %s is needed, and only in trash/ now: do mlcache gc again",
        w->s->b->shown, sha256->hex);
    give_up(w, &why);
    if (why.kind != ERR_NET && why.kind != ERR_NOMEM &&
        why.kind != ERR_CANCELLED)
        return 0;
    *e = why;
    return -1;
}

static bool is_own(const struct sweeping *w, const struct s3_entry *entry)
{
    const char *tail = entry->key + w->front + strlen("trash/");
    size_t n = strlen(w->turn.id);

    return n > 0 && strncmp(tail, w->turn.id, n) == 0 && tail[n] == '/';
}

/* What is needed, whoever has moved it; or else all of its own. */
static int restore(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct sweeping *w = arg;
    enum content_kind kind;
    struct digest sha256;

    what_of(entry, &kind);
    if (!digest_of(entry->key, &sha256) ||
        (w->blind ? !is_own(w, entry)
                  : survey_find(&w->survey, kind, &sha256) == NULL))
        return 0;
    return try_back(w, kind, &sha256, entry, e);
}

/* Its own, or one that is nobody's any more. */
static int empty(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct sweeping *w = arg;
    char was[S3_KEY_MAX + 1];
    enum content_kind kind;
    struct digest sha256;

    what_of(entry, &kind);
    if (!digest_of(entry->key, &sha256) ||
        (!is_own(w, entry) && (entry->modified_s <= 0 ||
                                  entry->modified_s >= w->now_s - OTHERS_S)))
        return 0;
    if (survey_find(&w->survey, kind, &sha256) != NULL)
        return w->s->dry_run || !may_remove(w)
                   ? 0
                   : s3_delete(w->s->b->s3, entry->key, e);
    if (content_key(w->s->b, kind, &sha256, was, e) != 0)
        return -1;
    return take_out(w, SWEPT_OBJECT, entry, was + w->front, e);
}

/* ---- what else is left ---- */

static int drop_probe(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct sweeping *w = arg;

    if (entry->modified_s <= 0 || entry->modified_s >= w->before_s)
        return 0;
    return take_out(w, SWEPT_LEFTOVER, entry, entry->key + w->front, e);
}

static int drop_quarantine(
    void *arg, const struct s3_entry *entry, struct err *e)
{
    struct sweeping *w = arg;

    return take_out(w, SWEPT_QUARANTINE, entry, entry->key + w->front, e);
}

/*
 * Whose writer is at work is left alone, however long it takes. That the
 * content has a name is no reason: its writer may have been killed, and the
 * next one have sent it.
 */
static int drop_upload(void *arg, const struct s3_upload *u, struct err *e)
{
    struct sweeping *w = arg;
    const struct need *need = NULL;
    struct digest sha256;

    if (digest_of(u->key, &sha256))
        need = survey_find(&w->survey, CONTENT_BLOB, &sha256);
    if (u->begun_s <= 0 || u->begun_s >= w->before_s ||
        (need != NULL && need->claimed) ||
        strncmp(u->key, w->below, strlen(w->below)) != 0)
        return 0;
    if (!w->s->dry_run && !may_remove(w))
        return 0;
    if (!w->s->dry_run &&
        s3_multipart_abort(w->s->b->s3, u->key, u->upload, e) != 0)
        return -1;
    return note(w->s, SWEPT_LEFTOVER, u->key + w->front, 0, e);
}

/* Of what this volume sends and copies in parts, and of no other. */
static int drop_uploads(struct sweeping *w, struct err *e)
{
    static const char *const belows[] = { "blobs/sha256/", "manifests/sha256/",
        "trash/", "quarantine/" };
    char prefix[S3_KEY_MAX + 1];
    struct err why = ERR_INIT;

    w->below = prefix;
    for (size_t i = 0; i < ARRAY_LEN(belows); i++) {
        if (bucket_key(w->s->b, prefix, e, "%s", belows[i]) != 0)
            return -1;
        w->front = strlen(prefix) - strlen(belows[i]);
        if (s3_uploads(w->s->b->s3, prefix, drop_upload, w, &why) != 0)
            break;
    }
    /* These are rights of their own on Amazon. */
    if (why.kind == ERR_AUTH || why.kind == ERR_UNSUPPORTED) {
        log_warn("%s: uploads in parts that were left behind stay: that wants "
                 "s3:ListBucketMultipartUploads and s3:AbortMultipartUpload "
                 "(%s)",
            w->s->b->shown, why.msg);
        return 0;
    }
    if (why.kind == ERR_NONE)
        return 0;
    *e = why;
    return -1;
}

static int leftovers(struct sweeping *w, struct err *e)
{
    int64_t before_s = w->now_s - OTHERS_S;

    if (before_s > w->before_s)
        before_s = w->before_s;
    if (each(w, "probe/", drop_probe, e) != 0 ||
        (w->s->quarantine && each(w, "quarantine/", drop_quarantine, e) != 0))
        return -1;
    for (uint64_t i = 0; i < w->survey.n_refs && !w->s->dry_run; i++)
        if (may_remove(w) &&
            tip_tidy(w->s->b, w->survey.refs[i].p, before_s, e) != 0)
            return -1;
    return drop_uploads(w, e);
}

/* ---- all of it ---- */

static int survey(struct sweeping *w, struct err *e)
{
    struct sweep *s = w->s;

    arena_free(&w->arena);
    w->survey = (struct survey){ .arena = &w->arena,
        .turn = s->dry_run ? NULL : &w->turn };
    if (survey_claims(s->b, w->now_s, &w->survey, e) != 0 ||
        survey_run(s->b, w->before_s, &w->survey, e) != 0)
        return -1;
    if (w->survey.n_bad == 0)
        return 0;
    err_set(e, ERR_CORRUPT, "%.*s", STR_ARG(w->survey.bad[0].why));
    return err_hint(e, "%s: what that ref needs is not known",
        w->moved ? "what was moved is put back" : "nothing was removed");
}

static void move_all(struct sweeping *w)
{
    struct err why = ERR_INIT;
    struct pool *pool AUTO(pool_close_auto) = pool_open(BUCKET_JOBS, &why);

    w->pool = pool;
    w->aside = arena_alloc(&w->arena, ASIDE_MAX, sizeof(*w->aside), &why);
    w->kind = CONTENT_BLOB;
    if (pool != NULL && w->aside != NULL &&
        each(w, "blobs/", look_at, &why) == 0 && move_some(w, &why) == 0 &&
        w->why.kind == ERR_NONE) {
        w->kind = CONTENT_MANIFEST;
        if (each(w, "manifests/", look_at, &why) == 0)
            move_some(w, &why);
    }
    if (why.kind != ERR_NONE)
        give_up(w, &why);
}

/*
 * Whatever was moved is looked at again, also where the turn is over, or it
 * was interrupted, or something failed: what is needed comes back, and all
 * else stays in the trash then. Where that cannot be told all of its own does.
 */
static void look_again(struct sweeping *w)
{
    struct err why = ERR_INIT;

    bool stopped = w->why.kind == ERR_CANCELLED;

    ending_begin(&w->ending, w->s->b, stopped || w->why.kind == ERR_NET);
    w->at_end = true;
    if (stopped)
        log_warn("stopping: what was moved and is needed is put back first");
    w->blind = !w->s->dry_run && survey(w, &why) != 0;
    if (w->blind)
        give_up(w, &why);
    err_clear(&why);
    if (!w->s->dry_run && each(w, "trash/", restore, &why) != 0)
        give_up(w, &why);
    if (!w->s->dry_run && w->why.kind == ERR_NONE)
        turn_renew(&w->turn, &w->why);
    if (w->why.kind == ERR_NONE && each(w, "trash/", empty, &why) != 0)
        give_up(w, &why);
    w->at_end = false;
    ending_end(&w->ending);
}

/* It is told, and an error only where nothing else could be moved. */
static void tell_stuck(struct sweeping *w)
{
    if (w->n_stuck > 0)
        log_warn("%s: %llu %s: %s", w->s->b->shown,
            (unsigned long long)w->n_stuck,
            w->n_stuck == 1 ? "object stays that nobody needs"
                            : "objects stay that nobody needs; the first",
            w->stuck.msg);
    if (w->n_stuck > 0 && w->s->n == 0)
        give_up(w, &w->stuck);
}

static int run(struct sweeping *w, struct err *e)
{
    struct err why = ERR_INIT;

    if (survey(w, e) != 0 ||
        (!w->s->dry_run && each(w, "trash/", restore, e) != 0))
        return -1;
    if (w->why.kind == ERR_NONE)
        move_all(w);
    if (w->moved || w->why.kind == ERR_NONE)
        look_again(w);
    if (w->why.kind == ERR_NONE && leftovers(w, &why) != 0)
        give_up(w, &why);
    tell_stuck(w);
    if (w->why.kind == ERR_NONE)
        return 0;
    *e = w->why;
    return -1;
}

/* The turn is taken by the time of an object of ours. */
static int begin(struct sweeping *w, struct intent *claim, struct err *e)
{
    struct sweep *s = w->s;

    if (bucket_need(s->b, e) != 0)
        return -1;
    if (s->dry_run) {
        if (bucket_date(s->b, &w->now_s, e) != 0)
            return -1;
    } else if (intent_add(claim, s->b, NULL, 0, e) != 0 ||
               bucket_now(s->b, claim->key, &w->now_s, e) != 0) {
        return -1;
    }
    w->before_s = w->now_s - s->grace_s;
    return s->dry_run ? 0 : turn_take(&w->turn, s->b, "gc", w->now_s, e);
}

int sweep_run(struct sweep *s, struct err *e)
{
    struct intent claim AUTO(intent_drop) = INTENT_INIT;
    struct sweeping w = { .s = s,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .why = ERR_INIT,
        .stuck = ERR_INIT,
        .arena = ARENA_INIT(SURVEY_MAX) };
    int rc;

    if (begin(&w, &claim, e) != 0)
        return -1;
    rc = run(&w, e);
    turn_end(&w.turn);
    arena_free(&w.arena);
    return rc;
}
