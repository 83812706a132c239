#include "formats/manifest.h"

#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const uint64_t shape[] = { 2, 3 };

static struct manifest sample(void)
{
    static struct manifest_file files[2], sources[1];
    static struct manifest_alias alias;
    static struct manifest_rename renamed;
    static struct manifest_tensor tensor;
    struct digest d = { HASH_SHA256, SHA };

    files[0] = (struct manifest_file){ str_of("model.safetensors"), 123, d };
    files[1] = (struct manifest_file){ str_of("config.json"), 0, d };
    sources[0] = (struct manifest_file){ str_of("a \"b\".bin"), 7, d };
    alias = (struct manifest_alias){ str_of("head"), str_of("embed") };
    renamed =
        (struct manifest_rename){ str_of("embed"), str_of("module.embed") };
    tensor = (struct manifest_tensor){ .name = str_of("embed"),
        .dtype = DTYPE_F16,
        .rank = 2,
        .shape = shape,
        .sha256 = d };
    return (struct manifest){ .tool = str_of("mlconvert 0"),
        .repository = str_of("org/name"),
        .commit = str_of("0123456789012345678901234567890123456789"),
        .dtype = str_of("fp16"),
        .on_overflow = str_of("clamp"),
        .rename = str_of("strip-prefix"),
        .shard_size = 5000000000,
        .sources = sources,
        .n_sources = 1,
        .files = files,
        .n_files = 2,
        .aliases = &alias,
        .n_aliases = 1,
        .renames = &renamed,
        .n_renames = 1,
        .tensors = &tensor,
        .n_tensors = 1 };
}

static void round_trip(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct buf one AUTO(buf_free) = BUF_INIT(1 << 20);
    struct buf two AUTO(buf_free) = BUF_INIT(1 << 20);
    struct manifest m = sample(), got;
    struct err e = ERR_INIT;

    ok(manifest_write(&one, &m, &e) == 0, "written");
    write_file(at("m.json"), one.p, one.len);
    if (!ok(manifest_read(&got, at("m.json"), &arena, &e) == 0, "read"))
        printf("#   %s\n", e.msg);
    ok(str_is(got.sources[0].name, "a \"b\".bin") &&
            str_is(got.repository, "org/name") &&
            str_is(got.on_overflow, "clamp") && got.select.len == 0 &&
            got.shard_size == 5000000000,
        "texts come back");
    ok(got.n_files == 2 && got.files[0].size == 123 &&
            strcmp(got.files[1].sha256.hex, SHA) == 0,
        "files come back");
    ok(got.n_tensors == 1 && got.tensors[0].dtype == DTYPE_F16 &&
            got.tensors[0].rank == 2 && got.tensors[0].shape[1] == 3,
        "tensors come back");
    ok(got.n_renames == 1 && str_is(got.renames[0].was, "module.embed") &&
            str_is(got.rename, "strip-prefix"),
        "renames come back");
    ok(got.n_aliases == 1 && str_is(got.aliases[0].of, "embed"),
        "aliases come back");
    manifest_write(&two, &got, &e);
    ok(str_eq(buf_str(&one), buf_str(&two)), "and are written the same again");
}

static void undigested(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct buf one AUTO(buf_free) = BUF_INIT(1 << 20);
    struct buf two AUTO(buf_free) = BUF_INIT(1 << 20);
    struct manifest m = sample(), got;
    struct err e = ERR_INIT;

    m.sources[0].sha256.hex[0] = '\0';
    manifest_write(&one, &m, &e);
    ok(memmem(one.p, one.len, "bin\": {\"size\": 7}", 17) != NULL,
        "a source without a digest");
    write_file(at("m.json"), one.p, one.len);
    ok(manifest_read(&got, at("m.json"), &arena, &e) == 0 &&
            got.sources[0].sha256.hex[0] == '\0' && got.sources[0].size == 7,
        "can be read");
    manifest_write(&two, &got, &e);
    ok(str_eq(buf_str(&one), buf_str(&two)), "and written the same again");
    buf_free(&one);
    one = (struct buf)BUF_INIT(1 << 20);
    m.sources[0].sha256 = m.files[1].sha256;
    m.files[1].sha256.hex[0] = '\0';
    manifest_write(&one, &m, &e);
    write_file(at("m.json"), one.p, one.len);
    ok(manifest_read(&got, at("m.json"), &arena, &e) == -1 &&
            e.kind == ERR_REFUSED,
        "a file in the folder must have one");
}

