/*
 * safetensors: what is accepted lies inside the file, side by side, reads as
 * it lies there, and can be laid out again as the uniform form, which then
 * keeps its promises. An input that begins with '{' is a header alone: its
 * length goes in front, and as many data behind it as its tensors ask for.
 */
// seeds: tests/fixtures/llama/safetensors*/*.safetensors
// headers: tests/fixtures/llama/safetensors*/*.safetensors
// dict: json.dict safetensors.dict
#include "kit.h"

#include "formats/uniform.h"

enum { DATA_MAX = 1 << 12 };

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

    if (uniform_layout(st->tensors, st->n, &header, &size, &e) != 0) {
        kit_failed(&e);
        return;
    }
    must(safetensors_parse(header.p, header.len, size, arena, &again, &e) == 0);
    must(again.n == st->n);
    must(uniform_check(&again, header.p, &e) == 0);
}

/* Where the data end: the largest number behind a comma in brackets. */
static uint64_t data_end(const uint8_t *p, size_t n)
{
    uint64_t most = 0, v = 0;

    for (size_t i = 0; i < n; i++) {
        if (p[i] >= '0' && p[i] <= '9')
            v = size_min(10 * v + (uint64_t)(p[i] - '0'), DATA_MAX);
        else if (p[i] == ']')
            most = size_max(most, v);
        if (p[i] == ',' || p[i] == '[' || p[i] == '"')
            v = 0;
    }
    return most;
}

/* The length in front, and data behind it: no two elements alike. */
static void put_file(const uint8_t *text, size_t n, struct buf *out)
{
    uint64_t len = data_end(text, n);
    uint8_t *data;

    for (unsigned i = 0; i < 8; i++)
        buf_putc(out, (char)((uint64_t)n >> 8 * i & 0xff));
    buf_put(out, text, n);
    data = buf_room(out, len);
    must(data != NULL);
    for (uint64_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 37 + (i >> 8));
    out->len += len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 26);
    struct buf file AUTO(buf_free) = BUF_INIT(1 << 24);
    struct safetensors st;
    struct err e = ERR_INIT;

    if (size > 0 && data[0] == '{') {
        put_file(data, size, &file);
        data = (const uint8_t *)file.p;
        size = file.len;
    }
    if (safetensors_parse(data, size, size, &arena, &st, &e) != 0) {
        kit_failed(&e);
        return 0;
    }
    check_table(&st, size);
    if (uniform_check(&st, data, &e) != 0)
        kit_failed(&e);
    check_uniform(&st, &arena);
    kit_checkpoint(data, size);
    return 0;
}
