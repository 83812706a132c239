#include "serve/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HOST_MAX = 256, PORT_MAX = 8, BACKLOG = 1024 };

static int bad(const char *text, struct err *e)
{
    err_set(e, ERR_USAGE, "'%.200s' is no address to listen on", text);
    return err_hint(e, "write HOST:PORT, e.g. 127.0.0.1:8080, [::1]:8080, or "
                       ":8080 for all addresses");
}

static bool is_port(const char *p)
{
    unsigned n = 0;

    if (*p == '\0' || strlen(p) > 5)
        return false;
    for (; *p >= '0' && *p <= '9'; p++)
        n = n * 10 + (unsigned)(*p - '0');
    return *p == '\0' && n <= 65535;
}

static int split(
    const char *text, char host[HOST_MAX], char port[PORT_MAX], struct err *e)
{
    const char *colon = strrchr(text, ':');
    size_t n;

    if (colon == NULL || !is_port(colon + 1))
        return bad(text, e);
    n = (size_t)(colon - text);
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    } else if (memchr(text, ':', n) != NULL) {
        return bad(text, e);
    }
    if (n >= HOST_MAX)
        return bad(text, e);
    memcpy(host, text, n);
    host[n] = '\0';
    snprintf(port, PORT_MAX, "%s", colon + 1);
    return 0;
}

static int open_one(const struct addrinfo *a)
{
    int fd =
        socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1, zero = 0;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (a->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    one = errno;
    close(fd);
    errno = one;
    return -1;
}

/* All addresses, of both kinds where the system has both, in one socket. */
static int open_any(const struct addrinfo *list)
{
    int fd = -1;

    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
        if (a->ai_family == AF_INET6)
            fd = open_one(a);
    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
        if (a->ai_family != AF_INET6)
            fd = open_one(a);
    return fd;
}

static void show(int fd, const char *host, char shown[LISTEN_SHOWN_MAX])
{
    struct sockaddr_in6 sa; /* large enough for both kinds */
    socklen_t n = sizeof(sa);
    char port[PORT_MAX] = "0";

    if (getsockname(fd, (struct sockaddr *)&sa, &n) == 0)
        getnameinfo((struct sockaddr *)&sa, n, NULL, 0, port, sizeof(port),
            NI_NUMERICSERV);
    if (*host == '\0')
        host = "localhost";
    snprintf(shown, LISTEN_SHOWN_MAX,
        strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, port);
}

int listen_open(const char *text, char shown[LISTEN_SHOWN_MAX], struct err *e)
{
    struct addrinfo want = { .ai_flags = AI_PASSIVE,
        .ai_socktype = SOCK_STREAM };
    char host[HOST_MAX], port[PORT_MAX];
    struct addrinfo *list = NULL;
    int rc, fd = -1;

    if (split(text, host, port, e) != 0)
        return -1;
    rc = getaddrinfo(*host != '\0' ? host : NULL, port, &want, &list);
    if (rc != 0)
        return err_set(e, ERR_USAGE, "cannot listen on %.200s: %s", text,
            gai_strerror(rc));
    if (*host == '\0')
        fd = open_any(list);
    for (const struct addrinfo *a = list; a != NULL && fd < 0 && *host != '\0';
         a = a->ai_next)
        fd = open_one(a);
    if (fd < 0)
        err_sys(e, "cannot listen on %.200s", text);
    else
        show(fd, host, shown);
    freeaddrinfo(list);
    return fd;
}

void listen_peer(int fd, char *out, size_t out_len)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);

    snprintf(out, out_len, "?");
    if (getpeername(fd, (struct sockaddr *)&sa, &len) == 0 &&
        getnameinfo((struct sockaddr *)&sa, len, host, sizeof(host), port,
            sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(out, out_len, "%.50s:%.8s", host, port);
}
