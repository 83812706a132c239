/* memory.h - how much memory may be taken without hurting the machine. */
#ifndef VERIFY_RUN_MEMORY_H
#define VERIFY_RUN_MEMORY_H

#include "base/err.h"

/*
 * memory_available - bytes the kernel could give out now without swapping:
 * free memory and caches it would drop, and no more than the limit of the
 * container this runs in leaves. Returns false when it does not say.
 */
bool memory_available(uint64_t *out);

/*
 * memory_group - bytes left below the limits of the control groups that a
 * process is in, and of those around them; the least counts
 * root     where the groups are mounted: "/sys/fs/cgroup"
 * own      the text of /proc/self/cgroup; a container may hide that place,
 *          and shows its own group at root
 * Returns  false when there is no limit
 */
bool memory_group(const char *root, const char *own, uint64_t *out);

/*
 * memory_check - may that many bytes more be allocated?
 * The system would hand out more than it has and kill somebody later, so
 * whoever is about to fill a lot asks first.
 * what     "the weights", for the message
 * Returns  0, or -1 with *e: NOMEM, saying how much is needed and available
 */
int memory_check(uint64_t bytes, const char *what, struct err *e);

/*
 * memory_peak - most bytes of memory this process has held at a time, its
 * part of mapped files included
 */
uint64_t memory_peak(void);

/*
 * memory_peak_reset - let memory_peak() count from now on, where the kernel
 * can; else it stays what it was
 */
void memory_peak_reset(void);

#endif
