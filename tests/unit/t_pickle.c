/* The pickle machine: every opcode, every rule that refuses, every limit. */
#include "formats/pickle.h"

#include <time.h>

#include "base/buf.h"
#include "formats/torch_internal.h"
#include "tap.h"

/* A literal with its length: it may hold NUL. */
#define P(text) text, sizeof(text) - 1

struct run {
    struct arena arena;
    struct pickle_names names;
    struct node *root;
    uint64_t used;
    struct err e;
    int rc;
};

static void run(struct run *r, const void *bytes, uint64_t len)
{
    struct pickle_env env;

    *r = (struct run){ .arena = ARENA_INIT((uint64_t)1 << 30) };
    env = (struct pickle_env){ &r->arena, &r->names, NULL, NULL };
    r->rc = pickle_run(bytes, len, &env, &r->root, &r->used, &r->e);
}

static void value(
    const char *name, const char *bytes, size_t len, const char *want)
{
    struct run r;
    struct buf text AUTO(buf_free) = BUF_INIT(1 << 20);

    run(&r, bytes, len);
    if (r.rc == 0)
        torch_json(r.root, &text);
    else
        buf_puts(&text, r.e.msg);
    is_str(text.p, want, name);
    if (r.rc == 0 && r.used != len)
        ok(false, "%s: stopped at byte %llu", name, (unsigned long long)r.used);
    arena_free(&r.arena);
}

static void refused(
    const char *name, const char *bytes, size_t len, const char *why)
{
    struct run r;

    run(&r, bytes, len);
    ok(r.rc == -1 && r.e.kind == ERR_REFUSED && strstr(r.e.msg, why) != NULL,
        "refused: %s", name);
    if (r.rc == 0 || strstr(r.e.msg, why) == NULL)
        printf("#   got '%s'\n#   want '%s'\n", r.e.msg, why);
    arena_free(&r.arena);
}

static void test_scalars(void)
{
    value("None", P("\x80\x02N."), "null");
    value("True", P("\x88."), "true");
    value("False", P("\x89."), "false");
    value("BININT1", P("K\xff."), "255");
    value("BININT2", P("M\x01\x02."), "513");
    value("BININT is signed", P("J\xfe\xff\xff\xff."), "-2");
    value("LONG1 of no bytes is 0", P("\x8a\x00."), "0");
    value("LONG1", P("\x8a\x02\x00\xff."), "-256");
    value("LONG1 of 8 bytes", P("\x8a\x08\0\0\0\0\0\0\0\x80."),
        "-9223372036854775808");
    value("LONG1 with a byte of sign too many",
        P("\x8a\x09\1\0\0\0\0\0\0\0\0."), "1");
    value("LONG1 beyond 64 bits", P("\x8a\x09\0\0\0\0\0\0\0\0\1."),
        "{\"$int\":\"0x10000000000000000\"}");
    value("LONG1 unsigned 64 bits",
        P("\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\0."),
        "{\"$int\":\"0xffffffffffffffff\"}");
    value("LONG1 negative beyond 64 bits", P("\x8a\x09\0\0\0\0\0\0\0\0\xc0."),
        "{\"$int\":\"-0x400000000000000000\"}");
    value("LONG4", P("\x8b\x01\0\0\0\x7f."), "127");
    value("BINFLOAT", P("G\x3f\xf8\0\0\0\0\0\0."), "1.5");
    value("BINFLOAT that is whole", P("G\x40\x00\0\0\0\0\0\0."), "2.0");
    value("BINFLOAT nan", P("G\x7f\xf8\0\0\0\0\0\0."), "{\"$float\":\"nan\"}");
    value(
        "BINFLOAT -inf", P("G\xff\xf0\0\0\0\0\0\0."), "{\"$float\":\"-inf\"}");
    value("0.1 is short", P("G\x3f\xb9\x99\x99\x99\x99\x99\x9a."), "0.1");
}

