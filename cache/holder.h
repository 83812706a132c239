/*
 * holder.h - who holds a flock, and whether its file is still the one under
 * its name.
 */
#ifndef CACHE_HOLDER_H
#define CACHE_HOLDER_H

#include "base/sys.h"

/* holder_pid - a process that has a flock on fd's file; 0: nobody knows. */
long holder_pid(int fd);

/* holder_file - is fd's file the one at path? */
bool holder_file(int fd, const char *path);

#endif
