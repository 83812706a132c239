#include "serve/exchange.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "serve/errand.h"
#include "serve/head.h"

/* Listings being sent, and forms that come, are bounded together. */
enum {
    FEED_BLOCK = 32 << 10,
    ERRANDS = 8, /* threads of each kind */
    LONG_BODY = 32 << 10,
    LONG_BODIES = 256 << 20,
    LONG_FORM = 4 << 10,
    LONG_FORMS = 32 << 20
};

enum stage {
    STAGE_HEAD,
    STAGE_BODY,
    STAGE_WAIT, /* an errand makes the answer */
    STAGE_MADE,
    STAGE_FIRST, /* its first byte is waited for */
    STAGE_SENT
};

/* A request and its answer. */
struct exchange {
    struct errand errand; /* the first member */
    enum supply_wait how; /* it is done */
    struct feed_waiter waiter;
    struct exchange *next, **at; /* the lock of all */
    bool suspended;              /* the same lock */
    bool busy;                   /* then: an errand has it; the same lock */
    struct exchanges *all;
    struct MHD_Connection *c;
    struct passage *passage;
    enum stage stage;
    struct asked asked;
    struct response answer;
    struct buf target;
    struct buf form;
    const char *raw; /* the target where the library has it */
    char method[12];
    char bearer[600];
    uint64_t id, start_ns, rationed, form_rationed;
    bool crowded; /* its form was let go of */
};

struct exchanges {
    struct responder *by;
    struct traffic *traffic;
    struct errands *soon; /* what is here, though it takes its time */
    struct errands *late; /* what another machine has to be asked for */
    pthread_mutex_t lock;
    struct exchange *first;
    atomic_bool stopping; /* set under the lock */
    char prefix[256];
    bool log;
    uint32_t id; /* of this run */
    atomic_uint_fast64_t requests;
    atomic_uint_fast64_t long_bytes; /* of listings being sent */
    atomic_uint_fast64_t form_bytes; /* of long forms, here or on their way */
};

/* ---- who waits ---- */

/* false: it ends. Errands: under the lock, while their threads are there. */
static bool suspend(struct exchange *x, bool errand)
{
    bool may;

    pthread_mutex_lock(&x->all->lock);
    may = !x->all->stopping;
    if (may) {
        x->suspended = true;
        x->busy = errand;
        MHD_suspend_connection(x->c);
        if (errand)
            errands_add(x->all->soon, &x->errand);
    }
    pthread_mutex_unlock(&x->all->lock);
    return may;
}

static void resume(struct exchange *x)
{
    pthread_mutex_lock(&x->all->lock);
    if (x->suspended) {
        x->suspended = false;
        MHD_resume_connection(x->c);
    }
    pthread_mutex_unlock(&x->all->lock);
}

static void wake(struct feed_waiter *w)
{
    resume((struct exchange *)((char *)w - offsetof(struct exchange, waiter)));
}

/* Nobody is there any more who could be answered. */
static bool is_alone(const struct exchange *x)
{
    return traffic_left(x->all->traffic, x->passage);
}

static void run_errand(struct errand *r)
{
    struct exchange *x = (struct exchange *)r;

    if (!is_alone(x) && response_make(x->all->by, &x->asked, x->how,
                            &x->answer) == SUPPLY_WAIT) {
        x->how = SUPPLY_LONG;
        errands_add(x->all->late, r);
        return;
    }
    x->stage = STAGE_MADE;
    resume(x);
}

/* ---- the head of a request ---- */

static enum MHD_Result look_at_field(void *arg, enum MHD_ValueKind kind,
    const char *key, size_t key_n, const char *value, size_t value_n)
{
    (void)kind;
    head_field(arg, (struct str){ key, key_n }, (struct str){ value, value_n });
    return MHD_YES;
}

static const char *judge_head(const struct exchange *x, const char *method,
    const char *version, unsigned *status)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->c, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    struct head h;

    head_begin(&h, &(struct head_line){ method, x->raw, x->target.len, version,
                       info != NULL ? info->header_size : 0 });
    MHD_get_connection_values_n(x->c, MHD_HEADER_KIND, look_at_field, &h);
    return head_judge(&h, x->asked.route.kind == ROUTE_PATHS_INFO, status);
}

static const char *value_of(struct exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->c, MHD_HEADER_KIND, name);
}

