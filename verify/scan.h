/*
 * scan.h - every callable and class that the pickles of a file mention,
 * each judged by a list of what is allowed (allow.h). Nothing is imported,
 * called or looked up, and a file that breaks off is judged by what Python
 * would have done by then.
 *
 * Looked into: torch zip archives (every record that is a pickle; when the
 * directory is broken, whatever local headers lead to), legacy torch
 * streams, bare pickles one behind the other, arrays of objects in NumPy's
 * files, and, where they happen to run as a pickle as well, files of any
 * other kind.
 */
#ifndef VERIFY_SCAN_H
#define VERIFY_SCAN_H

#include "base/opt.h"
#include "cache/find.h"
#include "verify/findings.h"

enum scan_use {
    SCAN_NAMED,   /* only mentioned */
    SCAN_REACHED, /* may be called by an allowed function of its pickle */
    SCAN_CALLED
};

enum scan_verdict {
    SCAN_DATA,    /* on the list */
    SCAN_ALLOWED, /* the user vouches for it */
    SCAN_UNKNOWN, /* nobody does */
    SCAN_UNSAFE   /* known to do harm, or the file rewrites the class */
};

/* A name in one pickle. Texts may hold any byte: whoever prints escapes. */
struct scan_name {
    struct str file;
    struct str pickle; /* "archive/data.pkl", "pickle 4 at byte 61" */
    struct str name;   /* "module.attribute" */
    uint64_t offset;   /* of its first mention, in the pickle [bytes] */
    enum scan_use use;
    enum scan_verdict verdict;
    bool bad; /* decides the answer */
};

struct scan {
    struct arena arena;
    struct scan_name *names; /* in the order of files and pickles */
    size_t n;
    size_t cap;
    size_t n_files;
    size_t n_pickles;
    struct findings report;
};

#define SCAN_INIT                                                              \
    {                                                                          \
        .arena = ARENA_INIT((uint64_t)512 << 20), .report = FINDINGS_INIT      \
    }

void scan_free(struct scan *s);

/*
 * scan_found - look into a file, or into every file of a folder
 * vouched  exact names, "module.attribute", that the user allows besides
 * Returns  0 with the answer in *s; -1 with *e: CANCELLED, NOMEM, IO
 */
int scan_found(struct scan *s, const struct found *found,
    const struct opt_list *vouched, struct err *e);

/* scan_bad - how many names decide that the answer is no. */
size_t scan_bad(const struct scan *s);

const char *scan_use_name(enum scan_use use);
const char *scan_verdict_name(enum scan_verdict verdict);

#endif
