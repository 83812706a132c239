/* Buffers, arenas, cursors, paths, human numbers, hexadecimal, UTF-8. */
#include <limits.h>
#include <signal.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/cancel.h"
#include "base/hex.h"
#include "base/human.h"
#include "base/path.h"
#include "base/rd.h"
#include "base/utf8.h"
#include "tests/unit/tap.h"

static void buffers(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(10);
    struct err e = ERR_INIT;

    is_str(b.p, "", "an empty buffer is an empty text");
    buf_puts(&b, "12345");
    buf_printf(&b, "%d", 67890);
    is_str(b.p, "1234567890", "exactly the limit fits");
    buf_putc(&b, 'x');
    buf_clear(&b);
    buf_puts(&b, "abc");
    is_int(buf_check(&b, &e), 0, "clearing forgets a failure");
    buf_puts(&b, "12345678");
    buf_puts(&b, "d");
    is_int(buf_check(&b, &e), -1, "one byte too many fails for good");
    is_str(b.p, "abc", "and changes nothing");
    is_int(e.kind, ERR_REFUSED, "with the limit as the reason");
}

static void arenas(void)
{
    struct arena a AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    bool aligned = true, zeroed = true;

    for (size_t i = 1; i < 1000; i++) {
        unsigned char *p = arena_alloc(&a, i, 1, &e);
        aligned = aligned && (uintptr_t)p % _Alignof(max_align_t) == 0;
        zeroed = zeroed && p[0] == 0 && p[i - 1] == 0;
        memset(p, 0xAA, i);
    }
    ok(aligned && zeroed, "memory comes aligned and zeroed");
    ok(arena_alloc(&a, UINT64_MAX, 16, &e) == NULL, "overflow is refused");
    is_int(e.kind, ERR_REFUSED, "as over the limit");
    err_clear(&e);
    ok(arena_alloc(&a, 1 << 20, 1, &e) == NULL, "so is too much");
    err_clear(&e);
    ok(arena_alloc(&a, 0, 8, &e) != NULL, "nothing is a valid request");
    ok(str_is(arena_str(&a, str_of("abc"), &e), "abc"), "a copy of a text");
}

static void cursors(void)
{
    static const uint8_t bytes[] = { 1, 2, 0, 3, 0, 0, 0, 'a', '\n', 'b' };
    struct rd r = rd_of(bytes, sizeof(bytes));

    is_int(rd_u8(&r), 1, "u8");
    is_int(rd_u16(&r), 2, "u16 is little-endian");
    is_int(rd_u32(&r), 3, "u32");
    ok(str_is(rd_line(&r), "a"), "a line without its newline");
    rd_line(&r);
    ok(r.bad, "a line without an end is bad");
    is_int(rd_u8(&r), 0, "bad sticks");
    r = rd_of(bytes, sizeof(bytes));
    rd_bytes(&r, UINT64_MAX);
    ok(r.bad && r.pos == 0, "a length near 2^64 does not wrap");
    r = rd_of(bytes, 4);
    rd_u64(&r);
    ok(r.bad, "a number past the end is bad");
}

