/*
 * config.json: whatever is accepted has numbers that code can multiply,
 * divide and allocate by without asking.
 */
// seeds: tests/fixtures/llama/safetensors/config.json tests/fuzz/config/*
// seeds: tests/model/tiny-neox/config.json
// dict: json.dict config.dict
#include "kit.h"

#include <math.h>

#include "verify-run/alibi.h"
#include "verify-run/shape.h"

enum { DIMS_MAX = 8192 };

static void check(const struct model_config *c)
{
    float freq[DIMS_MAX / 2];
    uint64_t shape[2] = { 0, 0 }, n;

    must(c->arch != NULL && c->vocab > 0 && c->dim > 0 && c->layers > 0);
    must(c->heads > 0 && c->kv_heads > 0 && c->heads % c->kv_heads == 0);
    must(c->head_dim > 0 && c->inner > 0 && c->context > 0);
    must(isfinite(c->eps) && c->n_eos <= CONFIG_EOS_MAX);
    must(c->rope.dims % 2 == 0 && c->rope.dims <= c->head_dim);
    for (unsigned r = 0; r < ROLE_COUNT; r++)
        for (unsigned bias = 0; bias < 2; bias++) {
            uint32_t rank = shape_of(c, (enum role)r, bias, shape);

            must(rank <= 2);
            must(rank == 0 || tensor_count(shape, rank, &n));
        }
    if (c->rope.dims > DIMS_MAX)
        return;
    rope_inv_freq(&c->rope, c->context, freq);
    for (uint32_t i = 0; i < c->rope.dims / 2; i++)
        must(isfinite(freq[i]) && freq[i] >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct str text = { (const char *)data, size };
    struct model_config c;
    struct err e = ERR_INIT;

    if (json_parse(&doc, text, 0, &e) != 0 ||
        config_parse(&c, doc.root, NULL, &e) != 0)
        kit_failed(&e);
    else
        check(&c);
    return 0;
}
