/*
 * torch.h - torch.save files: the zip container (1.6 and later), also with a
 * TorchScript program around it, and the legacy stream, and bare pickles of
 * NumPy arrays, read as data. Nothing is ever imported, called or looked up;
 * an object the pickle machine does not know becomes an opaque record.
 * Pure: bytes in, a table out.
 * Source: checkpoint formats, sections 2 to 7 and 12.
 */
#ifndef FORMATS_TORCH_H
#define FORMATS_TORCH_H

#include "base/arena.h"
#include "formats/tensor.h"

/* A callable or class that the file names but the machine does not know. */
struct torch_foreign {
    struct str name;   /* "module.attribute", both may have more dots */
    size_t module_len; /* of the part that is the module [bytes] */
    uint64_t offset;   /* of the opcode, in its pickle [bytes] */
    bool called;       /* the file asks for it to be called */
};

struct torch_file {
    /* "torch zip", "torch legacy", "TorchScript archive", "pickle" */
    const char *container;
    struct tensor *tensors; /* of the chosen branch, in file order */
    uint64_t n_tensors;
    /*
     * Every tensor in the file under its full path, chosen or not; the
     * chosen ones are those below branch, which is "" for the root.
     */
    struct tensor *all;
    uint64_t n_all;
    struct str branch;      /* e.g. "model_state_dict" */
    struct str config;      /* JSON text of a config found beside the weights
                               (a dict, a namespace, any class), or "" */
    struct str config_from; /* the key it stood under: "model_args" */
    struct str config_rest; /* others: "config, args", or "" */
    bool alien;             /* torch_parse failed for a tensor's kind alone */
    struct torch_foreign *foreign;
    uint64_t n_foreign;
};

/*
 * torch_parse - read the table of tensors of a torch file
 *
 * bytes      the whole file (mapped); only metadata is touched
 * select     the branch to take ("": the root), or NULL: section 7's
 *            choosing rule
 * arena      everything in out lives there; the parse itself takes at most
 *            as much again, for its own time
 * Returns    0, or -1 with *e: REFUSED (malformed or unsafe, naming offset;
 *            two candidate branches, two equal names), UNSUPPORTED (a
 *            torch.package, ...; alien: a chosen tensor whose elements cannot
 *            be read, by name), MISSING (no branch select), NOMEM. Then out
 *            still holds, as far as they are known, container, all and
 *            foreign; where alien is set, also tensors and branch.
 * Cost       linear in the pickle; tensor data are never read
 */
int torch_parse(const void *bytes, uint64_t len, const char *select,
    struct arena *arena, struct torch_file *out, struct err *e);

#endif
