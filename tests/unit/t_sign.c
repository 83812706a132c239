/* base/sign.h: nothing but the signed bytes verifies. */
#include "base/file.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"
#include "base/sign.h"

static struct sign_public public;
static struct sign_secret secret;
static char secret_text[1024];

static void make_keys(void)
{
    struct buf pub AUTO(buf_free) = BUF_INIT(SIGN_FILE_MAX);
    struct buf sec AUTO(buf_free) = BUF_INIT(SIGN_FILE_MAX);
    struct err e = ERR_INIT;

    ok(sign_keygen(&pub, &sec, NULL, &e) == 0, "a pair of keys");
    write_file(at("key.pub"), pub.p, pub.len);
    memcpy(secret_text, sec.p, sec.len + 1);
    ok(!sign_is_encrypted(buf_str(&sec)), "not encrypted");
    ok(sign_secret_parse(&secret, buf_str(&sec), "", &e) == 0, "read: secret");
    ok(sign_public_read(&public, at("key.pub"), &e) == 0, "read: public");
    ok(memcmp(public.id, secret.id, SIGN_ID) == 0, "they have one id");
}

static int verify(const char *trusted)
{
    struct buf comment AUTO(buf_free) = BUF_INIT(SIGN_COMMENT_MAX);
    struct err e = ERR_INIT;
    int rc = sign_verify(&public, at("file"), at("file.minisig"), &comment, &e);

    if (rc != 0 && e.kind != ERR_VERDICT)
        return 2;
    if (rc == 0 && trusted != NULL && strcmp(comment.p, trusted) != 0)
        return 3;
    return rc;
}

static void sign_with(const char *trusted, struct buf *out)
{
    struct err e = ERR_INIT;

    buf_clear(out);
    ok(sign_file(out, &secret, at("file"), trusted, &e) == 0, "sign");
    write_file(at("file.minisig"), out->p, out->len);
}

/* Line 1 says nothing; every other bit is held by one check or another. */
static void test_flips(void)
{
    struct buf sig AUTO(buf_free) = BUF_INIT(SIGN_FILE_MAX);
    unsigned passed = 0, odd = 0;
    size_t front;

    write_text(at("file"), "some bytes");
    sign_with("a comment", &sig);
    is_int(verify("a comment"), 0, "it verifies, with its comment");
    front = (size_t)(strchr(sig.p, '\n') - sig.p) + 1;
    for (size_t i = front; i < sig.len; i++)
        for (int bit = 0; bit < 8; bit++) {
            int rc;

            sig.p[i] ^= (char)(1 << bit);
            write_file(at("file.minisig"), sig.p, sig.len);
            rc = verify(NULL);
            passed += rc == 0 && i + 1 < sig.len;
            odd += rc > 0;
            sig.p[i] ^= (char)(1 << bit);
        }
    is_int(passed, 0, "no flipped bit of the signature file verifies");
    is_int(odd, 0, "each is a verdict");
    passed = 0;
    for (size_t cut = 0; cut + 1 < sig.len; cut++) {
        write_file(at("file.minisig"), sig.p, cut);
        passed += verify(NULL) == 0;
    }
    is_int(passed, 0, "none that is cut short does");
    buf_puts(&sig, "x");
    write_file(at("file.minisig"), sig.p, sig.len);
    is_int(verify(NULL), -1, "nor one with more behind it");
    unlink(at("file.minisig"));
    is_int(verify(NULL), -1, "nor none");
    sign_with("", &sig);
    is_int(verify(""), 0, "an empty comment");
    write_text(at("file"), "some byteS");
    is_int(verify(NULL), -1, "nor does another file");
    write_text(at("file"), "");
    sign_with("tab\there", &sig);
    is_int(verify("tab\there"), 0, "an empty file");
}

static void test_comments(void)
{
    struct buf sig AUTO(buf_free) = BUF_INIT(SIGN_FILE_MAX);
    char text[SIGN_COMMENT_MAX + 1];
    static const char *const bad[] = { "two\nlines", "\r", "\x1b[31m", "\x7f" };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = ERR_INIT;

        ok(sign_file(&sig, &secret, at("file"), bad[i], &e) != 0 &&
                e.kind == ERR_USAGE,
            "comment %zu is refused", i);
    }
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (int i = 0; i < 2; i++) {
        struct err e = ERR_INIT;
        int rc = sign_file(&sig, &secret, at("file"), text, &e);

        ok((rc == 0) == (i == 1), "a comment of %zu bytes", strlen(text));
        text[sizeof(text) - 2] = '\0';
    }
}

static void test_keys(void)
{
    struct sign_public pub;
    struct err e = ERR_INIT;
    size_t len = strlen(secret_text);
    unsigned good = 0;

    for (size_t cut = 0; cut + 1 < len; cut++) {
        struct sign_secret s;
        struct err why = ERR_INIT;

        good += sign_secret_parse(
                    &s, (struct str){ secret_text, cut }, "", &why) == 0;
    }
    is_int(good, 0, "no secret key that is cut short is read");
    ok(sign_public_read(&pub, at("nothing"), &e) != 0 && e.kind == ERR_MISSING,
        "no public key");
    err_clear(&e);
    write_text(at("bad.pub"), "untrusted comment: x\nRWQ=\n");
    ok(sign_public_read(&pub, at("bad.pub"), &e) != 0 && e.kind == ERR_REFUSED,
        "a short public key");
    err_clear(&e);
    write_text(at("bad.pub"), secret_text);
    ok(sign_public_read(&pub, at("bad.pub"), &e) != 0 && e.kind == ERR_REFUSED,
        "a secret key for a public one");
}

/* One that asks for a terabyte before the password can be wrong. */
static void test_greed(void)
{
    static const char greedy[] =
        "untrusted comment: x\n"
        "RWRTY0IyoHfsqezJtTrFazBwYZQzbQd5JWreWZY4mJuXnKnW2UMAAAACAAAAAAAAAAAA"
        "AQAAQjOPZ9lbTxB3DwwsCatNrlM+qe6OWkk+AH63Kimxy4qC4P6o5DV+0qj+lLQHDA00"
        "oZkrREpYf0oz+40RU02uctSQ7Ot4UYaicZz50170oC7m0xXR/D4VFA4h41KpwL/d19qA"
        "4tPFfrA=\n";
    struct sign_secret s;
    struct err e = ERR_INIT;

    ok(sign_is_encrypted(str_of(greedy)), "an encrypted key");
    ok(sign_secret_parse(&s, str_of(greedy), "pw", &e) != 0 &&
            e.kind == ERR_REFUSED,
        "is refused for what it asks: %s", e.msg);
}

int main(void)
{
    scratch_open();
    make_keys();
    test_flips();
    test_comments();
    test_keys();
    test_greed();
    scratch_close();
    return done();
}
