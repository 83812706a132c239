#include "convert/rename.h"

#include "tests/unit/tap.h"

enum { FEW = 3 };

static struct ckpt_file file = { .path = "x.pt" };

/* The names after the rule, joined by blanks; "!" and the message if not. */
static void check(const char *const *names, const char *want, const char *name)
{
    struct renames r AUTO(renames_free) = RENAMES_INIT;
    struct tensor t[FEW] = { 0 };
    struct checkpoint c = { .files = &file, .n_files = 1, .tensors = t };
    struct buf got AUTO(buf_free) = BUF_INIT(4096);
    struct err e = ERR_INIT;

    for (; c.n_tensors < FEW && names[c.n_tensors] != NULL; c.n_tensors++)
        t[c.n_tensors].name = str_of(names[c.n_tensors]);
    if (renames_apply(&r, &c, RENAME_STRIP_PREFIX, &e) != 0)
        buf_puts(&got, e.kind == ERR_REFUSED ? "!" : e.msg);
    else
        for (uint64_t i = 0; i < c.n_tensors; i++)
            buf_printf(&got, "%.*s ", STR_ARG(t[i].name));
    is_str(got.p, want, name);
}

static void rules(void)
{
    static const struct {
        const char *names[FEW], *want, *name;
    } t[] = {
        { { "module.a", "module.b" }, "a b ", "what all share" },
        { { "module.a", "b" }, "b module.a ", "not what some have" },
        { { "module._orig_mod.a" }, "a ", "two of them" },
        { { "_orig_mod.module.module.a", "_orig_mod.module.module.b" }, "a b ",
            "as often as it takes" },
        { { "_forward_module.a" }, "a ", "Fabric" },
        { { "model.a", "model.b" }, "model.a model.b ", "never model." },
        { { "module.a", "module." }, "module. module.a ",
            "a name is never used up" },
        { { "modules.a" }, "modules.a ", "whole parts only" },
        { { "_fsdp_wrapped_module.module.l._fsdp_wrapped_module.a",
              "module.b" },
            "b l.a ", "FSDP anywhere, then the prefix, sorted again" },
        { { "l._checkpoint_wrapped_module._fsdp_wrapped_module.a", "b" },
            "b l.a ", "one wrapper in the other" },
        { { "x_fsdp_wrapped_module.a" }, "x_fsdp_wrapped_module.a ",
            "not in the middle of a part" },
        { { "_fsdp_wrapped_module." }, "_fsdp_wrapped_module. ",
            "nothing but a wrapper" },
        { { "a._fsdp_wrapped_module.b", "a.b" }, "!", "two for one name" },
        { { "a._orig_mod.b", "c" }, "a._orig_mod.b c ",
            "a compiled part keeps its name" },
    };

    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        check(t[i].names, t[i].want, t[i].name);
}

static void record(void)
{
    struct renames r AUTO(renames_free) = RENAMES_INIT;
    struct tensor t[] = { { .name = str_of("_fsdp_wrapped_module.z") },
        { .name = str_of("b") } };
    struct checkpoint c = { .tensors = t, .n_tensors = 2 };
    struct err e = ERR_INIT;

    renames_apply(&r, &c, RENAME_NONE, &e);
    ok(r.n == 0 && str_is(t[1].name, "b"), "without a rule nothing changes");
    renames_apply(&r, &c, RENAME_STRIP_PREFIX, &e);
    ok(r.n == 1 && str_is(r.v[0].name, "z") &&
            str_is(r.v[0].was, "_fsdp_wrapped_module.z"),
        "what changed is on record, and nothing else");
}

int main(void)
{
    rules();
    record();
    return done();
}
