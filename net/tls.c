#include "net/tls.h"

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

void *tls_roots(const char *file, const char *dir)
{
    X509_STORE *store = X509_STORE_new();

    if (store == NULL || (file[0] == '\0' && dir[0] == '\0') ||
        (file[0] != '\0' && X509_STORE_load_file(store, file) != 1) ||
        (dir[0] != '\0' && X509_STORE_load_path(store, dir) != 1)) {
        X509_STORE_free(store);
        return NULL;
    }
    /* As libcurl has it: one that is trusted ends the chain. */
    X509_STORE_set_flags(
        store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
    return store;
}

void tls_roots_free(void *roots)
{
    X509_STORE_free(roots);
}

void tls_trust(void *context, void *roots)
{
    SSL_CTX_set1_cert_store(context, roots);
}

bool tls_buffered(const void *session)
{
    return session != NULL && SSL_has_pending(session) != 0 &&
           SSL_want_nothing((const SSL *)session);
}
