/*
 * volume.h - a volume: a folder with files of one's own, kept by content,
 * and a hub cache beside them.
 *
 *   VOLUME/ml-volume.json            {"ml-volume": 1}
 *          store/sha256/ab/<64 hex>  content, read-only
 *          names/<name>.json         what a put name means (sha256, size)
 *          files/<name>              the same bytes under their name: a hard
 *                                    link into the store where the file
 *                                    system has them, else a symbolic link
 *          hub/                      a hub cache (hubdir.h)
 *          uniform/<key>/            conversions of put files (find.h)
 *          names.index               all of names/, to be shown (nameindex.h)
 *          tmp/                      unfinished puts
 *          log                       every change of the names (history.h)
 *          lease, trash/             of who removes things (reaper.h)
 *          quarantine/<sha256>       found wrong (quarantine.h)
 *          verify.log                what an interrupted check found right
 *
 * The log is the truth, names/ what it comes to, files/ a view for other tools.
 * A name is written only after its content is in the store, synced and its
 * digest checked. (Folders x.json are x.json+ in names/: volume_internal.h.)
 */
#ifndef CACHE_VOLUME_H
#define CACHE_VOLUME_H

#include <limits.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/progress.h"

struct volume {
    char root[PATH_MAX];
};

struct volume_entry {
    struct str name; /* relative path, checked by path_check */
    uint64_t size;   /* bytes */
    struct digest sha256;
    int64_t mtime; /* when it was put, seconds since 1970 */
};

/*
 * volume_locate - a folder's path, or a name under MLFETCH_VOLUMES
 * A text with a slash, or an existing folder, is a path; anything else is a
 * name. Nothing is created or checked. Returns 0, or -1 with *e: USAGE (also:
 * s3://, which is the room bucket's).
 */
int volume_locate(struct volume *out, const char *text, struct err *e);

/* volume_shelf - the folder that named volumes are in: MLFETCH_VOLUMES. */
int volume_shelf(char *out, struct err *e);

/* volume_exists - it is there and has the marker. */
bool volume_exists(const struct volume *v);

/* volume_check - 0 when it is a volume this program knows; -1 with *e:
 * MISSING, REFUSED, UNSUPPORTED. */
int volume_check(const struct volume *v, struct err *e);

/*
 * volume_create - make it where it is not there; what killed puts left in
 * tmp/ is swept
 * Returns 0, with *created: it was not there before; or -1 with *e: REFUSED
 *         (a folder with other things in it), UNSUPPORTED, IO
 */
int volume_create(const struct volume *v, bool *created, struct err *e);

/* volume_hub - where its hub cache is. */
struct hubdir;
int volume_hub(const struct volume *v, struct hubdir *out, struct err *e);

/*
 * volume_store - a file's bytes into the store, without a name
 * The copy is hashed as it is read, synced, and read back. Space is checked
 * first. Content that the store has already is not copied; if the store's
 * copy is damaged it is replaced. The caller holds the volume's lease until
 * a name leads to it.
 * shown    what the progress calls it
 * likely   the store is likely to have it: hash before copying
 * out      all but the name
 * copied   the store did not have it
 * Returns  0, or -1 with *e: MISSING, NOSPACE, IO, CORRUPT, BUSY (the file
 *          changes while it is read), CANCELLED
 */
int volume_store(const struct volume *v, const char *file, const char *shown,
    bool likely, struct progress *progress, struct volume_entry *out,
    bool *copied, struct err *e);

/*
 * volume_put - file (a path) becomes name, replacing an older content: one
 * step of the log (putlist.h is for many files, and asks before)
 * Returns 0, or -1 with *e: MISSING, NOSPACE, REFUSED (name), IO, BUSY (the
 *         file changes while it is read), CANCELLED; nothing visible has
 *         changed then
 */
int volume_put(const struct volume *v, const char *file, const char *name,
    struct progress *progress, struct volume_entry *out, struct arena *arena,
    struct err *e);

/* volume_find - an entry by name: MISSING with a hint when there is none. */
int volume_find(const struct volume *v, const char *name, struct arena *arena,
    struct volume_entry *out, struct err *e);

/*
 * volume_list - all entries whose name is prefix or lies below it, sorted
 * prefix NULL or "": all. An entry that cannot be read is left out with a
 * warning.
 */
int volume_list(const struct volume *v, const char *prefix, struct arena *arena,
    struct volume_entry **out, uint64_t *out_n, struct err *e);

/* volume_is_below - is name this folder, or below it? "" is above all. */
bool volume_is_below(struct str name, struct str folder);

/*
 * volume_shown - the same for a list that is only shown: of many names it may
 * come from an index (nameindex.h), which it makes where there is none
 */
int volume_shown(const struct volume *v, const char *prefix,
    struct arena *arena, struct volume_entry **out, uint64_t *out_n,
    struct err *e);

/* volume_path - the path of an entry's bytes in the store. */
int volume_path(const struct volume *v, const struct volume_entry *entry,
    char *out, struct err *e);

/*
 * volume_view - where other tools see a name: an entry, or a folder of them.
 * It is a view: it may be missing, or behind names/ after a crash.
 */
int volume_view(
    const struct volume *v, const char *name, char *out, struct err *e);

/* volume_converted - where conversions of its put files are kept. */
int volume_converted(const struct volume *v, char *out, struct err *e);

/*
 * volume_get - write an entry's bytes to fd, checking their digest on the way
 * Returns 0, or -1 with *e: CORRUPT when the store's bytes are wrong.
 */
int volume_get(const struct volume *v, const struct volume_entry *entry, int fd,
    const char *fd_name, struct progress *progress, struct err *e);

/*
 * volume_save - the same into a file, which appears whole or not at all
 * An existing file is replaced. Also NOSPACE, asked before the first byte.
 */
int volume_save(const struct volume *v, const struct volume_entry *entry,
    const char *dest, struct progress *progress, struct err *e);

#endif
