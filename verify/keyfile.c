#include "verify/keyfile.h"

#include <sys/stat.h>

#include "base/env.h"
#include "base/file.h"
#include "base/password.h"
#include "base/path.h"

static void wipe_and_free(struct buf *b)
{
    if (b->cap > 0)
        sign_wipe(b->p, b->cap);
    buf_free(b);
}

int keyfile_default(char *out, struct err *e)
{
    if (env_path("MINISIGN_CONFIG_DIR", out)) {
        char dir[PATH_MAX];

        memcpy(dir, out, sizeof(dir));
        return path_join(out, dir, "minisign.key", e);
    }
    return path_fmt(out, e, "%s/.minisign/minisign.key", env_home());
}

int keyfile_read(struct sign_secret *out, const char *path, struct err *e)
{
    struct buf text AUTO(wipe_and_free) = BUF_INIT(SIGN_FILE_MAX);
    char password[SIGN_PASSWORD_MAX] = "";
    int rc;

    if (file_slurp(path, &text, e) != 0)
        return e->kind != ERR_MISSING
                   ? -1
                   : err_hint(e, "make a key with mlverify keygen, or name "
                                 "one with --key");
    if (sign_is_encrypted(buf_str(&text)) &&
        password_ask(password, sizeof(password), "password", "Password: ", e) !=
            0)
        return -1;
    rc = sign_secret_parse(out, buf_str(&text), password, e);
    sign_wipe(password, sizeof(password));
    return rc == 0 ? 0 : err_ctx(e, "%s", path);
}

static int ask_twice(char *out, struct err *e)
{
    char again[SIGN_PASSWORD_MAX] = "";
    int rc = 0;

    if (password_ask(out, SIGN_PASSWORD_MAX, "password", "New password: ", e) !=
            0 ||
        password_ask(again, sizeof(again), "password", "The same again: ", e) !=
            0)
        rc = err_hint(e, "--no-password makes a key without one");
    else if (strcmp(out, again) != 0)
        rc = err_set(e, ERR_USAGE, "the two passwords differ");
    sign_wipe(again, sizeof(again));
    return rc;
}

static int check_free(const char *path, struct err *e)
{
    struct stat st;

    if (lstat(path, &st) != 0)
        return 0;
    err_set(e, ERR_USAGE, "%s: there is a key already", path);
    return err_hint(e, "--force replaces it; what it signed stays signed");
}

/* dir holds both, under one name: the public key would replace the secret. */
static bool is_one_file(
    const char *dir, const char *secret_path, const char *public_path)
{
    char other[PATH_MAX];
    struct stat a, b;

    path_dir(other, sizeof(other), public_path);
    return strcmp(path_base(secret_path), path_base(public_path)) == 0 &&
           stat(dir, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static int put_pair(const char *public_path, const char *secret_path,
    const char *password, struct err *e)
{
    struct buf public AUTO(buf_free) = BUF_INIT(SIGN_FILE_MAX);
    struct buf secret AUTO(wipe_and_free) = BUF_INIT(SIGN_FILE_MAX);
    char dir[PATH_MAX];

    if (sign_keygen(&public, &secret, password, e) != 0 ||
        buf_check(&public, e) != 0 || buf_check(&secret, e) != 0)
        return -1;
    path_dir(dir, sizeof(dir), secret_path);
    if (dir_make(dir, e) != 0)
        return -1;
    if (is_one_file(dir, secret_path, public_path))
        return err_set(e, ERR_USAGE,
            "%s: the public and the secret key are to be one file",
            secret_path);
    if (file_put(secret_path, secret.p, secret.len, 0600, e) != 0)
        return -1;
    return file_put(public_path, public.p, public.len, 0644, e);
}

int keyfile_make(const char *public_path, const char *secret_path,
    bool password, bool force, struct err *e)
{
    char word[SIGN_PASSWORD_MAX] = "";
    int rc;

    if (!force &&
        (check_free(secret_path, e) != 0 || check_free(public_path, e) != 0))
        return -1;
    rc = password ? ask_twice(word, e) : 0;
    if (rc == 0)
        rc = put_pair(public_path, secret_path, password ? word : NULL, e);
    sign_wipe(word, sizeof(word));
    return rc;
}
