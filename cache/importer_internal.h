/* importer_internal.h - what the files behind importer.h share. */
#ifndef CACHE_IMPORTER_INTERNAL_H
#define CACHE_IMPORTER_INTERNAL_H

#include "cache/importer.h"

/*
 * importer_meet - the manifest is known: is the key's owner behind it, is it
 * what its lock says, is there a place for it, and room?
 */
int importer_meet(struct importer *m, struct err *e);

/* importer_held - where a content belongs here; into out of PATH_MAX. */
int importer_held(const struct importer *m, const struct archive_content *c,
    char *out, struct err *e);

/*
 * importer_look - can all names that the archive has be given here?
 * Returns 0, or -1 with *e: USAGE (a file of the volume is in the way),
 *         REFUSED (a name that cannot be, a commit that has other files here,
 *         a reference that is in the way), IO
 */
int importer_look(const struct importer *m, struct err *e);

/* importer_name_puts - the files of the volume, whose contents have landed,
 * get their names: one step of its log. */
int importer_name_puts(struct importer *m, struct err *e);

/* importer_settle - a content from where it landed to where it belongs; the
 * caller syncs the folder. BUSY: it was removed meanwhile. */
int importer_settle(
    const struct importer *m, const struct archive_content *c, struct err *e);

/* importer_publish - all is proven, and durable: it gets its names. */
int importer_publish(struct importer *m, struct err *e);

#endif
