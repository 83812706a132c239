/* t_memory.c - nothing is taken that is not there. */
#include "verify-run/memory.h"

#include "base/err.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

static void containers(void)
{
    uint64_t left = 7;

    ok(!memory_group(scratch, "", &left) && left == 7, "no group, no limit");
    write_text(at("memory.max"), "max\n");
    write_text(at("memory.current"), "500\n");
    ok(!memory_group(scratch, "", &left), "a group without a limit");
    write_text(at("memory.max"), "1000\n");
    ok(memory_group(scratch, "", &left) && left == 500, "what the limit leaves");
    write_text(
        at("memory.stat"), "anon 9\ninactive_file 200\nactive_file 100\n");
    ok(memory_group(scratch, "", &left) && left == 800, "files are given back");
    write_text(at("memory.current"), "5000\n");
    ok(memory_group(scratch, "", &left) && left == 0, "over the limit: none");
    write_text(at("v1/memory/memory.limit_in_bytes"), "1000\n");
    write_text(at("v1/memory/memory.usage_in_bytes"), "900\n");
    write_text(
        at("v1/memory/memory.stat"), "cache 1\ntotal_inactive_file 50\n");
    ok(memory_group(at("v1"), "", &left) && left == 150, "the older version");
}

/* The group of this process, and those around it. */
static void nested(void)
{
    static const char own[] = "12:pids:/x\n4:memory:/a/b\n0::/\n";
    uint64_t left = 7;

    write_text(at("n/memory/a/b/memory.limit_in_bytes"), "1000\n");
    write_text(at("n/memory/a/b/memory.usage_in_bytes"), "100\n");
    ok(memory_group(at("n"), own, &left) && left == 900, "its own group");
    ok(!memory_group(at("n"), "", &left), "of which the root knows nothing");
    write_text(at("n/memory/a/memory.limit_in_bytes"), "600\n");
    write_text(at("n/memory/a/memory.usage_in_bytes"), "200\n");
    ok(memory_group(at("n"), own, &left) && left == 400, "one around it");
    write_text(at("m/c/memory.max"), "90\n");
    write_text(at("m/c/memory.current"), "20\n");
    ok(memory_group(at("m"), "0::/c", &left) && left == 70, "version 2");
    ok(memory_group(at("m"), "0::/c/hidden/d\n", &left) && left == 70,
        "what is hidden is passed over");
    ok(!memory_group(at("m"), "0::/../..\n0::x", &left), "no way out");
}

static void peak(void)
{
    const size_t size = 64 << 20;
    uint64_t before = memory_peak();
    volatile char *held = malloc(size);

    if (held == NULL) {
        skip("the peak of memory", "none to be had");
        return;
    }
    for (size_t i = 0; i < size; i += 4096)
        held[i] = 1;
    ok(held[size / 2] == 1 && memory_peak() >= before + size / 2,
        "the peak follows what is held");
    free((char *)(uintptr_t)held);
    ok(memory_peak() >= size, "and stays when it is given back");
    memory_peak_reset();
    if (memory_peak() >= size)
        skip("the peak is set back", "this kernel or allocator does not");
    else
        ok(memory_peak() > 0, "until it is set back");
}

int main(void)
{
    struct err e = ERR_INIT;
    uint64_t there = 0;

    scratch_open();
    containers();
    nested();
    scratch_close();
    peak();
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
