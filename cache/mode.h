/* mode.h - the permissions the user's umask leaves. */
#ifndef CACHE_MODE_H
#define CACHE_MODE_H

#include <sys/types.h>

/*
 * mode_masked - mode without the bits of the umask
 * Threads  any: the umask is looked at without being set, where the system
 *          shows it (Linux 4.7 and later)
 */
mode_t mode_masked(mode_t mode);

#endif
