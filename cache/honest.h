/*
 * honest.h - can a lock be relied upon? On some file systems everybody gets
 * it (Lustre without -o flock, some NFS mounts).
 */
#ifndef CACHE_HONEST_H
#define CACHE_HONEST_H

#include "base/sys.h"

/* honest_lock - fd's flock, which is held, is refused to others, on a file
 * system that no other machine writes to. */
bool honest_lock(int fd);

#endif