/* A browser sends a token as the password of anybody. */
static const char *authorization(struct exchange *x)
{
    const char *value = value_of(x, "Authorization");
    char *password = NULL, *user;

    if (value == NULL || strncasecmp(value, "Basic ", 6) != 0)
        return value;
    user = MHD_basic_auth_get_username_password(x->c, &password);
    if (password != NULL)
        snprintf(x->bearer, sizeof(x->bearer), "Bearer %s", password);
    MHD_free(user);
    MHD_free(password);
    return password != NULL ? x->bearer : "Basic";
}

static void read_head(struct exchange *x, const char *method)
{
    snprintf(x->method, sizeof(x->method), "%s", method);
    route_parse(&x->asked.route, str_of(x->method), buf_str(&x->target),
        x->all->prefix);
    x->asked.range = value_of(x, "Range");
    x->asked.if_range = value_of(x, "If-Range");
    x->asked.if_none_match = value_of(x, "If-None-Match");
    x->asked.host = value_of(x, "Host");
    x->asked.mark = value_of(x, SUPPLY_MARK);
    x->asked.authorization = authorization(x);
}

/* ---- the answer ---- */

/* false: all is about to end. */
static bool await(struct exchange *x, uint64_t offset)
{
    if (is_alone(x) || !suspend(x, false))
        return false;
    x->waiter = (struct feed_waiter){ .wake = wake, .offset = offset };
    feed_wait(x->answer.source.feed, &x->waiter);
    return true;
}

/* Of the target, and not all of one that is long: the query may be a secret. */
static struct str path_of(const struct exchange *x)
{
    return (
        struct str){ x->target.p, size_min(strcspn(x->target.p, "?"), 400) };
}

