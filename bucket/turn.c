#include "bucket/turn.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cancel.h"
#include "base/decimal.h"
#include "base/hex.h"
#include "base/human.h"
#include "base/log.h"
#include "base/rd.h"
#include "bucket/ending.h"
#include "cache/edit.h"
#include "s3/list.h"

enum {
    TEXT_MAX = 4096,
    ARENA_MAX = 1 << 20,
    TRIES = 8,
    ASK_TRIES = 10,
    ASK_MS = 300,
    FOR_MAX_S = 86400
};

/* What one says that is there. */
struct claim {
    bool found;
    bool readable;
    char id[17];
    char state[16];
    char what[TURN_WORD_MAX];
    char who[TURN_WORD_MAX];
    int64_t since_s;
    int64_t for_s;
    int64_t written_s;
    char etag[S3_ETAG_MAX];
};

/* Of this machine; it goes on while the machine sleeps. */
static int64_t up_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec;
}

/* ---- the text ---- */

static int text_of(
    const struct turn *t, const char *state, struct buf *out, struct err *e)
{
    buf_clear(out);
    buf_printf(out,
        "ml-turn 1\nid %s\nstate %s\nwhat %s\nwho %s\nsince %lld\nfor %d\n"
        "times %llu\n",
        t->id, state, t->what, t->who, (long long)t->since_s, TURN_S,
        (unsigned long long)t->times);
    return buf_check(out, e);
}

static bool word(struct rd *r, const char *name, char *out, size_t max)
{
    struct str line = rd_line(r);
    size_t n = strlen(name);

    if (r->bad || !str_starts(line, name) || line.len - n >= max ||
        memchr(line.p, '\0', line.len) != NULL)
        return false;
    memcpy(out, line.p + n, line.len - n);
    out[line.len - n] = '\0';
    return true;
}

static bool number(struct rd *r, const char *name, int64_t *out)
{
    char text[16];
    uint64_t v = 0;

    if (!word(r, name, text, sizeof(text)) || !decimal_u64(str_of(text), &v))
        return false;
    *out = (int64_t)v;
    return true;
}

static bool parse(struct str text, struct claim *c)
{
    struct rd r = rd_of(text.p, text.len);

    return str_is(rd_line(&r), "ml-turn 1") && !r.bad &&
           word(&r, "id ", c->id, sizeof(c->id)) &&
           word(&r, "state ", c->state, sizeof(c->state)) &&
           word(&r, "what ", c->what, sizeof(c->what)) &&
           word(&r, "who ", c->who, sizeof(c->who)) &&
           number(&r, "since ", &c->since_s) && number(&r, "for ", &c->for_s);
}

/* One that cannot be read is somebody's, as long as any may be. */
static int read_claim(
    struct s3 *s, const char *key, struct claim *out, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct s3_info info = { .found = false };
    struct err why = ERR_INIT;

    *out = (struct claim){ .found = false };
    if (bucket_read(s, key, &text, &info, &why) < 0 &&
        why.kind != ERR_CORRUPT) {
        *e = why;
        return -1;
    }
    out->found = info.found;
    out->written_s = info.modified_s;
    memcpy(out->etag, info.etag, sizeof(out->etag));
    out->readable = why.kind == ERR_NONE && parse(buf_str(&text), out);
    if (!out->readable)
        out->for_s = TURN_S;
    if (out->for_s > FOR_MAX_S)
        out->for_s = FOR_MAX_S;
    return 0;
}

static bool is_over(const struct claim *c, int64_t now_s)
{
    return !c->found || strcmp(c->state, "free") == 0 ||
           c->written_s + c->for_s < now_s;
}

static int taken(const struct turn *t, const struct claim *c, struct err *e)
{
    char date[HUMAN_MAX];

    human_date(date, c->readable ? c->since_s : c->written_s);
    if (c->readable)
        err_set(e, ERR_BUSY, "%s: mlcache %s of %s is at work there since %s",
            t->b->shown, c->what, c->who, date);
    else
        err_set(e, ERR_BUSY, "%s: somebody is at work there since %s",
            t->b->shown, date);
    return err_hint(e,
        "wait for it, then do it again; if it was killed, its turn is over "
        "%lld minutes after it last said so",
        (long long)(c->for_s + 59) / 60);
}

