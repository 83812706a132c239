/*
 * The names, from the pickles that were caught in public: checkpoint
 * formats, section 12.1. An entry stands for itself and for everything
 * below it; the longest entry that fits decides.
 */
#include "verify/danger.h"

struct rule {
    const char *name;
    enum danger danger;
};

#define CALLED DANGER_CALLED
#define NAMED DANGER_NAMED

static const struct rule rules[] = {
    { "os", NAMED },
    { "posix", NAMED },
    { "nt", NAMED },
    { "sys", NAMED },
    { "posixpath", CALLED },
    { "ntpath", CALLED },
    { "subprocess", NAMED },
    { "_posixsubprocess", NAMED },
    { "commands", NAMED },
    { "popen2", NAMED },
    { "multiprocessing", NAMED },
    { "concurrent", CALLED },
    { "threading", CALLED },
    { "_thread", NAMED },
    { "pty", NAMED },
    { "signal", NAMED },
    { "platform", NAMED },
    { "winreg", NAMED },
    { "_osx_support", NAMED },
    { "_aix_support", NAMED },
    { "uuid._", NAMED },
    { "site", NAMED },

    { "builtins.eval", NAMED },
    { "builtins.exec", NAMED },
    { "builtins.execfile", NAMED },
    { "builtins.compile", NAMED },
    { "builtins.open", NAMED },
    { "builtins.file", NAMED },
    { "builtins.apply", NAMED },
    { "builtins.input", NAMED },
    { "builtins.raw_input", NAMED },
    { "builtins.breakpoint", NAMED },
    { "builtins.__import__", NAMED },
    { "builtins.getattr", CALLED },
    { "builtins.setattr", CALLED },
    { "builtins.delattr", CALLED },
    { "builtins.globals", NAMED },
    { "builtins.locals", NAMED },
    { "builtins.vars", CALLED },
    { "builtins.map", CALLED },
    { "builtins.reduce", CALLED },
    { "builtins.reload", NAMED },
    { "builtins.filter", CALLED },
    { "builtins.help", CALLED },
    { "builtins.exit", NAMED },
    { "builtins.quit", NAMED },
    { "builtins.print", CALLED },

    { "importlib", NAMED },
    { "imp", NAMED },
    { "runpy", NAMED },
    { "pkgutil", NAMED },
    { "zipimport", NAMED },
    { "pip", NAMED },
    { "_pip", NAMED },
    { "ensurepip", NAMED },
    { "setuptools", NAMED },
    { "distutils", NAMED },
    { "venv", NAMED },
    { "idlelib", NAMED },
    { "lib2to3", NAMED },
    { "test", NAMED },
    { "pydoc", NAMED },
    { "doctest", NAMED },
    { "code", NAMED },
    { "codeop", NAMED },
    { "compileall", NAMED },
    { "py_compile", NAMED },
    { "types.CodeType", NAMED },
    { "types.FunctionType", NAMED },
    { "marshal", NAMED },
    { "inspect", NAMED },
    { "gc", NAMED },
    { "ctypes", NAMED },
    { "_ctypes", NAMED },
    { "cffi", NAMED },
    { "bdb", NAMED },
    { "pdb", NAMED },
    { "trace", NAMED },
    { "cProfile", NAMED },
    { "profile", NAMED },
    { "timeit", NAMED },
    { "atexit", NAMED },

    { "operator", CALLED },
    { "_operator", CALLED },
    { "functools", CALLED },
    { "_functools", CALLED },
    { "itertools", CALLED },
    { "asyncio", NAMED },
    { "logging", CALLED },
    { "io.FileIO", NAMED },
    { "_io.FileIO", NAMED },
    { "io.open", NAMED },
    { "_io.open", NAMED },
    { "io.OpenWrapper", NAMED },
    { "codecs.open", NAMED },
    { "tempfile", NAMED },
    { "shutil", NAMED },
    { "glob", CALLED },
    { "fileinput", NAMED },
    { "pathlib.Path.", NAMED },
    { "pathlib.PosixPath.", NAMED },
    { "pathlib.WindowsPath.", NAMED },
    { "zipfile", NAMED },
    { "tarfile", NAMED },
    { "sqlite3", NAMED },
    { "dbm", NAMED },

    { "socket", NAMED },
    { "_socket", NAMED },
    { "socketserver", NAMED },
    { "ssl", NAMED },
    { "webbrowser", NAMED },
    { "http", NAMED },
    { "httplib", NAMED },
    { "urllib", NAMED },
    { "urllib2", NAMED },
    { "requests", NAMED },
    { "aiohttp", NAMED },
    { "httpx", NAMED },
    { "ftplib", NAMED },
    { "smtplib", NAMED },
    { "imaplib", NAMED },
    { "telnetlib", NAMED },
    { "xmlrpc", NAMED },

    { "pickle", NAMED },
    { "_pickle", NAMED },
    { "cPickle", NAMED },
    { "dill", NAMED },
    { "cloudpickle", NAMED },
    { "joblib", NAMED },
    { "shelve", NAMED },
    { "yaml", CALLED },

    { "numpy.testing", NAMED },
    { "numpy.f2py", NAMED },
    { "numpy.distutils", NAMED },
    { "numpy.load", NAMED },
    { "numpy.fromfile", NAMED },
    { "numpy.save", NAMED },
    { "pandas.read_pickle", NAMED },
    { "pandas.eval", NAMED },

    { "torch.load", NAMED },
    { "torch.save", NAMED },
    { "torch.hub", NAMED },
    { "torch.jit", CALLED },
    { "torch.package", NAMED },
    { "torch.testing", NAMED },
    { "torch.compile", CALLED },
    { "torch.fx", CALLED },
    { "torch.multiprocessing", NAMED },
    { "torch.distributed.rpc", NAMED },
    { "torch.distributed.elastic", NAMED },
    { "torch.distributed.launcher", NAMED },
    { "torch.distributed.run", NAMED },
    { "torch.serialization", CALLED },
    { "torch.storage._load_from_bytes", CALLED },
    { "torch.utils", CALLED },
    { "torch.utils.data.sampler", DANGER_NONE },
    { "torch.utils.hooks", DANGER_NONE },
    { "torch._", CALLED },
    { "torch._utils", DANGER_NONE },
    { "torch._tensor", DANGER_NONE },
    { "torch._C._nn", DANGER_NONE },
};

