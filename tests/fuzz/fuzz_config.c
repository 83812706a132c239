/*
 * config.json: whatever is accepted has numbers that code can multiply,
 * divide and allocate by without asking.
 */
// seeds: tests/fixtures/llama/safetensors/config.json tests/fuzz/config/*
// seeds: tests/model/tiny-neox/config.json
// dict: json.dict config.dict
#include "kit.h"

#include "verify-run/config.h"

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
        kit_config(&c);
    return 0;
}
