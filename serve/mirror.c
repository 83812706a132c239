#include "serve/mirror.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/pool.h"
#include "serve/daemon.h"
#include "serve/holdings.h"
#include "serve/listen.h"
#include "serve/route.h"
#include "serve/statuspage.h"
#include "serve/tokens.h"

enum {
    PEM_MAX = 1 << 20,
    THREADS_MAX = 16,
    LISTINGS_BYTES = 256 << 20,
    TICK_MS = 1000
};

struct mirror {
    struct supply supply;
    struct traffic *traffic;
    struct holdings *holdings;
    struct daemon *daemon;
    struct responder responder;
    char name[256];
    char url[MIRROR_URL_MAX];
    char prefix[256];
    bool tls;
    const char *tokens_path;
    pthread_rwlock_t tokens_lock;
    struct tokens *tokens;
    struct stat tokens_was; /* the file */
    bool tokens_gone;       /* it is not there, which was said */
};

/* ---- who may ask ---- */

static const struct tokens *lend_tokens(void *me)
{
    struct mirror *m = me;

    pthread_rwlock_rdlock(&m->tokens_lock);
    return m->tokens;
}

static void tokens_done(void *me)
{
    struct mirror *m = me;

    pthread_rwlock_unlock(&m->tokens_lock);
}

/* Everybody's eyes on a file of secrets are worth a word. */
static int read_tokens(struct mirror *m, struct err *e)
{
    struct tokens *fresh, *old;
    struct stat st;

    if (stat(m->tokens_path, &st) != 0)
        return err_sys(e, "%s", m->tokens_path);
    fresh = tokens_read(m->tokens_path, e);
    if (fresh == NULL)
        return -1;
    if ((st.st_mode & 077) != 0)
        log_warn("%s can be read by others: chmod 600 it", m->tokens_path);
    pthread_rwlock_wrlock(&m->tokens_lock);
    old = m->tokens;
    m->tokens = fresh;
    m->tokens_was = st;
    pthread_rwlock_unlock(&m->tokens_lock);
    tokens_free(old);
    return 0;
}

/* Its time is what who wrote it says. It may have become readable only now. */
static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev &&
           a->st_size == b->st_size && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* A file that was written anew counts at once; one that is wrong does not. */
static void look_at_tokens(struct mirror *m)
{
    struct err why = ERR_INIT;
    struct stat st;

    if (m->tokens_path == NULL)
        return;
    if (stat(m->tokens_path, &st) != 0) {
        if (!m->tokens_gone)
            log_warn("the tokens stay as they were: %s is not there any more",
                m->tokens_path);
        m->tokens_gone = true;
        return;
    }
    m->tokens_gone = false;
    if (is_same(&st, &m->tokens_was))
        return;
    if (read_tokens(m, &why) == 0) {
        log_info("%s was read again: %zu tokens", m->tokens_path,
            tokens_count(m->tokens));
        return;
    }
    m->tokens_was = st;
    log_warn("the tokens stay as they were: %s", why.msg);
}

/* ---- pages of its own ---- */

/* As the browser reached it, where that can be a name in a URL. */
static void put_url(const struct mirror *m, const char *host, char *out)
{
    static const char may[] = "abcdefghijklmnopqrstuvwxyz"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";

    if (host == NULL || *host == '\0' || strlen(host) > 255 ||
        host[strspn(host, may)] != '\0')
        snprintf(out, MIRROR_URL_MAX, "%s", m->url);
    else
        snprintf(out, MIRROR_URL_MAX, "%s://%s%s", m->tls ? "https" : "http",
            host, m->prefix);
}

static void draw(struct mirror *m, struct buf *out, const char *host,
    void (*as)(struct buf *out, const struct status *s))
{
    struct tally *tally = malloc(sizeof(*tally));
    struct status status = {
        .name = m->name, .supply = &m->supply, .tally = tally
    };
    char url[MIRROR_URL_MAX];
    struct held held;

    if (tally == NULL)
        return;
    put_url(m, host, url);
    status.url = url;
    status.held = &held;
    traffic_tally(m->traffic, tally);
    holdings_look(m->holdings, &held);
    as(out, &status);
    holdings_done(m->holdings);
    free(tally);
}

static void put_metrics(void *me, struct buf *out)
{
    draw(me, out, NULL, statuspage_metrics);
}

static void put_page(void *me, struct buf *out, const char *host)
{
    draw(me, out, host, statuspage);
}

/* ---- beginning ---- */

static int take_prefix(struct mirror *m, const char *prefix, struct err *e)
{
    size_t n = prefix != NULL ? strlen(prefix) : 0;

    while (n > 0 && prefix[n - 1] == '/')
        n--;
    if (n == 0)
        return 0;
    if (prefix[0] != '/' || n >= sizeof(m->prefix) ||
        strspn(prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                       "0123456789-_./") < n ||
        strstr(prefix, "//") != NULL || strstr(prefix, "/.") != NULL)
        return err_set(e, ERR_USAGE,
            "'%.100s' is no path prefix: '/' and letters, digits, '-', '_'",
            prefix);
    memcpy(m->prefix, prefix, n);
    return 0;
}