static void test_text_opcodes(void)
{
    value("INT", P("I-12\n."), "-12");
    value("INT 01 is a bool", P("I01\n."), "true");
    value("INT 00 is a bool", P("I00\n."), "false");
    value("LONG", P("L12345678901L\n."), "12345678901");
    value("LONG beyond 64 bits", P("L18446744073709551616L\n."),
        "{\"$int\":\"0x10000000000000000\"}");
    value("LONG negative beyond 64 bits", P("L-18446744073709551616L\n."),
        "{\"$int\":\"-0x10000000000000000\"}");
    value("LONG smallest", P("L-9223372036854775808L\n."),
        "-9223372036854775808");
    value("the magic number as text", P("L119547037146038801333356L\n."),
        "{\"$int\":\"0x1950a86a20f9469cfc6c\"}");
    value("FLOAT", P("F-1.25e3\n."), "-1250.0");
    value("FLOAT inf", P("Finf\n."), "{\"$float\":\"inf\"}");
    value("STRING", P("S'a\\n\\x41\\101\\\\\\''\n."), "\"a\\nAA\\\\'\"");
    value("STRING keeps an unknown escape", P("S\"\\q\"\n."), "\"\\\\q\"");
    value("UNICODE", P("Vx\\u00e9\\U0001f600\xe9\n."), "\"xé😀é\"");
    value("PUT and GET", P("(I1\np5\ng5\nl."), "[1,1]");
    refused("INT of letters", P("Iabc\n."), "not an integer");
    refused("INT of nothing", P("I\n."), "not an integer");
    refused("FLOAT in hexadecimal", P("F0x10\n."), "not a number");
    refused("FLOAT of nothing", P("F\n."), "not a number");
    refused("FLOAT with a tail", P("F1.0 \n."), "not a number");
    refused("STRING without quotes", P("Sabc\n."), "not quoted");
    refused("STRING of one quote", P("S'\n."), "not quoted");
    refused("STRING with a broken escape", P("S'\\x4'\n."), "escape");
    refused("UNICODE with a broken escape", P("V\\u12\n."), "escape");
    refused("UNICODE beyond Unicode", P("V\\U00110000\n."), "escape");
    refused("PUT of a negative index", P("Np-1\n."), "not a memo index");
    refused("a line without an end", P("I12"), "past the end");
}

