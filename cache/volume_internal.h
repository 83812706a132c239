/* volume_internal.h - what the files behind volume.h share. */
#ifndef CACHE_VOLUME_INTERNAL_H
#define CACHE_VOLUME_INTERNAL_H

#include "cache/volume.h"

#include "base/buf.h"

/* volume_unmake - it goes again if nothing is in it; for who made it. */
void volume_unmake(const struct volume *v);

/* The file that makes a folder a volume. */
extern const char volume_marker[];

/* volume_tmp - make the volume's tmp/; its path into out. */
int volume_tmp(const struct volume *v, char *out, struct err *e);

/* volume_named - the path of the file that says what name means. */
int volume_named(
    const struct volume *v, struct str name, char *out, struct err *e);

/*
 * volume_folder - the folder of names/ that the names below name are in; "" is
 * names/ itself
 * A folder x.json is kept as x.json+, x.json+ as x.json++: it is no file of a
 * name. Not checked.
 */
int volume_folder(
    const struct volume *v, struct str name, char *out, struct err *e);

/* volume_name_of - append the name that the file at path below names/ says
 * the meaning of; false: of none. */
bool volume_name_of(struct str path, struct buf *out);

/* volume_stored - the path of content in the store. */
int volume_stored(const struct volume *v, const struct digest *sha256,
    char *out, struct err *e);

/*
 * volume_stored_sync - the folders that lead to content in the store
 * Whoever stored it may not have come to that, and never may.
 */
int volume_stored_sync(
    const struct volume *v, const struct digest *sha256, struct err *e);

/*
 * volume_entry_read - the entry called name, as names/ says
 * Returns 0, 1 when there is none, or -1 with *e: REFUSED (name), CORRUPT.
 */
int volume_entry_read(const struct volume *v, struct str name,
    struct arena *arena, struct volume_entry *out, struct err *e);

/*
 * volume_entry_plain - the same of the bytes of its file, if they are exactly
 * what volume_entry_write writes; the name is left alone
 * For many of them: a JSON reader takes the greater part of the time. False
 * says nothing but that volume_entry_read is to be asked.
 */
enum { VOLUME_ENTRY_PLAIN_MAX = 192 };
bool volume_entry_plain(struct str text, struct volume_entry *out);

/*
 * volume_below - the entries below folder ("" is all), not sorted
 * One that cannot be read is left out with a warning.
 */
int volume_below(const struct volume *v, const char *folder,
    struct arena *arena, struct volume_entry **out, uint64_t *out_n,
    struct err *e);

/*
 * volume_listed - volume_list as names/ says, without what is still to be done
 * (history.h)
 */
int volume_listed(const struct volume *v, const char *prefix,
    struct arena *arena, struct volume_entry **out, uint64_t *out_n,
    struct err *e);

/* volume_glanced - the same from the index of them, if that can be believed;
 * or one is made (nameindex.h) */
int volume_glanced(const struct volume *v, const char *prefix,
    struct arena *arena, struct volume_entry **out, uint64_t *out_n,
    struct err *e);

/*
 * volume_now - the entry called name: volume_entry_read, and over it what is
 * still to be done
 */
int volume_now(const struct volume *v, struct str name, struct arena *arena,
    struct volume_entry *out, struct err *e);

/* volume_entry_text - what is in the file of a name. */
int volume_entry_text(
    const struct volume_entry *entry, struct buf *out, struct err *e);

/* volume_entry_write - from now on the name means this. */
int volume_entry_write(
    const struct volume *v, const struct volume_entry *entry, struct err *e);

#endif
