#include "formats/detect.h"

#include "base/rd.h"

enum { HEADER_SANE = 100000000, ZIP_NAME_LEN_AT = 26 };

struct signature {
    const char *bytes;
    size_t len;
    size_t at;
    const char *words;
};

/* What a file of weights sometimes turns out to be instead. */
static const struct signature others[] = {
    { "GGUF", 4, 0, "a GGUF file, which this program does not read" },
    { "lmgg", 4, 0, "a ggml file from before GGUF" },
    { "fmgg", 4, 0, "a ggml file from before GGUF" },
    { "tjgg", 4, 0, "a ggml file from before GGUF" },
    { "ustar", 5, 257,
        "a tar archive: a torch file from before 0.1.10, or a plain tar" },
    { "PYTORCH1", 8, 0, "a preview container that torch itself refuses" },
    { "\x89HDF\r\n\x1a\n", 8, 0, "an HDF5 file (old Keras weights)" },
    { "7z\xbc\xaf\x27\x1c", 6, 0, "a 7z archive" },
    { "\x1f\x8b", 2, 0, "a gzip archive" },
    { "BZh", 3, 0, "a bzip2 archive" },
    { "\x28\xb5\x2f\xfd", 4, 0, "a zstd archive" },
    { "\xfd"
      "7zXZ",
        5, 0, "an xz archive" },
    { "Rar!", 4, 0, "a RAR archive" },
    { "\x89PNG", 4, 0, "a PNG picture" },
    { "PK\x05\x06", 4, 0, "an empty zip archive" },
    { "PTMF", 4, 4, "a TorchScript file for mobile" },
    { "ET12", 4, 4, "an ExecuTorch program" },
};

static bool has(struct str s, const char *bytes, size_t len, size_t at)
{
    return s.len >= at + len && memcmp(s.p + at, bytes, len) == 0;
}

static int is_other(struct err *e, const char *words)
{
    return err_set(e, ERR_REFUSED, "this is %s, not model weights", words);
}

/* The value behind a key of a Git LFS pointer, up to the end of its line. */
static struct str pointer_line(struct str s, const char *key)
{
    size_t n = strlen(key);

    for (size_t i = 0; i + n <= s.len; i++) {
        const char *from = s.p + i + n;
        const char *end;

        if (memcmp(s.p + i, key, n) != 0)
            continue;
        end = memchr(from, '\n', s.len - i - n);
        return (struct str){ from, end ? (size_t)(end - from) : s.len - i - n };
    }
    return (struct str){ "?", 1 };
}

static int is_pointer(struct str s, struct err *e)
{
    struct str oid = pointer_line(s, "oid sha256:");
    struct str size = pointer_line(s, "\nsize ");

    err_set(e, ERR_REFUSED,
        "this is a Git LFS pointer, not the file itself: sha256 %.*s, "
        "%.*s bytes",
        (int)size_min(oid.len, 64), oid.p, (int)size_min(size.len, 20), size.p);
    return err_hint(e, "fetch the file with mlfetch, or run git lfs pull");
}

/* The magic number of the legacy stream in the pickle protocols 2 to 5. */
static bool is_legacy(struct str s)
{
    static const char magic[] = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8"
                                "\x50\x19.";
    static const char text[] = "L119547037146038801333356L\n.";
    size_t frame = has(s, "\x95", 1, 2) ? 9 : 0;

    if (has(s, text, sizeof(text) - 1, 0))
        return true;
    return s.len > 2 && s.p[0] == '\x80' && s.p[1] >= 2 && s.p[1] <= 5 &&
           has(s, magic, sizeof(magic) - 1, 2 + frame);
}

static bool is_safetensors(struct str s, uint64_t size)
{
    struct rd r = rd_of(s.p, s.len);
    uint64_t header = rd_u64(&r), end;
    size_t at = 8;

    while (at < s.len && memchr(" \t\r\n", s.p[at], 4) != NULL)
        at++;
    /* A short file with a sane length goes to the reader that says so. */
    return at < s.len && s.p[at] == '{' && size_add(header, 8, &end) &&
           (end <= size || header <= HEADER_SANE);
}

static bool is_pickle(struct str s)
{
    if (s.len < 2)
        return false;
    if (s.p[0] == '\x80')
        return s.p[1] >= 2 && s.p[1] <= 5;
    return memchr("(c]}", s.p[0], 4) != NULL;
}

/* A zip archive of NumPy arrays, by the name in its first header. */
static bool is_npz(struct str s)
{
    struct rd r = rd_of(s.p, s.len);
    uint64_t name_len;
    struct str name;

    rd_seek(&r, ZIP_NAME_LEN_AT);
    name_len = rd_u16(&r);
    rd_u16(&r); /* of the extra field */
    name = (struct str){ (const char *)rd_bytes(&r, name_len), name_len };
    return !r.bad && str_ends(name, ".npy");
}

static bool is_html(struct str s)
{
    return has(s, "<!", 2, 0) || has(s, "<html", 5, 0) || has(s, "<HTML", 5, 0);
}

static enum file_format unknown(struct str s, uint64_t size, struct err *e)
{
    if (size == 0)
        err_set(e, ERR_REFUSED, "the file is empty");
    else if (has(s, "version https://git-lfs", 23, 0))
        is_pointer(s, e);
    else if (is_html(s)) {
        is_other(e, "an HTML page, perhaps an error page of a server");
        err_hint(e, "fetch the file again");
    }
    for (size_t i = 0; i < ARRAY_LEN(others) && e->kind == ERR_NONE; i++) {
        if (has(s, others[i].bytes, others[i].len, others[i].at))
            is_other(e, others[i].words);
    }
    return FORMAT_UNKNOWN;
}

enum file_format detect_format(
    const void *head, uint64_t len, uint64_t size, struct err *e)
{
    struct str s = { head, len };

    if (has(s, "PK\x03\x04", 4, 0))
        return is_npz(s) ? FORMAT_NPZ : FORMAT_TORCH_ZIP;
    if (has(s, "\x93NUMPY", 6, 0))
        return FORMAT_NPY;
    if (is_legacy(s))
        return FORMAT_TORCH_LEGACY;
    if (is_safetensors(s, size))
        return FORMAT_SAFETENSORS;
    if (has(s, "{", 1, 0))
        return FORMAT_JSON;
    unknown(s, size, e);
    if (e->kind != ERR_NONE)
        return FORMAT_UNKNOWN;
    if (is_pickle(s))
        return FORMAT_PICKLE;
    err_set(e, ERR_REFUSED, "the file is none of the formats known here");
    return FORMAT_UNKNOWN;
}
