#include "base/sign.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cancel.h"
#include "base/file.h"
#include "base/map.h"
#include "base/rd.h"

enum {
    CHUNK = 1 << 20,
    HASH_LEN = 64,
    SALT = 32,
    CHECKSUM = 32,
    SEALED = SIGN_ID + SIGN_SECRET + CHECKSUM, /* what the password hides */
    PUBLIC_LEN = 2 + SIGN_ID + SIGN_PUBLIC,
    SECRET_LEN = 2 + 2 + 2 + SALT + 8 + 8 + SEALED,
    SIG_LEN = 2 + SIGN_ID + crypto_sign_BYTES,
    TEXT_LEN = 256 /* base64 of any of these fits */
};

static const char untrusted[] = "untrusted comment: ";
static const char trusted_front[] = "trusted comment: ";
/* A file may ask for more than this: it is not ours, and not minisign's. */
static const uint64_t opslimit_max = (uint64_t)1 << 32;
static const uint64_t memlimit_max = (uint64_t)2 << 30;

void sign_wipe(void *p, size_t len)
{
    sodium_memzero(p, len);
}

void sign_secret_free(struct sign_secret *s)
{
    sign_wipe(s, sizeof(*s));
}

static int ready(struct err *e)
{
    if (sodium_init() < 0)
        return err_set(e, ERR_IO, "libsodium does not start");
    return 0;
}

void sign_id_text(char *out, const uint8_t *id)
{
    for (int i = 0; i < SIGN_ID; i++)
        snprintf(out + 2 * i, 3, "%02X", id[SIGN_ID - 1 - i]);
}

/* ---- lines ---- */

static void put_base64(struct buf *out, const void *bytes, size_t len)
{
    char text[TEXT_LEN];

    sodium_bin2base64(
        text, sizeof(text), bytes, len, sodium_base64_VARIANT_ORIGINAL);
    buf_printf(out, "%s\n", text);
    sign_wipe(text, sizeof(text));
}

/* The next line, without its end; the last one may lack it. */
static bool next_line(struct str *text, struct str *line)
{
    const char *end = text->len ? memchr(text->p, '\n', text->len) : NULL;
    size_t n = end != NULL ? (size_t)(end - text->p) : text->len;

    if (text->len == 0)
        return false;
    *line = (struct str){ text->p, n };
    n += end != NULL;
    *text = (struct str){ text->p + n, text->len - n };
    if (line->len > 0 && line->p[line->len - 1] == '\r')
        line->len--;
    return true;
}

/* Only what would be written again: the decoder lets odd bytes pass. */
static bool get_base64(struct str line, uint8_t *out, size_t len)
{
    char again[TEXT_LEN];
    size_t n;
    bool good;

    if (line.len == 0 || line.len >= sizeof(again) ||
        sodium_base642bin(out, len, line.p, line.len, NULL, &n, NULL,
            sodium_base64_VARIANT_ORIGINAL) != 0 ||
        n != len)
        return false;
    sodium_bin2base64(
        again, sizeof(again), out, len, sodium_base64_VARIANT_ORIGINAL);
    good = str_is(line, again);
    sign_wipe(again, sizeof(again));
    return good;
}

static bool get_comment(struct str *text, struct str *line, const char *front)
{
    size_t n = strlen(front);

    if (!next_line(text, line) || !str_starts(*line, front))
        return false;
    *line = (struct str){ line->p + n, line->len - n };
    for (size_t i = 0; i < line->len; i++)
        if (((unsigned char)line->p[i] < ' ' && line->p[i] != '\t') ||
            line->p[i] == 0x7f)
            return false;
    return line->len < SIGN_COMMENT_MAX;
}

/* A comment, one line of base64, and nothing behind. */
static bool get_two_lines(struct str text, uint8_t *out, size_t len)
{
    struct str line;

    return get_comment(&text, &line, untrusted) && next_line(&text, &line) &&
           get_base64(line, out, len) && text.len == 0;
}

