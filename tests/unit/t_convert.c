#include "convert/convert.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <time.h>

#include "base/cancel.h"
#include "base/file.h"
#include "convert/company.h"
#include "convert/folder.h"
#include "convert/layout.h"
#include "convert/sources.h"
#include "convert/tensorlist.h"
#include "formats/alias.h"
#include "formats/cast.h"
#include "formats/uniform.h"
#include "tests/unit/scratch.h"
#include "tests/unit/stfile.h"
#include "tests/unit/tap.h"

static void put_st(
    const char *path, const char *header, const void *data, size_t len)
{
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 28);

    st_bytes(&b, header, 0);
    buf_put(&b, data, len);
    write_file(path, b.p, b.len);
}

static void exists(bool want, const char *path, const char *name)
{
    ok((access(path, F_OK) == 0) == want, "%s", name);
}

/* ---- config.json ---- */

static void config_edit(void)
{
    static const struct {
        const char *in, *out;
    } t[] = {
        { "{\"torch_dtype\": \"float32\", \"a\": 1e-5}",
            "{\"torch_dtype\": \"float16\", \"a\": 1e-5}" },
        { "{\n  \"a\": {\"torch_dtype\": \"x\"},\n  \"dtype\" : null\n}\n",
            "{\n  \"a\": {\"torch_dtype\": \"x\"},\n  \"dtype\" : "
            "\"float16\"\n}\n" },
        { "{\"a\": [\"}\", \"\\\"\", {}], \"torch_dtype\":[1,{\"b\":2}] }",
            "{\"a\": [\"}\", \"\\\"\", {}], \"torch_dtype\":\"float16\" }" },
        { "{\"a\": 10000.0}",
            "{\n  \"torch_dtype\": \"float16\",\"a\": 10000.0}" },
        { "{}", "{\n  \"torch_dtype\": \"float16\"\n}" },
        { "{\"torch_dtype\": \"a\", \"x\": [1], \"dtype\": null}",
            "{\"torch_dtype\": \"float16\", \"x\": [1], "
            "\"dtype\": \"float16\"}" },
        { "{\"dtype\":\"a\",\"torch_dtype\":\"b\"}",
            "{\"dtype\":\"float16\",\"torch_dtype\":\"float16\"}" },
    };
    struct recipe r = { .dtype = DTYPE_F16 };
    struct err e = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);
        company_config(&b, str_of(t[i].in), &r, &e);
        is_str(b.p, t[i].out, "config: only the dtype changes");
    }
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);
    ok(company_config(&b, str_of("[1]"), &r, &e) == -1, "a list is no config");
    e = (struct err)ERR_INIT;
    ok(company_config(&b, str_of("{\"a\":"), &r, &e) == -1, "nor half a one");
}

#define FORM "{\"format\": \"ml-safetensors int8\"}"
#define MEMBER "\n  \"quantization_config\": " FORM ","

static void config_int8(void)
{
    static const struct {
        const char *in, *out;
    } t[] = {
        { "{}", "{" MEMBER "\n  \"torch_dtype\": \"bfloat16\"\n}" },
        { "{\"a\": 1}",
            "{" MEMBER "\n  \"torch_dtype\": \"bfloat16\",\"a\": 1}" },
        { " {\"dtype\":\"a\"}", " {" MEMBER "\"dtype\":\"bfloat16\"}" },
        { "{\"quantization_config\": null}",
            "{\n  \"torch_dtype\": \"bfloat16\",\"quantization_config\": " FORM
            "}" },
        { "{\"torch_dtype\":\"a\", \"quantization_config\" : null , \"b\":[]}",
            "{\"torch_dtype\":\"bfloat16\", \"quantization_config\" : " FORM
            " , \"b\":[]}" },
        { "{\"quantization_config\":null,\"dtype\":1,\"torch_dtype\":2}",
            "{\"quantization_config\":" FORM
            ",\"dtype\":\"bfloat16\",\"torch_dtype\":\"bfloat16\"}" },
    };
    struct recipe r = { .dtype = DTYPE_BF16, .int8 = true };
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct buf b2 AUTO(buf_free) = BUF_INIT(1 << 20);

        company_config(&b2, str_of(t[i].in), &r, &e);
        is_str(b2.p, t[i].out, "config: it says int8 once");
    }
    ok(company_config(
           &b, str_of("{\"quantization\\u005fconfig\": null}"), &r, &e) == -1,
        "config: a name with escapes is not found in the text");
    ok(strstr(e.msg, "escapes") != NULL, "the message says so");
}

