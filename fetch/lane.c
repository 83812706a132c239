#include "fetch/lane.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "fetch/hub_error.h"
#include "net/content_range.h"
#include "net/url.h"

/* A strike is not counted this soon after another: less than any backoff. */
enum { HOPS_MAX = 10, STRIKE_MS = 250, TELL_BYTES = 128 << 10 };

static const struct tree_file *file_of(const struct lane *l)
{
    return l->d->file->file;
}

/* "FILE: HOST WHAT" */
static int fault(struct lane *l, enum err_kind kind, const char *what)
{
    char host[URL_SHOW_MAX];

    return err_set(&l->err, kind, "%.*s: %s %s", STR_ARG(file_of(l)->path),
        url_host(host, l->url), what);
}

/* What goes wrong on all connections at once has gone wrong once. */
static void count_strike(struct download *d)
{
    uint64_t now = clock_ms();

    if (d->strikes > 0 && now - d->strike_ms < STRIKE_MS)
        return;
    d->strikes++;
    d->strike_ms = now;
}

/* The attempt failed in a way that no wait will cure often. */
static int strike(struct lane *l, enum err_kind kind, const char *what)
{
    count_strike(l->d);
    return fault(l, kind, what);
}

static int fatal(struct lane *l)
{
    l->fatal = true;
    return -1;
}

