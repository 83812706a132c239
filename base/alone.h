/*
 * alone.h - a program that is linked statically (make static) stands alone: it
 * opens no shared library of the system it runs on, which may be made for
 * another C library, or for none.
 */
#ifndef BASE_ALONE_H
#define BASE_ALONE_H

#include <stdbool.h>

/* alone_is - is this program linked statically? */
bool alone_is(void);

/*
 * alone_begin - once, before anything else: names of hosts and users come from
 * /etc/hosts, /etc/resolv.conf and /etc/passwd alone, whatever nsswitch.conf
 * says. Nothing where the program is linked with shared libraries.
 */
void alone_begin(void);

#endif
