#include "formats/checkpoint.h"

#include "tests/unit/scratch.h"
#include "tests/unit/stfile.h"
#include "tests/unit/tap.h"

#define U8X4(name)                                                             \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}"

static void put_st(const char *path, const char *header, size_t data)
{
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);

    st_bytes(&b, header, data);
    write_file(path, b.p, b.len);
}

static enum err_kind open_kind(const char *path, struct err *e)
{
    struct checkpoint c AUTO(checkpoint_close) = CHECKPOINT_INIT;

    *e = (struct err)ERR_INIT;
    checkpoint_open(&c, path, NULL, e);
    return e->kind;
}

static void single(void)
{
    struct checkpoint c AUTO(checkpoint_close) = CHECKPOINT_INIT;
    struct err e = ERR_INIT;
    const struct tensor *t;
    uint8_t got[4] = { 0 };

    put_st(at("one/any.name"), "{" U8X4("b") "}", 4);
    ok(checkpoint_open(&c, at("one/any.name"), NULL, &e) == 0,
        "a file by its bytes, whatever its name");
    ok(c.n_files == 1 && c.n_tensors == 1 && c.n_all == 1 && !c.index[0],
        "one file, one tensor");
    is_str(c.files[0].name, "any.name", "its name");
    is_str(c.folder, at("one"), "its folder");
    is_str(c.files[0].container, "safetensors", "its container");
    t = checkpoint_find(&c, "b");
    ok(t != NULL && checkpoint_find(&c, "a") == NULL, "found by name");
    ok(checkpoint_data(&c, t) == c.files[0].map.p + t->offset, "mapped");
    ok(checkpoint_read(&c, t, 1, 3, got, &e) == 0 && got[0] == 8 &&
            got[2] == 22,
        "read from an element on");
    ok(checkpoint_read(&c, t, 2, 3, got, &e) == -1 && e.kind == ERR_BUG,
        "not past the end");
    checkpoint_close(&c);
    checkpoint_close(&c);
    e = (struct err)ERR_INIT;
    ok(checkpoint_open(&c, at("one"), NULL, &e) == 0,
        "the only checkpoint of a folder");
}

static void put_index(const char *folder, const char *map)
{
    char text[512];

    snprintf(text, sizeof(text), "{\"weight_map\":{%s}}", map);
    write_text(at("%s/model.safetensors.index.json", folder), text);
}

static void shards(void)
{
    struct checkpoint c AUTO(checkpoint_close) = CHECKPOINT_INIT;
    struct err e = ERR_INIT;

    put_st(at("s/2.safetensors"), "{" U8X4("a") "}", 4);
    put_st(at("s/1.safetensors"), "{" U8X4("z") "}", 4);
    put_st(at("s/pytorch_model.bin"), "{" U8X4("other") "}", 4);
    put_index("s", "\"z\":\"1.safetensors\",\"a\":\"2.safetensors\"");
    ok(checkpoint_open(&c, at("s"), NULL, &e) == 0, "a folder with an index");
    ok(c.n_files == 2 && strcmp(c.files[0].name, "1.safetensors") == 0,
        "shards by name");
    ok(c.n_tensors == 2 && str_is(c.tensors[0].name, "a") &&
            c.tensors[0].file == 1 && c.tensors[1].file == 0,
        "tensors by name, each from its shard");
    checkpoint_close(&c);
    ok(checkpoint_open(&c, at("s/model.safetensors.index.json"), NULL, &e) == 0,
        "the index by its name");
    is_str(c.index, at("s/model.safetensors.index.json"), "is remembered");
}

