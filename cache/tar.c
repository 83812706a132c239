/* Source: POSIX.1-2017, pax, sections ustar and pax interchange format. */
#include "cache/tar.h"

#include <stdio.h>

/* Where the fields of a header are, and how long. */
enum {
    NAME = 0,
    NAME_LEN = 100,
    MODE = 100,
    UID = 108,
    GID = 116,
    SIZE = 124,
    SIZE_LEN = 12,
    MTIME = 136,
    SUM = 148,
    SUM_LEN = 8,
    TYPE = 156,
    LINK = 157,
    MAGIC = 257,
    DEV_MAJOR = 329,
    DEV_MINOR = 337,
    PREFIX = 345,
    PREFIX_LEN = 155,
    PAX = 'x'
};

/* 1980-01-01: tar warns of the year 1970. */
static const uint64_t the_time = 315532800;

static const uint64_t octal_max = ((uint64_t)1 << 33) - 1;

static const char pax_name[] = "ml-archive/pax";

static void put_octal(char *at, size_t len, uint64_t v)
{
    at[--len] = '\0';
    while (len > 0) {
        at[--len] = (char)('0' + (v & 7));
        v >>= 3;
    }
}

static void put_sum(char *block)
{
    unsigned sum = 0;

    memset(block + SUM, ' ', SUM_LEN);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += (unsigned char)block[i];
    put_octal(block + SUM, SUM_LEN - 1, sum);
}

/* Where to cut a long path: its front into the prefix; 0: nowhere. */
static size_t cut_of(struct str path)
{
    for (size_t i = path.len < NAME_LEN + 1 ? 1 : path.len - NAME_LEN - 1;
         i <= PREFIX_LEN && i + 1 < path.len; i++)
        if (path.p[i] == '/')
            return i;
    return 0;
}

static bool fits(struct str path)
{
    return path.len <= NAME_LEN || cut_of(path) > 0;
}

static void put_path(char *block, struct str path)
{
    size_t cut = path.len > NAME_LEN ? cut_of(path) : 0;

    if (cut > 0) {
        memcpy(block + PREFIX, path.p, cut);
        path.p += cut + 1;
        path.len -= cut + 1;
    }
    memcpy(block + NAME, path.p, path.len < NAME_LEN ? path.len : NAME_LEN);
}

static void put_block(
    struct buf *out, const struct tar_member *m, char type, uint64_t size)
{
    char block[TAR_BLOCK] = { 0 };

    put_path(block, m->path);
    put_octal(block + MODE, 8,
        type == TAR_FOLDER ? 0755
        : type == TAR_LINK ? 0777
                           : 0444);
    put_octal(block + UID, 8, 0);
    put_octal(block + GID, 8, 0);
    put_octal(block + SIZE, SIZE_LEN, size > octal_max ? 0 : size);
    put_octal(block + MTIME, 12, the_time);
    block[TYPE] = type;
    if (m->link.len > 0)
        memcpy(block + LINK, m->link.p,
            m->link.len < NAME_LEN ? m->link.len : NAME_LEN);
    memcpy(block + MAGIC, "ustar\00000", 8);
    put_octal(block + DEV_MAJOR, 8, 0);
    put_octal(block + DEV_MINOR, 8, 0);
    put_sum(block);
    buf_put(out, block, sizeof(block));
}

/* "25 path=...\n": the length counts its own digits. */
static void put_record(struct buf *out, const char *key, struct str value)
{
    size_t n = strlen(key) + value.len + sizeof(" =\n") - 1, digits = 1;

    for (size_t most = 10; n + digits >= most; most *= 10)
        digits++;
    n += digits;
    buf_printf(out, "%zu %s=", n, key);
    buf_put(out, value.p, value.len);
    buf_putc(out, '\n');
}

static void put_zeroes(struct buf *out, uint64_t n)
{
    while (n-- > 0)
        buf_putc(out, 0);
}

static void put_pax(struct buf *out, const struct tar_member *m)
{
    struct buf text AUTO(buf_free) = BUF_INIT(4 * TAR_BLOCK * TAR_BLOCK);
    struct tar_member front = { .path = str_of(pax_name), .type = TAR_FILE };
    char digits[24];

    if (!fits(m->path))
        put_record(&text, "path", m->path);
    if (m->link.len > NAME_LEN)
        put_record(&text, "linkpath", m->link);
    if (m->size > octal_max) {
        snprintf(digits, sizeof(digits), "%llu", (unsigned long long)m->size);
        put_record(&text, "size", str_of(digits));
    }
    if (text.len == 0)
        return;
    if (text.bad != ERR_NONE)
        out->bad = text.bad;
    put_block(out, &front, PAX, text.len);
    buf_put(out, text.p, text.len);
    put_zeroes(out, tar_padding(text.len));
}

void tar_head(struct buf *out, const struct tar_member *m)
{
    put_pax(out, m);
    put_block(out, m, (char)m->type, m->type == TAR_FILE ? m->size : 0);
}

bool tar_size(const uint8_t block[static TAR_BLOCK], uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i + 1 < SIZE_LEN; i++) {
        uint8_t c = block[SIZE + i];

        if (c < '0' || c > '7')
            return false;
        *out = 8 * *out + (c - '0');
    }
    return block[SIZE + SIZE_LEN - 1] == '\0';
}

static const char *word_of(uint8_t type)
{
    switch (type) {
    case '\0':
    case TAR_FILE:
    case '7':
        return "the file";
    case TAR_HARD:
        return "the hard link";
    case TAR_LINK:
        return "the symbolic link";
    case '3':
    case '4':
        return "the device";
    case TAR_FOLDER:
        return "the folder";
    case '6':
        return "the FIFO";
    case 'S':
        return "the sparse file";
    case PAX:
    case 'g':
    case 'L':
    case 'K':
        return "an extended header";
    default:
        return "something";
    }
}

void tar_describe(
    const uint8_t block[static TAR_BLOCK], char *out, size_t out_len)
{
    bool zero = true;

    for (size_t i = 0; i < TAR_BLOCK; i++)
        zero = zero && block[i] == 0;
    if (zero)
        snprintf(out, out_len, "its end");
    else if (memcmp(block + MAGIC, "ustar", 5) != 0)
        snprintf(out, out_len, "no header of tar's");
    else
        snprintf(out, out_len, "%s '%.*s'", word_of(block[TYPE]),
            (int)strnlen((const char *)block + NAME, NAME_LEN),
            (const char *)block + NAME);
}
