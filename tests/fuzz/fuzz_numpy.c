/*
 * NumPy's files: what is accepted lies inside the file, in as many bytes as
 * shape and dtype ask for; an archive's arrays do not overlap.
 */
// seeds: tests/fixtures/numpy/*.npy tests/fixtures/numpy/*.npz
#include "formats/npz.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool promise)
{
    if (!promise)
        abort();
}

static void check(const struct npz *t, uint64_t size)
{
    for (uint64_t i = 0; i < t->n; i++) {
        const struct tensor *x = &t->tensors[i];

        must(x->offset <= size && tensor_bytes(x) <= size - x->offset);
        must(tensor_bytes(x) == x->storage_len && x->name.len > 0);
        for (uint64_t k = 0; k < i; k++)
            must(x->n == 0 || t->tensors[k].n == 0 ||
                 x->offset != t->tensors[k].offset);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 26);
    struct err e = ERR_INIT;
    struct npz t;
    bool zip = size > 1 && data[0] == 'P';

    if ((zip ? npz_parse : npy_table)(data, size, &arena, &t, &e) != 0)
        must(e.kind != ERR_NONE && e.kind != ERR_BUG && e.msg[0] != '\0');
    else
        check(&t, size);
    return 0;
}
