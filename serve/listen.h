/* listen.h - a socket to listen on, from the words of a command line. */
#ifndef SERVE_LISTEN_H
#define SERVE_LISTEN_H

#include "base/err.h"

enum { LISTEN_SHOWN_MAX = 300 };

/*
 * listen_open - "HOST:PORT", "[V6]:PORT", ":PORT" for all addresses
 * shown    "host:port" that a client of this machine can use
 * Returns  a descriptor, or -1 with *e: USAGE, IO
 */
int listen_open(const char *text, char shown[LISTEN_SHOWN_MAX], struct err *e);

/* listen_peer - who is at the other end: "ADDRESS:PORT"; "?": not known. */
void listen_peer(int fd, char *out, size_t out_len);

#endif