/* ---- folders ---- */

static enum err_kind check_kind(const char *out, const char *source, bool force)
{
    struct err e = ERR_INIT;

    folder_check(out, source, force, &e);
    return e.kind;
}

static void folders(void)
{
    struct folder f AUTO(folder_abandon) = FOLDER_INIT;
    struct err e = ERR_INIT;
    char tmp[PATH_MAX];

    write_text(at("src/model.bin"), "x");
    write_text(at("old/" MANIFEST_NAME), "{}");
    write_text(at("precious/letter"), "dear");
    mkdir(at("hollow"), 0777);
    (void)!symlink("old", at("link"));
    is_int(check_kind(at("new"), at("src"), false), ERR_NONE, "a new name");
    is_int(check_kind(at("a/b/new"), at("src"), false), ERR_NONE,
        "below folders that are not there");
    is_int(check_kind(at("src/new"), at("src/model.bin"), false), ERR_NONE,
        "beside a source file");
    is_int(check_kind(at("src"), at("src"), true), ERR_USAGE, "the source");
    is_int(check_kind(at("src/new"), at("src"), true), ERR_USAGE, "in it");
    is_int(check_kind(at("src/x/../y"), at("src"), true), ERR_USAGE,
        "in it by a detour, or not to be followed");
    is_int(check_kind(at("src"), at("src/model.bin"), true), ERR_USAGE,
        "around it");
    is_int(check_kind(at("src/model.bin"), at("src/model.bin"), true),
        ERR_USAGE, "the source file");
    is_int(
        check_kind(at("link"), at("src"), true), ERR_USAGE, "a symbolic link");
    is_int(check_kind(at("old"), at("src"), false), ERR_USAGE,
        "a folder that is there");
    is_int(check_kind(at("old"), at("src"), true), ERR_NONE, "but by force");
    is_int(check_kind(at("hollow"), at("src"), true), ERR_NONE,
        "an empty one by force");
    is_int(check_kind(at("precious"), at("src"), true), ERR_USAGE,
        "no force replaces what is no conversion");
    is_int(check_kind("", at("src"), true), ERR_USAGE, "no name");
    is_int(check_kind(at("new///"), at("src"), false), ERR_NONE,
        "slashes behind a new name");
    is_int(check_kind(at("new/.."), at("src"), false), ERR_USAGE,
        "a name that is none of its own");

    ok(folder_begin(&f, at("deep/er/out///"), &e) == 0, "begin");
    exists(false, at("deep/er/out"), "nothing under the final name yet");
    snprintf(tmp, sizeof(tmp), "%s", f.tmp);
    write_text(at("deep/er/%s/file", strrchr(tmp, '/') + 1), "x");
    folder_abandon(&f);
    folder_abandon(&f);
    exists(false, tmp, "abandoned: gone, with what was in it");
    folder_begin(&f, at("old"), &e);
    write_text(at("old/notes"), "mine");
    is_int(check_kind(at("old"), at("src"), true), ERR_USAGE,
        "nor a conversion that somebody added to");
    write_text(at("%s/new", strrchr(f.tmp, '/') + 1), "x");
    ok(folder_commit(&f, true, &e) == -1 && e.kind == ERR_USAGE,
        "nor one that somebody added to since it was checked");
    e = (struct err)ERR_INIT;
    is_str(read_text(at("old/notes")), "mine", "what was added is there");
    unlink(at("old/notes"));
    ok(folder_commit(&f, true, &e) == 0, "replace");
    exists(true, at("old/new"), "the new one is there");
    exists(false, at("old/" MANIFEST_NAME), "the old one is not");
    exists(false, f.tmp, "and no trace");
    folder_begin(&f, at("old"), &e);
    e = (struct err)ERR_INIT;
    ok(folder_commit(&f, false, &e) == -1 && e.kind == ERR_BUSY,
        "without replace, who is first wins");
}

/* ---- sources ---- */

static void set_time(const char *path, time_t when)
{
    struct timespec t[2] = { { .tv_sec = when }, { .tv_sec = when } };

    utimensat(AT_FDCWD, path, t, 0);
}

static int listed(struct sources *s, struct checkpoint *c, struct err *e)
{
    *e = (struct err)ERR_INIT;
    checkpoint_close(c);
    sources_free(s);
    return checkpoint_open(c, at("sources"), NULL, e) != 0
               ? -1
               : sources_list(s, c, NULL, e);
}

