#include "cache/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/human.h"
#include "base/path.h"
#include "base/sign.h"
#include "cache/mode.h"

enum { STATE_MAX = 64 };

/* The value of "name:value" among fields split by tabs. */
static bool field(struct str comment, const char *name, struct str *out)
{
    size_t n = strlen(name);

    while (comment.len > 0) {
        const char *tab = memchr(comment.p, '\t', comment.len);
        size_t len = tab != NULL ? (size_t)(tab - comment.p) : comment.len;

        if (len > n && memcmp(comment.p, name, n) == 0 && comment.p[n] == ':') {
            *out = (struct str){ comment.p + n + 1, len - n - 1 };
            return true;
        }
        len += tab != NULL;
        comment.p += len;
        comment.len -= len;
    }
    return false;
}

/* Seconds since 1970, and nothing else. */
static bool parse_time(struct str text, int64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        *out = 10 * *out + (text.p[i] - '0');
    }
    return text.len > 0 && text.len <= 15;
}

/* What the comment promises, held against the file that was given. */
static int read_comment(
    struct trust *t, struct str comment, const char *lock, struct err *e)
{
    struct str when, name;

    if (!field(comment, "timestamp", &when) || !parse_time(when, &t->time) ||
        !field(comment, "file", &name)) {
        err_set(e, ERR_VERDICT,
            "%s" SIGN_SUFFIX ": the trusted comment does not say when it was "
            "made, and of which file",
            lock);
        return err_hint(e, "sign it with mlverify sign, without --comment");
    }
    if (str_is(name, path_base(lock)))
        return 0;
    return err_set(
        e, ERR_VERDICT, "%s: it was signed as '%.*s'", lock, STR_ARG(name));
}

/* The newest time that was accepted; out is left alone when there is none. */
static int read_state(const struct trust *t, int64_t *out, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(STATE_MAX);

    if (access(t->state, F_OK) != 0 && errno == ENOENT)
        return 0;
    if (file_slurp(t->state, &b, e) != 0)
        return -1;
    if (b.len == 0 || !parse_time((struct str){ b.p, b.len - 1 }, out))
        return err_set(e, ERR_REFUSED, "%s: not a time", t->state);
    return 0;
}

static int check_age(const struct trust *t, const char *lock, struct err *e)
{
    char then[HUMAN_MAX], now[HUMAN_MAX];
    int64_t newest = t->time;

    if (read_state(t, &newest, e) != 0)
        return -1;
    if (t->time >= newest)
        return 0;
    err_set(e, ERR_VERDICT,
        "%s: it was signed %s, and one of %s was accepted here before", lock,
        human_date(now, t->time), human_date(then, newest));
    return err_hint(e, "to go back on purpose, sign the old lock again");
}

/* Of a lock whose signature was found valid, with this comment. */
static int judge(struct trust *out, const struct hubdir *h, const char *lock,
    const struct sign_public *public, struct str comment, struct err *e)
{
    const char *base = path_base(lock);
    char id[2 * SIGN_ID + 1];
    struct digest name;

    if (read_comment(out, comment, lock, e) != 0)
        return -1;
    sign_id_text(id, public->id);
    if (hash_bytes(HASH_SHA256, base, strlen(base), &name, e) != 0 ||
        path_fmt(out->state, e, "%s/.locks/ml-warm/%s.%s", h->root, id,
            name.hex) != 0)
        return -1;
    return check_age(out, lock, e);
}

int trust_check(struct trust *out, const struct hubdir *h, const char *lock,
    struct str text, const char *key, struct err *e)
{
    struct buf comment AUTO(buf_free) = BUF_INIT(SIGN_COMMENT_MAX);
    struct sign_public public;
    char sig[PATH_MAX];

    if (sign_public_read(&public, key, e) != 0)
        return err_ctx(e, "--key");
    if (path_fmt(sig, e, "%s" SIGN_SUFFIX, lock) != 0 ||
        sign_verify_bytes(&public, text, sig, &comment, e) != 0)
        return -1;
    return judge(out, h, lock, &public, buf_str(&comment), e);
}

int trust_check_text(struct trust *out, const struct hubdir *h,
    const char *lock, struct str text, struct str signature, const char *key,
    struct err *e)
{
    struct buf comment AUTO(buf_free) = BUF_INIT(SIGN_COMMENT_MAX);
    struct sign_public public;
    char sig[PATH_MAX];

    if (sign_public_read(&public, key, e) != 0)
        return err_ctx(e, "--key");
    if (path_fmt(sig, e, "%s" SIGN_SUFFIX, lock) != 0 ||
        sign_verify_text(&public, text, signature, sig, &comment, e) != 0)
        return -1;
    return judge(out, h, lock, &public, buf_str(&comment), e);
}

int trust_remember(const struct trust *t, struct err *e)
{
    char dir[PATH_MAX], text[STATE_MAX];
    int n = snprintf(text, sizeof(text), "%lld\n", (long long)t->time);
    int fd AUTO(fd_close) = -1;
    int64_t newest = -1;

    /* A cache that cannot be written, and need not be, will do. */
    if (read_state(t, &newest, e) != 0)
        return -1;
    if (newest >= t->time)
        return 0;
    path_dir(dir, sizeof(dir), t->state);
    if (dir_make(dir, e) != 0)
        return -1;
    /* Where there are no locks, two at the same instant may still cross. */
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        flock(fd, LOCK_EX);
    if (read_state(t, &newest, e) != 0)
        return -1;
    if (newest >= t->time)
        return 0;
    return file_put(t->state, text, (size_t)n, mode_masked(0666), e);
}
