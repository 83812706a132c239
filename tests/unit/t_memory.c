/* t_memory.c - nothing is taken that is not there. */
#include "verify-run/memory.h"

#include "base/err.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

static void containers(void)
{
    uint64_t left = 7;

    ok(!memory_group(scratch, &left) && left == 7, "no group, no limit");
    write_text(at("memory.max"), "max\n");
    write_text(at("memory.current"), "500\n");
    ok(!memory_group(scratch, &left), "a group without a limit");
    write_text(at("memory.max"), "1000\n");
    ok(memory_group(scratch, &left) && left == 500, "what the limit leaves");
    write_text(
        at("memory.stat"), "anon 9\ninactive_file 200\nactive_file 100\n");
    ok(memory_group(scratch, &left) && left == 800, "files are given back");
    write_text(at("memory.current"), "5000\n");
    ok(memory_group(scratch, &left) && left == 0, "over the limit: none");
    write_text(at("v1/memory/memory.limit_in_bytes"), "1000\n");
    write_text(at("v1/memory/memory.usage_in_bytes"), "900\n");
    write_text(
        at("v1/memory/memory.stat"), "cache 1\ntotal_inactive_file 50\n");
    ok(memory_group(at("v1"), &left) && left == 150, "the older version");
}

int main(void)
{
    struct err e = ERR_INIT;
    uint64_t there = 0;

    scratch_open();
    containers();
    scratch_close();
    if (!memory_available(&there)) {
        ok(memory_check(UINT64_MAX, "all", &e) == 0, "unknown: no objection");
        return done();
    }
    ok(there > 1 << 20, "some is available");
    ok(memory_check(0, "nothing", &e) == 0, "nothing is there");
    ok(memory_check(1 << 20, "a little", &e) == 0, "a little is there");
    ok(memory_check((uint64_t)1 << 50, "a lot", &e) == -1 &&
            e.kind == ERR_NOMEM,
        "a petabyte is not");
    ok(strncmp(e.msg, "a lot: 1.13 PB of memory needed, ", 33) == 0,
        "the message: %s", e.msg);
    return done();
}