static void bad_folders(void)
{
    struct err e;

    put_st(at("x/1.safetensors"), "{" U8X4("a") "}", 4);
    put_index("x", "\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"");
    ok(open_kind(at("x"), &e) == ERR_MISSING &&
            strstr(e.msg, "2.safetensors") && e.hint[0],
        "a shard that is not there is named");
    put_st(at("x/2.safetensors"), "{" U8X4("c") "}", 4);
    ok(open_kind(at("x"), &e) == ERR_CORRUPT && strstr(e.msg, "'b'"),
        "a tensor that is in no shard is named");
    put_st(at("x/2.safetensors"), "{" U8X4("a") "}", 4);
    put_index("x", "\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"");
    ok(open_kind(at("x"), &e) == ERR_REFUSED && strstr(e.msg, "twice"),
        "one tensor in two shards");
    put_st(at("x/2.safetensors"), "{" U8X4("b") "}", 3);
    ok(open_kind(at("x"), &e) == ERR_CORRUPT &&
            strstr(e.msg, "2.safetensors") && strstr(e.msg, "'b'"),
        "a shard cut short, with file and tensor");
    write_text(at("x/2.safetensors"),
        "version https://git-lfs.github.com/spec/v1\noid sha256:0123456789"
        "abcdef0123456789abcdef0123456789abcdef0123456789abcdef\nsize 9\n");
    ok(open_kind(at("x"), &e) == ERR_REFUSED && strstr(e.msg, "2.safetensors"),
        "a shard that is a Git LFS pointer");
    put_index("x", "\"a\":\"../one/any.name\"");
    ok(open_kind(at("x"), &e) == ERR_REFUSED, "a shard outside the folder");
    write_text(at("empty/readme"), "nothing here");
    ok(open_kind(at("empty"), &e) == ERR_MISSING && e.hint[0],
        "a folder without weights");
    put_st(at("two/1.bin"), "{" U8X4("a") "}", 4);
    put_st(at("two/2.bin"), "{" U8X4("b") "}", 4);
    ok(open_kind(at("two"), &e) == ERR_REFUSED && strstr(e.msg, "more than"),
        "a folder with two candidates");
    write_text(at("lfs/readme"), "nothing here");
    write_text(at("lfs/weights.pth"),
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
    ok(open_kind(at("lfs"), &e) == ERR_MISSING &&
            strstr(e.msg, "weights.pth: this is a Git LFS pointer") != NULL &&
            strstr(e.hint, "git lfs pull") != NULL,
        "a folder whose weights were never fetched: %s", e.msg);
    ok(open_kind(at("nowhere"), &e) == ERR_MISSING, "a path to nothing");
    write_text(at("e/model.safetensors"), "");
    ok(open_kind(at("e"), &e) != ERR_NONE, "an empty file");
}

enum { WORDS = 20000 };

/* A checkpoint whose one file counts up in 16-bit words. */
static void open_raw(struct checkpoint *c, struct ckpt_file *f)
{
    static uint16_t words[WORDS];
    struct err e = ERR_INIT;

    for (unsigned i = 0; i < WORDS; i++)
        words[i] = (uint16_t)i;
    write_file(at("raw"), words, sizeof(words));
    *c = (struct checkpoint){ .files = f, .n_files = 1 };
    snprintf(f->path, sizeof(f->path), "%s", at("raw"));
    ok(map_open(&f->map, f->path, &e) == 0, "raw words");
}

static uint16_t want(const struct tensor *t, uint64_t i)
{
    uint64_t at_word = t->offset / 2;

    for (uint32_t d = t->rank; d-- > 0;) {
        at_word += i % t->shape[d] * t->stride[d];
        i /= t->shape[d];
    }
    return (uint16_t)at_word;
}

static bool reads(const struct checkpoint *c, const struct tensor *t,
    uint64_t first, uint64_t n)
{
    uint16_t *got = malloc(n * 2 + 2);
    struct err e = ERR_INIT;
    bool same = checkpoint_read(c, t, first, n, got, &e) == 0;

    for (uint64_t i = 0; i < n && same; i++)
        same = got[i] == want(t, first + i);
    free(got);
    return same;
}

static uint64_t pick(uint64_t *seed, uint64_t below)
{
    *seed = *seed * 6364136223846793005U + 1442695040888963407U;
    return (*seed >> 33) % below;
}

/* Any strides, any range: equal to the definition. */
static void strided(const struct checkpoint *c)
{
    uint64_t seed = 7;
    bool all = true;

    for (int turn = 0; turn < 4000 && all; turn++) {
        uint64_t shape[5], stride[5], last = 0, n = 1;
        struct tensor t = { .name = str_of("t"),
            .dtype = DTYPE_I16,
            .rank = (uint32_t)pick(&seed, 6),
            .shape = shape,
            .stride = stride,
            .storage_len = 2 * WORDS };
        for (uint32_t d = 0; d < t.rank; d++) {
            shape[d] = 1 + pick(&seed, 7);
            stride[d] = pick(&seed, 4) == 0 ? 0 : pick(&seed, 400);
            last += (shape[d] - 1) * stride[d];
            n *= shape[d];
        }
        t.n = n;
        t.offset = 2 * pick(&seed, WORDS - last);
        uint64_t first = pick(&seed, n);
        all = reads(c, &t, 0, n) &&
              reads(c, &t, first, 1 + pick(&seed, n - first));
    }
    ok(all, "4000 random views, whole and in part");
}

static void transpose(const struct checkpoint *c)
{
    uint64_t shape[] = { 150, 130 }, stride[] = { 1, 150 };
    struct tensor t = { .name = str_of("t"),
        .dtype = DTYPE_BF16,
        .rank = 2,
        .shape = shape,
        .stride = stride,
        .n = 150 * 130,
        .storage_len = 2 * WORDS };
    bool all = true;

    ok(reads(c, &t, 0, t.n), "a transpose");
    for (uint64_t i = 0; i + 1000 < t.n; i += 997)
        all = all && reads(c, &t, i, 1000);
    ok(all, "a transpose from anywhere");
}

static void swapped(const struct checkpoint *c)
{
    uint64_t shape[] = { 2 };
    struct tensor t = { .name = str_of("t"),
        .dtype = DTYPE_C64,
        .rank = 1,
        .shape = shape,
        .n = 2,
        .storage_len = 16,
        .big_endian = true };
    uint8_t got[16];
    struct err e = ERR_INIT;

    ok(checkpoint_read(c, &t, 0, 2, got, &e) == 0 &&
            memcmp(got, "\0\1\0\0\0\3\0\2\0\5\0\4\0\7\0\6", 16) == 0,
        "big-endian complex numbers are swapped by component");
    t.dtype = DTYPE_U64;
    ok(checkpoint_read(c, &t, 0, 2, got, &e) == 0 &&
            memcmp(got, "\0\3\0\2\0\1\0\0\0\7\0\6\0\5\0\4", 16) == 0,
        "big-endian words are swapped whole");
    ok(checkpoint_data(c, &t) == NULL, "and are not given out as they lie");
    t.big_endian = false;
    t.offset = 4;
    ok(checkpoint_data(c, &t) == NULL, "nor are misaligned ones");
    t.no_data = true;
    ok(checkpoint_data(c, &t) == NULL &&
            checkpoint_read(c, &t, 0, 2, got, &e) == -1 &&
            e.kind == ERR_UNSUPPORTED && strstr(e.msg, "'t'"),
        "a tensor without data says so");
    e = (struct err)ERR_INIT;
    t = (struct tensor){ .name = str_of("t"),
        .dtype = DTYPE_U8,
        .rank = 1,
        .shape = shape,
        .n = 4,
        .offset = 2 * WORDS - 2 };
    ok(checkpoint_read(c, &t, 0, 4, got, &e) == -1 && e.kind == ERR_CORRUPT,
        "a file shorter than its table is corrupt");
}

int main(void)
{
    struct checkpoint c;
    static struct ckpt_file f;

    scratch_open();
    single();
    shards();
    bad_folders();
    open_raw(&c, &f);
    strided(&c);
    transpose(&c);
    swapped(&c);
    map_close(&f.map);
    scratch_close();
    return done();
}
