/*
 * manifested.h - a folder that mlconvert made, held against its manifest.
 */
#ifndef VERIFY_MANIFESTED_H
#define VERIFY_MANIFESTED_H

#include "formats/manifest.h"
#include "verify/hashjobs.h"
#include "verify/wfile.h"

/*
 * manifested_files - nothing missing, nothing extra, every size right, the
 * manifest itself as its writer left it; its digests become promises of the
 * files in l
 */
void manifested_files(const struct manifest *m, const char *path,
    struct filelist *l, struct findings *report);

/*
 * manifested_tensors - names, dtypes, shapes and aliases; adds one job for
 * every tensor whose digest is to be compared, owner = its place in m
 * Returns 0, or -1 with *e: NOMEM
 */
int manifested_tensors(const struct manifest *m, const struct wfile *weights,
    size_t n, struct hash_jobs *jobs, struct findings *report, struct err *e);

/* manifested_digests - judge those n jobs, from first on, after they ran. */
void manifested_digests(const struct manifest *m, const struct hash_jobs *jobs,
    size_t first, size_t n, struct findings *report);

#endif
