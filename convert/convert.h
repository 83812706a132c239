/*
 * convert.h - one model into the uniform form: a folder with
 * model.safetensors, or its shards and their index, its company and a
 * manifest, which appears whole.
 */
#ifndef CONVERT_CONVERT_H
#define CONVERT_CONVERT_H

#include "base/hash.h"
#include "base/progress.h"
#include "cache/find.h"
#include "convert/recipe.h"
#include "formats/audit.h"

/* Which are made: they cost more than the conversion itself. */
enum digests {
    DIGESTS_ALL,    /* of sources, files and tensors */
    DIGESTS_OUTPUT, /* of a source only when it is known or names the result */
    DIGESTS_NONE    /* and no manifest; only with out */
};

struct convert_opts {
    const char *source; /* as the user wrote it */
    const char *volume; /* to look in, or NULL: the hub cache */
    const char *out;    /* folder to make; NULL: beside the snapshot */
    const char *report; /* page to write about it, or NULL */
    bool force;         /* replace an older conversion at out */
    unsigned threads;   /* 0: one per core */
    struct recipe recipe;
    enum digests digests;
    enum progress_mode progress;
};

struct convert_result {
    char path[PATH_MAX];  /* the folder */
    bool held;            /* it was there before, nothing was done */
    struct digest sha256; /* of model.safetensors; "" for shards or none */
    uint64_t size;        /* of the files with the weights [bytes] */
    uint64_t n_files;     /* of those */
    uint64_t n_tensors;
    uint64_t n_aliases;
    struct audit audit; /* of all tensors; nothing when held */
};

/*
 * convert_run - convert, or find the conversion that is kept already
 * With a report it is made even when it is kept already, and a report is
 * written, too, when values overflow.
 * Returns  0, or -1 with *e and nothing left behind: USAGE (no place to put
 *          it, or not there), MISSING, REFUSED, UNSUPPORTED, CORRUPT,
 *          NOSPACE, IO, NOMEM, CANCELLED, VERDICT (values overflow)
 */
int convert_run(
    const struct convert_opts *o, struct convert_result *out, struct err *e);

#endif
