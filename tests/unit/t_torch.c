/*
 * torch files put together by hand: storages, views, builders, records, and
 * what a hostile file tries with them.
 */
#include "t_torch_parse.h"

/* A mapping of one tensor over storage 0 (4 floats). */
static void one_view(struct buf *b, int64_t offset, const int64_t *size,
    size_t n_size, const int64_t *stride, size_t n_stride)
{
    buf_puts(b, "\x80\x02}");
    pk_text(b, "w");
    pk_tensor_open(b);
    pk_storage(b, "FloatStorage", "0", 4);
    pk_tensor_close(b, offset, size, n_size, stride, n_stride);
    buf_puts(b, "s.");
}

#define INTS(...)                                                              \
    (const int64_t[]){ __VA_ARGS__ },                                          \
        sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)

static void view_refused(const char *name, int64_t offset, const int64_t *size,
    size_t n_size, const int64_t *stride, size_t n_stride, const char *words)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);

    one_view(&b, offset, size, n_size, stride, n_stride);
    refused(name, &b, ERR_REFUSED, words);
}

static void test_views(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    struct parse p;

    one_view(&b, 1, INTS(3, 1), INTS(1, 99));
    zip_of(&p, &b, NULL);
    ok(p.rc == 0 && p.f.n_tensors == 1 && p.f.tensors[0].stride == NULL &&
            p.f.tensors[0].offset == p.f.tensors[0].storage_at + 4 &&
            p.f.tensors[0].storage_len == 16 && p.f.tensors[0].n == 3,
        "a dense slice (strides of single steps say nothing): %s", p.e.msg);
    parse_free(&p);
    buf_clear(&b);
    one_view(&b, 0, INTS(2, 2), INTS(1, 2));
    zip_of(&p, &b, NULL);
    ok(p.rc == 0 && p.f.tensors[0].stride != NULL &&
            p.f.tensors[0].stride[1] == 2,
        "a transposed view keeps its strides");
    parse_free(&p);
    buf_clear(&b);
    one_view(&b, 3, INTS(1 << 10, 1 << 10), INTS(0, 0));
    zip_of(&p, &b, NULL);
    ok(p.rc == 0 && p.f.tensors[0].n == (uint64_t)1 << 20,
        "one element may stand for many");
    parse_free(&p);
    buf_clear(&b);
    one_view(&b, 3, INTS(1 << 20, 1 << 20), INTS(0, 0));
    zip_of(&p, &b, NULL);
    ok(p.rc == -1 && p.e.kind == ERR_REFUSED &&
            strstr(p.e.msg, "beyond reason") != NULL,
        "but not for a terabyte");
    parse_free(&p);
    buf_clear(&b);
    one_view(&b, 1000, INTS(0, 5), INTS(5, 1));
    zip_of(&p, &b, NULL);
    ok(p.rc == 0 && p.f.tensors[0].n == 0, "an empty tensor needs no bytes");
    parse_free(&p);
    view_refused("one element too many", 0, INTS(5), INTS(1), "past the end");
    view_refused("an offset too far", 2, INTS(3), INTS(1), "past the end");
    view_refused("a stride too far", 0, INTS(2), INTS(4), "past the end");
    view_refused("an offset of 2^62", (int64_t)1 << 62, INTS(1), INTS(1),
        "past the end");
    view_refused(
        "a stride that overflows", 0, INTS(3), INTS(INT64_MAX), "past the end");
    view_refused("a negative offset", -1, INTS(1), INTS(1), "offset is");
    view_refused("a negative size", 0, INTS(-1), INTS(1), "size is");
    view_refused("a negative stride", 0, INTS(1), INTS(-1), "stride is");
    view_refused("sizes without strides", 0, INTS(1, 1), INTS(1), "strides");
    view_refused("2^64 elements", 0, INTS((int64_t)1 << 32, (int64_t)1 << 32),
        INTS(0, 0), "too many elements");
}