/* Modules of Python 2, and what a reader of today imports for them. */
static const struct {
    const char *old;
    const char *now;
} renamed[] = {
    { "__builtin__.", "builtins." },
    { "StringIO.", "io." },
    { "cStringIO.", "io." },
    { "thread.", "_thread." },
    { "SocketServer.", "socketserver." },
    { "BaseHTTPServer.", "http." },
    { "SimpleHTTPServer.", "http." },
    { "CGIHTTPServer.", "http." },
    { "xmlrpclib.", "xmlrpc." },
    { "SimpleXMLRPCServer.", "xmlrpc." },
    { "DocXMLRPCServer.", "xmlrpc." },
    { "robotparser.", "urllib." },
    { "anydbm.", "dbm." },
    { "dumbdbm.", "dbm." },
    { "dbhash.", "dbm." },
    { "gdbm.", "dbm." },
    { "whichdb.", "dbm." },
    { "_winreg.", "winreg." },
};

static struct str modern(struct str name, char *out, size_t out_len)
{
    for (size_t i = 0; i < ARRAY_LEN(renamed); i++) {
        size_t cut = strlen(renamed[i].old);
        size_t front = strlen(renamed[i].now);

        if (!str_starts(name, renamed[i].old))
            continue;
        /* Only the front of a long name can match a rule. */
        name.len = size_min(name.len, out_len - front);
        memcpy(out, renamed[i].now, front);
        memcpy(out + front, name.p + cut, name.len - cut);
        return (struct str){ out, name.len - cut + front };
    }
    return name;
}

/*
 * Whole components only, but for an entry that ends in an underscore. One
 * that ends in a dot does not stand for itself: a path may be made, and none
 * of its methods called.
 */
static bool fits(struct str name, const char *rule)
{
    size_t n = strlen(rule);

    return str_starts(name, rule) &&
           (name.len == n || name.p[n] == '.' || rule[n - 1] == '_' ||
               rule[n - 1] == '.');
}

static enum danger look_up(struct str name)
{
    enum danger danger = DANGER_NONE;
    size_t longest = 0;
    char text[256];

    name = modern(name, text, sizeof(text));
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        size_t n = strlen(rules[i].name);

        if (n > longest && fits(name, rules[i].name)) {
            longest = n;
            danger = rules[i].danger;
        }
    }
    return danger;
}

static enum danger graver(enum danger a, enum danger b)
{
    return a > b ? a : b;
}

/*
 * An honest path of more than one step is Class.Inner or Class.method. One
 * through anything but a class reaches what the module itself has imported,
 * under whatever name: "pathlib" and "os.system" is os.system.
 */
static enum danger walk(struct str path)
{
    enum danger danger = DANGER_NONE;
    const char *dot;

    while (path.len > 0 && (dot = memchr(path.p, '.', path.len)) != NULL) {
        size_t step = (size_t)(dot - path.p) + 1;

        danger = graver(danger, look_up(path));
        if (*path.p < 'A' || *path.p > 'Z')
            danger = graver(danger, DANGER_CALLED);
        if (str_starts(path, "__"))
            danger = DANGER_NAMED;
        path = (struct str){ path.p + step, path.len - step };
    }
    return danger;
}

enum danger danger_of(struct str name, size_t module_len)
{
    size_t front = size_min(module_len + 1, name.len);

    return graver(
        look_up(name), walk((struct str){ name.p + front, name.len - front }));
}
