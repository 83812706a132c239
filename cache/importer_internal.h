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

/* importer_publish - all is proven, and durable: it gets its names. */
int importer_publish(struct importer *m, struct err *e);

#endif
