#include "base/zst.h"

#include <zstd.h>
#include <zstd_errors.h>

#include "base/rd.h"

enum {
    HEAD_MIN = 6, /* bytes, of a frame */
    LINE = 8,
    FOOT = 9,
    DEPTH_MIN = 10, /* least binary logarithm of a window */
    HAS_SUM = 4     /* bit of the first byte behind the magic number */
};

static const uint32_t frame_magic = 0xFD2FB528;
static const uint32_t table_magic = 0x184D2A5E;
static const uint32_t foot_magic = 0x8F92EAB1;
static const uint64_t frames_max = 1 << 27;

void zst_free(struct zst *z)
{
    ZSTD_freeCCtx(z->pack);
    ZSTD_freeDCtx(z->unpack);
    *z = (struct zst)ZST_INIT;
}

int zst_pack(struct zst *z, int level, const void *bytes, size_t n, void *out,
    size_t *out_n, struct err *e)
{
    size_t rc;

    if (z->pack == NULL)
        z->pack = ZSTD_createCCtx();
    if (z->pack == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    ZSTD_CCtx_setParameter(z->pack, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(z->pack, ZSTD_c_checksumFlag, 1);
    rc = ZSTD_compress2(z->pack, out, ZST_PACKED, bytes, n);
    if (ZSTD_isError(rc))
        return err_set(e,
            ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation ? ERR_NOMEM
                                                                  : ERR_BUG,
            "zstd: %s", ZSTD_getErrorName(rc));
    *out_n = rc;
    return 0;
}

/* The memory that a frame asks for, from its head; 0: just its bytes. */
static uint64_t window_of(const uint8_t *p)
{
    unsigned depth = p[5] >> 3;
    uint64_t base = (uint64_t)1 << (DEPTH_MIN + depth);

    if (p[4] & 0x20)
        return 0;
    return base + base / 8 * (p[5] & 7);
}

/* How long the head of a frame is. Source: RFC 8878, section 3.1.1.1. */
static size_t head_of(const uint8_t *p)
{
    static const uint8_t dictionary[] = { 0, 1, 2, 4 },
                         content[] = { 0, 2, 4, 8 };
    bool single = p[4] & 0x20;
    size_t n = (single ? 5u : 6u) + dictionary[p[4] & 3] + content[p[4] >> 6];

    return single && p[4] >> 6 == 0 ? n + 1 : n;
}

static int check_head(
    const void *p, size_t have, size_t *out_bytes, struct err *e)
{
    unsigned long long n = ZSTD_getFrameContentSize(p, have);
    uint64_t window = window_of(p);

    if (n == ZSTD_CONTENTSIZE_ERROR)
        return err_set(e, ERR_REFUSED, "no zstd frame");
    if (n == ZSTD_CONTENTSIZE_UNKNOWN)
        return err_set(
            e, ERR_REFUSED, "a zstd frame that does not say what is in it");
    if (n > ZST_FRAME || window > ZST_FRAME)
        return err_set(e, ERR_REFUSED,
            "a zstd frame that needs %llu bytes of memory; %d at most",
            (unsigned long long)size_max(n, window), ZST_FRAME);
    if (!(((const uint8_t *)p)[4] & HAS_SUM))
        return err_set(e, ERR_REFUSED, "a zstd frame without a checksum");
    *out_bytes = (size_t)n;
    return 0;
}

int zst_look(
    const void *p, size_t have, size_t *out_n, size_t *out_bytes, struct err *e)
{
    struct rd r = rd_of(p, have);
    uint32_t magic = rd_u32(&r);
    size_t n;

    if (have < sizeof(magic))
        return ZST_MORE;
    if (magic == table_magic)
        return ZST_TABLE;
    if (magic != frame_magic)
        return err_set(e, ERR_REFUSED, "no zstd frame");
    if (have < HEAD_MIN || have < head_of(p))
        return ZST_MORE;
    if (check_head(p, have, out_bytes, e) != 0)
        return -1;
    n = ZSTD_findFrameCompressedSize(p, have);
    if (!ZSTD_isError(n) && n <= ZST_PACKED) {
        *out_n = n;
        return ZST_DATA;
    }
    if (ZSTD_isError(n) && ZSTD_getErrorCode(n) != ZSTD_error_srcSize_wrong)
        return err_set(
            e, ERR_REFUSED, "a damaged zstd frame: %s", ZSTD_getErrorName(n));
    if (have >= ZST_PACKED)
        return err_set(
            e, ERR_REFUSED, "a zstd frame longer than what is in it");
    return ZST_MORE;
}

int zst_unpack(struct zst *z, const void *frame, size_t n, void *out,
    size_t out_n, struct err *e)
{
    size_t rc;

    if (z->unpack == NULL)
        z->unpack = ZSTD_createDCtx();
    if (z->unpack == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    rc = ZSTD_decompressDCtx(z->unpack, out, out_n, frame, n);
    if (ZSTD_isError(rc))
        return err_set(
            e, ERR_CORRUPT, "a damaged zstd frame: %s", ZSTD_getErrorName(rc));
    if (rc != out_n)
        return err_set(e, ERR_CORRUPT,
            "a zstd frame with %zu bytes in it, not the %zu it says", rc,
            out_n);
    return 0;
}

static void put_le32(struct buf *out, uint64_t v)
{
    for (unsigned i = 0; i < 4; i++, v >>= 8)
        buf_putc(out, (char)(v & 0xff));
}

void zst_note(struct buf *lines, size_t packed, size_t bytes)
{
    put_le32(lines, packed);
    put_le32(lines, bytes);
}

int zst_table(struct buf *out, const struct buf *lines, struct err *e)
{
    uint64_t frames = lines->len / LINE;

    if (frames > frames_max)
        return err_set(e, ERR_REFUSED,
            "%llu frames: more than a table of zstd's can hold",
            (unsigned long long)frames);
    put_le32(out, table_magic);
    put_le32(out, lines->len + FOOT);
    buf_put(out, lines->p, lines->len);
    put_le32(out, frames);
    buf_putc(out, 0);
    put_le32(out, foot_magic);
    return buf_check(lines, e) != 0 ? -1 : buf_check(out, e);
}
