/*
 * url.h - the little of URLs that a Hub client must decide itself: whose
 * they are, how to write a name into one, and how to show one to a person.
 *
 * Anything this file does not fully understand (user names in a URL,
 * unusual characters in a host) has no origin, and so gets no token.
 */
#ifndef NET_URL_H
#define NET_URL_H

#include "base/buf.h"
#include "base/err.h"

enum { URL_MAX = 16384, URL_SHOW_MAX = 300 };

struct url {
    bool tls;         /* https */
    char host[256];   /* lower case; an IPv6 address with its brackets */
    unsigned port;    /* 80 or 443 when the text names none */
    const char *rest; /* path, query, fragment: into the text; may be "" */
};

/* url_parse - an absolute http or https URL; false for anything else. */
bool url_parse(struct url *out, const char *text);

/* url_same_origin - scheme, host and port are equal. */
bool url_same_origin(const char *a, const char *b);

/* url_downgrades - the first is https and the second is not. */
bool url_downgrades(const char *from, const char *to);

/*
 * url_endpoint - a Hub's base URL, without trailing slashes, into out
 * out_len  at least 1 more than the text
 * Returns  0, or -1 with *e: USAGE
 */
int url_endpoint(char *out, size_t out_len, const char *text, struct err *e);

/*
 * url_encode - append text with everything but A-Z a-z 0-9 _ . - ~ encoded;
 * slash says that '/' stays as it is (a path), too.
 */
void url_encode(struct buf *out, struct str text, bool slash);

/* url_show - for messages: no query, no fragment, no user; returns out. */
char *url_show(char out[URL_SHOW_MAX], const char *text);

/* url_host - "host:port" as the text has it, for messages; returns out. */
char *url_host(char out[URL_SHOW_MAX], const char *text);

#endif
