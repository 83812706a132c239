/* cache/tar.h: headers as POSIX has them. tests/e2e/archive.py has GNU tar and
 * Python's read them. */
#include "cache/tar.h"

#include "base/sys.h"
#include "tests/unit/tap.h"

static struct buf head_of(struct tar_member m)
{
    struct buf b = BUF_INIT(1 << 20);

    tar_head(&b, &m);
    return b;
}

static bool sum_is_right(const char *block)
{
    unsigned sum = 0;
    unsigned long said = strtoul(block + 148, NULL, 8);

    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : (unsigned char)block[i];
    return sum == said;
}

static void plain(void)
{
    struct buf b AUTO(buf_free) = head_of((struct tar_member){
        .path = str_of("a/b"), .type = TAR_FILE, .size = 1000 });
    uint64_t size;

    is_int(b.len, TAR_BLOCK, "one block");
    ok(strcmp(b.p, "a/b") == 0 && b.p[156] == '0', "name and type");
    ok(memcmp(b.p + 257, "ustar\00000", 8) == 0, "magic");
    ok(sum_is_right(b.p), "checksum");
    ok(memcmp(b.p + 108, "0000000\0000000000\0", 16) == 0, "nobody's");
    ok(tar_size((const uint8_t *)b.p, &size) && size == 1000, "size");
    is_int((long long)tar_padding(1000), 24, "padding");
    is_int((long long)tar_padding(1024), 0, "none");
}

static void long_names(void)
{
    char name[300];
    struct buf cut AUTO(buf_free) = BUF_INIT(1), pax AUTO(buf_free) = cut;

    memset(name, 'n', sizeof(name));
    name[99] = '/';
    cut =
        head_of((struct tar_member){ .path = { name, 200 }, .type = TAR_FILE });
    ok(cut.len == TAR_BLOCK && memcmp(cut.p + 345, name, 99) == 0 &&
            cut.p[345 + 99] == '\0' && memcmp(cut.p, name + 100, 100) == 0,
        "200 bytes are cut at the slash");
    name[99] = 'n';
    pax =
        head_of((struct tar_member){ .path = { name, 200 }, .type = TAR_FILE });
    ok(pax.len == 3 * TAR_BLOCK && pax.p[156] == 'x' &&
            memcmp(pax.p + TAR_BLOCK, "210 path=nnn", 12) == 0 &&
            pax.p[TAR_BLOCK + 209] == '\n' && pax.p[TAR_BLOCK + 210] == 0,
        "without one a record says the name");
    ok(sum_is_right(pax.p) && sum_is_right(pax.p + 2 * TAR_BLOCK),
        "both checksums");
}

/* The length of a record counts its own digits. */
static void lengths(void)
{
    unsigned bad = 0;
    char name[1200];

    memset(name, 'n', sizeof(name));
    for (size_t n = 101; n < sizeof(name); n++) {
        struct buf b AUTO(buf_free) = head_of((struct tar_member){
            .path = str_of("a"), .type = TAR_LINK, .link = { name, n } });
        char *end;
        unsigned long len = strtoul(b.p + TAR_BLOCK, &end, 10);

        bad += *end != ' ' || b.p[TAR_BLOCK + len - 1] != '\n' ||
               (len % TAR_BLOCK != 0 && b.p[TAR_BLOCK + len] != 0) ||
               len != (size_t)(end - b.p) - TAR_BLOCK + sizeof(" linkpath=") -
                          1 + n + 1;
    }
    is_int(bad, 0, "records of every length");
}

static void huge(void)
{
    struct buf b AUTO(buf_free) = head_of((struct tar_member){
        .path = str_of("a"), .type = TAR_FILE, .size = 1ull << 40 });

    ok(b.len == 3 * TAR_BLOCK &&
            memcmp(b.p + TAR_BLOCK, "22 size=1099511627776\n", 22) == 0,
        "a terabyte is said by a record");
}

static void described(void)
{
    static const struct {
        char type;
        const char *want;
    } cases[] = { { '0', "the file 'x'" }, { '2', "the symbolic link 'x'" },
        { '3', "the device 'x'" }, { 'S', "the sparse file 'x'" },
        { 'x', "an extended header 'x'" }, { '?', "something 'x'" } };
    uint8_t block[TAR_BLOCK] = { 0 };
    char text[100];

    tar_describe(block, text, sizeof(text));
    is_str(text, "its end", "zeroes");
    block[3] = 7;
    tar_describe(block, text, sizeof(text));
    is_str(text, "no header of tar's", "noise");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b AUTO(buf_free) = head_of(
            (struct tar_member){ .path = str_of("x"), .type = TAR_FILE });

        memcpy(block, b.p, TAR_BLOCK);
        block[156] = (uint8_t)cases[i].type;
        tar_describe(block, text, sizeof(text));
        is_str(text, cases[i].want, "described");
    }
}

static void sizes(void)
{
    struct buf b AUTO(buf_free) =
        head_of((struct tar_member){ .path = str_of("x"), .type = TAR_FILE });
    uint8_t block[TAR_BLOCK];
    uint64_t size;

    memcpy(block, b.p, TAR_BLOCK);
    block[124] = 0x80;
    ok(!tar_size(block, &size), "a size in binary is not sane");
    block[124] = ' ';
    ok(!tar_size(block, &size), "nor one with blanks");
    block[124] = '-';
    ok(!tar_size(block, &size), "nor a negative one");
}

int main(void)
{
    plain();
    long_names();
    lengths();
    huge();
    described();
    sizes();
    return done();
}
