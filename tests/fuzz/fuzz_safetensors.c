/*
 * safetensors: what is accepted lies inside the file, side by side, and can
 * be laid out again as the uniform form, which then keeps its promises.
 */
// seeds: tests/fixtures/llama/safetensors*/*.safetensors
#include "formats/uniform.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool promise)
{
    if (!promise)
        abort();
}

static void check_table(const struct safetensors *st, uint64_t size)
{
    uint64_t at = st->data_at;

    for (uint64_t i = 0; i < st->n; i++) {
        const struct tensor *t = &st->tensors[i];
        must(t->offset == at && tensor_dense(t) && !t->no_data);
        at += tensor_bytes(t);
        must(at <= size);
    }
    must(at == size);
}

static void check_uniform(const struct safetensors *st, struct arena *arena)
{
    struct buf header AUTO(buf_free) = BUF_INIT(1 << 24);
    struct safetensors again;
    struct err e = ERR_INIT;
    uint64_t size;

    if (uniform_layout(st->tensors, st->n, &header, &size, &e) != 0)
        return;
    must(safetensors_parse(header.p, header.len, size, arena, &again, &e) == 0);
    must(again.n == st->n);
    must(uniform_check(&again, header.p, &e) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 26);
    struct safetensors st;
    struct err e = ERR_INIT;

    if (safetensors_parse(data, size, size, &arena, &st, &e) != 0) {
        must(e.kind != ERR_NONE && e.kind != ERR_BUG && e.msg[0] != '\0');
        return 0;
    }
    check_table(&st, size);
    uniform_check(&st, data, &e);
    check_uniform(&st, &arena);
    return 0;
}
