/*
 * The journal of a download, its sum made right when there is none: what it
 * claims lies inside the file, sorted and apart; one that is refused claims
 * nothing; and what was claimed is written and read again as the same.
 */
// seeds: tests/fuzz/journal/*
// dict: journal.dict
#include "kit.h"

#include "fetch/journal.h"

enum { SIZE = 1000000 };

static const char boot[] = "0b0e";

static void check_ranges(const struct ranges *r)
{
    uint64_t last = 0;

    for (size_t i = 0; i < r->n; i++) {
        must(i == 0 || r->v[i].from > last);
        must(r->v[i].from < r->v[i].to && r->v[i].to <= SIZE);
        last = r->v[i].to;
    }
}

static void check(struct str text, const char *start, const struct digest *etag)
{
    struct ranges have AUTO(ranges_free) = RANGES_INIT;
    struct ranges again AUTO(ranges_free) = RANGES_INIT;
    struct buf written AUTO(buf_free) = BUF_INIT(JOURNAL_MAX);
    struct err e = ERR_INIT;

    if (!journal_parse(text, start, etag, SIZE, &have)) {
        must(have.n == 0);
        return;
    }
    check_ranges(&have);
    must(journal_text(start, etag, SIZE, &have, &written, &e) == 0);
    must(journal_parse(buf_str(&written), start, etag, SIZE, &again));
    must(again.n == have.n && ranges_sum(&again) == ranges_sum(&have));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char hex[] =
        "00000000000000000000000000000000000000000000000000000000000000aa";
    struct buf text AUTO(buf_free) = BUF_INIT(1 << 20);
    struct digest etag, sum;
    struct err e = ERR_INIT;

    must(digest_parse(&etag, str_of(hex)));
    buf_put(&text, data, size);
    if (size > 0 && data[size - 1] == '\n' &&
        memmem(data, size, "sum ", 4) == NULL) {
        must(hash_bytes(HASH_SHA256, text.p, text.len, &sum, &e) == 0);
        buf_printf(&text, "sum %s\n", sum.hex);
    }
    check(buf_str(&text), NULL, &etag);
    check(buf_str(&text), boot, &etag);
    return 0;
}