static void changing_sources(void)
{
    static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],"
                                 "\"data_offsets\":[0,4]}}";
    struct checkpoint c AUTO(checkpoint_close) = CHECKPOINT_INIT;
    struct sources s AUTO(sources_free) = SOURCES_INIT;
    const char *file = at("sources/model.safetensors");
    struct err e = ERR_INIT;

    put_st(file, header, "abcd", 4);
    write_text(at("sources/config.json"), "{}");
    set_time(file, 1000);
    listed(&s, &c, &e);
    ok(sources_step(&s, UINT64_MAX, &e) == 0 && sources_check(&s, &e) == 0,
        "sources that stay as they are");
    put_st(file, header, "abCd", 4);
    ok(sources_check(&s, &e) == -1 && e.kind == ERR_CORRUPT &&
            strstr(e.msg, "model.safetensors: changed") != NULL,
        "one that was written into: %s", e.msg);
    set_time(file, 1000);
    listed(&s, &c, &e);
    put_st(at("sources/other"), header, "abcd", 4);
    set_time(at("sources/other"), 1000);
    rename(at("sources/other"), at("sources/model.safetensors"));
    ok(sources_check(&s, &e) == -1 && e.kind == ERR_CORRUPT,
        "one that was replaced");
    e = (struct err)ERR_INIT;
    sources_free(&s);
    ok(sources_list(&s, &c, NULL, &e) == -1 && e.kind == ERR_CORRUPT,
        "and before it was listed");
}

/* The last test: nothing goes on after an interrupt. */
static void interrupted(void)
{
    struct checkpoint c AUTO(checkpoint_close) = CHECKPOINT_INIT;
    struct sources s AUTO(sources_free) = SOURCES_INIT;
    struct err e = ERR_INIT;

    listed(&s, &c, &e);
    cancel_arm();
    raise(SIGINT);
    ok(sources_step(&s, UINT64_MAX, &e) == -1 && e.kind == ERR_CANCELLED,
        "hashing the sources can be interrupted");
}

/* ---- aliases ---- */

static const char *kept_name(
    const struct checkpoint *c, enum tie tie, const char *name)
{
    const struct tensor *out[8];
    struct err e = ERR_INIT;

    if (alias_find(c, tie, out, &e) != 0)
        return "(failed)";
    const struct tensor *of = out[checkpoint_find(c, name) - c->tensors];
    return of == NULL ? "(kept)" : of->name.p;
}

/* All tensors look at the same four floats, each by its own view. */
static void shared_storage(void)
{
    static uint64_t shape[] = { 2, 2 }, turned[] = { 1, 2 };
    static uint64_t none[] = { 0, 2 };
    struct tensor t[] = { { .name = str_of("lm_head.weight") },
        { .name = str_of("model.embed_tokens.weight") },
        { .name = str_of("odd"), .stride = turned }, { .name = str_of("p.a") },
        { .name = str_of("p.b") }, { .name = str_of("zero") } };
    struct checkpoint c = { .tensors = t, .n_tensors = 6 };

    for (int i = 0; i < 6; i++) {
        t[i].dtype = DTYPE_F32;
        t[i].rank = 2;
        t[i].shape = shape;
        t[i].n = 4;
        t[i].storage_len = 16;
    }
    t[3].offset = t[4].offset = 16;
    t[5].shape = none;
    t[5].n = 0;
    is_str(kept_name(&c, TIE_UNSAID, "lm_head.weight"),
        "model.embed_tokens.weight",
        "a head shares its storage: the embedding is kept");
    is_str(kept_name(&c, TIE_NO, "lm_head.weight"), "(kept)",
        "a head that the config unties is kept all the same");
    is_str(kept_name(&c, TIE_NO, "p.b"), "p.a", "other names are not heads");
    is_str(kept_name(&c, TIE_UNSAID, "model.embed_tokens.weight"), "(kept)",
        "under its own name");
    is_str(
        kept_name(&c, TIE_UNSAID, "odd"), "(kept)", "another view is no alias");
    is_str(
        kept_name(&c, TIE_UNSAID, "p.b"), "p.a", "else the first name is kept");
    is_str(kept_name(&c, TIE_UNSAID, "zero"), "(kept)", "nothing is no alias");
}

#define TIED(head, b0)                                                         \
    "{\"wte.weight\":{\"dtype\":\"F16\",\"shape\":[2,2],"                      \
    "\"data_offsets\":[0,8]},\"" head                                          \
    "\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[8,16]}}"