static void test_strings(void)
{
    value("BINUNICODE", P("X\x03\0\0\0abc."), "\"abc\"");
    value("SHORT_BINUNICODE", P("\x8c\x02hi."), "\"hi\"");
    value("BINUNICODE8", P("\x8d\x01\0\0\0\0\0\0\0z."), "\"z\"");
    value("SHORT_BINBYTES", P("C\x02\x00\xff."), "{\"$bytes\":\"00ff\"}");
    value("BINBYTES", P("B\x01\0\0\0z."), "{\"$bytes\":\"7a\"}");
    value("BINBYTES8", P("\x8e\x01\0\0\0\0\0\0\0z."), "{\"$bytes\":\"7a\"}");
    value("BYTEARRAY8", P("\x96\x01\0\0\0\0\0\0\0z."), "{\"$bytes\":\"7a\"}");
    value("SHORT_BINSTRING", P("U\x02ok."), "\"ok\"");
    value("BINSTRING", P("T\x02\0\0\0ok."), "\"ok\"");
    value("BINSTRING that is not text", P("T\x02\0\0\0\xff\xfe."),
        "{\"$bytes\":\"fffe\"}");
    value("a lone surrogate may stand", P("X\x03\0\0\0\xed\xa0\x80."),
        "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    refused("text that is not UTF-8", P("X\x01\0\0\0\xff."), "not UTF-8");
    refused("4 GiB of text",
        P("X\xff\xff\xff\xff"
          "abc."),
        "are left");
    refused("2^63 bytes",
        P("\x8e\0\0\0\0\0\0\0\x80"
          "abc."),
        "are left");
    refused("BINSTRING of -1 bytes",
        P("T\xff\xff\xff\xff"
          "abc."),
        "are left");
    refused("BYTEARRAY8 too long", P("\x96\4\0\0\0\0\0\0\0abc"), "are left");
    refused("LONG4 of -1 bytes",
        P("\x8b\xff\xff\xff\xff"
          "abc."),
        "an integer of");
    refused("LONG4 of 2^31-1 bytes",
        P("\x8b\xff\xff\xff\x7f"
          "abc."),
        "an integer of");
    refused("LONG1 past the end",
        P("\x8a\x05"
          "ab."),
        "past the end");
}

static void test_containers(void)
{
    value("EMPTY_TUPLE", P(")."), "[]");
    value("TUPLE1", P("K\1\x85."), "[1]");
    value("TUPLE2", P("K\1K\2\x86."), "[1,2]");
    value("TUPLE3", P("K\1K\2K\3\x87."), "[1,2,3]");
    value("TUPLE", P("(K\1K\2t."), "[1,2]");
    value("LIST", P("(K\1K\2l."), "[1,2]");
    value("APPEND", P("]K\1a."), "[1]");
    value("APPENDS twice", P("](K\1K\2e(K\3e."), "[1,2,3]");
    value("DICT", P("(U\1aK\1d."), "{\"a\":1}");
    value("SETITEM", P("}U\1aK\1s."), "{\"a\":1}");
    value("SETITEMS", P("}(U\1aK\1U\1bK\2u."), "{\"a\":1,\"b\":2}");
    value("keys that are no text", P("}(K\1N\x88NNNu."),
        "{\"1\":null,\"true\":null,\"null\":null}");
    value("sets", P("\x8f(K\1K\2\x90."), "[1,2]");
    value("FROZENSET", P("(K\1\x91."), "[1]");
    value("DUP shares", P("]2K\1a\x86."), "[[1],[1]]");
}

static void test_stack(void)
{
    value("POP",
        P("K\1K\2"
          "0."),
        "1");
    value("POP of a mark", P("K\1(0."), "1");
    value("POP_MARK",
        P("K\1(K\2K\3"
          "1."),
        "1");
    value("MEMOIZE and BINGET",
        P("\x80\x04K\7\x94"
          "0h\0."),
        "7");
    value("LONG_BINPUT and LONG_BINGET",
        P("K\7r\1\0\0\0"
          "0j\1\0\0\0."),
        "7");
    value("an index may be put again",
        P("K\1q\0"
          "0K\2q\0"
          "0h\0."),
        "2");
    value("a list in itself", P("]q\0h\0a."), "[{\"$ref\":0}]");
    value("a mapping in itself", P("}q\0U\1ah\0s."), "{\"a\":{\"$ref\":0}}");
    refused("no bytes", P(""), "without its STOP");
    refused("no STOP", P("K\1"), "without its STOP");
    refused("STOP of nothing", P("."), "stack is empty");
    refused("STOP with items left", P("K\1K\2."), "left on the stack");
    refused("STOP with a mark left", P("(K\1."), "stack");
    refused("STOP below a mark", P("K\1(."), "stack is empty");
    refused("TUPLE without a mark", P("K\1t."), "no mark");
    refused("TUPLE2 across a mark", P("K\1(K\2\x86."), "stack is empty");
    refused("POP of nothing", P("0."), "stack is empty");
    refused("DUP of nothing", P("2."), "stack is empty");
    refused("SETITEM without a value",
        P("}N"
          "s."),
        "stack is empty");
    refused("SETITEMS of three", P("}(NNNu."), "without a value");
    refused("DICT of one", P("(Nd."), "without a value");
    refused("GET of an unset index", P("h\5."), "never set");
    refused("GET beyond the memo", P("j\xff\xff\xff\xff."), "never set");
    refused("a memo bomb", P("Nr\xf0\xff\xff\xff."), "far beyond");
    refused("APPEND to a mapping", P("}Na."), "items for a dict");
    refused("ADDITEMS to a list", P("](N\x90."), "items for a list");
    refused("SETITEM on a list", P("]NNs."), "a key for a list");
    refused("SETITEM on a number", P("K\1NNs."), "a key for an int");
    refused("BUILD on a number", P("K\1}b."), "state in a dict for an int");
}

static void test_rules(void)
{
    value("FRAME is only checked", P("\x80\x04\x95\2\0\0\0\0\0\0\0N."), "null");
    refused("FRAME beyond the file", P("\x95\xff\0\0\0\0\0\0\0N."), "frame");
    refused("protocol 6", P("\x80\x06N."), "protocol 6");
    refused("an unknown opcode", P("\xffN."), "no such opcode");
    refused("unknown opcodes name their place", P("NN\xff"), "byte 2");
    refused("EXT1", P("\x82\1."), "extension");
    refused("EXT2", P("\x83\1\0."), "extension");
    refused("EXT4", P("\x84\1\0\0\0."), "extension");
    refused("NEXT_BUFFER", P("\x97."), "buffer");
    refused("READONLY_BUFFER", P("N\x98."), "buffer");
    refused("PERSID", P("Pabc\n."), "tar format");
    refused("BINPERSID without a dialect", P("NQ."), "persistent id");
    refused("STACK_GLOBAL of numbers", P("K\1K\2\x93."), "a global named by");
    refused("REDUCE with a list for arguments", P("cos\nsystem\n]R."),
        "for arguments");
    refused("REDUCE of a string", P("U\1a)R."), "a call of a string");
    refused("NEWOBJ_EX with a tuple of keywords", P("ca\nb\n))\x92."),
        "keyword arguments");
    refused("OBJ without a class", P("(o."), "no class");
    refused("a nameless global", P("c\n\n."), "proper name");
    refused("NUL in a global's name", P("ca\0b\nc\n."), "proper name");
    refused("a global that is not UTF-8", P("c\xff\nc\n."), "proper name");
}

/* The names met, "called" ones with a star. */
static void names(
    const char *name, const char *bytes, size_t len, const char *want)
{
    struct buf text AUTO(buf_free) = BUF_INIT(1 << 16);
    struct run r;

    run(&r, bytes, len);
    for (uint64_t i = 0; i < r.names.n; i++) {
        const struct pickle_global *g = r.names.v[i];

        if (g->known == NULL)
            buf_printf(&text, "%s%.*s.%.*s%s@%llu", text.len ? " " : "",
                STR_ARG(g->module), STR_ARG(g->name), g->called ? "*" : "",
                (unsigned long long)g->offset);
    }
    is_str(text.p, want, name);
    arena_free(&r.arena);
}

static void test_calls(void)
{
    names("REDUCE", P("cos\nsystem\nU\2ls\x85R."), "os.system*@0");
    names("a name that is not called", P("(cos\nsystem\nl."), "os.system@1");
    names("INST", P("(U\2lsios\nsystem\n."), "os.system*@5");
    names("OBJ", P("(cos\nsystem\nU\2lso."), "os.system*@1");
    names("NEWOBJ", P("cos\nsystem\n)\x81."), "os.system*@0");
    names("NEWOBJ_EX", P("cos\nsystem\n)}\x92."), "os.system*@0");
    names("a call whose result is dropped", P("cos\nsystem\n)R0N."),
        "os.system*@0");
    names("STACK_GLOBAL through the memo",
        P("U\2osq\0"
          "0U\6systemq\1"
          "0h\0h\1\x93)R."),
        "os.system*@22");
    names("STACK_GLOBAL from text opcodes", P("S'os'\nV\\u0073ystem\n\x93)R."),
        "os.system*@19");
    names("a payload before a broken tail", P("cos\nsystem\n)Rh\x99."),
        "os.system*@0");
    names("a call with bad arguments", P("cos\nsystem\nNR."), "os.system*@0");
    names("dotted attributes", P("U\1aU\5b.c.d\x93)R."), "a.b.c.d*@10");
    names("a class made by copyreg",
        P("ccopy_reg\n_reconstructor\n(cm\nC\nc__builtin__\nobject\nNtR."),
        "m.C*@26");
    names("state for a class", P("ccollections\nOrderedDict\n}b."),
        "collections.OrderedDict*@0");
    names("Python 2 names", P("c__builtin__\neval\n)R."), "builtins.eval*@0");
    names("a look-alike of a known name",
        P("ccollections\nevil OrderedDict\n)R."),
        "collections.evil OrderedDict*@0");
    names("the same name twice is one row",
        P("(cos\nsystem\ncos\nsystem\n)Rl."), "os.system*@1");
    names("plain data names nothing", P("ccollections\nOrderedDict\n)R."), "");
}

static void test_known(void)
{
    value("OrderedDict", P("ccollections\nOrderedDict\n)RU\1aK\1s."),
        "{\"a\":1}");
    value("OrderedDict with attributes",
        P("ccollections\nOrderedDict\n)RU\1aK\1s}U\1mNsb."), "{\"a\":1}");
    value("OrderedDict of pairs",
        P("ccollections\nOrderedDict\n](](U\1aK\1ee\x85R."), "{\"a\":1}");
    value("defaultdict",
        P("ccollections\ndefaultdict\nc__builtin__\nlist\n\x85RU\1aNs."),
        "{\"a\":null}");
    value("Counter", P("ccollections\nCounter\n}U\1aK\2s\x85R."), "{\"a\":2}");
    value("deque", P("ccollections\ndeque\n](K\1K\2eK\5\x86R."), "[1,2]");
    value("set", P("c__builtin__\nset\n](K\1K\2e\x85R."), "[1,2]");
    value("an append to a shared list leaves its twin alone",
        P("(](K\1eq\0c__builtin__\nlist\nh\0\x85RK\2ah\0t."),
        "[[1],[1,2],[1]]");
    value("bytes of protocol 2",
        P("c_codecs\nencode\nX\3\0\0\0a\xc3\xbfU\6latin1\x86R."),
        "{\"$bytes\":\"61ff\"}");
    value("empty bytes", P("c__builtin__\nbytes\n)R."), "{\"$bytes\":\"\"}");
    value("bytearray",
        P("c__builtin__\nbytearray\nX\2\0\0\0\xc3\xbfU\7latin-1\x86R."),
        "{\"$bytes\":\"ff\"}");
    value("complex", P("c__builtin__\ncomplex\nK\1K\2\x86R."),
        "{\"$class\":\"builtins.complex\",\"$args\":[1,2]}");
    refused("OrderedDict of triples",
        P("ccollections\nOrderedDict\n](](NNNee\x85R."), "not a pair");
}

static void test_projection(void)
{
    value("an object's attributes", P("cm\nC\n)\x81}(U\1aK\1U\1bK\2ub."),
        "{\"$class\":\"m.C\",\"a\":1,\"b\":2}");
    value("a namespace", P("cargparse\nNamespace\n)\x81}U\1aK\1sb."),
        "{\"a\":1}");
    value("an object of protocol 0",
        P("ccopy_reg\n_reconstructor\n(cargparse\nNamespace\n"
          "c__builtin__\nobject\nNtR(S'a'\nI1\ndb."),
        "{\"a\":1}");
    value("a numpy number",
        P("cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\nU\2f4\x89\x88\x87R"
          "(K\3U\1<NNNtbU\4\0\0\x20\x40tR."),
        "2.5");
    value("a numpy number as bytes",
        P("cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\nU\2f4\x89\x88\x87R"
          "(K\3U\1<NNNtbC\4\0\0\x20\x40tR."),
        "2.5");
    value("a big-endian numpy number",
        P("cnumpy._core.multiarray\nscalar\n(cnumpy\ndtype\nU\2i2\x85R"
          "(K\3U\1>tbC\2\xff\xfetR."),
        "-2");
    value("slots",
        P("cm\nC\n)\x81}U\1aK\1s}U\1bK\2s\x86"
          "b."),
        "{\"$class\":\"m.C\",\"a\":1,\"b\":2}");
    value("a state of another kind", P("cm\nC\n)\x81K\1b."),
        "{\"$class\":\"m.C\",\"$state\":1}");
    value("an enum", P("cm\nE\nU\1x\x85R."),
        "{\"$class\":\"m.E\",\"$value\":\"x\"}");
    value("items and pairs", P("cm\nC\n)R(K\1K\2eU\1aK\1s."),
        "{\"$class\":\"m.C\",\"a\":1,\"$items\":[1,2]}");
    value("a path", P("cpathlib\nPosixPath\n(U\1/U\1aU\1btR."), "\"/a/b\"");
    value("getattr", P("c__builtin__\ngetattr\ncm\nE\nU\1X\x86R."), "\"X\"");
    value("keys that become the same come once", P("}(K\1NU\1\x31Nu."),
        "{\"1\":null}");
    value("a class as a value", P("ctorch\nfloat16\n."), "\"torch.float16\"");
}

/* Nested lists that double at each level: the parse stays linear. */
static void test_laughs(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);
    struct buf text AUTO(buf_free) = BUF_INIT(1 << 20);
    struct run r;

    buf_puts(&b, "K\1");
    for (int i = 0; i < 60; i++)
        buf_puts(&b, "2\x86");
    buf_putc(&b, '.');
    run(&r, b.p, b.len);
    is_int(r.rc, 0, "2^60 leaves parse");
    torch_json(r.root, &text);
    is_int(text.bad, ERR_REFUSED, "and stop the writer at its limit");
    arena_free(&r.arena);
}

