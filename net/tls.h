/*
 * tls.h - what libcurl does not do with OpenSSL: read far ahead of a record,
 * so that many come with one call to the kernel; and read the certificates
 * that are trusted once, for all connections. tls.c is the only file that
 * includes OpenSSL's TLS.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>

/*
 * tls_is_ours - is that the OpenSSL this program has? What another library
 * hands out must not be touched.
 * version  libcurl's: "OpenSSL/3.0.17"; NULL: it has no TLS
 */
bool tls_is_ours(const char *version);

/* tls_read_ahead - of a libcurl's context, an SSL_CTX. */
void tls_read_ahead(void *context);

/*
 * tls_roots - the certificates of a file and of a folder, either may be ""
 * NULL: there are none, or they cannot be read
 */
void *tls_roots(const char *file, const char *dir);
void tls_roots_free(void *roots); /* NULL is fine */

/* tls_trust - a libcurl's context trusts these, and no others. */
void tls_trust(void *context, void *roots);

/*
 * tls_buffered - bytes were read ahead, which no poll will tell of, and may be
 * a whole record: the last read had one, and did not ask for the socket
 * session is an SSL, or NULL
 */
bool tls_buffered(const void *session);

#endif