static void tied_by_config(void)
{
    struct checkpoint c AUTO(checkpoint_close) = CHECKPOINT_INIT;
    struct err e = ERR_INIT;

    put_st(at("tied"), TIED("lm_head.weight", ), "ABCDEFGHABCDEFGH", 16);
    checkpoint_open(&c, at("tied"), NULL, &e);
    is_str(kept_name(&c, TIE_YES, "lm_head.weight"), "wte.weight",
        "tied by config, equal bytes");
    is_str(kept_name(&c, TIE_UNSAID, "lm_head.weight"), "(kept)", "not tied");
    checkpoint_close(&c);
    put_st(at("tied"), TIED("lm_head.weight", ), "ABCDEFGHABCDEFGh", 16);
    checkpoint_open(&c, at("tied"), NULL, &e);
    is_str(kept_name(&c, TIE_YES, "lm_head.weight"), "(kept)",
        "tied by config, one byte differs: both are kept");
    checkpoint_close(&c);
    put_st(at("tied"), TIED("x.weight", ), "ABCDEFGHABCDEFGH", 16);
    checkpoint_open(&c, at("tied"), NULL, &e);
    is_str(kept_name(&c, TIE_YES, "x.weight"), "(kept)",
        "a config ties heads, nothing else");
}

/* ---- whole conversions ---- */

enum { N_BIG = 1300 * 1024 }; /* floats: more than two batches of blocks */

#define HEADER                                                                 \
    "{\"small\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},"    \
    "\"ids\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[12,20]},"      \
    "\"half\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[20,24]},"    \
    "\"none\":{\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[24,24]},"   \
    "\"nibbles\":{\"dtype\":\"F4\",\"shape\":[6],\"data_offsets\":[24,27]},"   \
    "\"big\":{\"dtype\":\"F32\",\"shape\":[1300,1024],"                        \
    "\"data_offsets\":[27,5324827]}}"

static float big_value(size_t i)
{
    return (float)i * 0.013F - 5000.0F;
}

static void put_source(const char *folder, float extra)
{
    uint8_t *data = malloc(27 + 4 * N_BIG);
    float small[3] = { 1.0F, 0.1F, extra };
    uint16_t half[2] = { 0x3f80, 0xc000 };

    memcpy(data, small, 12);
    memcpy(data + 12, "\1\2\3\4\5\6\7\x8", 8);
    memcpy(data + 20, half, 4);
    memcpy(data + 24, "abc", 3);
    for (size_t i = 0; i < N_BIG; i++) {
        float v = big_value(i);
        memcpy(data + 27 + 4 * i, &v, 4);
    }
    put_st(at("%s/model.safetensors", folder), HEADER, data, 27 + 4 * N_BIG);
    free(data);
    write_text(at("%s/config.json", folder),
        "{\"torch_dtype\": \"float32\", \"x\": 1.0}");
    write_text(at("%s/merges.txt", folder), "");
    write_text(at("%s/private.key", folder), "secret");
}

static struct convert_opts options(
    const char *source, const char *out, enum dtype t, unsigned threads)
{
    return (struct convert_opts){ .source = source,
        .out = out,
        .threads = threads,
        .recipe = { .dtype = t },
        .progress = PROGRESS_NONE };
}

/* A copy: at() forgets a path after eight more. */
static const char *keep(char out[PATH_MAX], const char *path)
{
    snprintf(out, PATH_MAX, "%s", path);
    return out;
}

static void check_values(const struct checkpoint *c)
{
    const struct tensor *t = checkpoint_find(c, "big");
    uint16_t *got = malloc(2 * N_BIG);
    uint8_t few[16];
    struct err e = ERR_INIT;
    bool same = checkpoint_read(c, t, 0, N_BIG, got, &e) == 0;

    for (size_t i = 0; i < N_BIG; i++)
        same = same && got[i] == cast_f32_to_f16(big_value(i));
    ok(same && t->dtype == DTYPE_F16, "every value of the big one");
    free(got);
    t = checkpoint_find(c, "half");
    checkpoint_read(c, t, 0, 2, few, &e);
    ok(memcmp(few, "\x00\x3c\x00\xc0", 4) == 0, "bf16 became fp16");
    t = checkpoint_find(c, "ids");
    checkpoint_read(c, t, 0, 1, few, &e);
    ok(t->dtype == DTYPE_I64 && memcmp(few, "\1\2\3\4\5\6\7\x8", 8) == 0,
        "integers stay");
    t = checkpoint_find(c, "nibbles");
    checkpoint_read(c, t, 0, 6, few, &e);
    ok(t->dtype == DTYPE_F4 && memcmp(few, "abc", 3) == 0, "nibbles stay");
    t = checkpoint_find(c, "none");
    ok(t->n == 0 && t->shape[1] == 5, "an empty one keeps its shape");
}

