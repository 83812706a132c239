#include "serve/daemon.h"

#include <linux/filter.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "serve/exchange.h"
#include "serve/head.h"
#include "serve/listen.h"

enum { LET_GO_NS = 5000000, LET_GO_TRIES = 400 };

struct daemon {
    struct MHD_Daemon *mhd;
    struct exchanges *all;
    struct traffic *traffic;
    int fd; /* listens; the library's */
    atomic_bool heard;
    char said[256]; /* the library's first word: read if it does not start */
};

/* ---- connections ---- */

static void on_connection(void *arg, struct MHD_Connection *c, void **context,
    enum MHD_ConnectionNotificationCode what)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    int fd = info != NULL ? info->connect_fd : -1;
    char peer[TRAFFIC_PEER_MAX];
    struct daemon *d = arg;

    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        traffic_go(d->traffic, *context);
        *context = NULL;
        return;
    }
    listen_peer(fd, peer, sizeof(peer));
    *context = traffic_come(d->traffic, fd, peer);
}

static size_t as_it_is(void *arg, struct MHD_Connection *c, char *text)
{
    (void)arg, (void)c;
    return strlen(text);
}

static void on_message(void *arg, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

/* The first word of one that does not start; never one about a request. */
static void on_message(void *arg, const char *fmt, va_list ap)
{
    struct daemon *d = arg;

    if (!atomic_exchange(&d->heard, true))
        vsnprintf(d->said, sizeof(d->said), fmt, ap);
}

/* ---- beginning and end ---- */

static struct MHD_Daemon *start(struct daemon *d, const struct daemon_opts *o)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG |
                     MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;
    struct MHD_OptionItem tls[] = {
        { MHD_OPTION_END, 0, NULL },
        { MHD_OPTION_END, 0, NULL },
        { MHD_OPTION_END, 0, NULL },
    };

    if (o->cert != NULL) {
        flags |= MHD_USE_TLS;
        tls[0] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_CERT, 0,
            (void *)(uintptr_t)o->cert };
        tls[1] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_KEY, 0,
            (void *)(uintptr_t)o->key };
    }
    return MHD_start_daemon(flags, 0, NULL, NULL, exchange_request, d->all,
        MHD_OPTION_EXTERNAL_LOGGER, on_message, d, MHD_OPTION_LISTEN_SOCKET,
        o->fd, MHD_OPTION_THREAD_POOL_SIZE, o->threads > 1 ? o->threads : 0u,
        MHD_OPTION_CONNECTION_LIMIT, o->connections,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, o->per_client,
        MHD_OPTION_CONNECTION_TIMEOUT, o->timeout_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_MAX,
        MHD_OPTION_URI_LOG_CALLBACK, exchange_target, d->all,
        MHD_OPTION_UNESCAPE_CALLBACK, as_it_is, d, MHD_OPTION_NOTIFY_COMPLETED,
        exchange_end, d->all, MHD_OPTION_NOTIFY_CONNECTION, on_connection, d,
        MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

struct daemon *daemon_open(struct responder *by, struct traffic *t,
    const struct daemon_opts *o, struct err *e)
{
    struct daemon *d = calloc(1, sizeof(*d));

    if (d == NULL) {
        close(o->fd);
        err_set(e, ERR_NOMEM, "no memory to serve");
        return NULL;
    }
    d->traffic = t;
    d->fd = o->fd;
    d->all = exchanges_open(by, t, o->prefix, o->log, e);
    if (d->all != NULL)
        d->mhd = start(d, o);
    if (d->mhd != NULL)
        return d;
    close(o->fd);
    d->said[strcspn(d->said, "\n")] = '\0';
    if (d->all != NULL)
        err_set(e, o->cert != NULL ? ERR_REFUSED : ERR_IO, "cannot serve: %s",
            d->said[0] != '\0' ? d->said : "the system refuses");
    daemon_close(d);
    return NULL;
}

void daemon_tick(struct daemon *d)
{
    exchanges_tick(d->all);
}

/*
 * The kernel drops whoever begins to connect. The library's own way to this
 * end (MHD_quiesce_daemon) races with its threads, and the loser ends the
 * process: 0.9.75, and later ones.
 */
void daemon_quiet(struct daemon *d)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog all = { .len = 1, .filter = &nothing };

    setsockopt(d->fd, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof(all));
}

/*
 * The library is stopped when nobody is left: a bad request that it reads
 * while it stops it answers out of nothing, and the process ends (0.9.75,
 * MHD_queue_response says yes and does nothing, build_header_response counts
 * on it).
 */
static void let_go(struct daemon *d)
{
    const struct timespec pause = { 0, LET_GO_NS };
    unsigned tries = 0;

    do
        nanosleep(&pause, NULL); /* for whom the kernel had taken in */
    while (traffic_shut(d->traffic) > 0 && ++tries < LET_GO_TRIES);
}

void daemon_close(struct daemon *d)
{
    if (d == NULL)
        return;
    if (d->mhd != NULL)
        daemon_quiet(d);
    if (d->all != NULL)
        exchanges_stop(d->all);
    if (d->mhd != NULL) {
        let_go(d);
        MHD_stop_daemon(d->mhd); /* which closes what it listens on */
    }
    exchanges_free(d->all);
    free(d);
}
