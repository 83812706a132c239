/*
 * checkpoint.h - a model's weights, whatever holds them: one file (.pt,
 * .bin, .safetensors, .npz, an index) or a folder with shards. The one noun of
 * this room that opens files.
 *
 * Which files of a folder hold the weights, in this order:
 *   model.safetensors.index.json, model.safetensors,
 *   pytorch_model.bin.index.json, pytorch_model.bin, and else the only file
 *   in it that is a torch or safetensors file by its bytes.
 */
#ifndef FORMATS_CHECKPOINT_H
#define FORMATS_CHECKPOINT_H

#include <limits.h>

#include "base/arena.h"
#include "base/map.h"
#include "formats/detect.h"
#include "formats/tensor.h"

struct ckpt_file {
    char path[PATH_MAX];
    const char *name; /* base name, points into path */
    struct map map;
    enum file_format format;
    const char *container; /* "safetensors", "torch zip", "npz", ... */
    uint64_t data_at;      /* safetensors: start of the data region */
    struct str uniform;    /* safetensors: version of the uniform form, "" */
};

struct checkpoint {
    struct arena arena;
    char folder[PATH_MAX];   /* where the weights and their company lie */
    char index[PATH_MAX];    /* the index file used, or "" */
    struct ckpt_file *files; /* in the order of their names */
    uint32_t n_files;
    struct tensor *tensors; /* chosen ones, sorted by name, names unique */
    uint64_t n_tensors;
    struct tensor *all; /* every one, under its full path */
    uint64_t n_all;
    struct str branch;      /* where the chosen ones stood, or "" */
    struct str config;      /* JSON text of a config inside the file, or "" */
    struct str config_from; /* the key it stood under */
    struct str config_rest; /* the keys of others: "config, args", or "" */
    struct panels *panels;  /* for strided tensors, or NULL */
};

struct checkpoint_opts {
    const char *select; /* branch of a torch file to take, or NULL */
    bool any;           /* to look only: tensors that cannot be read, too */
};

#define CHECKPOINT_INIT                                                        \
    {                                                                          \
        .n_files = 0                                                           \
    }

/*
 * checkpoint_open - map the files, read their tables; no tensor data
 * path     a file, an index JSON, or a folder
 * opts     or NULL
 * Returns  0, or -1 with *e: MISSING, REFUSED, UNSUPPORTED, CORRUPT (a
 *          shard is shorter than its table says), NOMEM, IO. Errors name the
 *          file, and the tensor or offset.
 */
int checkpoint_open(struct checkpoint *c, const char *path,
    const struct checkpoint_opts *opts, struct err *e);

/* checkpoint_close - idempotent, for AUTO. */
void checkpoint_close(struct checkpoint *c);

/* checkpoint_find - by name; NULL when there is none. Cost: log n. */
const struct tensor *checkpoint_find(
    const struct checkpoint *c, const char *name);

/*
 * checkpoint_data - the tensor's bytes where they lie in the mapped file
 * Returns  NULL when it is strided, big-endian, without data, or not aligned
 *          to its element size: use checkpoint_read then.
 */
const void *checkpoint_data(const struct checkpoint *c, const struct tensor *t);

/*
 * checkpoint_read - elements first .. first+n-1 of the dense row-major form
 * out      room for n elements, in this machine's byte order
 * Reads with pread, so the memory this process maps does not grow. Strided
 * tensors are gathered in panels (panel.h).
 * Returns  0, or -1 with *e: CORRUPT, IO, UNSUPPORTED (no data)
 * Threads  any number at once
 */
int checkpoint_read(const struct checkpoint *c, const struct tensor *t,
    uint64_t first, uint64_t n, void *out, struct err *e);

#endif
