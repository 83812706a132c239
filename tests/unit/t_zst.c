/* base/zst.h: frames are found, bounded and taken back; a table is exact. */
#include "base/zst.h"

#include "tests/unit/tap.h"

static uint8_t plain[ZST_FRAME], packed[ZST_PACKED], back[ZST_FRAME];

/* Bytes that pack a little. */
static void fill(size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1103515245u + 12345u;
        plain[i] = (uint8_t)(seed >> 16) & 0x3f;
    }
}

static void round_trips(void)
{
    static const size_t sizes[] = { 0, 1, 17, 511, 65536, ZST_FRAME };
    struct zst z AUTO(zst_free) = ZST_INIT;
    unsigned bad = 0;

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (int level = 1; level <= ZST_LEVEL_MAX; level += 6) {
            struct err e = ERR_INIT;
            size_t n, found, bytes;

            fill(sizes[i], 7);
            if (zst_pack(&z, level, plain, sizes[i], packed, &n, &e) != 0 ||
                zst_look(packed, n, &found, &bytes, &e) != ZST_DATA ||
                found != n || bytes != sizes[i] ||
                zst_unpack(&z, packed, n, back, bytes, &e) != 0 ||
                memcmp(plain, back, bytes) != 0)
                bad++;
        }
    is_int(bad, 0, "what is packed comes back");
}

static void cut(void)
{
    struct zst z AUTO(zst_free) = ZST_INIT;
    struct err e = ERR_INIT;
    size_t n, found, bytes;
    unsigned bad = 0;

    fill(3000, 1);
    zst_pack(&z, 3, plain, 3000, packed, &n, &e);
    for (size_t i = 0; i < n; i++)
        bad += zst_look(packed, i, &found, &bytes, &e) != ZST_MORE;
    is_int(bad, 0, "cut at any byte, more is wanted");
    for (size_t i = 0; i < n; i++) {
        struct err why = ERR_INIT;

        packed[i] ^= 0x55;
        if (zst_look(packed, n, &found, &bytes, &why) == ZST_DATA &&
            zst_unpack(&z, packed, found, back, bytes, &why) == 0 &&
            memcmp(plain, back, bytes) != 0)
            bad++;
        packed[i] ^= 0x55;
    }
    is_int(bad, 0, "with any byte changed, no other bytes come out");
}

static enum err_kind look_at(const char *bytes, size_t n)
{
    struct err e = ERR_INIT;
    size_t found, in_it;
    char p[64] = { 0 };

    memcpy(p, bytes, n);
    zst_look(p, sizeof(p), &found, &in_it, &e);
    return e.kind;
}

static void bombs(void)
{
    is_int(look_at("PK\3\4", 4), ERR_REFUSED, "no frame");
    is_int(look_at("\x28\xB5\x2F\xFD\x00\x80", 6), ERR_REFUSED,
        "a frame that does not say what is in it");
    /* single segment, 8 bytes of size: 2^40 */
    is_int(look_at("\x28\xB5\x2F\xFD\xE0\0\0\0\0\0\1\0\0", 13), ERR_REFUSED,
        "a frame with a terabyte in it");
    /* a window of 2 GiB, 2 bytes of size: 256 + 1 */
    is_int(look_at("\x28\xB5\x2F\xFD\x40\xA8\1\0", 8), ERR_REFUSED,
        "a frame with little in it that asks for 2 GiB");
    is_int(look_at("\x2A\x4D\x18\x50", 4), ERR_REFUSED,
        "a skippable frame that is no table");
}

/* Blocks of nothing, without end. */
static void endless(void)
{
    struct err e = ERR_INIT;
    size_t n, bytes;

    memset(packed, 0, sizeof(packed));
    memcpy(packed, "\x28\xB5\x2F\xFD\x20\x00", 6);
    is_int(zst_look(packed, sizeof(packed), &n, &bytes, &e), -1,
        "a frame that takes more than what is in it is refused");
    is_int(e.kind, ERR_REFUSED, "as such");
}

static void table(void)
{
    static const uint8_t want[] = { 0x5E, 0x2A, 0x4D, 0x18, 25, 0, 0, 0, 1, 1,
        0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 0, 0xB1, 0xEA,
        0x92, 0x8F };
    struct buf lines AUTO(buf_free) = BUF_INIT(1000);
    struct buf out AUTO(buf_free) = BUF_INIT(1000);
    struct err e = ERR_INIT;
    size_t n, bytes;

    zst_note(&lines, 257, 2);
    zst_note(&lines, 3, 4);
    is_int(zst_table(&out, &lines, &e), 0, "a table");
    ok(out.len == sizeof(want) && memcmp(out.p, want, sizeof(want)) == 0,
        "as zstd's seekable format has it");
    is_int(zst_look(out.p, out.len, &n, &bytes, &e), ZST_TABLE, "is known");
}

int main(void)
{
    round_trips();
    cut();
    bombs();
    endless();
    table();
    return done();
}
