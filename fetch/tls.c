#include "fetch/tls.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

/* Two records. OpenSSL moves what is left to the front for each record. */
enum { AHEAD_BYTES = 34 << 10 };

bool tls_is_ours(const char *version)
{
    char ours[32];

    snprintf(
        ours, sizeof(ours), "OpenSSL/%lu.", OpenSSL_version_num() >> 28 & 15);
    return version != NULL && strncmp(version, ours, strlen(ours)) == 0;
}

void tls_read_ahead(void *context)
{
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, AHEAD_BYTES);
    /* libcurl asks for it: a malloc and a free for nearly every record. */
    SSL_CTX_clear_mode(context, SSL_MODE_RELEASE_BUFFERS);
}

bool tls_buffered(const void *session)
{
    return session != NULL && SSL_has_pending(session) != 0 &&
           SSL_want_nothing((const SSL *)session);
}
