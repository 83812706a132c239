/*
 * hashjobs.h - many digests and checksums at once: parts of files, read on
 * all cores.
 */
#ifndef VERIFY_HASHJOBS_H
#define VERIFY_HASHJOBS_H

#include "base/hash.h"
#include "base/pool.h"
#include "base/progress.h"

struct hash_job {
    const char *path; /* to open it */
    const char *name; /* for progress; NULL: not shown as an item */
    uint64_t offset;  /* [bytes] */
    uint64_t len;     /* [bytes] */
    enum hash_kind kind;
    bool crc;          /* the checksum of zip archives instead */
    size_t owner;      /* whatever the caller wants to find again */
    struct digest out; /* "" when why is set */
    uint32_t crc_out;  /* of crc */
    /*
     * NULL, or a file that could not be read or is too short. Apart, since a
     * hostile archive has a million records. Owned by the jobs.
     */
    struct err *why;
};

struct hash_jobs {
    struct hash_job *v;
    size_t n;
    size_t cap;
};

#define HASH_JOBS_INIT                                                         \
    {                                                                          \
        .n = 0                                                                 \
    }

void hash_jobs_free(struct hash_jobs *j);

/* hash_jobs_add - copies *job. */
int hash_jobs_add(
    struct hash_jobs *j, const struct hash_job *job, struct err *e);

/*
 * hash_jobs_run - do them all, the longest first; their order is kept
 * Returns  0, also when single jobs failed (their why); -1 with *e:
 *          CANCELLED, NOMEM
 */
int hash_jobs_run(struct hash_jobs *j, struct pool *pool,
    enum progress_mode mode, struct err *e);

#endif
