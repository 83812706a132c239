/* An archive around an input: what a writer would have to get right is. */
#include "kit.h"

#include "base/rd.h"

enum { PARTS_MAX = 64, FIELD64 = 1, PADDING = 64, PADDING_ID = 0x4246 };

struct part {
    uint8_t flags;
    struct str name;
    struct str data;
    uint64_t at; /* of the local header */
};

static void put(struct buf *out, uint64_t v, unsigned bytes)
{
    for (; bytes > 0; bytes--, v >>= 8)
        buf_putc(out, (char)(v & 0xff));
}

static size_t read_parts(struct part *parts, const uint8_t *in, size_t len)
{
    struct rd r = rd_of(in, len);
    size_t n = 0;

    while (n < PARTS_MAX && rd_left(&r) >= 4) {
        struct part *p = &parts[n++];
        uint64_t name, data;

        p->flags = rd_u8(&r);
        name = rd_u8(&r);
        data = rd_u16(&r);
        name = size_min(name, rd_left(&r));
        p->name = (struct str){ (const char *)rd_bytes(&r, name), name };
        data = size_min(data, rd_left(&r));
        p->data = (struct str){ (const char *)rd_bytes(&r, data), data };
    }
    return n;
}

/* Version, flags, method, time, date, CRC and the two sizes. */
static void put_front(const struct part *p, bool local, struct buf *out)
{
    bool wide = p->flags & KIT_ZIP64, late = p->flags & KIT_DESCRIPTOR;
    uint64_t size = wide ? UINT32_MAX : p->data.len;

    put(out, 20, 2);
    put(out, late ? 8 : 0, 2);
    put(out, p->flags & KIT_DEFLATED ? 8 : 0, 2);
    put(out, 0, 8);
    if (local && late && !wide)
        size = 0;
    put(out, size, 4);
    put(out, size, 4);
    put(out, p->name.len, 2);
}

static void put_extra64(const struct part *p, struct buf *out)
{
    if (!(p->flags & KIT_ZIP64))
        return;
    put(out, FIELD64, 2);
    put(out, 16, 2);
    put(out, p->data.len, 8);
    put(out, p->data.len, 8);
}

static void put_local(struct part *p, struct buf *out)
{
    size_t extra = p->flags & KIT_ZIP64 ? 20 : 0, pad = 0;

    p->at = out->len;
    if (p->flags & KIT_PADDED)
        pad = PADDING - (out->len + 30 + p->name.len + extra + 4) % PADDING + 4;
    put(out, 0x04034b50, 4);
    put_front(p, true, out);
    put(out, extra + pad, 2);
    buf_put(out, p->name.p, p->name.len);
    if (p->flags & KIT_OTHER_NAME && p->name.len > 0)
        out->p[out->len - 1] ^= 1;
    put_extra64(p, out);
    if (pad > 0) {
        put(out, PADDING_ID, 2);
        put(out, pad - 4, 2);
        for (size_t i = 4; i < pad; i++)
            buf_putc(out, 'Z');
    }
    buf_put(out, p->data.p, p->data.len);
    if (p->flags & KIT_DESCRIPTOR) {
        put(out, 0x08074b50, 4);
        put(out, 0, 4);
        put(out, p->data.len, p->flags & KIT_ZIP64 ? 8 : 4);
        put(out, p->data.len, p->flags & KIT_ZIP64 ? 8 : 4);
    }
}

static void put_central(const struct part *p, struct buf *out)
{
    put(out, 0x02014b50, 4);
    put(out, 20, 2);
    put_front(p, false, out);
    put(out, p->flags & KIT_ZIP64 ? 20 : 0, 2);
    put(out, 0, 10);
    put(out, p->at, 4);
    buf_put(out, p->name.p, p->name.len);
    put_extra64(p, out);
}

void kit_zip(const uint8_t *in, size_t len, struct buf *out)
{
    struct part parts[PARTS_MAX];
    size_t n = read_parts(parts, in, len);
    uint64_t start;

    for (size_t i = 0; i < n; i++)
        put_local(&parts[i], out);
    start = out->len;
    for (size_t i = 0; i < n; i++)
        put_central(&parts[i], out);
    len = out->len - start;
    put(out, 0x06054b50, 4);
    put(out, 0, 4);
    put(out, n, 2);
    put(out, n, 2);
    put(out, len, 4);
    put(out, start, 4);
    put(out, 0, 2);
}
