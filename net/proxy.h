/* proxy.h - which proxies the environment names; libcurl uses them. */
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include <stdbool.h>

/* proxy_named - is there one, for any URL, that begins like that? */
bool proxy_named(const char *kind);

/*
 * proxy_missed - the one for this URL that libcurl does not look at; or NULL
 * It reads http_proxy in lower case only, since a web server hands HTTP_PROXY
 * to CGI programs from whoever asks; REQUEST_METHOD is how those are known.
 */
const char *proxy_missed(const char *url);

#endif
