/* What a file is, from its bytes. */
#include "formats/detect.h"

#include "base/str.h"
#include "tap.h"

#define P(text) text, sizeof(text) - 1

static void is(const char *name, const char *bytes, size_t len, uint64_t size,
    enum file_format want)
{
    struct err e = ERR_INIT;
    enum file_format got = detect_format(bytes, len, size, &e);

    ok(got == want && (got == FORMAT_UNKNOWN) == (e.kind != ERR_NONE), "%s",
        name);
    if (got != want)
        printf("#   got %d (%s)\n", got, e.msg);
}

static void says(
    const char *name, const char *bytes, size_t len, const char *words)
{
    struct err e = ERR_INIT;
    enum file_format got = detect_format(bytes, len, len, &e);

    ok(got == FORMAT_UNKNOWN && e.kind == ERR_REFUSED &&
            strstr(e.msg, words) != NULL,
        "%s", name);
    if (got != FORMAT_UNKNOWN || strstr(e.msg, words) == NULL)
        printf("#   got %d '%s'\n", got, e.msg);
}

static const char pointer[] =
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:"
    "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    "size 12345\n";

static void test_weights(void)
{
    is("a zip archive", P("PK\3\4\0\0"), 6, FORMAT_TORCH_ZIP);
    is("legacy, protocol 2",
        P("\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."), 999,
        FORMAT_TORCH_LEGACY);
    is("legacy, protocol 4 with a frame",
        P("\x80\4\x95\x0d\0\0\0\0\0\0\0"
          "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."),
        999, FORMAT_TORCH_LEGACY);
    is("legacy, protocol 0", P("L119547037146038801333356L\n."), 999,
        FORMAT_TORCH_LEGACY);
    is("safetensors", P("\x10\0\0\0\0\0\0\0{\"a\""), 24, FORMAT_SAFETENSORS);
    is("safetensors, blanks first", P("\x10\0\0\0\0\0\0\0 \n{}"), 24,
        FORMAT_SAFETENSORS);
    is("safetensors cut short goes to its reader", P("\x10\0\0\0\0\0\0\0{"), 9,
        FORMAT_SAFETENSORS);
    is("safetensors whose length looks like gzip", P("\x1f\x8b\0\0\0\0\0\0{"),
        1 << 20, FORMAT_SAFETENSORS);
    is("an array of NumPy", P("\x93NUMPY\1\0"), 8, FORMAT_NPY);
    is("an archive of arrays", P("PK\3\4xxxxxxxxxxxxxxxxxxxxxx\5\0\0\0a.npy"),
        99, FORMAT_NPZ);
    is("an archive whose first name goes on",
        P("PK\3\4xxxxxxxxxxxxxxxxxxxxxx\6\0\0\0a.npyx"), 99, FORMAT_TORCH_ZIP);
    is("an archive whose first name is not whole",
        P("PK\3\4xxxxxxxxxxxxxxxxxxxxxx\11\0\0\0a.npy"), 99, FORMAT_TORCH_ZIP);
    is("JSON", P("{\"a\": 1}"), 8, FORMAT_JSON);
    is("a pickle", P("\x80\4]."), 4, FORMAT_PICKLE);
    is("a pickle of protocol 0", P("(lp0\n."), 6, FORMAT_PICKLE);
    is("a pickle of protocol 6 is none", P("\x80\6]."), 4, FORMAT_UNKNOWN);
    is("noise", P("\1\2\3\4\5\6\7\10\11"), 9, FORMAT_UNKNOWN);
    is("one byte", P("\x80"), 1, FORMAT_UNKNOWN);
}

static void test_others(void)
{
    char tar[512] = "name";

    memcpy(tar + 257, "ustar", 5);
    says("a tar archive", tar, sizeof(tar), "tar archive");
    says("an empty file", P(""), "empty");
    says("an LFS pointer, its digest", pointer, sizeof(pointer) - 1,
        "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393");
    says("an LFS pointer, its size", pointer, sizeof(pointer) - 1,
        "12345 bytes");
    says("an LFS pointer cut short", pointer, 50, "pointer");
    says("HTML", P("<!DOCTYPE html>"), "HTML");
    says("HTML in small letters", P("<html><body>"), "HTML");
    says("GGUF", P("GGUF\3\0\0\0"), "GGUF");
    says("gzip", P("\x1f\x8b\x08"), "gzip");
    says("bzip2", P("BZh9"), "bzip2");
    says("zstd", P("\x28\xb5\x2f\xfd"), "zstd");
    says("xz",
        P("\xfd"
          "7zXZ\0"),
        "xz");
    says("7z", P("7z\xbc\xaf\x27\x1c"), "7z");
    says("RAR", P("Rar!\x1a\7"), "RAR");
    says("HDF5", P("\x89HDF\r\n\x1a\n"), "HDF5");
    says("PNG", P("\x89PNG\r\n"), "PNG");
    says("an empty zip", P("PK\5\6"), "empty zip");
    says("the preview container", P("PYTORCH1"), "preview");
}

/* No head is too short to look at. */
static void test_short(void)
{
    for (size_t n = 0; n < sizeof(pointer); n++) {
        char *copy = malloc(n + 1);
        struct err e = ERR_INIT;

        if (copy == NULL)
            break;
        memcpy(copy, pointer, n);
        copy = realloc(copy, n ? n : 1);
        detect_format(copy, n, n, &e);
        free(copy);
    }
    ok(true, "heads of every length");
}

int main(void)
{
    test_weights();
    test_others();
    test_short();
    return done();
}
