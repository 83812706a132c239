/* t_memory.c - nothing is taken that is not there. */
#include "tests/unit/tap.h"
#include "verify-run/memory.h"

int main(void)
{
    struct err e = ERR_INIT;
    uint64_t there = 0;

    if (!memory_available(&there)) {
        ok(memory_check(UINT64_MAX, "all", &e) == 0, "unknown: no objection");
        return done();
    }
    ok(there > 1 << 20 && there % 1024 == 0, "some is available");
    ok(memory_check(0, "nothing", &e) == 0, "nothing is there");
    ok(memory_check(1 << 20, "a little", &e) == 0, "a little is there");
    ok(memory_check((uint64_t)1 << 50, "a lot", &e) == -1 &&
            e.kind == ERR_NOMEM,
        "a petabyte is not");
    ok(strncmp(e.msg, "a lot: 1.13 PB of memory needed, ", 33) == 0,
        "the message: %s", e.msg);
    return done();
}
