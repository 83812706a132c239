/*
 * pipeline.h - the weights, streamed from a checkpoint into one file.
 *
 * The file is cut into blocks, which lie in a ring while they are worked on.
 * Each is read and cast, then written, hashed as part of the file and hashed
 * tensor by tensor; the sources are hashed on the side. Every thread takes
 * whatever can be done next. The bytes do not depend on the number of
 * threads, the memory not on the size of the model.
 */
#ifndef CONVERT_PIPELINE_H
#define CONVERT_PIPELINE_H

#include "base/file.h"
#include "base/pool.h"
#include "base/progress.h"
#include "convert/layout.h"
#include "convert/sources.h"
#include "formats/audit.h"

struct pipeline_result {
    bool unhashed;          /* no digest of the file is wanted */
    struct digest file;     /* of the whole file */
    struct digest *tensors; /* of each layout->out[i], or NULL: not wanted */
    struct audit *audits;   /* of each layout->out[i]; caller's memory */
    /* Of each layout->out[i], several may share one; NULL: not wanted. */
    struct spectrum **spectra;
    /*
     * Something is as verdict_refuses() it. True from the start when it was
     * in an earlier file: then this one is only counted.
     */
    bool refused;
};

/*
 * pipeline_pool - the threads for it: so many that compute, 0 for one per
 * core, and a few more that wait for the disk
 * Returns NULL with *e: NOMEM, IO
 */
struct pool *pipeline_pool(unsigned threads, struct err *e);

/*
 * pipeline_run - write the file into fd, which is empty
 * name      of the file, for messages
 * rest      bytes of this file and those still to come: the digests of the
 *           sources that are unknown are made on the way, to be finished
 *           with the last file
 * Returns   0 with *out filled in: when out->refused, the audits
 *           are complete and the file is not. -1 with *e: IO,
 *           NOSPACE, CORRUPT, NOMEM, CANCELLED
 */
int pipeline_run(const struct checkpoint *c, const struct layout *p,
    const struct recipe *r, struct sources *sources, struct pool *pool, int fd,
    const char *name, uint64_t rest, struct progress_item *progress,
    struct pipeline_result *out, struct err *e);

#endif