static int lost(const struct turn *t, struct err *e)
{
    err_set(e, ERR_BUSY,
        "%s: mlcache %s took longer than its turn, and another program is at "
        "work there",
        t->b->shown, t->what);
    return err_hint(e, "do it again when that one is done");
}

/* ---- one object for all ---- */

/* 0; 1: the condition does not hold, or who knows; -1 with *e. */
static int try_head(
    struct turn *t, const char *etag, const char *state, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct s3_cond cond = { .when = etag != NULL ? S3_IF_MATCH : S3_IF_ABSENT,
        .etag = etag };
    struct s3_body body = { .fd = -1 };
    enum s3_did did = S3_NOT_SO;
    char now[S3_ETAG_MAX] = "";

    t->times++;
    if (text_of(t, state, &text, e) != 0)
        return -1;
    body.bytes = text.p;
    body.len = text.len;
    if (s3_put(t->b->s3, t->key, &body, &cond, &did, now, e) != 0)
        return -1;
    if (did == S3_UNABLE)
        return err_set(e, ERR_UNSUPPORTED,
            "%s: the store had conditional writes, and has none now",
            t->b->shown);
    if (did == S3_DONE)
        memcpy(t->etag, now, sizeof(now));
    return did == S3_DONE ? 0 : 1;
}

/*
 * 0: it is written; 1: it was another's by then; -1 with *e. etag "": it must
 * not be there. What it is instead may be its own, of a try whose answer was
 * lost: then it is written over that.
 */
static int put_head(
    struct turn *t, const char *etag, const char *state, struct err *e)
{
    int rc = try_head(t, etag[0] != '\0' ? etag : NULL, state, e);
    struct claim c;

    for (int tries = 0; tries < TRIES && rc > 0; tries++) {
        if (read_claim(t->b->s3, t->key, &c, e) != 0)
            return -1;
        if (!c.readable || strcmp(c.id, t->id) != 0)
            return 1;
        rc = try_head(t, c.etag, state, e);
    }
    return rc;
}

static int take_head(struct turn *t, struct err *e)
{
    struct claim c;

    if (bucket_key(t->b, t->key, e, "turn/head") != 0)
        return -1;
    for (int tries = 0; tries < TRIES; tries++) {
        int rc;

        if (read_claim(t->b->s3, t->key, &c, e) != 0)
            return -1;
        if (!is_over(&c, t->since_s))
            return taken(t, &c, e);
        rc = put_head(t, c.found ? c.etag : "", "held", e);
        if (rc <= 0)
            return rc;
    }
    return taken(t, &c, e);
}

/* ---- one object of each ---- */

struct looking {
    struct turn *t;
    int64_t now_s;
    int64_t mine_s;     /* when ours was written; 0: the list has it not */
    struct claim other; /* that holds, or else the first that asks */
};

static int put_own(struct turn *t, const char *state, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(TEXT_MAX);

    t->times++;
    if (text_of(t, state, &text, e) != 0)
        return -1;
    return bucket_write(t->b, t->key, buf_str(&text), e);
}

static bool is_held(const struct claim *c)
{
    return !c->readable || strcmp(c->state, "held") == 0;
}

static bool precedes(const struct claim *a, const struct claim *b)
{
    if (is_held(a) != is_held(b))
        return is_held(a);
    return a->written_s != b->written_s ? a->written_s < b->written_s
                                        : strcmp(a->id, b->id) < 0;
}

static int look_at(void *arg, const struct s3_entry *entry, struct err *e)
{
    struct looking *l = arg;
    struct claim c;

    if (strcmp(entry->key, l->t->key) == 0) {
        l->mine_s = entry->modified_s;
        return 0;
    }
    if (read_claim(l->t->b->s3, entry->key, &c, e) != 0)
        return -1;
    /* One that was over for long is not made to last any more. */
    if (is_over(&c, l->now_s))
        return is_over(&c, l->now_s - TURN_S)
                   ? s3_delete(l->t->b->s3, entry->key, e)
                   : 0;
    if (!l->other.found || precedes(&c, &l->other))
        l->other = c;
    return 0;
}

