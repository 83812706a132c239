/* cache/trust.h: what is remembered never goes back. */
#include "cache/trust.h"

#include "base/file.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

static bool holds(const char *path, const char *want)
{
    struct buf b AUTO(buf_free) = BUF_INIT(64);
    struct err e = ERR_INIT;

    return file_slurp(path, &b, &e) == 0 && str_is(buf_str(&b), want);
}

static struct trust accepted(int64_t time)
{
    struct trust t = { .time = time };

    snprintf(t.state, sizeof(t.state), "%s", at("locks/ml-warm/a"));
    return t;
}

int main(void)
{
    struct trust old, new;
    struct err e = ERR_INIT;

    scratch_open();
    old = accepted(100);
    new = accepted(200);
    is_int(trust_remember(&new, &e), 0, "a time is remembered");
    ok(holds(new.state, "200\n"), "in a file");
    /* Both were accepted before one of them was done. */
    is_int(trust_remember(&old, &e), 0, "an older one comes to its end later");
    ok(holds(new.state, "200\n"), "the newer one stays");
    write_file(new.state, "x\n", 2);
    is_int(trust_remember(&new, &e), -1, "what is no time is not replaced");
    is_int(e.kind, ERR_REFUSED, "but refused");
    scratch_close();
    return done();
}
