/* verify/allow.h and verify/zipscraps.h: exact names, and scraps of zips. */
#include "base/buf.h"
#include "tests/unit/t_torch_make.h"
#include "tests/unit/tap.h"
#include "verify/allow.h"
#include "verify/zipscraps.h"

static enum allow of(const char *module, const char *name)
{
    return allow_of(str_of(module), str_of(name));
}

static void test_exact(void)
{
    ok(of("collections", "OrderedDict") == ALLOW_DATA, "an ordered dict");
    ok(of("torch._utils", "_rebuild_tensor_v2") == ALLOW_DATA, "a tensor");
    ok(of("copyreg", "_reconstructor") == ALLOW_CALLS, "one that calls");
    ok(of("torch._tensor", "_rebuild_from_type_v2") == ALLOW_CALLS, "another");
    ok(of("collections.evil", "OrderedDict") == ALLOW_NO, "a longer module");
    ok(of("collection", "OrderedDict") == ALLOW_NO, "a shorter one");
    ok(of("collections", "OrderedDict.fromkeys") == ALLOW_NO, "a method");
    ok(of("collections", "") == ALLOW_NO, "no name");
    ok(of("", "OrderedDict") == ALLOW_NO, "no module");
    ok(of("builtins", "eval") == ALLOW_NO, "eval");
    ok(of("builtins", "getattr") == ALLOW_NO, "getattr");
    ok(of("torch.storage", "_load_from_bytes") == ALLOW_NO, "nested pickles");
    ok(of("torch", "load") == ALLOW_NO, "torch.load");
    ok(allow_of((struct str){ "builtins\0x", 10 }, str_of("dict")) == ALLOW_NO,
        "a NUL ends nothing");
}

static void test_scraps(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 16);
    struct entry data = { .name = "a/data/0", .data = "xx", .len = 2 };
    struct entry pickle = { .name = "a/data.pkl", .data = "N.", .len = 2 };
    struct entry packed = pickle;
    struct zip_scrap s = { .next = 0 };
    uint64_t end;

    packed.method = 8;
    buf_puts(&b, "junk PK junk");
    put_local(&b, &data);
    put_local(&b, &packed);
    put_local(&b, &pickle);
    end = b.len;
    ok(zip_scrap_next(&s, (const uint8_t *)b.p, b.len), "a pickle is found");
    ok(str_is(s.name, "a/data.pkl") && s.data_at == end - 2, "where it is");
    ok(!zip_scrap_next(&s, (const uint8_t *)b.p, b.len), "and no other");
    for (uint64_t cut = 0; cut < end; cut++) {
        struct zip_scrap c = { .next = 0 };
        char *copy = malloc(cut + 1);

        memcpy(copy, b.p, cut);
        while (zip_scrap_next(&c, (const uint8_t *)copy, cut))
            if (c.data_at > cut)
                ok(false, "cut at %llu: data behind the end",
                    (unsigned long long)cut);
        free(copy);
    }
    buf_clear(&b);
    for (int i = 0; i < 100; i++)
        put_local(&b, &pickle);
    s = (struct zip_scrap){ .next = 0 };
    while (zip_scrap_next(&s, (const uint8_t *)b.p, b.len))
        continue;
    is_int(s.found, 64, "a bounded number of them");
}

int main(void)
{
    test_exact();
    test_scraps();
    return done();
}
