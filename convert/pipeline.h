/*
 * pipeline.h - the weights, streamed from a checkpoint into one file.
 *
 * The file is cut into blocks; a batch of blocks is read, cast and written
 * by the pool while the batch before it is hashed, once as a file and once
 * tensor by tensor, and the sources are hashed on the side. The bytes do not
 * depend on the number of threads, the memory not on the size of the model.
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
    struct digest file;     /* of the whole file */
    struct digest *tensors; /* of each layout->out[i]; caller's memory */
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