static ssize_t read_feed(void *arg, uint64_t at, char *out, size_t max)
{
    struct exchange *x = arg;
    struct feed *feed = x->answer.source.feed;
    struct err why = ERR_INIT;
    int64_t n;

    if (x->all->stopping)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    n = feed_read(feed, x->answer.at + at, out, max, &why);
    if (n > 0) {
        traffic_held_up(x->all->traffic, x->passage, false);
        return (ssize_t)n;
    }
    if (n < 0) {
        log_warn("%.*s: broken off: %s", STR_ARG(path_of(x)), why.msg);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    traffic_held_up(x->all->traffic, x->passage, true);
    return await(x, x->answer.at + at) ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
}

/* Of a HEAD, whose body is never asked for. */
static ssize_t read_never(void *arg, uint64_t at, char *out, size_t max)
{
    (void)arg, (void)at, (void)out, (void)max;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *body_of(struct exchange *x)
{
    struct response *a = &x->answer;
    struct MHD_Response *r;

    if (a->size == 0 || a->body.len > 0)
        return MHD_create_response_from_buffer(
            a->body.len, a->body.p, MHD_RESPMEM_PERSISTENT);
    if (a->source.feed != NULL)
        return MHD_create_response_from_callback(
            a->size, FEED_BLOCK, read_feed, x, NULL);
    if (a->source.fd < 0)
        return MHD_create_response_from_callback(
            a->size, 1, read_never, NULL, NULL);
    r = MHD_create_response_from_fd_at_offset64(a->size, a->source.fd, a->at);
    if (r != NULL)
        a->source.fd = -1;
    return r;
}

static void add_fields(struct MHD_Response *r, struct buf *fields)
{
    char *p = fields->p, *end;

    for (; (end = strchr(p, '\n')) != NULL; p = end + 1) {
        char *colon = strstr(p, ": ");

        *end = '\0';
        if (colon == NULL)
            continue;
        *colon = '\0';
        MHD_add_response_header(r, p, colon + 2);
    }
}

/* Long listings take memory until they are sent: all together not too much. */
static void ration(struct exchange *x)
{
    uint64_t n = x->answer.body.len, before;

    if (n < LONG_BODY)
        return;
    before = atomic_fetch_add(&x->all->long_bytes, n);
    if (before == 0 || before + n <= LONG_BODIES) {
        x->rationed = n;
        return;
    }
    atomic_fetch_sub(&x->all->long_bytes, n);
    buf_free(&x->answer.body);
    response_later(&x->answer, "too many long listings at once");
}

static enum MHD_Result send_answer(struct exchange *x, bool last)
{
    char name[TRAFFIC_NAME_MAX], id[40];
    struct MHD_Response *r;
    enum MHD_Result rc;

    x->stage = STAGE_SENT;
    ration(x);
    r = body_of(x);
    if (r == NULL)
        return MHD_NO;
    add_fields(r, &x->answer.fields);
    snprintf(id, sizeof(id), "%08x-%" PRIx64, x->all->id, x->id);
    MHD_add_response_header(r, "X-Request-Id", id);
    MHD_add_response_header(r, "Server", "mlfetch");
    if (last)
        MHD_add_response_header(r, "Connection", "close");
    traffic_send(x->all->traffic, x->passage,
        route_file(&x->asked.route, name, sizeof(name)), x->answer.size,
        x->answer.from);
    rc = MHD_queue_response(x->c, x->answer.status, r);
    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result make_answer(struct exchange *x);

/* Of a file on its way: until its first byte is here the status may change. */
static enum MHD_Result send_when_begun(struct exchange *x, bool last)
{
    struct feed *feed = x->answer.source.feed;
    struct err why = ERR_INIT;
    int64_t n = 1;
    char byte;

    if (feed != NULL && x->answer.size > 0)
        n = feed_read(feed, x->answer.at, &byte, 1, &why);
    if (n < 0)
        response_give_up(
            x->all->by, &x->asked, feed_lack(feed), &why, &x->answer);
    if (n > 0 && feed != NULL && x->answer.goes_on && feed_doubtful(feed)) {
        response_free(&x->answer);
        x->answer = (struct response)RESPONSE_INIT;
        x->asked.anew = true; /* not once more, whatever is known by then */
        return make_answer(x);
    }
    if (n != 0)
        return send_answer(x, last);
    x->stage = STAGE_FIRST;
    return await(x, x->answer.at) ? MHD_YES : MHD_NO;
}

/* ---- from the first line to the answer ---- */

static enum MHD_Result take_head(
    struct exchange *x, const char *method, const char *version)
{
    unsigned status;
    const char *wrong;

    read_head(x, method);
    wrong = judge_head(x, method, version, &status);
    if (wrong == NULL) {
        x->stage = STAGE_BODY;
        return MHD_YES;
    }
    response_refuse(&x->answer, status, wrong);
    x->asked.route.kind = ROUTE_BAD;
    return send_answer(x, true);
}

/* It is kept until it is whole; a token is looked at then. */
static void take_form(struct exchange *x, const char *p, size_t n)
{
    uint64_t more = x->form.len < LONG_FORM || x->crowded ? 0 : n;

    x->form_rationed += more;
    if (more > 0 &&
        atomic_fetch_add(&x->all->form_bytes, more) + more > LONG_FORMS) {
        atomic_fetch_sub(&x->all->form_bytes, x->form_rationed);
        x->form_rationed = 0;
        x->crowded = true;
        buf_free(&x->form);
    }
    if (!x->crowded)
        buf_put(&x->form, p, n);
}

/* Of "HOST:PORT". */
static size_t host_len(const char *peer)
{
    const char *end = strrchr(peer, ':');

    return end != NULL ? (size_t)(end - peer) : strlen(peer);
}

static enum MHD_Result make_answer(struct exchange *x)
{
    if (response_make(x->all->by, &x->asked, SUPPLY_NOW, &x->answer) == 0)
        return send_when_begun(x, x->asked.route.kind == ROUTE_BAD);
    x->stage = STAGE_WAIT;
    x->how = SUPPLY_SOON;
    x->errand.run = run_errand;
    snprintf(x->errand.whose, sizeof(x->errand.whose), "%.*s",
        (int)host_len(passage_peer(x->passage)), passage_peer(x->passage));
    return suspend(x, true) ? MHD_YES : MHD_NO;
}

static enum MHD_Result take_whole(struct exchange *x)
{
    traffic_begin(x->all->traffic, x->passage);
    if (x->crowded) {
        response_later(&x->answer, "too many long forms at once");
        return send_answer(x, false);
    }
    x->asked.body = buf_str(&x->form);
    return make_answer(x);
}

enum MHD_Result exchange_request(void *arg, struct MHD_Connection *c,
    const char *url, const char *method, const char *version,
    const char *upload, size_t *upload_n, void **context)
{
    struct exchange *x = *context;

    (void)arg, (void)c, (void)url;
    if (x == NULL || x->passage == NULL || x->all->stopping)
        return MHD_NO;
    switch (x->stage) {
    case STAGE_HEAD:
        return take_head(x, method, version);
    case STAGE_BODY:
        if (*upload_n == 0)
            return take_whole(x);
        take_form(x, upload, *upload_n);
        *upload_n = 0;
        return MHD_YES;
    case STAGE_MADE:
    case STAGE_FIRST:
        return is_alone(x) ? MHD_NO : send_when_begun(x, false);
    default:
        return MHD_NO;
    }
}

void *exchange_target(void *arg, const char *raw, struct MHD_Connection *c)
{
    struct exchange *x = calloc(1, sizeof(*x));
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct exchanges *all = arg;

    if (x == NULL)
        return NULL;
    x->all = all;
    x->c = c;
    x->passage = info != NULL ? info->socket_context : NULL;
    x->answer = (struct response)RESPONSE_INIT;
    x->target = (struct buf)BUF_INIT(HEAD_MAX);
    x->form = (struct buf)BUF_INIT(HEAD_FORM_MAX);
    x->raw = raw;
    buf_puts(&x->target, raw != NULL ? raw : "");
    x->start_ns = clock_ns();
    x->id = atomic_fetch_add(&all->requests, 1);
    pthread_mutex_lock(&all->lock);
    x->next = all->first;
    x->at = &all->first;
    if (x->next != NULL)
        x->next->at = &x->next;
    all->first = x;
    pthread_mutex_unlock(&all->lock);
    return x;
}

/* Never the query, and nothing of the header. */
static void log_request(const struct exchange *x, bool whole)
{
    struct buf path AUTO(buf_free) = BUF_INIT(2048);

    buf_visible(&path, path_of(x));
    log_info("%s %s %s %u %" PRIu64 " %.3fs %08x-%" PRIx64 "%s",
        passage_peer(x->passage), x->method, path.p, x->answer.status,
        x->answer.size, (double)(clock_ns() - x->start_ns) * 1e-9, x->all->id,
        x->id, whole ? "" : " broken off");
}

void exchange_end(void *arg, struct MHD_Connection *c, void **context,
    enum MHD_RequestTerminationCode how)
{
    struct exchange *x = *context;
    bool whole = how == MHD_REQUEST_TERMINATED_COMPLETED_OK;

    (void)arg, (void)c;
    if (x == NULL)
        return;
    *context = NULL;
    if (x->answer.source.feed != NULL)
        feed_unwait(x->answer.source.feed, &x->waiter);
    if (x->stage == STAGE_SENT) {
        traffic_end(x->all->traffic, x->passage, x->asked.route.kind,
            x->answer.status, whole);
        if (x->all->log)
            log_request(x, whole);
    }
    atomic_fetch_sub(&x->all->long_bytes, x->rationed);
    atomic_fetch_sub(&x->all->form_bytes, x->form_rationed);
    pthread_mutex_lock(&x->all->lock);
    *x->at = x->next;
    if (x->next != NULL)
        x->next->at = x->at;
    pthread_mutex_unlock(&x->all->lock);
    response_free(&x->answer);
    buf_free(&x->target);
    buf_free(&x->form);
    explicit_bzero(x->bearer, sizeof(x->bearer));
    free(x);
}

/* ---- all of them ---- */

struct exchanges *exchanges_open(struct responder *by, struct traffic *t,
    const char *prefix, bool log, struct err *e)
{
    struct exchanges *all = calloc(1, sizeof(*all));

    if (all == NULL) {
        err_set(e, ERR_NOMEM, "no memory to serve");
        return NULL;
    }
    all->by = by;
    all->traffic = t;
    all->log = log;
    snprintf(all->prefix, sizeof(all->prefix), "%s", prefix);
    pthread_mutex_init(&all->lock, NULL);
    if (getrandom(&all->id, sizeof(all->id), GRND_NONBLOCK) != sizeof(all->id))
        all->id = (uint32_t)clock_ns();
    all->soon = errands_open(ERRANDS, e);
    all->late = all->soon != NULL ? errands_open(ERRANDS, e) : NULL;
    if (all->late != NULL)
        return all;
    exchanges_stop(all);
    exchanges_free(all);
    return NULL;
}

void exchanges_tick(struct exchanges *all)
{
    pthread_mutex_lock(&all->lock);
    for (struct exchange *x = all->first; x != NULL; x = x->next)
        if (x->suspended && !x->busy && is_alone(x)) {
            x->suspended = false;
            MHD_resume_connection(x->c);
        }
    pthread_mutex_unlock(&all->lock);
}

void exchanges_stop(struct exchanges *all)
{
    pthread_mutex_lock(&all->lock);
    all->stopping = true;
    pthread_mutex_unlock(&all->lock);
    errands_close(all->soon); /* those not begun are in the list below */
    errands_close(all->late); /* what is soon may become late: in this order */
    pthread_mutex_lock(&all->lock);
    for (struct exchange *x = all->first; x != NULL; x = x->next)
        if (x->suspended) {
            x->suspended = false;
            MHD_resume_connection(x->c);
        }
    pthread_mutex_unlock(&all->lock);
}

void exchanges_free(struct exchanges *all)
{
    if (all == NULL)
        return;
    pthread_mutex_destroy(&all->lock);
    free(all);
}
