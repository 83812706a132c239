/*
 * direct.h - an answer whose bytes go from TLS straight to where they belong:
 * the request is written and the answer's head is read here, on a connection
 * of libcurl's making (wire.h). That saves a copy of every byte, and a poll
 * for every record.
 *
 * It is for plain cases: no proxy, a URL of plain characters, a part of a
 * file with its length said. An answer that is odd (reply.h) is not judged:
 * the request is sent again by libcurl, and so are all that follow.
 */
#ifndef NET_DIRECT_H
#define NET_DIRECT_H

#include "net/http.h"

/* direct_fits - may this call be made so? */
bool direct_fits(const struct http *h, const struct http_call *c);

/* direct_start - 0, or -1 with *e: NOMEM. */
int direct_start(struct http *h, struct http_call *c, struct err *e);

/* direct_runs - is it made so, and not over? */
bool direct_runs(const struct http_call *c);

/* direct_over - is it over, and direct_end - how. */
bool direct_over(const struct http_call *c);
enum http_end direct_end(const struct http_call *c);

/* direct_dials - it waits for libcurl to connect. */
bool direct_dials(const struct http_call *c);

/* direct_up - libcurl has connected. */
void direct_up(struct http_call *c);

/* direct_ready - its socket tells of something. */
void direct_ready(struct http_call *c);

/* direct_more - it can go on. */
bool direct_more(const struct http_call *c);

/* direct_go_on - as far as it goes without waiting, for a turn. */
void direct_go_on(struct http_call *c);

/* direct_look - has nothing come for too long? */
void direct_look(struct http_call *c, uint64_t now_ms);

void direct_resume(struct http_call *c);

/* direct_leave - let go of the connection; it is kept if it can be. */
void direct_leave(struct http_call *c);

/* direct_easy - libcurl's handle of its connection; NULL: it has none. */
void *direct_easy(const struct http_call *c);

/* direct_kept - is that connection an old one? */
bool direct_kept(const struct http_call *c);

/* direct_head - the answer's, when it came so; else NULL. */
const struct reply *direct_head(const struct http_call *c);

void direct_free(struct http_call *c); /* idempotent */

#endif
