/*
 * NumPy's files: what is accepted lies inside the file, in as many bytes as
 * shape and dtype ask for; an archive's arrays do not overlap. An
 * input that begins with 'Z' is parts of an archive (kit_zip).
 */
// seeds: tests/fixtures/numpy/*.npy tests/fixtures/numpy/*.npz
// parts: tests/fixtures/numpy/*.npz
// dict: numpy.dict
#include "kit.h"

#include "base/log.h"
#include "formats/npz.h"

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
    struct buf file AUTO(buf_free) = BUF_INIT(1 << 24);
    struct err e = ERR_INIT;
    struct npz t;
    bool zip;

    log_set_level(LOG_ERROR);
    if (size > 0 && data[0] == 'Z') {
        kit_zip(data + 1, size - 1, &file);
        data = (const uint8_t *)file.p;
        size = file.len;
    }
    zip = size > 1 && data[0] == 'P';
    if ((zip ? npz_parse : npy_table)(data, size, &arena, &t, &e) != 0)
        kit_failed(&e);
    else
        check(&t, size);
    kit_checkpoint(data, size);
    return 0;
}