static void test_rank(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    int64_t ones[65];
    struct parse p;

    for (size_t i = 0; i < ARRAY_LEN(ones); i++)
        ones[i] = 1;
    one_view(&b, 0, ones, 64, ones, 64);
    zip_of(&p, &b, NULL);
    ok(p.rc == 0, "64 dimensions");
    parse_free(&p);
    view_refused("65 dimensions", 0, ones, 65, ones, 65, "65 sizes");
}

static void storage_refused(const char *name, const char *class,
    const char *key, int64_t numel, enum err_kind kind, const char *words)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);

    buf_puts(&b, "\x80\x02]");
    pk_storage(&b, class, key, numel);
    buf_puts(&b, "a.");
    refused(name, &b, kind, words);
}

static void pid_refused(
    const char *name, const char *pickle, size_t len, const char *words)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);

    buf_put(&b, pickle, len);
    refused(name, &b, ERR_REFUSED, words);
}

static void test_storages(void)
{
    storage_refused("a record shorter than its storage", "FloatStorage", "0", 5,
        ERR_REFUSED, "has 16 bytes");
    storage_refused("a record longer than its storage", "HalfStorage", "0", 4,
        ERR_REFUSED, "has 16 bytes");
    storage_refused("a storage without a record", "FloatStorage", "7", 4,
        ERR_REFUSED, "no record 'data/7'");
    storage_refused("a negative size", "FloatStorage", "0", -4, ERR_REFUSED,
        "impossible size");
    storage_refused("a size that overflows", "DoubleStorage", "0", INT64_MAX,
        ERR_REFUSED, "impossible size");
    storage_refused("a class of another kind", "Float99Storage", "0", 4,
        ERR_UNSUPPORTED, "torch.Float99Storage");
    storage_refused("a key that is a path", "FloatStorage", "../0", 4,
        ERR_REFUSED, "not a number");
    storage_refused("a key that is empty", "FloatStorage", "", 4, ERR_REFUSED,
        "not a number");
    storage_refused("a key of 21 digits", "FloatStorage",
        "000000000000000000000", 4, ERR_REFUSED, "not a number");
    pid_refused("an id that is text", P("U\1aQ."), "not a storage");
    pid_refused("an id that is short", P("U\7storage\x85Q."), "not a storage");
    pid_refused("an id of numbers", P("(NNNNNtQ."), "not a storage");
    pid_refused(
        "a storage of no class", P("(U\7storageNNNNtQ."), "class is None");
    pid_refused("a storage whose key is a number",
        P("(U\7storagectorch\nFloatStorage\nK\0U\3cpuK\4tQ."), "malformed");
    pid_refused("a module in a zip file", P("(U\6modulecm\nC\nU\1fU\1stQ."),
        "not a storage");
}

static void test_two_ways(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);

    buf_puts(&b, "\x80\x02](");
    pk_storage(&b, "FloatStorage", "0", 4);
    pk_storage(&b, "IntStorage", "0", 4);
    buf_puts(&b, "e.");
    refused("one storage of two classes", &b, ERR_REFUSED, "two ways");
    buf_clear(&b);
    buf_puts(&b, "\x80\x02](");
    pk_storage(&b, "FloatStorage", "0", 4);
    pk_storage(&b, "FloatStorage", "0", 3);
    buf_puts(&b, "e.");
    refused("one storage of two sizes", &b, ERR_REFUSED, "two ways");
}