static void test_depth(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(4 << 20);
    struct buf text AUTO(buf_free) = BUF_INIT(1 << 20);
    struct run r;

    buf_putc(&b, ')');
    for (int i = 0; i < 1000000; i++)
        buf_putc(&b, '\x85');
    buf_putc(&b, '.');
    run(&r, b.p, b.len);
    is_int(r.rc, 0, "a million nested tuples parse");
    torch_json(r.root, &text);
    ok(text.bad == ERR_NONE && strstr(text.p, "$deep") != NULL,
        "and are cut when written");
    arena_free(&r.arena);
}

static void test_floats(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(16 << 20);
    struct run r;
    clock_t t = clock();

    buf_puts(&b, "\x80\x02]");
    for (int i = 0; i < 800; i++) {
        buf_putc(&b, '(');
        for (int k = 0; k < 1000; k++)
            buf_put(&b, "G\x3f\xf8\0\0\0\0\0\0", 9);
        buf_putc(&b, 'e');
    }
    buf_putc(&b, '.');
    run(&r, b.p, b.len);
    ok(r.rc == 0 && r.root->list.n == 800000, "a list of 800000 floats");
    printf("# %.3f s\n", (double)(clock() - t) / CLOCKS_PER_SEC);
    arena_free(&r.arena);
}