/* ---- keys ---- */

static void checksum(
    uint8_t out[static CHECKSUM], const uint8_t *id, const uint8_t *key)
{
    crypto_generichash_state st;

    crypto_generichash_init(&st, NULL, 0, CHECKSUM);
    crypto_generichash_update(&st, (const uint8_t *)"Ed", 2);
    crypto_generichash_update(&st, id, SIGN_ID);
    crypto_generichash_update(&st, key, SIGN_SECRET);
    crypto_generichash_final(&st, out, CHECKSUM);
}

static void put_le64(uint8_t *out, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (8 * i));
}

/* Hides or shows the sealed part: the stream is added either way. */
static int apply_password(uint8_t *sealed, const char *password,
    const uint8_t *salt, uint64_t ops, uint64_t mem)
{
    uint8_t stream[SEALED];

    if (crypto_pwhash_scryptsalsa208sha256(stream, sizeof(stream), password,
            strlen(password), salt, ops, mem) != 0)
        return -1;
    for (size_t i = 0; i < SEALED; i++)
        sealed[i] ^= stream[i];
    sign_wipe(stream, sizeof(stream));
    return 0;
}

/* With less memory where there is not so much, as minisign does. */
static int seal(uint8_t *bytes, const char *password, struct err *e)
{
    uint64_t ops = crypto_pwhash_scryptsalsa208sha256_OPSLIMIT_SENSITIVE;
    uint64_t mem = crypto_pwhash_scryptsalsa208sha256_MEMLIMIT_SENSITIVE;
    uint8_t *salt = bytes + 6;

    memcpy(bytes + 2, "Sc", 2);
    randombytes_buf(salt, SALT);
    while (apply_password(salt + SALT + 16, password, salt, ops, mem) != 0) {
        ops /= 2;
        mem /= 2;
        if (mem < crypto_pwhash_scryptsalsa208sha256_MEMLIMIT_INTERACTIVE)
            return err_set(
                e, ERR_NOMEM, "not enough memory to encrypt the key");
    }
    put_le64(salt + SALT, ops);
    put_le64(salt + SALT + 8, mem);
    return 0;
}

int sign_keygen(struct buf *public_text, struct buf *secret_text,
    const char *password, struct err *e)
{
    uint8_t public[PUBLIC_LEN] = "Ed", secret[SECRET_LEN] = "Ed";
    uint8_t *sealed = secret + SECRET_LEN - SEALED;
    char id[2 * SIGN_ID + 1];
    int rc = 0;

    if (ready(e) != 0)
        return -1;
    randombytes_buf(public + 2, SIGN_ID);
    memcpy(sealed, public + 2, SIGN_ID);
    crypto_sign_keypair(public + 2 + SIGN_ID, sealed + SIGN_ID);
    memcpy(secret + 4, "B2", 2);
    if (password != NULL) {
        checksum(sealed + SIGN_ID + SIGN_SECRET, sealed, sealed + SIGN_ID);
        rc = seal(secret, password, e);
    }
    sign_id_text(id, public + 2);
    buf_printf(public_text, "%sminisign public key %s\n", untrusted, id);
    put_base64(public_text, public, sizeof(public));
    buf_printf(secret_text, "%sminisign %s secret key\n", untrusted,
        password != NULL ? "encrypted" : "unencrypted");
    put_base64(secret_text, secret, sizeof(secret));
    sign_wipe(secret, sizeof(secret));
    return rc;
}

static bool read_secret(struct str text, uint8_t bytes[static SECRET_LEN])
{
    return get_two_lines(text, bytes, SECRET_LEN) &&
           memcmp(bytes, "Ed", 2) == 0 && memcmp(bytes + 4, "B2", 2) == 0 &&
           (memcmp(bytes + 2, "Sc", 2) == 0 ||
               memcmp(bytes + 2, "\0\0", 2) == 0);
}