/* Storages alone, parameters, subclasses, dtypes without a class. */
static void test_builders(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    struct parse p;

    buf_puts(&b, "\x80\x02}(");
    pk_text(&b, "storage");
    pk_storage(&b, "FloatStorage", "0", 4);
    pk_text(&b, "parameter");
    buf_puts(&b, "ctorch._utils\n_rebuild_parameter\n(");
    pk_floats(&b, "0", 4);
    buf_puts(&b, "\x88)tR");
    pk_text(&b, "subclass");
    buf_puts(&b, "ctorch._tensor\n_rebuild_from_type_v2\n("
                 "ctorch._utils\n_rebuild_tensor\ncm\nC\n(");
    pk_storage(&b, "FloatStorage", "0", 4);
    buf_puts(&b, "K\1K\3\x85K\1\x85t}tR");
    pk_text(&b, "meta");
    buf_puts(&b, "ctorch._utils\n_rebuild_meta_tensor_no_storage\n("
                 "ctorch\nbfloat16\nK\5K\6\x86K\6K\1\x86\x89tR");
    pk_text(&b, "v3");
    buf_puts(&b, "ctorch._utils\n_rebuild_tensor_v3\n(");
    pk_storage(&b, "UntypedStorage", "1", 8);
    buf_puts(&b, "K\1K\3\x85K\1\x85\x89)ctorch\nuint16\ntRu.");
    zip_of(&p, &b, NULL);
    is_int(p.rc, 0, "builders parse");
    is_str(p.e.msg, "", "without an error");
    is_int((long long)p.f.n_tensors, 5, "all five are there");
    if (p.f.n_tensors == 5) {
        const struct tensor *t = p.f.tensors;

        ok(t[0].rank == 1 && t[0].n == 4 && t[0].dtype == DTYPE_F32,
            "a storage is a tensor of one dimension");
        ok(t[1].offset == t[0].offset, "a parameter is its tensor");
        ok(t[2].offset == t[0].offset + 4 && t[2].n == 3,
            "a subclass is the tensor inside");
        ok(t[3].no_data && t[3].n == 30 && t[3].dtype == DTYPE_BF16,
            "a meta tensor has no data");
        ok(t[4].dtype == DTYPE_U16 && t[4].offset == t[4].storage_at + 2,
            "an untyped storage counts elements of the tensor");
    }
    parse_free(&p);
}

/* Conjugated or negated views would be read wrongly: refused. */
static void test_marks(void)
{
    for (int neg = 0; neg < 2; neg++) {
        struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);

        buf_puts(&b, "\x80\x02]ctorch._utils\n_rebuild_tensor_v2\n(");
        pk_storage(&b, "ComplexFloatStorage", "0", 2);
        buf_puts(&b, "I0\nK\2\x85K\1\x85\x89)}");
        pk_text(&b, neg ? "neg" : "conj");
        buf_puts(&b, "\x88stRa.");
        refused(neg ? "negated" : "conjugated", &b, ERR_UNSUPPORTED,
            neg ? "negative" : "conjugate");
    }
}

/* A tensor of a kind not read here: named when it would be converted. */
static void test_aliens(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    struct parse p;

    buf_puts(&b, "\x80\x02}(");
    pk_text(&b, "q");
    buf_puts(&b, "ctorch._utils\n_rebuild_qtensor\n(");
    pk_storage(&b, "QInt8Storage", "0", 16);
    buf_puts(&b, "I0\nK\1\x85K\1\x85tR");
    pk_text(&b, "model");
    buf_putc(&b, '}');
    pk_text(&b, "w");
    pk_floats(&b, "1", 2);
    buf_puts(&b, "su.");
    zip_of(&p, &b, NULL);
    ok(p.rc == 0 && p.f.n_tensors == 1, "a quantised tensor left behind: %s",
        p.e.msg);
    ok(p.f.n_all == 2 && p.f.all[0].alien != NULL && p.f.all[0].no_data &&
            p.f.all[0].rank == 1 && p.f.all[1].alien == NULL,
        "is listed with its shape");
    parse_free(&p);
    zip_of(&p, &b, "");
    ok(p.rc == -1 && p.e.kind == ERR_UNSUPPORTED &&
            strstr(p.e.msg, "'q'") != NULL && p.f.alien && p.f.n_tensors == 2,
        "and named when it is among the weights: %s", p.e.msg);
    parse_free(&p);
}

/* ---- records ---- */

static void record_test(const char *name, const struct record *v, size_t n,
    enum err_kind kind, const char *words)
{
    struct buf pickle AUTO(buf_free) = BUF_INIT(LIMIT);
    struct buf file AUTO(buf_free) = BUF_INIT(LIMIT);
    struct parse p;