static void test_memory(void)
{
    struct pickle_names names = { .n = 0 };
    struct arena arena AUTO(arena_free) = ARENA_INIT(4096);
    struct pickle_env env = { &arena, &names, NULL, NULL };
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct node *root;
    uint64_t used;

    for (int i = 0; i < 10000; i++)
        buf_puts(&b, "]");
    ok(pickle_run(b.p, b.len, &env, &root, &used, &e) == -1 &&
            e.kind == ERR_REFUSED,
        "the arena's limit ends it: %s", e.msg);
}

/* Every prefix and every changed byte: an answer, never a crash. */
static void test_cuts(void)
{
    static const char all[] =
        "\x80\x02}(U\1a](K\1M\1\2J\1\2\3\4\x8a\1\1\x88\x89NG\0\0\0\0\0\0\0\0"
        "X\1\0\0\0b"
        "C\1c"
        ")K\1\x85\x8f(K\2\x90"
        "cos\nsystem\n)R}b"
        "q\0r\1\0\0\0h\0j\1\0\0\0I1\nL1L\nF1\nS'x'\nVy\n(ios\nsystem\n"
        "(cos\nsystem\noeu.";
    char copy[sizeof(all)];
    int parsed = 0;
    struct run whole;

    run(&whole, all, sizeof(all) - 1);
    is_str(whole.e.msg, "", "the whole is a pickle");
    arena_free(&whole.arena);

    for (size_t n = 0; n + 1 < sizeof(all); n++) {
        struct run r;

        run(&r, all, n);
        parsed += r.rc == 0;
        arena_free(&r.arena);
    }
    is_int(parsed, 0, "no prefix is a pickle");
    for (size_t i = 0; i + 1 < sizeof(all); i++) {
        for (int v = 0; v < 256; v++) {
            struct run r;

            memcpy(copy, all, sizeof(all));
            copy[i] = (char)v;
            run(&r, copy, sizeof(all) - 1);
            arena_free(&r.arena);
        }
    }
    ok(true, "any byte may have any value");
}

int main(void)
{
    test_scalars();
    test_text_opcodes();
    test_strings();
    test_containers();
    test_stack();
    test_rules();
    test_calls();
    test_known();
    test_projection();
    test_laughs();
    test_depth();
    test_floats();
    test_memory();
    test_cuts();
    return done();
}
