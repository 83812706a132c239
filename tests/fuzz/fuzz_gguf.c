/*
 * GGUF: what is accepted lies inside the file, one tensor behind the other,
 * and what is written again is accepted with the same tensors.
 */
// seeds: tests/fuzz/gguf/*.gguf
// dict: gguf.dict
#include "kit.h"

#include "formats/gguf.h"

enum { BEHIND = 1 << 20 }; /* tensor data that are not given */

static void check_tensors(const struct gguf *g, uint64_t size)
{
    uint64_t at = g->data_at;

    for (uint64_t i = 0; i < g->n_tensors; i++) {
        const struct gguf_tensor *t = &g->tensors[i];

        must(t->offset == at && t->rank <= GGUF_RANK_MAX);
        at += size_align(t->bytes, g->align);
        must(at <= size);
    }
}

static void check_values(const struct gguf *g)
{
    for (uint64_t i = 0; i < g->n_values; i++) {
        const struct gguf_value *v = &g->values[i];
        struct rd r = rd_of(v->raw.p, v->raw.len);

        must(v->key.len > 0 && v->of != GGUF_ARRAY);
        for (uint64_t k = 0; v->of == GGUF_STRING && k < v->n; k++)
            gguf_next_str(&r);
        must(!r.bad && (v->of != GGUF_STRING || rd_left(&r) == 0));
    }
}

/* The alignment is a value, and the writer keeps to its own. */
static void check_again(struct gguf *g, struct arena *arena)
{
    struct gguf_writer none = GGUF_WRITER_INIT(1);
    struct buf header AUTO(buf_free) = BUF_INIT(1 << 24);
    struct gguf again;
    struct err e = ERR_INIT;
    uint64_t size;

    must(gguf_finish(&none, g->tensors, g->n_tensors, &header, &size, &e) == 0);
    must(gguf_parse(header.p, header.len, size, arena, &again, &e) == 0);
    must(again.n_tensors == g->n_tensors);
    for (uint64_t i = 0; i < g->n_tensors; i++)
        must(str_eq(again.tensors[i].name, g->tensors[i].name) &&
             again.tensors[i].bytes == g->tensors[i].bytes);
}

static void check(const uint8_t *data, size_t size, uint64_t file_size)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 26);
    struct gguf g;
    struct err e = ERR_INIT;

    if (gguf_parse(data, size, file_size, &arena, &g, &e) != 0) {
        kit_failed(&e);
        return;
    }
    check_tensors(&g, file_size);
    check_values(&g);
    check_again(&g, &arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size, size);
    check(data, size, size + BEHIND);
    return 0;
}