static int set_url(struct lane *l, const char *url, struct err *e)
{
    char *copy = strdup(url);

    if (copy == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    free(l->url);
    l->url = copy;
    l->at_hub = url_same_origin(l->d->opts->hub->endpoint, url);
    return 0;
}

static int locate(struct download *d, struct err *e)
{
    const struct locator *by = d->opts->locator;
    struct buf url AUTO(buf_free) = BUF_INIT(URL_MAX);

    if (by->locate(by->arg, &url, e) != 0)
        return -1;
    return download_moved(d, url.p, e);
}

int lane_begin(
    struct lane *l, struct download *d, struct segment seg, struct err *e)
{
    const struct transfer_opts *o = d->opts;
    struct buf url AUTO(buf_free) = BUF_INIT(URL_MAX);

    l->d = d;
    l->seg = seg;
    l->hops = 0;
    l->generation = 0;
    l->seen_commit = false;
    l->seen_etag = false;
    l->streams = false;
    l->shared = false;
    l->brought = 0;
    l->fatal = false;
    err_clear(&l->err);
    if (d->location == NULL && o->locator != NULL && locate(d, e) != 0)
        return -1;
    if (d->location != NULL) {
        l->generation = d->generation;
        return set_url(l, d->location, e);
    }
    hub_resolve(o->hub, o->repo, o->commit, d->file->file->path, &url);
    if (buf_check(&url, e) != 0)
        return -1;
    return set_url(l, url.p, e);
}

/* The Hub says which commit and content it is about: is it what we want? */
static int check_hub(struct lane *l)
{
    const char *commit = http_header(&l->call, "X-Repo-Commit");
    const char *etag = http_header(&l->call, "X-Linked-Etag");
    struct digest d;

    if (etag == NULL && l->call.status < 300)
        etag = http_header(&l->call, "ETag");
    if (commit != NULL && strcmp(commit, l->d->opts->commit) != 0) {
        err_set(&l->err, ERR_CORRUPT,
            "%.*s: the Hub answers for commit "
            "%.60s, not %s",
            STR_ARG(file_of(l)->path), commit, l->d->opts->commit);
        return fatal(l);
    }
    l->seen_commit = l->seen_commit || commit != NULL;
    if (etag == NULL || !hub_etag(etag, &d))
        return 0;
    if (!digest_eq(&d, tree_etag(file_of(l)))) {
        err_set(&l->err, ERR_CORRUPT,
            "%.*s: the Hub has content %.70s, its "
            "listing said %s",
            STR_ARG(file_of(l)->path), d.hex, tree_etag(file_of(l))->hex);
        return fatal(l);
    }
    l->seen_etag = true;
    return 0;
}

/* Before the Hub is left, or its bytes are taken, it must have said both. */
static int check_seen(struct lane *l)
{
    char host[URL_SHOW_MAX];

    if (l->generation != 0 || (l->seen_commit && l->seen_etag))
        return 0;
    err_set(&l->err, ERR_NET, "%s did not send the header %s for %.*s",
        url_host(host, l->d->opts->hub->endpoint),
        l->seen_commit ? "X-Linked-Etag" : "X-Repo-Commit",
        STR_ARG(file_of(l)->path));
    err_hint(&l->err, "is it a Hub? check HF_ENDPOINT and the proxy");
    return fatal(l);
}

/* 200: the whole file, whatever was asked for. */
static int check_whole(struct lane *l)
{
    const char *length = http_header(&l->call, "Content-Length");
    char text[80];
    uint64_t n;

    if (length != NULL && content_length(length, &n) && n != file_of(l)->size) {
        snprintf(text, sizeof(text), "has %llu bytes of it, not %llu",
            (unsigned long long)n, (unsigned long long)file_of(l)->size);
        return strike(l, ERR_CORRUPT, text);
    }
    if (!l->call.ranged)
        return 0;
    /* The range was ignored: what comes begins at the first byte. */
    l->streams = true;
    l->seg.from = l->at = 0;
    l->seg.to = file_of(l)->size;
    download_stream(l->d);
    return 0;
}

static int check_part(struct lane *l)
{
    const char *text = http_header(&l->call, "Content-Range");
    struct content_range r;

    if (!l->call.ranged || text == NULL || !content_range(text, &r) ||
        r.from != l->call.from || r.to != l->call.to ||
        (r.sized && r.size != file_of(l)->size))
        return strike(l, ERR_CORRUPT, "sent another part than was asked for");
    return 0;
}

static int check_head(struct lane *l)
{
    struct str path = file_of(l)->path;
    const char *unfit =
        http_unfit(&l->call, str_ends(path, ".html") || str_ends(path, ".htm"));

    l->checked = true;
    if (unfit != NULL)
        return strike(l, ERR_NET, unfit);
    if (l->at_hub && check_hub(l) != 0)
        return -1;
    if (check_seen(l) != 0)
        return -1;
    if (l->call.status == 206 ? check_part(l) != 0 : check_whole(l) != 0)
        return -1;
    l->d->resolved = true;
    return 0;
}

static void tell(struct lane *l)
{
    progress_add(l->d->item, l->untold);
    l->untold = 0;
}

void lane_show(struct lane *l)
{
    struct watch *w = l->d != NULL ? l->d->opts->watch : NULL;

    if (w != NULL && l->block != NULL &&
        watch_hungry(w, l->block->from, l->block->to, clock_ms()))
        sink_flush(&l->d->sink, &l->block);
}

/* What came before a pause comes again: seg.from is behind it. */
static int take_bytes(struct lane *l, const void *bytes, size_t len)
{
    struct download *d = l->d;
    uint64_t new = 0, skip = l->seg.from - l->at;
    enum sink_took took;

    if (len > l->seg.to - l->at && l->shared)
        len = l->seg.to - l->at;
    if (len > l->seg.to - l->at)
        return strike(l, ERR_CORRUPT, "sent more bytes than it announced");
    if (skip >= len) {
        l->at += len;
        return 0;
    }
    if (!pace_take(l->pace, len, clock_ms())) {
        l->paused = true;
        return HTTP_PAUSE;
    }
    took = sink_put(&d->sink, &l->block, &l->seg.from,
        (const char *)bytes + skip, len - skip, &new, &l->err);
    if (took == SINK_FAILED)
        return fatal(l);
    if (new > 0) {
        if (l->brought == 0)
            progress_state(d->item, "");
        l->brought += new;
        d->strikes = 0;
        l->untold += new;
        if (l->untold >= TELL_BYTES)
            tell(l);
        l->heard_ms = clock_ms();
        retry_good(l->retry, l->heard_ms);
    }
    if (took == SINK_FULL) {
        pace_undo(l->pace, len);
        l->paused = true;
        return HTTP_PAUSE;
    }
    l->at += len;
    lane_show(l);
    return l->shared && l->at == l->seg.to ? -1 : 0; /* the rest is not ours */
}

static int on_body(void *arg, const void *bytes, size_t len)
{
    struct lane *l = arg;

    if (l->call.status != 200 && l->call.status != 206) {
        buf_put(&l->body, bytes, len);
        return l->body.bad != ERR_NONE ? -1 : 0; /* enough is known */
    }
    if (!l->checked && check_head(l) != 0)
        return -1;
    return take_bytes(l, bytes, len);
}

/* Bytes of the file may come to where the disk gets them from. */
static void *on_room(void *arg, size_t *len)
{
    struct lane *l = arg;
    void *room;

    if (!l->checked || l->at != l->seg.from || l->at == l->seg.to)
        return NULL;
    *len = l->seg.to - l->at;
    room = sink_room(&l->d->sink, &l->block, l->at, len);
    l->paused = room == NULL && *len == 0;
    return room;
}

int lane_send(struct lane *l, struct http *http, struct err *e)
{
    struct http_call *c = &l->call;

    buf_clear(&l->body);
    l->checked = false;
    l->wait_s = 0;
    l->paused = false;
    l->at = l->seg.from;
    l->sent_ns = clock_ns();
    l->heard_ms = l->sent_ns / 1000000;
    c->url = l->url;
    c->token = hub_token(l->d->opts->hub, l->url);
    c->from = l->seg.from;
    c->to = l->seg.to;
    c->ranged = c->from != 0 || c->to != file_of(l)->size;
    c->fresh = l->d->fresh;
    c->extra = l->at_hub ? l->d->opts->hub->lines : NULL;
    c->body = on_body;
    c->room = l->at_hub ? NULL : on_room;
    c->arg = l;
    return http_start(http, c, e);
}

static enum lane_end judge(const struct lane *l)
{
    return l->fatal || l->d->strikes > DOWNLOAD_STRIKES ? LANE_FAILED
                                                        : LANE_AGAIN;
}

static enum lane_end follow(struct lane *l)
{
    const char *target = http_target(&l->call);
    bool leaves = target != NULL && l->at_hub &&
                  !url_same_origin(l->d->opts->hub->endpoint, target);
    char host[URL_SHOW_MAX];

    if (l->at_hub && check_hub(l) != 0)
        return LANE_FAILED;
    if (target == NULL || ++l->hops > HOPS_MAX) {
        strike(l, ERR_NET,
            target == NULL ? "redirects to nowhere" : "redirects in a circle");
        return judge(l);
    }
    if (url_downgrades(l->url, target)) {
        err_set(&l->err, ERR_REFUSED, "%s redirects from https to http",
            url_host(host, l->url));
        return LANE_FAILED;
    }
    if (leaves) {
        if (check_seen(l) != 0 || download_moved(l->d, target, &l->err) != 0)
            return LANE_FAILED;
        l->generation = l->d->generation;
    }
    return set_url(l, target, &l->err) != 0 ? LANE_FAILED : LANE_MOVED;
}

static enum lane_end refused(struct lane *l)
{
    const struct transfer_opts *o = l->d->opts;
    struct http_call *c = &l->call;
    char path[1025], text[64];
    struct hub_question q = { .endpoint = o->hub->endpoint,
        .repo = o->repo,
        .path = path,
        .token = &o->hub->token };
    struct hub_answer a = { .status = c->status,
        .code = http_header(c, "X-Error-Code"),
        .message = http_header(c, "X-Error-Message"),
        .body = buf_str(&l->body),
        .wait_s = retry_named_s(c->status, http_header(c, "RateLimit"),
            http_header(c, "Retry-After")) };

    snprintf(path, sizeof(path), "%.*s", STR_ARG(file_of(l)->path));
    l->wait_s = a.wait_s;
    if (l->at_hub) {
        hub_refused(o->hub, &a, &q, &l->err);
        return retry_status(c->status) ? LANE_AGAIN : LANE_FAILED;
    }
    snprintf(text, sizeof(text), "answered %ld", c->status);
    fault(l, ERR_NET, text);
    if (retry_status(c->status))
        return LANE_AGAIN;
    /* An expired address, most likely: the Hub knows a new one. */
    if (download_lost(l->d, l->generation))
        count_strike(l->d);
    return judge(l);
}

static enum lane_end answered(struct lane *l)
{
    long status = l->call.status;

    if (status >= 300 && status <= 399 && status != 304)
        return follow(l);
    if (status != 200 && status != 206)
        return refused(l);
    if (!l->checked && check_head(l) != 0)
        return judge(l);
    if (l->seg.from == l->seg.to)
        return LANE_DONE;
    err_set(&l->err, ERR_NET, "the answer ended early");
    return LANE_AGAIN;
}

enum lane_end lane_over(struct lane *l)
{
    struct http_call *c = &l->call;
    char host[URL_SHOW_MAX];

    if (c->end == HTTP_ANSWERED)
        hub_warnings(l->d->opts->hub, c);
    if (c->end == HTTP_ANSWERED && l->at_hub)
        l->d->opts->hub->refusal.answered = true;
    if (c->end == HTTP_ANSWERED ||
        (c->end == HTTP_STOPPED && l->body.bad != ERR_NONE))
        return answered(l);
    if (c->end == HTTP_STOPPED && !(l->shared && l->seg.from == l->seg.to))
        return judge(l);
    if (l->checked && l->err.kind == ERR_NONE && l->seg.from == l->seg.to)
        return LANE_DONE;
    err_set(&l->err, ERR_NET, "%.*s: %s: %s", STR_ARG(file_of(l)->path),
        url_host(host, l->url), c->why);
    if (c->end == HTTP_UNTRUSTED) {
        err_hint(&l->err, "%s", http_advice(c));
        return LANE_FAILED;
    }
    /* A host that gives nothing: the Hub may name another one by now. */
    if (l->brought == 0)
        download_lost(l->d, l->generation);
    return LANE_AGAIN;
}

void lane_resume(struct lane *l)
{
    l->paused = false;
    l->heard_ms = clock_ms();
    http_resume(&l->call);
}

int lane_share(struct lane *l, uint64_t at, struct err *e)
{
    struct segment rest = { .from = at, .to = l->seg.to };

    l->shared = true;
    l->seg.to = at;
    return download_give(l->d, rest, e);
}

void lane_leave(struct lane *l, struct http *http)
{
    if (l->d == NULL)
        return;
    http_stop(http, &l->call);
    tell(l);
    sink_flush(&l->d->sink, &l->block);
    l->d->lanes--;
    l->d = NULL;
}

int lane_rest(struct lane *l, uint64_t not_before_ms, struct err *e)
{
    struct download *d = l->d;
    struct segment rest = l->seg;

    tell(l);
    sink_flush(&d->sink, &l->block);
    l->d = NULL;
    d->lanes--;
    if (l->streams)
        /* Only what is missing, should ranges work next time. */
        rest.from = 0;
    rest.attempts = l->brought > 0 ? 1 : rest.attempts + 1;
    rest.not_before_ms = not_before_ms;
    return download_give(d, rest, e);
}

void lane_free(struct lane *l)
{
    http_call_free(&l->call);
    buf_free(&l->body);
    free(l->url);
    l->url = NULL;
}