static void check_digests(const struct manifest *m, const char *folder)
{
    struct tensorlist l AUTO(tensorlist_close) = TENSORLIST_INIT;
    struct digest d;
    struct err e = ERR_INIT;
    bool same = true;

    for (uint64_t i = 0; i < m->n_files; i++)
        same = same &&
               file_hash(at("%s/%.*s", folder, STR_ARG(m->files[i].name)),
                   HASH_SHA256, &d, NULL, NULL, &e) == 0 &&
               digest_eq(&d, &m->files[i].sha256);
    ok(same && m->n_files == 3, "the manifest knows every file by its digest");
    ok(tensorlist_open(&l, at("%s", folder), NULL, NULL, true, 2, &e) == 0,
        "listed");
    same = l.c.n_all == m->n_tensors;
    for (uint64_t i = 0; i < l.c.n_all && same; i++)
        same = digest_eq(&l.digests[i], &m->tensors[i].sha256) &&
               str_eq(l.c.all[i].name, m->tensors[i].name);
    ok(same, "and every tensor");
}

static void whole(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 24);
    struct checkpoint c AUTO(checkpoint_close) = CHECKPOINT_INIT;
    char src[PATH_MAX], out[PATH_MAX];
    struct convert_result r, again;
    struct convert_opts o;
    struct safetensors st;
    struct manifest m;
    struct err e = ERR_INIT;

    put_source("m", 2.0F);
    o = options(keep(src, at("m")), keep(out, at("fp16")), DTYPE_F16, 1);
    if (!ok(convert_run(&o, &r, &e) == 0, "converts"))
        printf("#   %s\n", e.msg);
    is_str(r.path, out, "says where");
    ok(checkpoint_open(&c, out, NULL, &e) == 0 && c.n_tensors == 6, "opens");
    check_values(&c);
    ok(safetensors_parse(c.files[0].map.p, c.files[0].map.len,
           c.files[0].map.len, &arena, &st, &e) == 0 &&
            uniform_check(&st, c.files[0].map.p, &e) == 0,
        "keeps the promises of the uniform form");
    is_str(read_text(at("fp16/config.json")),
        "{\"torch_dtype\": \"float16\", \"x\": 1.0}", "config says float16");
    is_str(read_text(at("fp16/merges.txt")), "", "an empty file is carried");
    exists(false, at("fp16/private.key"), "what is no company stays behind");
    ok(manifest_read(&m, at("fp16/" MANIFEST_NAME), &arena, &e) == 0,
        "has a manifest");
    is_int((long long)m.n_sources, 3, "that names the sources");
    check_digests(&m, "fp16");
    for (unsigned threads = 2; threads <= 5; threads += 3) {
        o = options(src, keep(out, at("t%u", threads)), DTYPE_F16, threads);
        convert_run(&o, &again, &e);
        ok(digest_eq(&r.sha256, &again.sha256), "the same bytes by %u threads",
            threads);
    }
    o = options(keep(src, at("t2")), keep(out, at("twice")), DTYPE_NONE, 2);
    ok(convert_run(&o, &again, &e) == 0 && digest_eq(&r.sha256, &again.sha256),
        "a uniform file converts to itself");
    e = (struct err)ERR_INIT;
    ok(convert_run(&o, &again, &e) == -1 && e.kind == ERR_USAGE,
        "not twice to one place");
    e = (struct err)ERR_INIT;
    o.force = true;
    ok(convert_run(&o, &again, &e) == 0, "but by force");
}

static void no_place(void)
{
    char src[PATH_MAX];
    struct convert_opts o = options(keep(src, at("m")), NULL, DTYPE_F16, 1);
    struct convert_result r;
    struct err e = ERR_INIT;

    ok(convert_run(&o, &r, &e) == -1 && e.kind == ERR_USAGE &&
            strstr(e.hint, "-o"),
        "a folder of the user's needs -o");
}