static int read_pem(const char *path, struct buf *out, struct err *e)
{
    if (path == NULL)
        return 0;
    if (file_slurp(path, out, e) != 0)
        return -1;
    if (strstr(out->p, "-----BEGIN ") == NULL)
        return err_set(e, ERR_REFUSED, "%s is not in PEM", path);
    return 0;
}

/* Each connection may have a file open besides. */
static unsigned room_for(unsigned connections)
{
    struct rlimit r;
    rlim_t need = (rlim_t)connections * 2 + 256;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return connections;
    if (r.rlim_cur < need) {
        r.rlim_cur = r.rlim_max == RLIM_INFINITY || r.rlim_max >= need
                         ? need
                         : r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
    if (r.rlim_cur >= need)
        return connections;
    need = r.rlim_cur > 512 ? (r.rlim_cur - 256) / 2 : 64;
    log_warn("%u connections at once, not %u: the system allows %llu open "
             "files",
        (unsigned)need, connections, (unsigned long long)r.rlim_cur);
    return (unsigned)need;
}

static int open_parts(
    struct mirror *m, const struct mirror_opts *o, struct err *e)
{
    m->supply.editions = editions_open(LISTINGS_BYTES, e);
    m->traffic =
        m->supply.editions != NULL ? traffic_open(o->timeout_s, e) : NULL;
    m->holdings = m->traffic != NULL ? holdings_open(&o->hub, e) : NULL;
    if (m->holdings == NULL)
        return -1;
    if (o->tokens == NULL)
        return 0;
    m->tokens_path = o->tokens;
    return read_tokens(m, e);
}

static int listen_and_serve(
    struct mirror *m, const struct mirror_opts *o, struct err *e)
{
    struct buf cert AUTO(buf_free) = BUF_INIT(PEM_MAX);
    struct buf key AUTO(buf_free) = BUF_INIT(PEM_MAX);
    struct daemon_opts how = { .prefix = m->prefix, .log = o->log };
    char shown[LISTEN_SHOWN_MAX];

    if (read_pem(o->tls_cert, &cert, e) != 0 ||
        read_pem(o->tls_key, &key, e) != 0)
        return -1;
    how.timeout_s = o->timeout_s;
    how.connections = room_for(o->connections);
    how.per_client = how.connections / 2 + 1;
    how.threads = pool_cores() < THREADS_MAX ? pool_cores() : THREADS_MAX;
    how.cert = m->tls ? cert.p : NULL;
    how.key = m->tls ? key.p : NULL;
    how.fd = listen_open(o->listen, shown, e);
    if (how.fd < 0)
        return -1;
    snprintf(m->url, sizeof(m->url), "%s://%s%s", m->tls ? "https" : "http",
        shown, m->prefix);
    m->daemon = daemon_open(&m->responder, m->traffic, &how, e);
    explicit_bzero(key.p, key.len);
    return m->daemon != NULL ? 0 : -1;
}

static void take_name(struct mirror *m, const char *name)
{
    if (name != NULL)
        snprintf(m->name, sizeof(m->name), "%s", name);
    else if (gethostname(m->name, sizeof(m->name) - 1) != 0)
        snprintf(m->name, sizeof(m->name), "mlfetch");
}

struct mirror *mirror_open(const struct mirror_opts *o, struct err *e)
{
    struct mirror *m = calloc(1, sizeof(*m));

    if (m == NULL) {
        err_set(e, ERR_NOMEM, "no memory for a mirror");
        return NULL;
    }
    pthread_rwlock_init(&m->tokens_lock, NULL);
    m->supply.hub = o->hub;
    m->supply.supplier = o->supplier;
    m->tls = o->tls_cert != NULL;
    take_name(m, o->name);
    m->responder = (struct responder){ .supply = &m->supply,
        .name = m->name,
        .metrics = put_metrics,
        .page = put_page,
        .me = m };
    if (o->tokens != NULL) {
        m->responder.tokens = lend_tokens;
        m->responder.tokens_done = tokens_done;
    }
    if (take_prefix(m, o->prefix, e) == 0 && open_parts(m, o, e) == 0 &&
        listen_and_serve(m, o, e) == 0)
        return m;
    mirror_close(m);
    return NULL;
}

const char *mirror_url(const struct mirror *m)
{
    return m->url;
}

/* ---- running ---- */

void mirror_run(struct mirror *m)
{
    uint64_t end;

    while (!cancel_asked()) {
        usleep(TICK_MS * 1000);
        traffic_tick(m->traffic);
        daemon_tick(m->daemon);
        look_at_tokens(m);
    }
    daemon_quiet(m->daemon);
    end = clock_ms() + MIRROR_GRACE_S * 1000;
    while (traffic_busy(m->traffic) > 0 && clock_ms() < end)
        usleep(50 * 1000);
}

void mirror_close(struct mirror *m)
{
    if (m == NULL)
        return;
    daemon_close(m->daemon);
    holdings_close(m->holdings);
    traffic_close(m->traffic);
    editions_close(m->supply.editions);
    tokens_free(m->tokens);
    pthread_rwlock_destroy(&m->tokens_lock);
    free(m);
}
