/* volume_internal.h - what the files behind volume.h share. */
#ifndef CACHE_VOLUME_INTERNAL_H
#define CACHE_VOLUME_INTERNAL_H

#include "cache/volume.h"

/* volume_check - 0 when it is a volume this program knows, else -1. */
int volume_check(const struct volume *v, struct err *e);

/* volume_temp - a path in the volume's tmp/, for file_new_begin. */
int volume_temp(const struct volume *v, char *out, struct err *e);

/* volume_name_path - where what name means is written. */
int volume_name_path(const struct volume *v, struct str name, char *out,
    struct err *e);

/* volume_view_path - where the name is shown to other tools. */
int volume_view_path(const struct volume *v, struct str name, char *out,
    struct err *e);

/*
 * volume_entry_read - the entry called name
 * Returns 0, 1 when there is none, or -1 with *e.
 */
int volume_entry_read(const struct volume *v, struct str name,
    struct arena *arena, struct volume_entry *out, struct err *e);

#endif
