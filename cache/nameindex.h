/*
 * nameindex.h - VOLUME/names.index: what the names of a volume mean, in one
 * file, for those who only show them. To open 100,000 files takes longer than
 * a person should wait for a list.
 *
 * It holds the identity and the times of every folder of names/, which change
 * when a name is made, replaced or removed: it is believed as long as they are
 * the same. It is never written while one of them is so young that another
 * change could leave the same time. A damaged one is as good as none.
 * Whoever removes, checks or hands out bytes reads names/ instead.
 */
#ifndef CACHE_NAMEINDEX_H
#define CACHE_NAMEINDEX_H

#include "cache/volume.h"

/* Fewer names are read as quickly. */
enum { NAMEINDEX_MIN = 1000 };

/*
 * nameindex_read - every entry of names/, sorted, if the index says so
 * Returns false when it does not: there is none, it is old, or damaged.
 */
bool nameindex_read(const struct volume *v, struct arena *arena,
    struct volume_entry **out, uint64_t *n);

/*
 * nameindex_write - keep a list for the next time, if that can be done
 * list     all of names/, sorted
 * took_s   so long ago, or less, was its reading begun
 * Nothing is kept of few names, on a medium that cannot be written, when a
 * folder has changed in the last two seconds and took_s, or when a file of
 * names/ is not in the list.
 */
void nameindex_write(const struct volume *v, const struct volume_entry *list,
    uint64_t n, double took_s);

#endif
