/*
 * JSON: whatever the check lets through must parse, and be written and read
 * again to the same text.
 */
// seeds: tests/fixtures/llama/safetensors/*.json tests/model/tiny-neox/*.json
#include "base/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_doc d AUTO(json_free) = JSON_DOC_INIT;
    struct json_doc again AUTO(json_free) = JSON_DOC_INIT;
    struct buf one AUTO(buf_free) = BUF_INIT(1 << 22);
    struct buf two AUTO(buf_free) = BUF_INIT(1 << 22);
    struct err e = ERR_INIT;

    if (json_parse(&d, (struct str){ (const char *)data, size }, 0, &e) != 0)
        return 0;
    json_write(&one, d.root);
    if (json_parse(&again, buf_str(&one), 0, &e) != 0)
        abort();
    json_write(&two, again.root);
    if (!str_eq(buf_str(&one), buf_str(&two)))
        abort();
    return 0;
}
