/*
 * foreign.h - what is in a folder that another program keeps: read, and
 * listed as files with bytes, the names they are to get, and what is wrong
 * with them as far as that shows without reading the bytes.
 *
 * Four kinds of folder: a hub cache (or one repository of it), an Ollama
 * store, an LM Studio folder, any folder. All of it is untrusted: no link is
 * followed that leads out of the folder; what is no regular file, has an
 * unsafe name, or cannot be read is a fault, not a failure.
 *
 *   hub       models--org--name/...        repository org/name
 *   ollama    manifests/HOST/NS/NAME/TAG   put files ollama/NAME/TAG/...
 *   lmstudio  PUBLISHER/REPO/FILE          put files lmstudio/...
 *   folder    PATH                         put files FOLDER/PATH
 */
#ifndef CACHE_FOREIGN_H
#define CACHE_FOREIGN_H

#include <sys/stat.h>

#include "cache/hubdir.h"

enum foreign_kind {
    FOREIGN_AUTO,
    FOREIGN_HUB,
    FOREIGN_OLLAMA,
    FOREIGN_LMSTUDIO,
    FOREIGN_FOLDER
};

/* Their names, "auto" first, and NULL: also the choices of an option. */
extern const char *const foreign_kind_names[];

/* A file with bytes. */
struct foreign_file {
    const struct repo *repo; /* NULL: to become a put file */
    struct str path;         /* below the root; no link in it */
    struct digest digest;    /* that it must have; hex "": nobody says */
    struct stat st;          /* when it was listed */
    struct str shown;        /* a name people know it by */
    uint64_t names;          /* that lead to it; 0: nobody needs it */
    bool kept;               /* something faulty leads to it, too */
};

/* What belongs together: a commit, a model, a folder. */
struct foreign_set {
    const struct repo *repo; /* NULL: put files */
    char commit[41];         /* of a repository, else "" */
    struct tree tree;        /* of the commit, if listed */
    bool listed;
    struct str label; /* of put files: what stands in front of their names */
    uint64_t broken;  /* names of it that cannot be taken */
};

struct foreign_name {
    uint64_t file, set;
    struct str name;  /* in the commit, or of the put file */
    struct str entry; /* its path in the source, or that of the file itself */
};

struct foreign_ref {
    struct repo repo; /* with its revision */
    char commit[41];
};

enum fault_kind {
    FAULT_DAMAGED,    /* the bytes are not what they should be */
    FAULT_MISSING,    /* a name leads nowhere */
    FAULT_UNFINISHED, /* what a download left */
    FAULT_OTHER,      /* two of them say different things of one name */
    FAULT_UNKNOWN,    /* nothing says what it should be */
    FAULT_UNSAFE,     /* leads outside, no file, a name nobody should have */
    FAULT_CLASH,      /* the name has other content where it is to go */
    FAULT_UNFIT,      /* cannot be linked, cloned, moved as was asked */
    FAULT_UNMOVED,    /* it came over, but could not be removed here */
    FAULT_UNREADABLE,
    FAULT_KINDS
};

struct fault {
    enum fault_kind kind;
    struct str path; /* in the source */
    struct str name; /* that people know it by, or "" */
    struct str why;
};

struct foreign {
    enum foreign_kind kind;
    char root[PATH_MAX]; /* no link in it */
    int fd;              /* of it */
    struct arena *arena;
    struct repo *repos;
    uint64_t n_repos;
    struct foreign_file *files;
    uint64_t n_files, files_cap;
    struct foreign_set *sets;
    uint64_t n_sets, sets_cap;
    struct foreign_name *names; /* those of one set in a row */
    uint64_t n_names, names_cap;
    struct foreign_ref *refs;
    uint64_t n_refs, refs_cap;
    struct fault *faults;
    uint64_t n_faults, faults_cap;
};

#define FOREIGN_INIT                                                           \
    {                                                                          \
        .fd = -1                                                               \
    }

/*
 * foreign_read - list what is in a folder
 * kind     FOREIGN_AUTO: as it looks
 * name     what is to stand in front of the names of put files, or NULL
 * Returns  0, or -1 with *e: MISSING, REFUSED (no folder, or a volume: what
 *          its files are called stands apart from them), USAGE (a name that a
 *          hub cache has no use for), IO, NOMEM, CANCELLED
 */
int foreign_read(struct foreign *f, const char *source, enum foreign_kind kind,
    const char *name, struct arena *arena, struct err *e);

void foreign_close(struct foreign *f); /* idempotent, for AUTO */

/*
 * foreign_open - open a file of it for reading, through no link at all
 * Returns  a descriptor, or -1 with *e: MISSING, REFUSED (no regular file, a
 *          link in its path), IO
 */
int foreign_open(const struct foreign *f, const char *path, struct err *e);

/* foreign_parent - the folder it is in, the same way; its own name in *base,
 * which points into path. */
int foreign_parent(const struct foreign *f, const char *path, const char **base,
    struct err *e);

/* foreign_fault - one more. Returns 0, or -1 with *e: NOMEM. */
int foreign_fault(struct foreign *f, enum fault_kind kind, struct str path,
    struct str name, const char *why, struct err *e);

#endif
