#include "formats/zip.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/rd.h"
#include "base/utf8.h"

enum {
    LOCAL_SIG = 0x04034b50,
    CENTRAL_SIG = 0x02014b50,
    END_SIG = 0x06054b50,
    END64_SIG = 0x06064b50,
    LOCATOR_SIG = 0x07064b50,
    END_BYTES = 22,
    LOCATOR_BYTES = 20,
    END64_BYTES = 56,
    CENTRAL_BYTES = 46,
    FLAGS_REFUSED = 0x2061, /* encrypted, patch, strong encryption, masked */
    FIELD64 = 0x0001,
    FORGET_EVERY = 64 /* entries: their headers lie all over the file */
};

/* The fields of the end records that matter, classic or 64-bit. */
struct end {
    uint64_t disk;
    uint64_t dir_disk;
    uint64_t entries_here;
    uint64_t entries;
    uint64_t dir_size;
    uint64_t dir_at;
    uint64_t limit; /* the directory ends here at the latest */
};

/* ---- the end of the archive ---- */

static bool agrees(uint64_t narrow, uint64_t wide, uint64_t full)
{
    return narrow == full || narrow == wide;
}

static int end64_read(
    struct rd file, uint64_t end_at, struct end *end, struct err *e)
{
    struct end old = *end;
    uint64_t at, size;
    bool one_disk;

    rd_seek(&file, end_at - LOCATOR_BYTES + 4);
    one_disk = rd_u32(&file) == 0;
    at = rd_u64(&file);
    one_disk = rd_u32(&file) <= 1 && one_disk;
    rd_seek(&file, at);
    if (rd_u32(&file) != END64_SIG || !one_disk)
        return err_set(e, ERR_REFUSED, "the zip64 locator points nowhere");
    size = rd_u64(&file);
    rd_u32(&file); /* versions */
    end->disk = rd_u32(&file);
    end->dir_disk = rd_u32(&file);
    end->entries_here = rd_u64(&file);
    end->entries = rd_u64(&file);
    end->dir_size = rd_u64(&file);
    end->dir_at = rd_u64(&file);
    end->limit = at;
    if (file.bad || at > end_at - LOCATOR_BYTES - 12 ||
        size < END64_BYTES - 12 || size != end_at - LOCATOR_BYTES - 12 - at)
        return err_set(e, ERR_REFUSED,
            "the zip64 end record at byte %llu has the wrong size",
            (unsigned long long)at);
    if (!agrees(old.disk, end->disk, 0xffff) ||
        !agrees(old.dir_disk, end->dir_disk, 0xffff) ||
        !agrees(old.entries_here, end->entries_here, 0xffff) ||
        !agrees(old.entries, end->entries, 0xffff) ||
        !agrees(old.dir_size, end->dir_size, 0xffffffff) ||
        !agrees(old.dir_at, end->dir_at, 0xffffffff))
        return err_set(
            e, ERR_REFUSED, "the two end records of the zip archive disagree");
    return 0;
}

static int no_end(struct err *e, uint64_t len)
{
    err_set(e, ERR_REFUSED,
        "no zip end record in the last %d of %llu bytes: the file is cut "
        "short, or something follows the archive",
        END_BYTES, (unsigned long long)len);
    return err_hint(e, "fetch the file again");
}

static int end_read(struct rd file, struct end *end, struct err *e)
{
    uint64_t at = file.len - END_BYTES;
    struct rd r = file;

    if (file.len < END_BYTES)
        return no_end(e, file.len);
    rd_seek(&r, at);
    if (rd_u32(&r) != END_SIG)
        return no_end(e, file.len);
    end->disk = rd_u16(&r);
    end->dir_disk = rd_u16(&r);
    end->entries_here = rd_u16(&r);
    end->entries = rd_u16(&r);
    end->dir_size = rd_u32(&r);
    end->dir_at = rd_u32(&r);
    end->limit = at;
    if (rd_u16(&r) != 0)
        return no_end(e, file.len);
    if (at >= LOCATOR_BYTES + 12) {
        r = file;
        rd_seek(&r, at - LOCATOR_BYTES);
        if (rd_u32(&r) == LOCATOR_SIG && end64_read(file, at, end, e) != 0)
            return -1;
    }
    if (end->disk != 0 || end->dir_disk != 0 ||
        end->entries_here != end->entries)
        return err_set(e, ERR_REFUSED, "a zip archive in several parts");
    if (end->entries > ZIP_ENTRIES_MAX)
        return err_set(e, ERR_REFUSED, "a zip archive with %llu entries",
            (unsigned long long)end->entries);
    /* Nothing may hide between the directory and its end record. */
    if (end->dir_at > end->limit || end->dir_size != end->limit - end->dir_at ||
        end->entries * CENTRAL_BYTES > end->dir_size)
        return err_set(e, ERR_REFUSED,
            "the zip directory does not fit where it should be, at byte %llu",
            (unsigned long long)end->dir_at);
    return 0;
}

/* ---- names ---- */

