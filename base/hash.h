/*
 * hash.h - streaming digests. hash.c is the only file that includes OpenSSL.
 *
 * The three digests of the suite: SHA-256 names content, git's blob SHA-1
 * names the Hub's small files (SHA-1 over "blob <length>\0" and the bytes).
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/err.h"
#include "base/str.h"

enum hash_kind { HASH_SHA256, HASH_GIT_SHA1 };

enum { HASH_MAX_BYTES = 32, HASH_MAX_HEX = 65 };

struct hash {
    void *ctx;
    enum hash_kind kind;
};

#define HASH_INIT                                                              \
    {                                                                          \
        .ctx = NULL                                                            \
    }

/* A finished digest as text; "" while unknown. */
struct digest {
    enum hash_kind kind;
    char hex[HASH_MAX_HEX];
};

/*
 * hash_begin - start a digest; size is needed for HASH_GIT_SHA1 only
 * Returns 0, or -1 with *e: NOMEM. Owns h until hash_end or hash_free.
 */
int hash_begin(
    struct hash *h, enum hash_kind kind, uint64_t size, struct err *e);

/* hash_add - feed bytes; cannot fail once begun. */
void hash_add(struct hash *h, const void *bytes, size_t len);

/* hash_end - finish, write the digest, release h. */
void hash_end(struct hash *h, struct digest *out);

/* hash_free - give up; idempotent, for AUTO. */
void hash_free(struct hash *h);

/* hash_bytes - the digest of bytes in memory. */
int hash_bytes(enum hash_kind kind, const void *bytes, size_t len,
    struct digest *out, struct err *e);

/* hash_hmac - HMAC-SHA-256 of bytes under a key; out of HASH_MAX_BYTES. */
int hash_hmac(uint8_t *out, struct str key, struct str bytes, struct err *e);

/*
 * digest_parse - 64 hexadecimal digits are a SHA-256, 40 a git SHA-1
 * Returns false for anything else.
 */
bool digest_parse(struct digest *out, struct str text);

bool digest_eq(const struct digest *a, const struct digest *b);

#endif
