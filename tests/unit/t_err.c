#include "base/buf.h"

#include <errno.h>

#include "tests/unit/tap.h"

static void exits(void)
{
    static const struct {
        enum err_kind kind;
        int status;
    } row[] = { { ERR_NONE, 0 }, { ERR_IO, 1 }, { ERR_NOMEM, 1 },
        { ERR_BUG, 1 }, { ERR_BUSY, 1 }, { ERR_USAGE, 2 }, { ERR_MISSING, 3 },
        { ERR_AUTH, 4 }, { ERR_NET, 5 }, { ERR_CORRUPT, 6 }, { ERR_NOSPACE, 7 },
        { ERR_REFUSED, 8 }, { ERR_UNSUPPORTED, 8 }, { ERR_VERDICT, 9 },
        { ERR_CANCELLED, 130 } };

    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        struct err e = { .kind = row[i].kind };
        ok(err_exit(&e) == row[i].status, "kind %d exits %d", row[i].kind,
            row[i].status);
    }
}

/* The same in an error, in a buffer and by itself. */
static void harmless(const char *text, const char *want, const char *name)
{
    struct buf b AUTO(buf_free) = BUF_INIT(1000);
    struct err e = ERR_INIT;
    char out[100];

    err_escape(out, sizeof(out), text);
    buf_visible(&b, str_of(text));
    err_set(&e, ERR_IO, "%s", text);
    ok(strcmp(out, want) == 0 && strcmp(b.p, want) == 0 &&
            strcmp(e.msg, want) == 0,
        "harmless to a terminal: %s", name);
}

int main(void)
{
    struct err e = ERR_INIT;
    char out[16], path[4096] = "";

    is_int(err_set(&e, ERR_IO, "first %d", 1), -1, "failing is one line");
    err_set(&e, ERR_BUG, "second");
    is_str(e.msg, "first 1", "the first failure wins");
    is_int(e.kind, ERR_IO, "and keeps its kind");
    err_ctx(&e, "file %s", "x");
    is_str(e.msg, "file x: first 1", "context goes in front");
    err_hint(&e, "do this");
    err_hint(&e, "do that");
    is_str(e.hint, "do this", "the first hint wins");

    err_clear(&e);
    errno = ENOSPC;
    err_sys(&e, "disk");
    is_int(e.kind, ERR_NOSPACE, "ENOSPC is about space");
    is_str(e.msg, "disk: No space left on device", "and says so");

    err_clear(&e);
    err_set(&e, ERR_REFUSED, "name '%s'", "a\x1b[31m\x7f\xc2\x9bz");
    is_str(e.msg, "name 'a\\x1b[31m\\x7f\\x9bz'",
        "a hostile name cannot reach the terminal");

    err_clear(&e);
    for (int i = 0; i < 2000; i++)
        err_ctx(&e, "a long context that goes on");
    ok(strlen(e.msg) < sizeof(e.msg), "a long text is cut, not overrun");

    memset(path, 'd', sizeof(path) - 1);
    memcpy(path + 200, "\xc3\xa9\xc3\xa9", 4);
    err_clear(&e);
    errno = ENOENT;
    err_sys(&e, "%s", path);
    err_ctx(&e, "while looking");
    ok(strlen(e.msg) == sizeof(e.msg) - 1 &&
            strncmp(e.msg, "while looking: ddd", 18) == 0 &&
            strcmp(strrchr(e.msg, ':'), ": No such file or directory") == 0,
        "a path as long as can be does not push out the reason");
    memset(path, 0xA9, sizeof(path) - 1);
    for (size_t i = 0; i < sizeof(path) - 1; i += 2)
        path[i] = '\xC3';
    err_clear(&e);
    err_set(&e, ERR_REFUSED, "%s: why", path);
    ok(strstr(e.msg, "\xC3...\xC3") == NULL &&
            strstr(e.msg, "\xA9...\xC3") != NULL,
        "and no character is cut in two");

    is_int((long long)err_escape(out, sizeof(out), "\x01\x01\x01\x01\x01"), 12,
        "an escape that does not fit is left out whole");
    harmless("\x1b[2J\x7f", "\\x1b[2J\\x7f", "escape and delete");
    harmless("\xc2\x9b"
             "2J",
        "\\x9b2J", "a control above ASCII");
    harmless("\x9b"
             "2J",
        "\\x9b2J", "the same as one byte");
    harmless("a\xff\xfe\xe2\x82", "a\\xff\\xfe\\xe2\\x82", "no UTF-8");
    harmless("gpj\xe2\x80\xae.exe", "gpj\\u202e.exe", "turned around");
    harmless("na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80",
        "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80", "honest text");
    exits();
    return done();
}
