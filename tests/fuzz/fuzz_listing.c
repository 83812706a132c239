/*
 * A Hub's listing, page by page (a zero byte parts them): what is accepted
 * is sorted, each path once and safe, no file a folder too.
 */
// seeds: tests/fuzz/listing/*
// dict: json.dict listing.dict
#include "kit.h"

#include "base/path.h"
#include "fetch/treepage.h"

static void check(const struct tree *t)
{
    struct err e = ERR_INIT;

    for (uint64_t i = 0; i < t->n; i++) {
        const struct tree_file *f = &t->files[i];

        must(path_check(f->path, &e) == 0);
        must(i == 0 || str_cmp(t->files[i - 1].path, f->path) < 0);
        must(tree_etag(f)->kind == (f->lfs ? HASH_SHA256 : HASH_GIT_SHA1));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 26);
    struct listing l AUTO(listing_free) = LISTING_INIT;
    struct tree tree = { .n = 0 };
    struct err e = ERR_INIT;
    int rc = 0;

    for (size_t at = 0; at < size && rc == 0;) {
        const uint8_t *end = memchr(data + at, 0, size - at);
        size_t n = end != NULL ? (size_t)(end - data) - at : size - at;

        rc = treepage_read(
            &l, (struct str){ (const char *)data + at, n }, &arena, &e);
        at += n + 1;
    }
    if (rc == 0)
        rc = listing_end(&l, &arena, &tree, &e);
    if (rc != 0)
        kit_failed(&e);
    else
        check(&tree);
    return 0;
}
