/*
 * bring.h - the bytes of somebody else's file come under a name of ours:
 * read once for their digest, then cloned, linked or copied. Two steps, since
 * the name may be the digest.
 *
 * A hard link shares the file with its old name: who writes through that
 * changes what we hold. So a file is linked only where that cannot happen by
 * accident: it belongs to this user, it is made read-only (under both names),
 * and no program has it open for writing, neither before it is read nor when
 * it is linked: who writes through a mapping need not change its times. What
 * does not change in a way that shows (size, times) in between is what was
 * read. A clone (FICLONE) and a copy share nothing.
 */
#ifndef CACHE_BRING_H
#define CACHE_BRING_H

#include <sys/stat.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/progress.h"

enum bring_how {
    BRING_AUTO, /* clone, else link, else copy */
    BRING_LINK,
    BRING_CLONE,
    BRING_COPY,
    BRING_MOVE, /* link, else clone, else copy */
    BRING_READ  /* read it, no more */
};

enum brought { BROUGHT_NOT, BROUGHT_LINKED, BROUGHT_CLONED, BROUGHT_COPIED };

struct bring {
    /* Asked. */
    int fd;           /* of the file, open for reading */
    const char *name; /* for messages */
    struct stat st;   /* when it was opened */
    const char *work; /* folder for what is begun, on the file system it is to
                         be on */
    struct progress_item *item;

    /* Answered. */
    enum brought how;
    bool zeros;      /* nothing else is in it */
    bool unreadable; /* it was the source that failed */

    struct file_new tmp; /* the clone or the copy */
};

#define BRING_INIT                                                             \
    {                                                                          \
        .fd = -1, .tmp = FILE_NEW_INIT                                         \
    }

/*
 * bring_read - read it whole, and clone or copy it on the way
 * Returns  0 with the digest of what will have the name; -1 with *e: REFUSED
 *          (cannot be linked, or cloned, as asked), NOSPACE, IO, BUSY (it
 *          changes), CANCELLED
 */
int bring_read(struct bring *b, enum bring_how how, enum hash_kind kind,
    struct digest *out, struct err *e);

/*
 * bring_place - what was read gets its name, durably; replaces what has it
 * Returns  0; -1 with *e as above: REFUSED: a link was not possible after all
 */
int bring_place(struct bring *b, const char *path, struct err *e);

/*
 * bring_has_writers - has a program a file open for writing, or mapped?
 * Where there are no leases (fcntl), or of another user's file, nobody can be
 * asked: false.
 */
bool bring_has_writers(int fd);

/* bring_drop - forget it; what has a name stays. fd stays open. For AUTO. */
void bring_drop(struct bring *b);

#endif
