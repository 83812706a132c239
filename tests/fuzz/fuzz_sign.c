/*
 * Keys and signatures in the files of minisign. No password is asked for:
 * what it protects is random to whoever has none.
 */
// seeds: tests/fuzz/sign/*
// dict: sign.dict
#include "kit.h"

#include "base/sign.h"

static void try_public(const uint8_t *data, size_t size)
{
    struct sign_public key = { .id = { 0 } };
    struct err e = ERR_INIT;

    if (sign_public_read(&key, kit_path(0, data, size), &e) != 0)
        kit_failed(&e);
}

static void try_secret(const uint8_t *data, size_t size)
{
    struct sign_secret key AUTO(sign_secret_free) = SIGN_SECRET_INIT;
    struct str text = { (const char *)data, size };
    struct err e = ERR_INIT;

    if (sign_is_encrypted(text))
        return;
    if (sign_secret_parse(&key, text, NULL, &e) != 0)
        kit_failed(&e);
}

/* The key of the seeds signed five bytes, with one comment and no other. */
static void try_signature(const uint8_t *data, size_t size)
{
    static const char text[] =
        "RWRbqDRR7PZSPUQ2UVeAE4Vf20WXjoTljLWD7PtVl82xNdNFXfyzhYoO";
    struct sign_public key;
    struct buf trusted AUTO(buf_free) = BUF_INIT(SIGN_COMMENT_MAX);
    struct err e = ERR_INIT;

    must(sign_public_read(&key, text, &e) == 0);
    if (sign_verify(&key, kit_path(1, "bytes", 5), kit_path(0, data, size),
            &trusted, &e) != 0)
        kit_failed(&e);
    else
        must(str_is(buf_str(&trusted), "a comment"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_public(data, size);
    try_secret(data, size);
    try_signature(data, size);
    return 0;
}
