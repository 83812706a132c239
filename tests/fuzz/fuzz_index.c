/* The index of shards: tensors in order, each once, shards plain names. */
// seeds: tests/fixtures/*/*/*.index.json
// dict: json.dict safetensors.dict
#include "kit.h"

#include "base/path.h"
#include "formats/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 26);
    struct str text = { (const char *)data, size };
    struct weight_index x;
    struct err e = ERR_INIT;

    if (index_parse(&x, text, &arena, &e) != 0) {
        kit_failed(&e);
        return 0;
    }
    for (uint64_t i = 0; i < x.n; i++) {
        must(x.entries[i].shard < x.n_shards);
        must(i == 0 ||
             str_cmp(x.entries[i - 1].tensor, x.entries[i].tensor) < 0);
    }
    for (uint32_t i = 0; i < x.n_shards; i++) {
        must(path_check(x.shards[i], &e) == 0);
        must(memchr(x.shards[i].p, '/', x.shards[i].len) == NULL);
        must(i == 0 || str_cmp(x.shards[i - 1], x.shards[i]) < 0);
    }
    return 0;
}