static void paths(void)
{
    static const char *const good[] = { "a", "a/b", "a b/é", ".gitattributes",
        "..a", "a..b/...", "x#%+" };
    static const char *const bad[] = { "", "/a", "../a", "a/../b", "a/..",
        "a//b", "a/", "./a", "a/.", "C:x", "a\\b", "..\\a", "a\nb", "a\x7f" };
    char out[64], clean[PATH_MAX];
    struct err e = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        ok(path_check(str_of(good[i]), &e) == 0, "'%s' is safe", good[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        err_clear(&e);
        ok(path_check(str_of(bad[i]), &e) == -1 && e.kind == ERR_REFUSED,
            "unsafe path %zu is refused", i);
    }
    path_dir(out, sizeof(out), "a/b/c");
    is_str(out, "a/b", "directory of a/b/c");
    path_dir(out, sizeof(out), "/a");
    is_str(out, "/", "directory of /a");
    path_dir(out, sizeof(out), "a");
    is_str(out, ".", "directory of a");
    path_dir(out, sizeof(out), "a/b//");
    is_str(out, "a", "directory of a/b//");
    is_str(path_base("a/b"), "b", "base name");
    is_int(path_len("a/b//"), 3, "slashes at the end do not count");
    is_int(path_len("//"), 1, "but the root's does");
    is_int(path_len(""), 0, "nothing has no length");
    err_clear(&e);
    ok(path_clean(clean, "a/b//", &e) == 0 && strcmp(clean, "a/b") == 0,
        "a name without the slashes that were typed");
    ok(path_clean(clean, "//", &e) == -1 && e.kind == ERR_REFUSED,
        "and checked");
}

static void numbers(void)
{
    static const struct {
        const char *text;
        uint64_t value;
    } size[] = { { "500", 500 }, { "10k", 10000 }, { "1.5GB", 1500000000 },
        { "4GiB", 4ull << 30 }, { "2 MB", 2000000 }, { "1b", 1 } };
    static const char *const bad[] = { "", "x", "-1", "10q", "1e", "0x10",
        "5 MBs", "99999999999P" };
    char out[HUMAN_MAX];
    uint64_t v;

    for (size_t i = 0; i < ARRAY_LEN(size); i++)
        ok(human_parse_size(size[i].text, &v) && v == size[i].value, "size %s",
            size[i].text);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ok(!human_parse_size(bad[i], &v), "'%s' is no size", bad[i]);
    is_str(human_size(out, 999), "999 B", "999 B");
    is_str(human_size(out, 1500), "1.50 kB", "1.50 kB");
    is_str(human_size(out, 999999), "1.00 MB", "no 1000 kB");
    is_str(human_size(out, 12345678901ull), "12.3 GB", "12.3 GB");
    is_str(human_time(out, 3.21), "3.2 s", "3.2 s");
    is_str(human_time(out, 187), "3:07", "3:07");
    is_str(human_time(out, 3723), "1:02:03", "1:02:03");
    is_str(human_count(out, 1234567), "1,234,567", "1,234,567");
    is_str(human_count(out, 12), "12", "12");
    is_str(human_date(out, 1763717400), "2025-11-21 09:30:00 UTC", "a date");
    is_str(human_date(out, INT64_MAX), "9223372036854775807",
        "beyond all calendars it is a number");
}

static void texts(void)
{
    static const char *const bad[] = { "\x80", "\xC0\x80", "\xC1\xBF",
        "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF5\x80",
        "\xE2\x82", "\xFF" };
    unsigned char raw[3];
    char hex[8];
    uint32_t cp = 0;
    bool same = true;

    hex_encode(hex, "\x00\xab\xff", 3);
    is_str(hex, "00abff", "hexadecimal");
    ok(hex_decode(raw, 3, str_of("00abff")) && raw[1] == 0xab, "and back");
    ok(!hex_decode(raw, 3, str_of("00ABFF")), "upper case is refused");
    ok(!hex_decode(raw, 3, str_of("00abf")), "so is an odd length");
    for (uint32_t c = 1; c <= 0x10FFFF; c++) {
        char u[4];
        struct str s = { u, utf8_put(u, c) };
        bool surrogate = c >= 0xD800 && c <= 0xDFFF;
        same = same && (utf8_get(s, &cp) == (surrogate ? 0 : s.len)) &&
               (surrogate || cp == c);
    }
    ok(same, "every code point survives, no surrogate does");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ok(utf8_get(str_of(bad[i]), &cp) == 0, "bad UTF-8 %zu", i);
}

static void interrupts(void)
{
    signal(SIGHUP, SIG_IGN);
    cancel_arm();
    raise(SIGHUP);
    ok(!cancel_asked(), "a SIGHUP that is ignored stays so: nohup");
    raise(SIGTERM);
    ok(cancel_asked(), "SIGTERM asks to stop");
}

int main(void)
{
    buffers();
    arenas();
    cursors();
    paths();
    numbers();
    texts();
    interrupts();
    return done();
}
