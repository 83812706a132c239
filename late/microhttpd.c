/* What serve/ calls of libmicrohttpd. */
#include <microhttpd.h>
#include <stdarg.h>

#define FUNCTIONS(X, V, N)                                                     \
    N(MHD_start_daemon_va)                                                     \
    V(MHD_stop_daemon, (struct MHD_Daemon * d), (d))                           \
    V(MHD_suspend_connection, (struct MHD_Connection * c), (c))                \
    V(MHD_resume_connection, (struct MHD_Connection * c), (c))                 \
    N(MHD_get_connection_info)                                                 \
    X(int, 0, MHD_get_connection_values_n,                                     \
        (struct MHD_Connection * c, enum MHD_ValueKind kind,                   \
            MHD_KeyValueIteratorN f_each, void *arg),                          \
        (c, kind, f_each, arg))                                                \
    X(const char *, NULL, MHD_lookup_connection_value,                         \
        (struct MHD_Connection * c, enum MHD_ValueKind kind, const char *key), \
        (c, kind, key))                                                        \
    X(char *, NULL, MHD_basic_auth_get_username_password,                      \
        (struct MHD_Connection * c, char **password), (c, password))           \
    V(MHD_free, (void *p), (p))                                                \
    X(struct MHD_Response *, NULL, MHD_create_response_from_buffer,            \
        (size_t size, void *p, enum MHD_ResponseMemoryMode mode),              \
        (size, p, mode))                                                       \
    X(struct MHD_Response *, NULL, MHD_create_response_from_callback,          \
        (uint64_t size, size_t block, MHD_ContentReaderCallback read,          \
            void *arg, MHD_ContentReaderFreeCallback end),                     \
        (size, block, read, arg, end))                                         \
    X(struct MHD_Response *, NULL, MHD_create_response_from_fd_at_offset64,    \
        (uint64_t size, int fd, uint64_t at), (size, fd, at))                  \
    X(enum MHD_Result, MHD_NO, MHD_add_response_header,                        \
        (struct MHD_Response * r, const char *name, const char *value),        \
        (r, name, value))                                                      \
    X(enum MHD_Result, MHD_NO, MHD_queue_response,                             \
        (struct MHD_Connection * c, unsigned status, struct MHD_Response *r),  \
        (c, status, r))                                                        \
    V(MHD_destroy_response, (struct MHD_Response * r), (r))

#include "late/late.h"

LATE_STAND_INS

struct MHD_Daemon *MHD_start_daemon(unsigned flags, uint16_t port,
    MHD_AcceptPolicyCallback accept, void *accept_arg,
    MHD_AccessHandlerCallback handle, void *handle_arg, ...)
{
    struct MHD_Daemon *(*f)(unsigned, uint16_t, MHD_AcceptPolicyCallback,
        void *, MHD_AccessHandlerCallback, void *, va_list);
    struct MHD_Daemon *d = NULL;
    va_list v;

    *(void **)&f = late_find(AT_MHD_start_daemon_va);
    va_start(v, handle_arg);
    if (f != NULL)
        d = f(flags, port, accept, accept_arg, handle, handle_arg, v);
    va_end(v);
    return d;
}

const union MHD_ConnectionInfo *MHD_get_connection_info(
    struct MHD_Connection *c, enum MHD_ConnectionInfoType type, ...)
{
    const union MHD_ConnectionInfo *(*f)(
        struct MHD_Connection *, enum MHD_ConnectionInfoType, ...);

    *(void **)&f = late_find(AT_MHD_get_connection_info);
    return f != NULL ? f(c, type) : NULL;
}
