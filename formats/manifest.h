/*
 * manifest.h - ml-manifest.json, the company of a converted model: digests
 * of every file and tensor, where they came from, how they were made.
 *
 * {"ml-manifest": 1,
 *  "tool": "mlconvert 0.1.0",
 *  "source": {"repository": "org/name", "commit": "<40 hex>",      (or absent)
 *             "files": {"pytorch_model.bin": {"sha256": "..", "size": n}}},
 *  "recipe": {"dtype": "fp16"},      (and "on_overflow", "select", "rename",
 *                                     "shard_size", if given)
 *  "aliases": {"lm_head.weight": "model.embed_tokens.weight"},
 *  "renames": {"model.norm.weight": "module.model.norm.weight"}, (or absent)
 *  "files": {"model.safetensors": {"sha256": "..", "size": n}, ...},
 *  "tensors": {"name": {"dtype": "F16", "shape": [2, 3], "sha256": ".."}},
 *  "seal": "<64 hex>"}
 *
 * files lists everything in the folder but the manifest itself and its
 * signature. seal is the SHA-256 of all bytes in front of the comma before
 * it: what is written from what was read is the file again, byte for byte,
 * or it was changed.
 */
#ifndef FORMATS_MANIFEST_H
#define FORMATS_MANIFEST_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "formats/tensor.h"

#define MANIFEST_NAME "ml-manifest.json"

/* A larger one is neither written nor read. */
enum { MANIFEST_BYTES_MAX = 64 << 20 };

struct manifest_file {
    struct str name;
    uint64_t size;        /* bytes */
    struct digest sha256; /* "" when not known: of sources only */
};

struct manifest_tensor {
    struct str name;
    enum dtype dtype;
    uint32_t rank;
    const uint64_t *shape; /* outermost first */
    struct digest sha256;  /* of the dense row-major bytes */
};

struct manifest_alias {
    struct str name; /* left out of the file */
    struct str of;   /* the tensor that holds its values */
};

struct manifest_rename {
    struct str name; /* in the folder */
    struct str was;  /* in the source */
};

struct manifest {
    struct str tool;
    struct str repository;  /* or "" */
    struct str commit;      /* or "" */
    struct str dtype;       /* recipe: "fp16", "int8", "keep", ... */
    struct str on_overflow; /* recipe: "clamp", "inf", or "" */
    struct str select;      /* recipe: branch taken by request, or "" */
    struct str rename;      /* recipe: "strip-prefix", or "" */
    uint64_t shard_size;    /* recipe: most bytes in a file, or 0 */
    struct manifest_file *sources;
    uint64_t n_sources;
    struct manifest_file *files;
    uint64_t n_files;
    struct manifest_alias *aliases;
    uint64_t n_aliases;
    struct manifest_rename *renames;
    uint64_t n_renames;
    struct manifest_tensor *tensors;
    uint64_t n_tensors;
};

/*
 * manifest_write - the JSON text, keys in the order above, indented by 1
 * Returns  0, or -1 with *e: REFUSED (more than MANIFEST_BYTES_MAX), NOMEM
 */
int manifest_write(struct buf *out, const struct manifest *m, struct err *e);

/* manifest_read - 0, or -1 with *e: MISSING, REFUSED (naming the member). */
int manifest_read(
    struct manifest *out, const char *path, struct arena *arena, struct err *e);

#endif