static void bare(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct manifest m = { .tool = str_of("x"), .dtype = str_of("keep") }, got;
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;

    static const char want[] =
        "{\n \"ml-manifest\": 1,\n \"tool\": \"x\",\n \"source\": "
        "{\"files\": {}},\n \"recipe\": {\"dtype\": \"keep\"},\n "
        "\"aliases\": {},\n \"files\": {},\n \"tensors\": {}";
    struct digest seal;

    manifest_write(&b, &m, &e);
    ok(str_starts(buf_str(&b), want), "the least a manifest says");
    hash_bytes(HASH_SHA256, want, sizeof(want) - 1, &seal, &e);
    ok(strncmp(b.p + sizeof(want) - 1, ",\n \"seal\": \"", 12) == 0 &&
            strncmp(b.p + sizeof(want) + 11, seal.hex, 64) == 0,
        "sealed by the digest of all before");
    write_file(at("bare.json"), b.p, b.len);
    ok(manifest_read(&got, at("bare.json"), &arena, &e) == 0 &&
            got.repository.len == 0,
        "it can be read");
}

static void refusals(void)
{
    static const struct {
        const char *why, *text, *with;
    } t[] = {
        { "a version of the future", "\"ml-manifest\": 1",
            "\"ml-manifest\": 2" },
        { "no version", "\"ml-manifest\"", "\"ml-manifesto\"" },
        { "no tool", "\"tool\"", "\"toll\"" },
        { "no tensors", "\"tensors\"", "\"tensor\"" },
        { "a digest cut short", "cdef\", \"size\": 123", "\", \"size\": 123" },
        { "a size that is no number", "\"size\": 123", "\"size\": \"123\"" },
        { "a size below zero", "\"size\": 123", "\"size\": -1" },
        { "an unknown dtype", "\"F16\"", "\"F17\"" },
        { "a file out of the folder", "model.safetensors", "../x" },
        { "a shape that is none", "[2, 3]", "[2, \"3\"]" },
        { "an alias of nothing", "\"embed\"},", "null}," },
    };
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);
    struct manifest m = sample();
    struct err e = ERR_INIT;

    manifest_write(&b, &m, &e);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct buf bad AUTO(buf_free) = BUF_INIT(1 << 20);
        const char *at_text = strstr(b.p, t[i].text);

        if (!ok(at_text != NULL, "%s", t[i].why))
            continue;
        buf_put(&bad, b.p, (size_t)(at_text - b.p));
        buf_puts(&bad, t[i].with);
        buf_puts(&bad, at_text + strlen(t[i].text));
        write_file(at("bad.json"), bad.p, bad.len);
        e = (struct err)ERR_INIT;
        ok(manifest_read(&m, at("bad.json"), &arena, &e) == -1 &&
                e.kind == ERR_REFUSED && strstr(e.msg, "bad.json"),
            "refused, naming the file");
        m = sample();
    }
    e = (struct err)ERR_INIT;
    ok(manifest_read(&m, at("none.json"), &arena, &e) == -1 &&
            e.kind == ERR_MISSING,
        "a manifest that is not there is missing");
}

/* Cut at every byte: never read, never a crash. */
static void truncated(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);
    struct manifest m = sample();
    struct err e = ERR_INIT;
    bool all = true;

    manifest_write(&b, &m, &e);
    for (size_t n = 0; n + 2 < b.len; n += 1) {
        struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
        write_file(at("cut.json"), b.p, n);
        e = (struct err)ERR_INIT;
        all = all && manifest_read(&m, at("cut.json"), &arena, &e) == -1;
    }
    ok(all, "cut at every byte: refused");
}

int main(void)
{
    scratch_open();
    round_trip();
    undigested();
    bare();
    refusals();
    truncated();
    scratch_close();
    return done();
}
