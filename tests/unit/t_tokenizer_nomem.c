/*
 * Memory runs out at every allocation in turn: opening, encoding and
 * decoding fail with an error, lose nothing, and work again afterwards.
 */
#include "verify-run/tokenfile.h"

#include <errno.h>

#include "base/file.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"
#include "tests/unit/tokfile.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAVE_HOOKS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||     \
    __has_feature(memory_sanitizer)
#define HAVE_HOOKS 0
#else
#define HAVE_HOOKS 1
#endif
#else
#define HAVE_HOOKS 1
#endif

#if HAVE_HOOKS
#define SHOWN __attribute__((visibility("default")))

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void __libc_free(void *p);

static long countdown = -1; /* the allocation that fails; -1: none */
static long alive;          /* blocks not yet freed */

static bool refused(void)
{
    if (countdown < 0 || countdown-- > 0)
        return false;
    errno = ENOMEM;
    return true;
}

static void *counted(void *p)
{
    alive += p != NULL;
    return p;
}

SHOWN void *malloc(size_t n)
{
    return refused() ? NULL : counted(__libc_malloc(n));
}

SHOWN void *calloc(size_t n, size_t size)
{
    return refused() ? NULL : counted(__libc_calloc(n, size));
}

SHOWN void *realloc(void *p, size_t n)
{
    void *q = refused() ? NULL : __libc_realloc(p, n);

    alive += p == NULL && q != NULL;
    return q;
}

SHOWN void free(void *p)
{
    alive -= p != NULL;
    __libc_free(p);
}

/* A file from memory, or a folder. */
struct source {
    struct str bytes;
    const char *folder;
};

/* Open, encode, decode; 0 when all of it worked. Ids and text, as text. */
static int whole_way(const struct source *s, struct buf *result, struct err *e)
{
    struct tokenfile file;
    struct tokenizer *t AUTO(tokenizer_close_auto) =
        s->folder != NULL ? tokenfile_open(&file, s->folder, e)
                          : tokenizer_parse(s->bytes, e);
    struct ids ids AUTO(ids_free) = IDS_INIT;
    struct str text = str_of("e\xCC\x81t\xC3\xA9 <s> the harbour  wall 12");

    if (t == NULL || tokenizer_encode(t, text, TOKENIZE_ENDS | TOKENIZE_MARKUP,
                         &ids, e) != 0)
        return -1;
    for (size_t i = 0; i < ids.n; i++)
        buf_printf(result, "%u ", ids.v[i]);
    return tokenizer_decode(t, ids.v, ids.n, true, result, e);
}

/* Where an allocation fails and all is well, that was a sort: it has a way
 * without memory. */
static void run_short(const struct source *s, const char *name)
{
    struct buf want AUTO(buf_free) = BUF_INIT(1 << 16);
    struct buf got AUTO(buf_free) = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;
    long wrong = 0, lost = 0, n = 0;
    bool done = false;

    ok(whole_way(s, &want, &e) == 0, "%s %s", name, e.msg);
    buf_puts(&got, want.p); /* its memory is there */
    for (; !done && n < 1000000; n++) {
        long before = alive;
        int rc;

        err_clear(&e);
        buf_clear(&got);
        countdown = n;
        rc = whole_way(s, &got, &e);
        done = countdown >= 0; /* so many allocations there are not */
        countdown = -1;
        wrong += rc == 0 ? strcmp(got.p, want.p) != 0 : e.kind != ERR_NOMEM;
        lost += alive != before;
    }
    ok(done && n > 5, "%ld allocations failed in turn", n - 1);
    is_int(wrong, 0, "each was told as out of memory or changed nothing");
    is_int(lost, 0, "and lost nothing");
}

static void run_file(const char *path)
{
    struct buf bytes AUTO(buf_free) = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;

    ok(file_slurp(path, &bytes, &e) == 0, "%s is read", path);
    run_short(&(struct source){ .bytes = buf_str(&bytes) }, path);
}

/* A table of a family's size: the bytes, then tokens that stand nowhere. */
static void run_table(void)
{
    struct buf table AUTO(buf_free) = BUF_INIT(1 << 24);

    for (uint32_t i = 0; i < 256; i++) {
        const unsigned char byte = (unsigned char)i;

        put_base64(&table, &byte, 1);
        buf_printf(&table, " %u\n", i);
    }
    for (uint32_t i = 256; i < 151643; i++)
        put_filler(&table, i);
    run_short(
        &(struct source){ .bytes = buf_str(&table) }, "a table of Qwen's size");
}

static void run_folder(void)
{
    struct buf bytes AUTO(buf_free) = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;
    const char config[] = "{\"add_bos_token\":true,\"add_eos_token\":true}";

    ok(file_slurp("tests/fuzz/spm/charsmap.model", &bytes, &e) == 0 &&
            file_put(at("tokenizer.model"), bytes.p, bytes.len, 0644, &e) ==
                0 &&
            file_put(at("tokenizer_config.json"), config, sizeof(config) - 1,
                0644, &e) == 0,
        "a folder %s", e.msg);
    run_short(&(struct source){ .folder = at(".") }, "a folder");
}
#endif

int main(void)
{
#if HAVE_HOOKS
    scratch_open();
    run_file("tests/fuzz/tokenizer/bytes.json");
    run_file("tests/fuzz/tokenizer/pieces.json");
    run_file("tests/fuzz/tokenizer/split.json");
    run_file("tests/fuzz/tokenizer/metaspace.json");
    run_file("tests/fuzz/tokenizer/unigram.json");
    run_file("tests/fuzz/spm/unigram.model");
    run_file("tests/fuzz/spm/charsmap.model");
    run_file("tests/fuzz/spm/bpe.model");
    run_file("tests/fuzz/spm/bytes.model");
    run_file("tests/fuzz/spm/unused.model");
    run_table();
    run_folder();
    scratch_close();
#else
    skip("failing allocations", "the sanitizer owns the allocator");
#endif
    return done();
}