    buf_puts(&pickle, "\x80\x02}.");
    make_torch(&file, &pickle, v, n);
    parse(&p, &file, file.len, NULL);
    ok(p.e.kind == kind && strstr(p.e.msg, words) != NULL, "%s", name);
    if (p.e.kind != kind || strstr(p.e.msg, words) == NULL)
        printf("#   got kind %d '%s'\n", p.e.kind, p.e.msg);
    parse_free(&p);
}

static void record_one(
    const char *record, const char *data, enum err_kind kind, const char *words)
{
    struct record v = { record, data, strlen(data) };
    char name[100];

    snprintf(name, sizeof(name), "record %s: '%.*s'", record,
        (int)strcspn(data, "\n"), data);
    record_test(name, &v, 1, kind, words);
}

static void test_records(void)
{
    record_one("version", "3\n", ERR_NONE, "");
    record_one("version", "10", ERR_NONE, "");
    record_one("version", "0\n", ERR_REFUSED, "says 0");
    record_one("version", "11\n", ERR_REFUSED, "says 11");
    record_one("version", "abc", ERR_REFUSED, "no number");
    record_one("version", "99999999999999", ERR_REFUSED, "no number");
    record_one("byteorder", "little", ERR_NONE, "");
    record_one("byteorder", "big", ERR_NONE, "");
    record_one("byteorder", "middle", ERR_REFUSED, "byteorder");
    record_one("constants.pkl", "x", ERR_REFUSED, "half a TorchScript");
    record_one("code/__torch__.py", "x", ERR_REFUSED, "half a TorchScript");
    record_one("bytecode.pkl", "x", ERR_UNSUPPORTED, "mobile");
    record_one("model.json", "x", ERR_UNSUPPORTED, "1.0 to 1.3");
    record_one(".data/extern_modules", "x", ERR_UNSUPPORTED, "torch.package");
    record_one("data/aotinductor/a.so", "x", ERR_UNSUPPORTED, "AOTInductor");
    record_one("models/model.json", "x", ERR_UNSUPPORTED, "torch.export");
    record_one("arr.npy", "x", ERR_UNSUPPORTED, "NumPy");
    record_one("extra/anything", "x", ERR_NONE, "");
    record_one(".data/serialization_id", "0000", ERR_NONE, "");
}

static void test_archives(void)
{
    static const struct entry none[] = {
        { .name = "m/data/0", .data = "x", .len = 1 }
    };
    static const struct entry two[] = {
        { .name = "m/data.pkl", .data = "}.", .len = 2 },
        { .name = "n/data/0", .data = "x", .len = 1 },
    };
    static const struct entry packed[] = {
        { .name = "m/data.pkl", .data = "}.", .len = 2, .method = 8 }
    };
    static const struct entry tail[] = {
        { .name = "m/data.pkl", .data = "}.}", .len = 3 }
    };
    static const struct {
        const char *name;
        const struct entry *v;
        size_t n;
        const char *words;
    } cases[] = {
        { "no data.pkl", none, 1, "without data.pkl" },
        { "two folders", two, 2, "do not share" },
        { "a compressed data.pkl", packed, 1, "compressed" },
        { "bytes behind the pickle", tail, 1, "behind the end" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf file AUTO(buf_free) = BUF_INIT(LIMIT);
        struct parse p;

        make_zip(&file, cases[i].v, cases[i].n, false);
        parse(&p, &file, file.len, NULL);
        ok(p.rc == -1 && p.e.kind == ERR_REFUSED &&
                strstr(p.e.msg, cases[i].words) != NULL,
            "%s: %s", cases[i].name, p.e.msg);
        parse_free(&p);
    }
}

int main(void)
{
    log_set_level(LOG_ERROR);
    test_views();
    test_rank();
    test_storages();
    test_two_ways();
    test_builders();
    test_marks();
    test_aliens();
    test_records();
    test_archives();
    return done();
}
