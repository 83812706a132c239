#include "net/url.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

static bool host_char(char c)
{
    return isalnum((unsigned char)c) || c == '.' || c == '-' || c == '_';
}

/* The host at p, as far as it is one; 0 when it is none. */
static size_t host_len(const char *p)
{
    size_t n = 0;

    if (*p == '[') {
        for (n = 1; isxdigit((unsigned char)p[n]) || p[n] == ':' || p[n] == '.';
             n++)
            ;
        return p[n] == ']' ? n + 1 : 0;
    }
    while (host_char(p[n]))
        n++;
    return n;
}

static bool parse_port(const char **at, unsigned *port)
{
    const char *p = *at;
    unsigned v = 0;

    while (isdigit((unsigned char)*p) && v <= 65535)
        v = v * 10 + (unsigned)(*p++ - '0');
    if (p == *at || v == 0 || v > 65535)
        return false;
    *at = p;
    *port = v;
    return true;
}

bool url_parse(struct url *out, const char *text)
{
    bool tls = strncasecmp(text, "https://", 8) == 0;
    const char *p = text + (tls ? 8 : 7);
    size_t n;

    if (!tls && strncasecmp(text, "http://", 7) != 0)
        return false;
    n = host_len(p);
    if (n == 0 || n >= sizeof(out->host))
        return false;
    for (size_t i = 0; i < n; i++)
        out->host[i] = (char)tolower((unsigned char)p[i]);
    out->host[n] = '\0';
    out->tls = tls;
    out->port = tls ? 443 : 80;
    p += n;
    if (*p == ':') {
        p++;
        if (!parse_port(&p, &out->port))
            return false;
    }
    if (*p != '\0' && *p != '/' && *p != '?' && *p != '#')
        return false;
    out->rest = p;
    return true;
}

bool url_same_origin(const char *a, const char *b)
{
    struct url x, y;

    return url_parse(&x, a) && url_parse(&y, b) && x.tls == y.tls &&
           x.port == y.port && strcmp(x.host, y.host) == 0;
}

bool url_downgrades(const char *from, const char *to)
{
    return strncasecmp(from, "https:", 6) == 0 &&
           strncasecmp(to, "https:", 6) != 0;
}

int url_endpoint(char *out, size_t out_len, const char *text, struct err *e)
{
    size_t n = strlen(text);
    char shown[URL_SHOW_MAX];
    struct url u;

    while (n > 0 && text[n - 1] == '/')
        n--;
    if (n >= out_len || !url_parse(&u, text) || strchr(u.rest, '?') != NULL ||
        strchr(u.rest, '#') != NULL) {
        err_set(e, ERR_USAGE, "HF_ENDPOINT is not a web address: %.200s",
            url_show(shown, text));
        return err_hint(e, "it looks like https://huggingface.co or "
                           "http://localhost:8080, without a user name or a "
                           "query");
    }
    memcpy(out, text, n);
    out[n] = '\0';
    return 0;
}

void url_encode(struct buf *out, struct str text, bool slash)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool plain = (c < 0x80 && isalnum(c)) || (slash && c == '/') ||
                     (c != '\0' && strchr("_.-~", c) != NULL);

        if (plain)
            buf_putc(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

/* Where a user name in front of the host ends; p is behind "://". */
static const char *skip_user(const char *p)
{
    size_t n = strcspn(p, "/?#");

    for (size_t i = n; i > 0; i--)
        if (p[i - 1] == '@')
            return p + i;
    return p;
}

/* Behind the "://" of the scheme; one in a query is none. */
static const char *skip_scheme(const char *text)
{
    const char *p = text + strcspn(text, "/?#");

    return p > text && p[-1] == ':' && strncmp(p, "//", 2) == 0 ? p + 2 : text;
}

char *url_show(char out[URL_SHOW_MAX], const char *text)
{
    const char *rest = skip_scheme(text), *p = skip_user(rest);

    snprintf(out, URL_SHOW_MAX, "%.*s%.*s", (int)(rest - text), text,
        (int)strcspn(p, "?#"), p);
    return out;
}

char *url_host(char out[URL_SHOW_MAX], const char *text)
{
    const char *p = skip_user(skip_scheme(text));

    snprintf(out, URL_SHOW_MAX, "%.*s", (int)strcspn(p, "/?#"), p);
    return out;
}