bool sign_is_encrypted(struct str text)
{
    uint8_t bytes[SECRET_LEN];
    bool yes = read_secret(text, bytes) && bytes[2] != 0;

    sign_wipe(bytes, sizeof(bytes));
    return yes;
}

static int unseal(uint8_t *bytes, const char *password, struct err *e)
{
    struct rd r = rd_of(bytes, SECRET_LEN);
    uint8_t sum[CHECKSUM], *sealed = bytes + SECRET_LEN - SEALED;
    uint64_t ops, mem;

    rd_seek(&r, 6 + SALT);
    ops = rd_u64(&r);
    mem = rd_u64(&r);
    if (ops > opslimit_max || mem > memlimit_max)
        return err_set(e, ERR_REFUSED,
            "a secret key that asks for %llu bytes of memory and %llu steps",
            (unsigned long long)mem, (unsigned long long)ops);
    if (apply_password(sealed, password, bytes + 6, ops, mem) != 0)
        return err_set(e, ERR_NOMEM,
            "the password of this key needs %llu MiB of memory",
            (unsigned long long)(mem >> 20));
    checksum(sum, sealed, sealed + SIGN_ID);
    if (sodium_memcmp(sum, sealed + SIGN_ID + SIGN_SECRET, CHECKSUM) != 0)
        return err_set(e, ERR_AUTH, "the password is wrong");
    return 0;
}

/* The public half must be that of the secret half. */
static bool is_a_pair(const uint8_t *key)
{
    uint8_t again[SIGN_SECRET], public[SIGN_PUBLIC];
    bool same;

    crypto_sign_seed_keypair(public, again, key);
    same = sodium_memcmp(again, key, SIGN_SECRET) == 0;
    sign_wipe(again, sizeof(again));
    return same;
}

int sign_secret_parse(struct sign_secret *out, struct str text,
    const char *password, struct err *e)
{
    uint8_t bytes[SECRET_LEN], *sealed = bytes + SECRET_LEN - SEALED;
    int rc = 0;

    if (ready(e) != 0)
        return -1;
    if (!read_secret(text, bytes))
        return err_set(e, ERR_REFUSED, "not a secret key of minisign");
    if (bytes[2] != 0)
        rc = unseal(bytes, password, e);
    if (rc == 0 && !is_a_pair(sealed + SIGN_ID))
        rc = err_set(e, ERR_REFUSED, "a secret key whose halves disagree");
    memcpy(out->id, sealed, SIGN_ID);
    memcpy(out->key, sealed + SIGN_ID, SIGN_SECRET);
    sign_wipe(bytes, sizeof(bytes));
    if (rc != 0)
        sign_secret_free(out);
    return rc;
}

int sign_public_read(struct sign_public *out, const char *text, struct err *e)
{
    struct buf file AUTO(buf_free) = BUF_INIT(SIGN_FILE_MAX);
    uint8_t bytes[PUBLIC_LEN];

    if (ready(e) != 0)
        return -1;
    if (!get_base64(str_of(text), bytes, sizeof(bytes))) {
        if (file_slurp(text, &file, e) != 0)
            return -1;
        if (!get_two_lines(buf_str(&file), bytes, sizeof(bytes)))
            return err_set(
                e, ERR_REFUSED, "%s: not a public key of minisign", text);
    }
    if (memcmp(bytes, "Ed", 2) != 0)
        return err_set(e, ERR_REFUSED,
            "%s: a public key for an unknown kind of signature", text);
    memcpy(out->id, bytes + 2, SIGN_ID);
    memcpy(out->key, bytes + 2 + SIGN_ID, SIGN_PUBLIC);
    return 0;
}

/* ---- signatures ---- */

