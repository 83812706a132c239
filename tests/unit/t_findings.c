/* verify/findings.h and verify/danger.h: what is collected and how it counts.
 */
#include "tests/unit/tap.h"
#include "verify/danger.h"
#include "verify/findings.h"

static void test_worst(void)
{
    static const enum err_kind rising[] = { ERR_NONE, ERR_IO, ERR_VERDICT,
        ERR_CORRUPT, ERR_REFUSED };

    for (size_t a = 0; a < ARRAY_LEN(rising); a++)
        for (size_t b = 0; b < ARRAY_LEN(rising); b++)
            ok(findings_worse(rising[a], rising[b]) == rising[a > b ? a : b],
                "the graver of %zu and %zu decides", a, b);
    ok(findings_worse(ERR_UNSUPPORTED, ERR_CORRUPT) == ERR_UNSUPPORTED,
        "unsupported weighs as much as refused");
}

static void test_collect(void)
{
    struct findings r AUTO(findings_free) = FINDINGS_INIT;
    struct err e = ERR_INIT;

    ok(findings_worst(&r) == ERR_NONE && findings_failed(&r) == 0,
        "an empty report has no failure");
    findings_ok(&r, "digest", "%s: %d", "file", 7);
    findings_note(&r, "calls", "a note");
    findings_skip(&r, "listing", "none");
    ok(findings_failed(&r) == 0, "notes and skips are no failures");
    findings_fail(&r, "uniform", ERR_VERDICT, "order");
    findings_fail(&r, "digest", ERR_CORRUPT, "wrong");
    err_set(&e, ERR_IO, "disk");
    findings_err(&r, "files", &e);
    ok(e.kind == ERR_NONE, "a reported error is cleared");
    is_int((long long)findings_failed(&r), 3, "three failures");
    ok(findings_worst(&r) == ERR_CORRUPT, "wrong bytes outweigh the others");
    is_str(r.checks[0].detail.p, "file: 7", "the text is formatted");
    is_str(check_result_name(CHECK_FAIL), "fail", "results have names");
    for (int i = 0; i < 5000; i++)
        findings_ok(&r, "digest", "file %d", i);
    ok(findings_check(&r, &e) == 0 && r.n == 5006, "it grows");
}

static void test_long(void)
{
    struct findings r AUTO(findings_free) = FINDINGS_INIT;
    static char name[60000];

    memset(name, 'x', sizeof(name) - 1);
    findings_fail(&r, "index", ERR_REFUSED, "%s", name);
    ok(r.n == 1 && r.checks[0].detail.len < 20000, "a long text is cut");
}

static void test_problems(void)
{
    struct findings r AUTO(findings_free) = FINDINGS_INIT;
    struct problems none = PROBLEMS_INIT(&r, "index", ERR_CORRUPT);
    struct problems p = PROBLEMS_INIT(&r, "index", ERR_CORRUPT);

    problems_end(&none);
    ok(r.n == 0, "no problem, no line");
    for (int i = 0; i < 1000; i++)
        problem(&p, "tensor %d", i);
    problems_end(&p);
    is_int((long long)r.n, 21, "20 problems are told, then their number");
    is_str(r.checks[20].detail.p, "and 980 more like these", "the number");
    ok(findings_worst(&r) == ERR_CORRUPT, "they count");
}

