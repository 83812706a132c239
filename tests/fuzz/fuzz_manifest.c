/* A manifest that is read is written, and read again, to the same text. */
// seeds: tests/fuzz/manifest/*
// dict: json.dict manifest.dict
#include "kit.h"

#include "formats/manifest.h"

static int again(const char *path, struct buf *out)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 26);
    struct manifest m;
    struct err e = ERR_INIT;

    if (manifest_read(&m, path, &arena, &e) != 0 ||
        manifest_write(out, &m, &e) != 0) {
        kit_failed(&e);
        return -1;
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf one AUTO(buf_free) = BUF_INIT(1 << 24);
    struct buf two AUTO(buf_free) = BUF_INIT(1 << 24);

    if (again(kit_path(0, data, size), &one) != 0)
        return 0;
    must(again(kit_path(1, one.p, one.len), &two) == 0);
    must(str_eq(buf_str(&one), buf_str(&two)));
    return 0;
}
