/*
 * exchange.h - requests and their answers, as libmicrohttpd hands them over:
 * from the first line to the last byte, and who waits for what meanwhile. No
 * thread of the library waits for a disk or a network.
 */
#ifndef SERVE_EXCHANGE_H
#define SERVE_EXCHANGE_H

#include <microhttpd.h>

#include "serve/response.h"
#include "serve/traffic.h"

struct exchanges; /* those under way */

struct exchanges *exchanges_open(struct responder *by, struct traffic *t,
    const char *prefix, bool log, struct err *e);

/* exchanges_tick - who waits for bytes, and has left, is let go of. */
void exchanges_tick(struct exchanges *all);

/* exchanges_stop - who waits is let go of, and nobody waits from now on. */
void exchanges_stop(struct exchanges *all);

/* exchanges_free - stopped, and none is left; NULL is fine. */
void exchanges_free(struct exchanges *all);

/* What the library calls: with the first line, for each step, at the end; arg
 * is all of them, and a connection's context its passage. */
void *exchange_target(void *arg, const char *raw, struct MHD_Connection *c);
enum MHD_Result exchange_request(void *arg, struct MHD_Connection *c,
    const char *url, const char *method, const char *version,
    const char *upload, size_t *upload_n, void **context);
void exchange_end(void *arg, struct MHD_Connection *c, void **context,
    enum MHD_RequestTerminationCode how);

#endif
