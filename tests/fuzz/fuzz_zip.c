/*
 * zip: what is accepted lies inside the file, entry behind entry, each under
 * a safe name of its own that finds it; and the search for scraps ends.
 */
// seeds: tests/fixtures/torch/*.[bcp]*
// parts: tests/fixtures/torch/*.[bcp]*
// dict: zip.dict
#include "kit.h"

#include <stdlib.h>

#include "base/log.h"
#include "formats/zip.h"
#include "verify/zipscraps.h"

static int by_place(const void *a, const void *b)
{
    const struct zip_entry *x = a, *y = b;

    return x->header_at < y->header_at ? -1 : x->header_at > y->header_at;
}

/* Parts that are plain; colons may stand in them. */
static bool is_safe(struct str name)
{
    size_t from = 0;

    for (size_t i = 0; i <= name.len; i++) {
        struct str part = { name.p + from, i - from };

        if (i < name.len && name.p[i] != '/')
            continue;
        if (part.len == 0 || str_is(part, ".") || str_is(part, ".."))
            return false;
        from = i + 1;
    }
    return memchr(name.p, '\\', name.len) == NULL &&
           memchr(name.p, '\0', name.len) == NULL;
}

static void check_entries(struct zip *z, uint64_t size)
{
    uint64_t end = 0;

    for (uint64_t i = 0; i < z->n; i++) {
        struct zip_entry *t = &z->v[i];
        struct str record = zip_record(z, t);
        char name[ZIP_NAME_MAX + 1];

        must(record.len <= ZIP_NAME_MAX && is_safe(t->name));
        memcpy(name, record.p, record.len);
        name[record.len] = '\0';
        must(z->folder.len == 0 || zip_find(z, name) == t);
    }
    qsort(z->v, z->n, sizeof(*z->v), by_place);
    for (uint64_t i = 0; i < z->n; i++) {
        const struct zip_entry *t = &z->v[i];

        must(t->header_at >= end && t->data_at > t->header_at);
        must(t->data_at <= size && t->packed <= size - t->data_at);
        must(t->method != 0 || t->packed == t->size);
        end = t->data_at + t->packed;
    }
}

static void check_scraps(const uint8_t *data, size_t size)
{
    struct zip_scrap s = { .next = 0 };
    uint64_t last = 0;

    while (zip_scrap_next(&s, data, size)) {
        must(s.found <= 64 && s.data_at <= size && s.next > last);
        must(s.name.p >= (const char *)data &&
             s.name.p + s.name.len <= (const char *)data + size);
        last = s.next;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 26);
    struct buf file AUTO(buf_free) = BUF_INIT(1 << 24);
    struct err e = ERR_INIT;
    struct zip z;

    log_set_level(LOG_ERROR);
    if (size > 0 && data[0] == 'Z') {
        kit_zip(data + 1, size - 1, &file);
        data = (const uint8_t *)file.p;
        size = file.len;
    }
    if (zip_read(data, size, &arena, &z, &e) == 0)
        check_entries(&z, size);
    else
        kit_failed(&e);
    check_scraps(data, size);
    return 0;
}