static int lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static int fold_cmp(struct str a, struct str b)
{
    size_t n = a.len < b.len ? a.len : b.len;

    for (size_t i = 0; i < n; i++) {
        int d = lower((unsigned char)a.p[i]) - lower((unsigned char)b.p[i]);

        if (d != 0)
            return d;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

static bool part_is_good(struct str part)
{
    return part.len > 0 && !str_is(part, ".") && !str_is(part, "..");
}

/* "C:..."; but "w:0" is an array of TensorFlow. */
static bool has_drive(struct str name)
{
    bool number = name.len > 2 && name.p[2] >= '0' && name.p[2] <= '9';

    return name.len > 1 && name.p[1] == ':' && !number &&
           lower((unsigned char)name.p[0]) >= 'a' &&
           lower((unsigned char)name.p[0]) <= 'z';
}

/*
 * Relative, plain parts, printable UTF-8. A slash at the end may stand, and
 * colons may: arrays of TensorFlow are called "kernel:0".
 */
static bool name_is_good(struct str name)
{
    struct str rest = name;
    size_t from = 0;
    uint32_t cp;

    if (has_drive(name))
        return false;
    while (rest.len > 0) {
        unsigned n = utf8_get(rest, &cp);

        if (n == 0 || cp < 32 || cp == 127 || cp == '\\')
            return false;
        rest = (struct str){ rest.p + n, rest.len - n };
    }
    for (size_t i = 0; i < name.len; i++) {
        if (name.p[i] != '/')
            continue;
        if (!part_is_good((struct str){ name.p + from, i - from }))
            return false;
        from = i + 1;
    }
    return name.len > 0 && name.len <= ZIP_NAME_MAX &&
           (from == name.len ||
               part_is_good((struct str){ name.p + from, name.len - from }));
}

/* ---- entries ---- */

/*
 * The zip64 field holds only what is saturated in the entry, in this order.
 */
static bool wide_fields(struct rd extra, struct zip_entry *t)
{
    uint64_t *const want[] = { &t->size, &t->packed, &t->header_at };

    while (rd_left(&extra) >= 4) {
        unsigned id = rd_u16(&extra);
        uint64_t n = rd_u16(&extra);
        const uint8_t *bytes = rd_bytes(&extra, n);
        struct rd field;

        if (bytes == NULL)
            return false;
        if (id != FIELD64)
            continue;
        field = rd_of(bytes, n);
        for (size_t i = 0; i < ARRAY_LEN(want); i++) {
            if (*want[i] == 0xffffffff)
                *want[i] = rd_u64(&field);
        }
        return !field.bad;
    }
    return t->size != 0xffffffff && t->packed != 0xffffffff &&
           t->header_at != 0xffffffff;
}

static int entry_bad(
    struct err *e, const struct zip_entry *t, uint64_t at, const char *what)
{
    return err_set(e, ERR_REFUSED, "zip entry '%.*s' at byte %llu: %s",
        (int)size_min(t->name.len, 200), t->name.p ? t->name.p : "",
        (unsigned long long)at, what);
}

/* The local header must tell the same story; its sizes may be blank. */
static int local_read(
    struct rd file, uint64_t dir_at, struct zip_entry *t, struct err *e)
{
    uint64_t name_len, extra_len, end;
    const uint8_t *name;
    uint32_t sig;
    uint16_t flags, method;

    rd_seek(&file, t->header_at);
    sig = rd_u32(&file);
    rd_u16(&file); /* version */
    flags = rd_u16(&file);
    method = rd_u16(&file);
    rd_bytes(&file, 16); /* time, date, CRC and sizes, often blank */
    name_len = rd_u16(&file);
    extra_len = rd_u16(&file);
    name = rd_bytes(&file, name_len);
    rd_bytes(&file, extra_len);
    if (file.bad || sig != LOCAL_SIG)
        return entry_bad(e, t, t->header_at, "no header where it should be");
    if (name_len != t->name.len || memcmp(name, t->name.p, name_len) != 0 ||
        method != t->method)
        return entry_bad(
            e, t, t->header_at, "its header and the directory disagree");
    if ((flags & FLAGS_REFUSED) != 0)
        return entry_bad(e, t, t->header_at, "encrypted or patched");
    t->data_at = file.pos;
    if (!size_add(t->data_at, t->packed, &end) || end > dir_at)
        return entry_bad(e, t, t->header_at, "its data run past the end");
    return 0;
}

static int central_read(struct rd *dir, struct zip_entry *t, struct err *e)
{
    uint64_t at = dir->pos, name_len, extra_len, comment_len;
    uint32_t sig = rd_u32(dir);
    const uint8_t *name, *extra;
    uint16_t flags, disk;

    rd_u32(dir); /* versions */
    flags = rd_u16(dir);
    t->method = rd_u16(dir);
    rd_u32(dir); /* time, date */
    t->crc = rd_u32(dir);
    t->packed = rd_u32(dir);
    t->size = rd_u32(dir);
    name_len = rd_u16(dir);
    extra_len = rd_u16(dir);
    comment_len = rd_u16(dir);
    disk = rd_u16(dir);
    rd_bytes(dir, 6); /* attributes */
    t->header_at = rd_u32(dir);
    name = rd_bytes(dir, name_len);
    extra = rd_bytes(dir, extra_len);
    rd_bytes(dir, comment_len);
    if (dir->bad || sig != CENTRAL_SIG)
        return entry_bad(e, t, at, "not a directory entry");
    t->name = (struct str){ (const char *)name, name_len };
    if (!name_is_good(t->name))
        return entry_bad(e, t, at, "an unsafe name");
    if ((flags & FLAGS_REFUSED) != 0)
        return entry_bad(e, t, at, "encrypted or patched");
    if (!wide_fields(rd_of(extra, extra_len), t))
        return entry_bad(e, t, at, "a malformed zip64 field");
    if (disk != 0)
        return entry_bad(e, t, at, "on another disk");
    if (t->method == 0 && t->packed != t->size)
        return entry_bad(e, t, at, "stored, but with two different sizes");
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return fold_cmp(((const struct zip_entry *)a)->name,
        ((const struct zip_entry *)b)->name);
}

static int by_place(const void *a, const void *b)
{
    uint64_t x = ((const struct zip_entry *)a)->header_at;
    uint64_t y = ((const struct zip_entry *)b)->header_at;

    return x < y ? -1 : x > y;
}

/* Neither two names alike, nor two entries over the same bytes. */
static int entries_check(struct zip *z, struct err *e)
{
    qsort(z->v, z->n, sizeof(*z->v), by_place);
    for (uint64_t i = 1; i < z->n; i++) {
        const struct zip_entry *a = &z->v[i - 1];

        if (z->v[i].header_at < a->data_at + a->packed)
            return entry_bad(
                e, &z->v[i], z->v[i].header_at, "overlaps another entry");
    }
    qsort(z->v, z->n, sizeof(*z->v), by_name);
    for (uint64_t i = 1; i < z->n; i++) {
        if (by_name(&z->v[i - 1], &z->v[i]) == 0)
            return entry_bad(e, &z->v[i], z->v[i].header_at,
                "another entry has the same name");
    }
    return 0;
}

static struct str first_part(struct str name)
{
    const char *slash = memchr(name.p, '/', name.len);

    return (struct str){ name.p, slash ? (size_t)(slash - name.p) : 0 };
}

static struct str common_folder(const struct zip *z)
{
    struct str folder = { "", 0 };

    for (uint64_t i = 0; i < z->n; i++) {
        struct str part = first_part(z->v[i].name);

        if (part.len == 0 || (i > 0 && !str_eq(part, folder)))
            return (struct str){ "", 0 };
        folder = part;
    }
    return folder;
}

int zip_read(const void *bytes, uint64_t len, struct arena *arena,
    struct zip *out, struct err *e)
{
    struct rd file = rd_of(bytes, len), dir;
    struct end end = { .limit = 0 };

    if (end_read(file, &end, e) != 0)
        return -1;
    *out = (struct zip){ .v = arena_alloc(
                             arena, end.entries, sizeof(struct zip_entry), e) };
    if (out->v == NULL)
        return -1;
    dir = rd_of(bytes, end.dir_at + end.dir_size);
    rd_seek(&dir, end.dir_at);
    for (uint64_t i = 0; i < end.entries; i++) {
        struct zip_entry t = { .size = 0 };

        if (i % FORGET_EVERY == 0)
            map_forget(bytes);

        if (central_read(&dir, &t, e) != 0 ||
            local_read(file, end.dir_at, &t, e) != 0)
            return -1;
        if (!str_ends(t.name, "/"))
            out->v[out->n++] = t;
        else if (t.size != 0)
            return entry_bad(e, &t, t.header_at, "a folder with data");
    }
    if (rd_left(&dir) > 0)
        return err_set(e, ERR_REFUSED,
            "the zip directory has %llu bytes more than its entries",
            (unsigned long long)rd_left(&dir));
    out->folder = common_folder(out);
    return entries_check(out, e);
}

const struct zip_entry *zip_find(const struct zip *z, const char *record)
{
    char full[2 * ZIP_NAME_MAX];
    struct zip_entry key;
    const struct zip_entry *hit;
    int n = snprintf(full, sizeof(full), "%.*s/%s", STR_ARG(z->folder), record);

    if (z->n == 0 || n < 0 || (size_t)n >= sizeof(full))
        return NULL;
    key.name = (struct str){ full, (size_t)n };
    hit = bsearch(&key, z->v, z->n, sizeof(*z->v), by_name);
    return hit != NULL && str_eq(hit->name, key.name) ? hit : NULL;
}

struct str zip_record(const struct zip *z, const struct zip_entry *entry)
{
    size_t skip = z->folder.len ? z->folder.len + 1 : 0;

    return (struct str){ entry->name.p + skip, entry->name.len - skip };
}
