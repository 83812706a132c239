#include "base/hash.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#include "base/hex.h"

int hash_begin(
    struct hash *h, enum hash_kind kind, uint64_t size, struct err *e)
{
    const EVP_MD *md = kind == HASH_SHA256 ? EVP_sha256() : EVP_sha1();
    char head[32];

    *h = (struct hash){ .ctx = EVP_MD_CTX_new(), .kind = kind };
    if (h->ctx == NULL || EVP_DigestInit_ex(h->ctx, md, NULL) != 1) {
        hash_free(h);
        return err_set(e, ERR_NOMEM, "out of memory for a digest");
    }
    if (kind == HASH_GIT_SHA1) {
        int n =
            snprintf(head, sizeof(head), "blob %llu", (unsigned long long)size);
        hash_add(h, head, (size_t)n + 1);
    }
    return 0;
}

void hash_add(struct hash *h, const void *bytes, size_t len)
{
    EVP_DigestUpdate(h->ctx, bytes, len);
}

void hash_end(struct hash *h, struct digest *out)
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned int n = 0;

    EVP_DigestFinal_ex(h->ctx, raw, &n);
    out->kind = h->kind;
    hex_encode(out->hex, raw, n);
    hash_free(h);
}

void hash_free(struct hash *h)
{
    EVP_MD_CTX_free(h->ctx);
    h->ctx = NULL;
}

int hash_bytes(enum hash_kind kind, const void *bytes, size_t len,
    struct digest *out, struct err *e)
{
    struct hash h = HASH_INIT;

    if (hash_begin(&h, kind, len, e) != 0)
        return -1;
    hash_add(&h, bytes, len);
    hash_end(&h, out);
    return 0;
}

int hash_hmac(uint8_t *out, struct str key, struct str bytes, struct err *e)
{
    unsigned int n = 0;

    if (key.len > INT_MAX ||
        HMAC(EVP_sha256(), key.len > 0 ? key.p : "", (int)key.len,
            (const unsigned char *)bytes.p, bytes.len, out, &n) == NULL)
        return err_set(e, ERR_NOMEM, "out of memory for a digest");
    return 0;
}

bool digest_parse(struct digest *out, struct str text)
{
    bool sha256 = hex_is(text, 64);

    if (!sha256 && !hex_is(text, 40))
        return false;
    out->kind = sha256 ? HASH_SHA256 : HASH_GIT_SHA1;
    memcpy(out->hex, text.p, text.len);
    out->hex[text.len] = '\0';
    return true;
}

bool digest_eq(const struct digest *a, const struct digest *b)
{
    return a->kind == b->kind && strcmp(a->hex, b->hex) == 0;
}
