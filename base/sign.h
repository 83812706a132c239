/*
 * sign.h - signatures in the files of minisign, byte for byte. sign.c is the
 * only file that includes libsodium.
 *
 *   public key   "untrusted comment: ...", then base64 of "Ed", key id (8),
 *                Ed25519 key (32)
 *   secret key   likewise 158 bytes; encrypted with scrypt, or not ("-W")
 *   FILE.minisig a comment, base64 of "ED", key id, signature (64) of the
 *                BLAKE2b-512 of the file; "trusted comment: ...", base64 of
 *                the signature (64) of the first signature and that comment
 * Source: mirror and S3, section 3.1.
 */
#ifndef BASE_SIGN_H
#define BASE_SIGN_H

#include "base/buf.h"

enum {
    SIGN_ID = 8,
    SIGN_PUBLIC = 32,
    SIGN_SECRET = 64,
    SIGN_COMMENT_MAX = 8192,
    SIGN_PASSWORD_MAX = 1024,
    SIGN_FILE_MAX = 16384, /* of a key or a signature file [bytes] */
    SIGN_LEGACY_MAX = 1 << 30
};

#define SIGN_SUFFIX ".minisig"

struct sign_public {
    uint8_t id[SIGN_ID];
    uint8_t key[SIGN_PUBLIC];
};

/* Wiped by sign_secret_free; for AUTO. */
struct sign_secret {
    uint8_t id[SIGN_ID];
    uint8_t key[SIGN_SECRET];
};

#define SIGN_SECRET_INIT                                                       \
    {                                                                          \
        .id = { 0 }                                                            \
    }

void sign_secret_free(struct sign_secret *s);

/* sign_wipe - overwrite what was secret. */
void sign_wipe(void *p, size_t len);

/*
 * sign_keygen - a new pair of keys, as the text of the two files
 * password  NULL: the secret key is not encrypted
 * Returns   0, or -1 with *e: NOMEM, IO (no random numbers)
 * Cost      with a password: about two seconds and 1 GiB of memory, or less
 *           memory where that is not to be had, as the format intends
 */
int sign_keygen(struct buf *public_text, struct buf *secret_text,
    const char *password, struct err *e);

/* sign_is_encrypted - whether the text of a secret key needs a password. */
bool sign_is_encrypted(struct str text);

/*
 * sign_secret_parse - the text of a secret key file
 * Returns 0, or -1 with *e: REFUSED (malformed), AUTH (wrong password), NOMEM
 */
int sign_secret_parse(struct sign_secret *out, struct str text,
    const char *password, struct err *e);

/*
 * sign_public_read - a public key file, or the 56 characters of the key
 * Returns 0, or -1 with *e: MISSING, REFUSED, IO
 */
int sign_public_read(struct sign_public *out, const char *text, struct err *e);

/* "FAAA1F4C8D37F58E", as minisign shows it; into out of 17 bytes. */
void sign_id_text(char *out, const uint8_t *id);

/*
 * sign_file - the text of the signature file of a file
 * trusted   the comment that is signed: one line without control characters
 *           but tabs
 * Returns   0, or -1 with *e: USAGE (such a comment), MISSING, IO, CANCELLED
 */
int sign_file(struct buf *out, const struct sign_secret *key, const char *path,
    const char *trusted, struct err *e);

/*
 * sign_verify - hold a file against its signature file
 * trusted   gets the trusted comment; of SIGN_COMMENT_MAX bytes
 * Returns   0 when valid, or -1 with *e: VERDICT (missing, malformed, of
 *           another key, not valid), IO, NOMEM, CANCELLED
 */
int sign_verify(const struct sign_public *key, const char *path,
    const char *sig_path, struct buf *trusted, struct err *e);

/* sign_verify_bytes - the same of bytes in memory: what is used is signed. */
int sign_verify_bytes(const struct sign_public *key, struct str bytes,
    const char *sig_path, struct buf *trusted, struct err *e);

/* sign_verify_text - and of the signature file's text; its name for messages */
int sign_verify_text(const struct sign_public *key, struct str bytes,
    struct str signature, const char *sig_name, struct buf *trusted,
    struct err *e);

#endif
