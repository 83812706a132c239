/*
 * JSON: whatever the check lets through must parse, and be written and read
 * again to the same text; what has plain integers only is also JSON.
 */
// seeds: tests/fixtures/llama/safetensors/*.json tests/model/tiny-neox/*.json
// dict: json.dict
#include "kit.h"

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_doc d AUTO(json_free) = JSON_DOC_INIT;
    struct json_doc plain AUTO(json_free) = JSON_DOC_INIT;
    struct json_doc again AUTO(json_free) = JSON_DOC_INIT;
    struct buf one AUTO(buf_free) = BUF_INIT(1 << 22);
    struct buf two AUTO(buf_free) = BUF_INIT(1 << 22);
    struct str text = { (const char *)data, size };
    struct err e = ERR_INIT, why = ERR_INIT;
    bool strict = json_parse(&plain, text, JSON_PLAIN_INTS, &why) == 0;

    if (json_parse(&d, text, 0, &e) != 0) {
        kit_failed(&e);
        must(!strict);
        return 0;
    }
    json_write(&one, d.root);
    must(json_parse(&again, buf_str(&one), 0, &e) == 0);
    json_write(&two, again.root);
    must(str_eq(buf_str(&one), buf_str(&two)));
    return 0;
}
