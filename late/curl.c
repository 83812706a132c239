/* What net/ calls of libcurl. */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <stdarg.h>

#define FUNCTIONS(X, V, N)                                                     \
    X(CURLcode, CURLE_FAILED_INIT, curl_global_init, (long flags), (flags))    \
    X(curl_version_info_data *, NULL, curl_version_info, (CURLversion now),    \
        (now))                                                                 \
    X(CURL *, NULL, curl_easy_init, (void), ())                                \
    V(curl_easy_cleanup, (CURL * c), (c))                                      \
    V(curl_easy_reset, (CURL * c), (c))                                        \
    N(curl_easy_setopt)                                                        \
    N(curl_easy_getinfo)                                                       \
    X(CURLcode, CURLE_FAILED_INIT, curl_easy_pause, (CURL * c, int how),       \
        (c, how))                                                              \
    X(CURLcode, CURLE_FAILED_INIT, curl_easy_send,                             \
        (CURL * c, const void *p, size_t n, size_t *sent), (c, p, n, sent))    \
    X(CURLcode, CURLE_FAILED_INIT, curl_easy_recv,                             \
        (CURL * c, void *p, size_t n, size_t *got), (c, p, n, got))            \
    X(CURLHcode, CURLHE_OUT_OF_MEMORY, curl_easy_header,                       \
        (CURL * c, const char *name, size_t i, unsigned origin, int request,   \
            struct curl_header **out),                                         \
        (c, name, i, origin, request, out))                                    \
    X(const char *, "", curl_easy_strerror, (CURLcode code), (code))           \
    X(struct curl_slist *, NULL, curl_slist_append,                            \
        (struct curl_slist * list, const char *text), (list, text))            \
    V(curl_slist_free_all, (struct curl_slist * list), (list))                 \
    X(CURLM *, NULL, curl_multi_init, (void), ())                              \
    X(CURLMcode, CURLM_OUT_OF_MEMORY, curl_multi_cleanup, (CURLM * m), (m))    \
    N(curl_multi_setopt)                                                       \
    X(CURLMcode, CURLM_OUT_OF_MEMORY, curl_multi_add_handle,                   \
        (CURLM * m, CURL * c), (m, c))                                         \
    X(CURLMcode, CURLM_OUT_OF_MEMORY, curl_multi_remove_handle,                \
        (CURLM * m, CURL * c), (m, c))                                         \
    X(CURLMcode, CURLM_OUT_OF_MEMORY, curl_multi_socket_action,                \
        (CURLM * m, curl_socket_t s, int events, int *running),                \
        (m, s, events, running))                                               \
    X(CURLMsg *, NULL, curl_multi_info_read, (CURLM * m, int *more), (m, more))

#include "late/late.h"

LATE_STAND_INS

/* An option's number says what its value is. */
enum { LONG = 0, OFF_T = 3 };

CURLcode curl_easy_setopt(CURL *c, CURLoption option, ...)
{
    CURLcode (*f)(CURL *, CURLoption, ...);
    CURLcode rc;
    va_list v;

    *(void **)&f = late_find(AT_curl_easy_setopt);
    if (f == NULL)
        return CURLE_FAILED_INIT;
    va_start(v, option);
    if (option / 10000 == LONG)
        rc = f(c, option, va_arg(v, long));
    else if (option / 10000 == OFF_T)
        rc = f(c, option, va_arg(v, curl_off_t));
    else
        rc = f(c, option, va_arg(v, void *));
    va_end(v);
    return rc;
}

CURLMcode curl_multi_setopt(CURLM *m, CURLMoption option, ...)
{
    CURLMcode (*f)(CURLM *, CURLMoption, ...);
    CURLMcode rc;
    va_list v;

    *(void **)&f = late_find(AT_curl_multi_setopt);
    if (f == NULL)
        return CURLM_OUT_OF_MEMORY;
    va_start(v, option);
    if (option / 10000 == LONG)
        rc = f(m, option, va_arg(v, long));
    else if (option / 10000 == OFF_T)
        rc = f(m, option, va_arg(v, curl_off_t));
    else
        rc = f(m, option, va_arg(v, void *));
    va_end(v);
    return rc;
}

CURLcode curl_easy_getinfo(CURL *c, CURLINFO info, ...)
{
    CURLcode (*f)(CURL *, CURLINFO, ...);
    CURLcode rc;
    va_list v;

    *(void **)&f = late_find(AT_curl_easy_getinfo);
    if (f == NULL)
        return CURLE_FAILED_INIT;
    va_start(v, info);
    rc = f(c, info, va_arg(v, void *));
    va_end(v);
    return rc;
}
