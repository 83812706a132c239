/* exporter_internal.h - what the files behind exporter.h share. */
#ifndef CACHE_EXPORTER_INTERNAL_H
#define CACHE_EXPORTER_INTERNAL_H

#include "cache/exporter.h"

/* exporter_path - where a content of the plan is; into out of PATH_MAX. */
int exporter_path(const struct exporter *x, const struct archive_content *c,
    char *out, struct err *e);

/*
 * exporter_group - which of the plan's contents are to stand in the archive
 * grouped, by samples of their bytes: x->archive.groups
 * Returns 0, or -1 with *e: IO, MISSING, NOMEM
 */
int exporter_group(struct exporter *x, struct err *e);

#endif
