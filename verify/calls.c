#include "verify/calls.h"

#include "base/buf.h"
#include "verify/danger.h"

enum { NAMED_MAX = 8 };

static bool is_unsafe(const struct torch_foreign *f)
{
    enum danger d = danger_of(f->name, f->module_len);

    return d == DANGER_NAMED || (d == DANGER_CALLED && f->called);
}

size_t calls_report(struct str file, const struct torch_foreign *foreign,
    uint64_t n, bool whole, struct findings *report)
{
    struct problems bad = PROBLEMS_INIT(report, "calls", ERR_REFUSED);
    struct buf others AUTO(buf_free) = BUF_INIT(8192);
    uint64_t n_others = 0;

    for (uint64_t i = 0; i < n; i++) {
        const struct torch_foreign *f = &foreign[i];

        if (is_unsafe(f))
            problem(&bad, "%.*s: %s %.200s at byte %llu of its pickle",
                STR_ARG(file), f->called ? "calls" : "names", f->name.p,
                (unsigned long long)f->offset);
        else if (n_others++ < NAMED_MAX)
            buf_printf(&others, "%s%.200s", others.len ? ", " : "", f->name.p);
    }
    problems_end(&bad);
    if (n_others > 0)
        findings_note(report, "calls",
            "%.*s: names %llu classes or functions that are not executed here "
            "and kept as data: %s%s",
            STR_ARG(file), (unsigned long long)n_others, others.p,
            n_others > NAMED_MAX ? ", ..." : "");
    else if (bad.n == 0 && whole)
        findings_ok(report, "calls",
            "%.*s: asks for nothing but tensors and data", STR_ARG(file));
    return bad.n;
}