static int hash_file(
    uint8_t out[static HASH_LEN], const char *path, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(CHUNK);
    crypto_generichash_state st;
    uint64_t size;
    int fd AUTO(fd_close) = file_open(path, &size, e);

    if (fd < 0)
        return -1;
    if (buf_room(&b, CHUNK) == NULL)
        return buf_check(&b, e);
    crypto_generichash_init(&st, NULL, 0, HASH_LEN);
    for (uint64_t at = 0; at < size; at += CHUNK) {
        size_t n = size_min(CHUNK, size - at);

        if (cancel_check(e) != 0 || file_read_at(fd, b.p, n, at, path, e) != 0)
            return -1;
        crypto_generichash_update(&st, (const uint8_t *)b.p, n);
    }
    crypto_generichash_final(&st, out, HASH_LEN);
    return 0;
}

/* What the second signature covers. */
static int global_message(struct buf *out, const uint8_t *signature,
    struct str comment, struct err *e)
{
    buf_put(out, signature, crypto_sign_BYTES);
    buf_put(out, comment.p, comment.len);
    return buf_check(out, e);
}

int sign_file(struct buf *out, const struct sign_secret *key, const char *path,
    const char *trusted, struct err *e)
{
    struct buf both AUTO(buf_free) = BUF_INIT(SIGN_FILE_MAX);
    uint8_t hash[HASH_LEN], global[crypto_sign_BYTES];
    uint8_t sig[SIG_LEN] = "ED", *signature = sig + 2 + SIGN_ID;
    struct buf line AUTO(buf_free) = BUF_INIT(SIGN_FILE_MAX);
    struct str text, comment;

    buf_printf(&line, "%s%s", trusted_front, trusted);
    text = buf_str(&line);
    if (buf_check(&line, e) != 0 ||
        !get_comment(&text, &comment, trusted_front) || text.len != 0 ||
        comment.len != strlen(trusted))
        return err_set(e, ERR_USAGE,
            "a trusted comment is one line of at most %d bytes",
            SIGN_COMMENT_MAX - 1);
    if (ready(e) != 0 || hash_file(hash, path, e) != 0)
        return -1;
    memcpy(sig + 2, key->id, SIGN_ID);
    crypto_sign_detached(signature, NULL, hash, sizeof(hash), key->key);
    if (global_message(&both, signature, comment, e) != 0)
        return -1;
    crypto_sign_detached(
        global, NULL, (const uint8_t *)both.p, both.len, key->key);
    buf_printf(out, "%ssignature from mlverify secret key\n", untrusted);
    put_base64(out, sig, sizeof(sig));
    buf_printf(out, "%s\n", line.p);
    put_base64(out, global, sizeof(global));
    return buf_check(out, e);
}

struct signature {
    uint8_t sig[SIG_LEN];
    uint8_t global[crypto_sign_BYTES];
    struct str comment;
};

static bool parse_signature(struct signature *s, struct str text)
{
    struct str line;

    return get_comment(&text, &line, untrusted) && next_line(&text, &line) &&
           get_base64(line, s->sig, sizeof(s->sig)) &&
           get_comment(&text, &s->comment, trusted_front) &&
           next_line(&text, &line) &&
           get_base64(line, s->global, sizeof(s->global)) && text.len == 0;
}

/* A file, or the bytes of one. */
struct subject {
    const char *path; /* NULL: bytes */
    struct str bytes;
};

static bool is_by(const struct sign_public *key, const uint8_t *signature,
    const void *bytes, size_t len)
{
    return crypto_sign_verify_detached(signature,
               bytes != NULL ? bytes : (const void *)"", len, key->key) == 0;
}

/* "Ed": the file itself is signed, not its hash; no such file is large. */
static int verify_whole(const struct sign_public *key, const uint8_t *signature,
    const struct subject *s, bool *valid, struct err *e)
{
    struct map m AUTO(map_close) = MAP_INIT;

    if (s->path == NULL) {
        *valid = is_by(key, signature, s->bytes.p, s->bytes.len);
        return 0;
    }
    if (map_open(&m, s->path, e) != 0)
        return -1;
    if (m.len > SIGN_LEGACY_MAX)
        return err_set(e, ERR_VERDICT,
            "%s: a signature of the old kind over a file this large", s->path);
    *valid = is_by(key, signature, m.p, m.len);
    return 0;
}

