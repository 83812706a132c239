/*
 * Eight tables, eight bytes at a time: table k holds what a byte does to the
 * sum after k further zero bytes.
 */
#include "verify/crc32.h"

void crc32_init(struct crc32 *c)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t v = i;

        for (int bit = 0; bit < 8; bit++)
            v = v >> 1 ^ (v & 1 ? 0xEDB88320u : 0);
        c->table[0][i] = v;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int k = 1; k < CRC32_SLICES; k++) {
            uint32_t v = c->table[k - 1][i];

            c->table[k][i] = v >> 8 ^ c->table[0][v & 0xFF];
        }
}

uint32_t crc32_add(
    const struct crc32 *c, uint32_t sum, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    uint32_t v = ~sum;

    for (; len >= CRC32_SLICES; p += CRC32_SLICES, len -= CRC32_SLICES)
        v = c->table[7][(p[0] ^ v) & 0xFF] ^
            c->table[6][(p[1] ^ v >> 8) & 0xFF] ^
            c->table[5][(p[2] ^ v >> 16) & 0xFF] ^
            c->table[4][(p[3] ^ v >> 24) & 0xFF] ^ c->table[3][p[4]] ^
            c->table[2][p[5]] ^ c->table[1][p[6]] ^ c->table[0][p[7]];
    for (; len > 0; p++, len--)
        v = v >> 8 ^ c->table[0][(v ^ *p) & 0xFF];
    return ~v;
}
