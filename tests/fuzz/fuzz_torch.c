/*
 * torch files and bare pickles: whatever parses has its tensors inside the
 * file, under names that are text.
 */
// seeds: tests/fixtures/torch/*.[bcp]* tests/fixtures/numpy/*.pkl
#include "formats/torch.h"

#include <stdlib.h>

#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The last byte a view reaches is inside its storage, that inside the file. */
static bool is_inside(const struct tensor *t, uint64_t size)
{
    uint64_t end = 0, step = 1;

    if (t->no_data || t->n == 0)
        return true;
    for (uint32_t i = t->rank; i > 0; i--) {
        end += (t->shape[i - 1] - 1) * (t->stride ? t->stride[i - 1] : step);
        step *= t->shape[i - 1];
    }
    end = t->offset + (end + 1) * dtype_bytes(t->dtype);
    return t->storage_at <= t->offset && t->storage_at <= size &&
           t->storage_len <= size - t->storage_at &&
           end <= t->storage_at + t->storage_len && end > t->offset;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT((uint64_t)256 << 20);
    struct torch_file f;
    struct err e = ERR_INIT;
    int rc;

    log_set_level(LOG_ERROR);
    rc = torch_parse(data, size, NULL, &arena, &f, &e);
    if ((rc == 0) != (e.kind == ERR_NONE))
        abort();
    for (uint64_t i = 0; i < f.n_all; i++) {
        if (!is_inside(&f.all[i], size))
            abort();
    }
    for (uint64_t i = 0; rc == 0 && i < f.n_tensors; i++) {
        if (!is_inside(&f.tensors[i], size) || f.tensors[i].name.len == 0)
            abort();
    }
    return 0;
}