static void test_danger(void)
{
    static const struct {
        const char *name;
        enum danger danger;
    } cases[] = {
        { "os.system", DANGER_NAMED },
        { "posix.system", DANGER_NAMED },
        { "nt.system", DANGER_NAMED },
        { "subprocess.Popen", DANGER_NAMED },
        { "builtins.eval", DANGER_NAMED },
        { "__builtin__.eval", DANGER_NAMED },
        { "__builtin__.apply", DANGER_NAMED },
        { "builtins.exec", DANGER_NAMED },
        { "builtins.getattr", DANGER_CALLED },
        { "builtins.__import__", DANGER_NAMED },
        { "importlib.import_module", DANGER_NAMED },
        { "runpy._run_code", DANGER_NAMED },
        { "pickle.loads", DANGER_NAMED },
        { "_pickle.loads", DANGER_NAMED },
        { "socket.create_connection", DANGER_NAMED },
        { "asyncio.unix_events._UnixSubprocessTransport._start", DANGER_NAMED },
        { "operator.attrgetter", DANGER_CALLED },
        { "functools.partial", DANGER_CALLED },
        { "timeit.timeit", DANGER_NAMED },
        { "bdb.Bdb.run", DANGER_NAMED },
        { "pip.main", DANGER_NAMED },
        { "numpy.testing._private.utils.runstring", DANGER_NAMED },
        { "numpy.f2py.crackfortran.getlincoef", DANGER_NAMED },
        { "logging.FileHandler", DANGER_CALLED },
        { "io.FileIO", DANGER_NAMED },
        { "types.CodeType", DANGER_NAMED },
        { "ctypes.CDLL", DANGER_NAMED },
        { "sys.exit", DANGER_NAMED },
        { "torch._inductor.codecache.compile_file", DANGER_CALLED },
        { "torch.utils.collect_env.run", DANGER_CALLED },
        { "torch.jit.unsupported_tensor_ops.execWrapper", DANGER_CALLED },
        { "torch.utils._config_module.ConfigModule.load_config",
            DANGER_CALLED },
        { "torch.load", DANGER_NAMED },
        { "torch.nn.modules.linear.Linear", DANGER_NONE },
        { "torch._utils._rebuild_nested_tensor", DANGER_NONE },
        { "torch._C._nn.gelu", DANGER_NONE },
        { "collections.OrderedDict", DANGER_NONE },
        { "argparse.Namespace", DANGER_NONE },
        { "pathlib.PosixPath", DANGER_NONE },
        { "osprey.system", DANGER_NONE },
        { "builtins.evaluate", DANGER_NONE },
        { "systematic.x", DANGER_NONE },
        { "codes.x", DANGER_NONE },
        { "transformers.training_args.TrainingArguments", DANGER_NONE },
        { "", DANGER_NONE },
        { "o", DANGER_NONE },
        { "os", DANGER_NAMED },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *dot = strrchr(cases[i].name, '.');
        size_t module = dot != NULL ? (size_t)(dot - cases[i].name) : 0;

        ok(danger_of(str_of(cases[i].name), module) == cases[i].danger,
            "danger: '%s'", cases[i].name);
    }
}

/* Attributes with dots walk, and not only inside the module. */
static void test_walks(void)
{
    static const struct {
        const char *module;
        const char *path;
        enum danger danger;
    } cases[] = {
        { "pathlib", "os.system", DANGER_NAMED },
        { "random", "_os.system", DANGER_CALLED },
        { "any.thing", "Class.f.__globals__.get", DANGER_NAMED },
        { "any.thing", "Class.__init__", DANGER_NONE },
        { "any.thing", "Class.Inner", DANGER_NONE },
        { "any.os", "Class", DANGER_NONE },
        { "pathlib", "PosixPath.write_text", DANGER_NAMED },
        { "cStringIO", "open", DANGER_NAMED },
        { "cStringIO", "StringIO", DANGER_NONE },
        { "any", "..", DANGER_CALLED },
        { "any", "", DANGER_NONE },
        { "", "os.system", DANGER_NAMED },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char name[128];

        snprintf(name, sizeof(name), "%s.%s", cases[i].module, cases[i].path);
        ok(danger_of(str_of(name), strlen(cases[i].module)) == cases[i].danger,
            "danger: '%s' of '%s'", cases[i].path, cases[i].module);
    }
}

int main(void)
{
    test_worst();
    test_collect();
    test_long();
    test_problems();
    test_danger();
    test_walks();
    return done();
}