/* "ED": its hash is. */
static int verify_hash(const struct sign_public *key, const uint8_t *signature,
    const struct subject *s, bool *valid, struct err *e)
{
    uint8_t hash[HASH_LEN];

    if (s->path == NULL)
        crypto_generichash(hash, sizeof(hash), (const uint8_t *)s->bytes.p,
            s->bytes.len, NULL, 0);
    else if (hash_file(hash, s->path, e) != 0)
        return -1;
    *valid = is_by(key, signature, hash, sizeof(hash));
    return 0;
}

static int check_key(const struct signature *s, const struct sign_public *key,
    const char *sig_path, struct err *e)
{
    char by[2 * SIGN_ID + 1], wanted[2 * SIGN_ID + 1];

    if (memcmp(s->sig, "ED", 2) != 0 && memcmp(s->sig, "Ed", 2) != 0)
        return err_set(
            e, ERR_VERDICT, "%s: a signature of an unknown kind", sig_path);
    if (memcmp(s->sig + 2, key->id, SIGN_ID) == 0)
        return 0;
    sign_id_text(by, s->sig + 2);
    sign_id_text(wanted, key->id);
    return err_set(e, ERR_VERDICT, "%s: signed with key %s, not with %s",
        sig_path, by, wanted);
}

static int verify(const struct sign_public *key, const struct subject *what,
    struct str text, const char *sig_path, struct buf *trusted, struct err *e)
{
    struct buf both AUTO(buf_free) = BUF_INIT(SIGN_FILE_MAX);
    const uint8_t *signature;
    struct signature s;
    bool valid = false;

    if (!parse_signature(&s, text))
        return err_set(
            e, ERR_VERDICT, "%s: not a signature of minisign", sig_path);
    if (ready(e) != 0 || check_key(&s, key, sig_path, e) != 0)
        return -1;
    signature = s.sig + 2 + SIGN_ID;
    if ((s.sig[1] == 'D' ? verify_hash : verify_whole)(
            key, signature, what, &valid, e) != 0)
        return -1;
    if (!valid)
        return err_set(
            e, ERR_VERDICT, "%s: the signature is not valid", sig_path);
    if (global_message(&both, signature, s.comment, e) != 0)
        return -1;
    if (crypto_sign_verify_detached(
            s.global, (const uint8_t *)both.p, both.len, key->key) != 0)
        return err_set(
            e, ERR_VERDICT, "%s: the trusted comment was changed", sig_path);
    buf_put(trusted, s.comment.p, s.comment.len);
    return buf_check(trusted, e);
}

static int verify_file(const struct sign_public *key,
    const struct subject *what, const char *sig_path, struct buf *trusted,
    struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(SIGN_FILE_MAX);

    if (file_slurp(sig_path, &text, e) == 0)
        return verify(key, what, buf_str(&text), sig_path, trusted, e);
    if (e->kind != ERR_MISSING)
        return -1;
    err_clear(e);
    return err_set(e, ERR_VERDICT, "%s: there is no signature", sig_path);
}

int sign_verify(const struct sign_public *key, const char *path,
    const char *sig_path, struct buf *trusted, struct err *e)
{
    struct subject what = { .path = path };

    return verify_file(key, &what, sig_path, trusted, e);
}

int sign_verify_bytes(const struct sign_public *key, struct str bytes,
    const char *sig_path, struct buf *trusted, struct err *e)
{
    struct subject what = { .bytes = bytes };

    return verify_file(key, &what, sig_path, trusted, e);
}

int sign_verify_text(const struct sign_public *key, struct str bytes,
    struct str signature, const char *sig_name, struct buf *trusted,
    struct err *e)
{
    struct subject what = { .bytes = bytes };

    return verify(key, &what, signature, sig_name, trusted, e);
}
