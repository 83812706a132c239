/*
 * cufile.h - cuFile, which reads from a disk right into the device's memory,
 * where a machine has it and its driver. It is opened, never linked, and takes
 * memory of the device for itself: see TUNE_CUFILE_BYTES.
 */
#ifndef CUDA_CUFILE_H
#define CUDA_CUFILE_H

#include <stdint.h>

#include "base/err.h"

struct cufile;

/*
 * cufile_open - for this process; once it was there, its driver stays open
 * Returns  NULL with *e: MISSING (driver or library), IO (it does not start)
 */
struct cufile *cufile_open(struct err *e);

/* cufile_close - for NULL, too. */
void cufile_close(struct cufile *c);

/*
 * cufile_add - a descriptor that reads past the page cache; it stays open
 * until cufile_remove
 * Returns  NULL when c is NULL, or does not take the file
 */
void *cufile_add(struct cufile *c, int fd);
void cufile_remove(struct cufile *c, void *file);

/*
 * cufile_read - len bytes from a place in the file into the device's memory
 * Returns  false when it did not get them all: somebody else has to
 */
bool cufile_read(
    struct cufile *c, void *file, void *to, uint64_t from, uint64_t len);

/* cufile_tell - in a few words, how it went. */
void cufile_tell(const struct cufile *c, char *out, size_t size);

#endif