static uint16_t third(const char *folder)
{
    struct checkpoint c AUTO(checkpoint_close) = CHECKPOINT_INIT;
    struct err e = ERR_INIT;
    uint16_t v[3] = { 0 };

    if (checkpoint_open(&c, folder, NULL, &e) == 0)
        checkpoint_read(&c, checkpoint_find(&c, "small"), 0, 3, v, &e);
    return v[2];
}

static void overflow(void)
{
    char src[PATH_MAX], out[PATH_MAX];
    struct convert_result r;
    struct err e = ERR_INIT;
    struct convert_opts o;

    put_source("over", -70000.0F);
    o = options(keep(src, at("over")), keep(out, at("over16")), DTYPE_F16, 2);
    ok(convert_run(&o, &r, &e) == -1 && e.kind == ERR_VERDICT &&
            strstr(e.msg, "'small'") && strstr(e.msg, "70000") && e.hint[0],
        "an overflow is refused, with tensor and value");
    exists(false, out, "nothing is left behind");
    o.recipe.on_overflow = OVERFLOW_CLAMP;
    e = (struct err)ERR_INIT;
    ok(convert_run(&o, &r, &e) == 0 && third(out) == 0xfbff,
        "clamped, with its sign");
    o.recipe.on_overflow = OVERFLOW_INF;
    o.force = true;
    ok(convert_run(&o, &r, &e) == 0 && third(out) == 0xfc00, "infinite");
    put_source("inf", INFINITY);
    o = options(keep(src, at("inf")), keep(out, at("inf16")), DTYPE_F16, 2);
    ok(convert_run(&o, &r, &e) == 0 && third(out) == 0x7c00,
        "an infinity in the source is no overflow");
    o = options(keep(src, at("over")), keep(out, at("overb")), DTYPE_BF16, 2);
    ok(convert_run(&o, &r, &e) == 0 && third(out) == 0xc789,
        "bf16 has the range");
}

/* No half folder, whatever the source does. */
static void bad_source(void)
{
    char src[PATH_MAX], out[PATH_MAX];
    struct convert_result r;
    struct err e = ERR_INIT;
    struct convert_opts o;

    put_source("bad", 1.0F);
    write_text(at("bad/config.json"), "{\"torch_dtype\": ");
    o = options(keep(src, at("bad")), keep(out, at("bad16")), DTYPE_F16, 2);
    ok(convert_run(&o, &r, &e) == -1 && e.kind == ERR_REFUSED &&
            strstr(e.msg, "config.json"),
        "a broken config is named");
    put_st(at("bad/model.safetensors"), "{}", "", 0);
    write_text(at("bad/config.json"), "{}");
    e = (struct err)ERR_INIT;
    ok(convert_run(&o, &r, &e) == -1 && e.kind == ERR_REFUSED,
        "a file without tensors is refused");
    exists(false, out, "nothing under its name");
    ok(strstr(e.msg, "no tensors") != NULL, "and says so");
}

static void growth(void)
{
    static uint64_t shape[] = { 1 << 20, 1 << 16 }, zero[] = { 0, 0 };
    struct ckpt_file f = { .map = { .len = 4096 } };
    struct tensor t = { .name = str_of("t"),
        .dtype = DTYPE_F32,
        .rank = 2,
        .shape = shape,
        .stride = zero,
        .n = (uint64_t)1 << 36,
        .storage_len = 4 };
    struct checkpoint c = {
        .files = &f, .n_files = 1, .tensors = &t, .n_tensors = 1
    };
    struct recipe keep_all = { .dtype = DTYPE_NONE };
    struct layout p AUTO(layout_free) = LAYOUT_INIT;
    struct err e = ERR_INIT;

    ok(layout_make(&p, &c, &keep_all, TIE_UNSAID, &e) == -1 &&
            e.kind == ERR_REFUSED && strstr(e.msg, "expanded"),
        "four bytes may not claim 256 GiB");
    t.no_data = true;
    e = (struct err)ERR_INIT;
    ok(layout_make(&p, &c, &keep_all, TIE_UNSAID, &e) == -1 &&
            e.kind == ERR_UNSUPPORTED && strstr(e.msg, "'t'"),
        "a tensor without data is named");
}

int main(void)
{
    scratch_open();
    setenv("HOME", scratch, 1);
    setenv("HF_HOME", at("hf"), 1);
    config_edit();
    config_int8();
    folders();
    changing_sources();
    shared_storage();
    tied_by_config();
    whole();
    no_place();
    overflow();
    bad_source();
    growth();
    interrupted();
    scratch_close();
    return done();
}
