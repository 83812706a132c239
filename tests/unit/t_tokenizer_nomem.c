/*
 * Memory runs out at every allocation in turn: opening, encoding and
 * decoding fail with an error, lose nothing, and work again afterwards.
 */
#include "verify-run/tokenizer.h"

#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

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
    return countdown >= 0 && countdown-- == 0;
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

/* Open, encode, decode; true when all of it worked. */
static bool whole_way(struct str json, struct err *e)
{
    struct tokenizer *t AUTO(tokenizer_close_auto) = tokenizer_parse(json, e);
    struct ids ids AUTO(ids_free) = IDS_INIT;
    struct buf out AUTO(buf_free) = BUF_INIT(1 << 16);
    struct str text = str_of("e\xCC\x81t\xC3\xA9 <s> the harbour  wall 12");

    return t != NULL && tokenizer_encode(t, text, true, &ids, e) == 0 &&
           tokenizer_decode(t, ids.v, ids.n, true, &out, e) == 0;
}

static void run_short(const char *path)
{
    struct buf json AUTO(buf_free) = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;
    long wrong = 0, lost = 0, n = 0;
    bool done = false;

    buf_puts(&json, read_text(path));
    for (; !done && n < 1000000; n++) {
        long before = alive;

        err_clear(&e);
        countdown = n;
        done = whole_way(buf_str(&json), &e);
        countdown = -1;
        wrong += !done && e.kind != ERR_NOMEM;
        lost += alive != before;
    }
    ok(done && n > 20, "%s: %ld allocations failed in turn", path, n - 1);
    is_int(wrong, 0, "each was told as out of memory");
    is_int(lost, 0, "and lost nothing");
}
#endif

int main(void)
{
#if HAVE_HOOKS
    run_short("tests/fuzz/tokenizer/bytes.json");
    run_short("tests/fuzz/tokenizer/pieces.json");
    run_short("tests/fuzz/tokenizer/split.json");
    run_short("tests/fuzz/tokenizer/metaspace.json");
#else
    skip("failing allocations", "the sanitizer owns the allocator");
#endif
    return done();
}