static int look(struct turn *t, struct looking *out, struct err *e)
{
    char prefix[S3_KEY_MAX + 1];
    struct s3_list l = { .prefix = prefix, .entry = look_at, .arg = out };

    *out =
        (struct looking){ .t = t, .now_s = t->since_s + up_s() - t->since_up };
    return bucket_key(t->b, prefix, e, "turn/") != 0 ? -1
                                                     : s3_list(t->b->s3, &l, e);
}

/* Ours is said and not held yet: who holds, or asked before, goes first. */
static int ask(struct turn *t, struct claim *other, struct err *e)
{
    const struct timespec nap = { .tv_nsec = ASK_MS * 1000000L };
    struct looking l;

    for (int tries = 0; tries < ASK_TRIES; tries++) {
        struct claim mine = { .readable = true };

        if (look(t, &l, e) != 0)
            return -1;
        *other = l.other;
        if (!l.other.found)
            return 0;
        memcpy(mine.id, t->id, sizeof(mine.id));
        mine.written_s = l.mine_s;
        if (l.mine_s == 0 || precedes(&l.other, &mine))
            return 1;
        nanosleep(&nap, NULL);
        if (cancel_check(e) != 0)
            return -1;
    }
    return 1;
}

static int take_own(struct turn *t, struct err *e)
{
    struct claim other;
    struct looking l;
    int rc;

    if (bucket_key(t->b, t->key, e, "turn/%s", t->id) != 0 ||
        put_own(t, "asking", e) != 0)
        return -1;
    rc = ask(t, &other, e);
    if (rc == 0 && put_own(t, "held", e) == 0 && look(t, &l, e) == 0) {
        if (!l.other.found || !is_held(&l.other))
            return 0;
        other = l.other;
        rc = 1;
    }
    return rc > 0 ? taken(t, &other, e) : -1;
}

/* 0: it is ours; 1: no longer; -1 with *e. */
static int renew_own(struct turn *t, struct err *e)
{
    struct s3_info info = { .found = false };
    struct looking l;

    /* What was over is another's, also where that one has come and gone. */
    if (up_s() - t->written_up >= TURN_S)
        return 1;
    if (s3_head(t->b->s3, t->key, &info, e) != 0)
        return -1;
    if (!info.found)
        return 1;
    if (put_own(t, "held", e) != 0 || look(t, &l, e) != 0)
        return -1;
    return l.other.found && is_held(&l.other) ? 1 : 0;
}

/* ---- either ---- */

static int name_self(struct turn *t, const char *what, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    struct str who = edit_who(&arena, e);

    if (who.p == NULL || bucket_random(t->id, e) != 0)
        return -1;
    snprintf(t->what, sizeof(t->what), "%s", what);
    snprintf(t->who, sizeof(t->who), "%.*s", STR_ARG(who));
    return 0;
}

int turn_take(struct turn *out, struct bucket *b, const char *what,
    int64_t now_s, struct err *e)
{
    int64_t up = up_s();

    *out = (struct turn){
        .b = b, .since_s = now_s, .since_up = up, .written_up = up
    };
    if (name_self(out, what, e) == 0 &&
        (b->conditional ? take_head(out, e) : take_own(out, e)) == 0)
        return 0;
    /* What was sent may be there, whatever the answer was. */
    if (out->times == 0)
        out->b = NULL;
    turn_end(out);
    return -1;
}

int turn_renew(struct turn *t, struct err *e)
{
    int64_t up = up_s();
    int rc =
        t->b->conditional ? put_head(t, t->etag, "held", e) : renew_own(t, e);
    if (rc > 0)
        return lost(t, e);
    if (rc == 0)
        t->written_up = up;
    return rc;
}

int turn_check(struct turn *t, struct err *e)
{
    return up_s() - t->written_up < TURN_S / 3 ? 0 : turn_renew(t, e);
}

void turn_end(struct turn *t)
{
    struct err why = ERR_INIT;
    struct ending n;

    if (t->b == NULL)
        return;
    ending_begin(&n, t->b, true);
    if (t->b->conditional)
        put_head(t, t->etag, "free", &why);
    else
        s3_delete(t->b->s3, t->key, &why);
    if (why.kind != ERR_NONE)
        log_debug("%s", why.msg);
    ending_end(&n);
    t->b = NULL;
}
