#include "verify-run/unicode.h"

#include "base/utf8.h"
#include "tests/unit/tap.h"

static void classes(void)
{
    static const struct {
        uint32_t cp;
        enum unicode_class want;
        bool word;
    } row[] = {
        { 'a', UNICODE_LETTER, true },
        { 'Z', UNICODE_LETTER, true },
        { '7', UNICODE_NUMBER, true },
        { '_', UNICODE_OTHER, true },
        { '\'', UNICODE_OTHER, false },
        { '@', UNICODE_OTHER, false },
        { '[', UNICODE_OTHER, false },
        { 0, UNICODE_OTHER, false },
        { '\t', UNICODE_SPACE, false },
        { 0x0D, UNICODE_SPACE, false },
        { 0x0E, UNICODE_OTHER, false },
        { 0x85, UNICODE_SPACE, false },
        { 0xA0, UNICODE_SPACE, false },
        { 0x200B, UNICODE_OTHER, false },
        { 0x3000, UNICODE_SPACE, false },
        { 0x180E, UNICODE_OTHER, false },
        { 0xAA, UNICODE_LETTER, true },
        { 0xB2, UNICODE_NUMBER, false },
        { 0xD7, UNICODE_OTHER, false },
        { 0x2C1, UNICODE_LETTER, true },
        { 0x2C2, UNICODE_OTHER, false },
        { 0x301, UNICODE_OTHER, true },
        { 0x2167, UNICODE_NUMBER, true },
        { 0x24B6, UNICODE_OTHER, true },
        { 0x200D, UNICODE_OTHER, true },
        { 0x4E00, UNICODE_LETTER, true },
        { 0xAC00, UNICODE_LETTER, true },
        { 0x1F600, UNICODE_OTHER, false },
        { 0x323AF, UNICODE_LETTER, true },
        { 0x323B0, UNICODE_OTHER, false },
        { 0x1FBF9, UNICODE_NUMBER, true },
        { 0x10FFFF, UNICODE_OTHER, false },
    };

    for (size_t i = 0; i < ARRAY_LEN(row); i++)
        ok(unicode_class(row[i].cp) == row[i].want &&
                unicode_is_word(row[i].cp) == row[i].word,
            "the classes of U+%04X", row[i].cp);
}

/* The counts of the engine whose classes these are. */
static void counts(void)
{
    long n[4] = { 0 };

    for (uint32_t cp = 0; cp < 0x110000; cp++)
        n[unicode_class(cp)]++;
    is_int(n[UNICODE_LETTER], 141028, "letters");
    is_int(n[UNICODE_NUMBER], 1911, "numbers");
    is_int(n[UNICODE_SPACE], 25, "white space");
}

static void form_is(const char *text, const char *nfc, const char *nfd)
{
    struct buf out AUTO(buf_free) = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;

    is_int(unicode_form(str_of(text), true, &out, &e), 0, "NFC succeeds");
    is_str(out.p, nfc, "NFC");
    buf_clear(&out);
    is_int(unicode_form(str_of(text), false, &out, &e), 0, "NFD succeeds");
    is_str(out.p, nfd, "NFD");
}

#define ACUTE "\xCC\x81"   /* U+0301, class 230 */
#define CEDILLA "\xCC\xA7" /* U+0327, class 202 */
#define E_ACUTE "\xC3\xA9" /* U+00E9 */
#define HAN "\xED\x95\x9C" /* U+D55C */
#define HAN_L "\xE1\x84\x92"
#define HAN_V "\xE1\x85\xA1"
#define HAN_T "\xE1\x86\xAB"

static void forms(void)
{
    form_is("", "", "");
    form_is("plain text", "plain text", "plain text");
    form_is("caf" E_ACUTE, "caf" E_ACUTE, "cafe" ACUTE);
    form_is("cafe" ACUTE "s", "caf" E_ACUTE "s", "cafe" ACUTE "s");
    form_is(ACUTE "e", ACUTE "e", ACUTE "e");
    form_is("c" ACUTE CEDILLA, "\xE1\xB8\x89", "c" CEDILLA ACUTE);
    form_is("e" ACUTE ACUTE, E_ACUTE ACUTE, "e" ACUTE ACUTE);
    form_is(HAN, HAN, HAN_L HAN_V HAN_T);
    form_is(HAN_L HAN_V HAN_T, HAN, HAN_L HAN_V HAN_T);
    form_is(HAN_L HAN_V, "\xED\x95\x98", HAN_L HAN_V);
    form_is(HAN_L HAN_T, HAN_L HAN_T, HAN_L HAN_T);
    form_is("\xED\x95\x98" HAN_T, HAN, HAN_L HAN_V HAN_T);
    /* Singletons never come back; exclusions stay apart. */
    form_is("\xE2\x84\xAB", "\xC3\x85", "A\xCC\x8A");
    form_is(
        "\xE0\xA5\x98", "\xE0\xA4\x95\xE0\xA4\xBC", "\xE0\xA4\x95\xE0\xA4\xBC");
    /* Two starters that compose (U+09C7 U+09BE). */
    form_is(
        "\xE0\xA7\x87\xE0\xA6\xBE", "\xE0\xA7\x8B", "\xE0\xA7\x87\xE0\xA6\xBE");
    /* A starter between blocks. */
    form_is("e" CEDILLA "x" ACUTE, "\xC8\xA9x" ACUTE, "e" CEDILLA "x" ACUTE);
}

/* Each code point: NFD, then NFC, then NFD again give the same NFD. */
static void round_trips(void)
{
    struct buf d AUTO(buf_free) = BUF_INIT(1 << 10);
    struct buf c AUTO(buf_free) = BUF_INIT(1 << 10);
    struct buf again AUTO(buf_free) = BUF_INIT(1 << 10);
    struct err e = ERR_INIT;
    long wrong = 0;

    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        char text[4];
        struct str s = { text, 0 };

        if (cp >= 0xD800 && cp < 0xE000)
            continue;
        s.len = utf8_put(text, cp);
        buf_clear(&d);
        buf_clear(&c);
        buf_clear(&again);
        if (unicode_form(s, false, &d, &e) != 0 ||
            unicode_form(buf_str(&d), true, &c, &e) != 0 ||
            unicode_form(buf_str(&c), false, &again, &e) != 0 ||
            !str_eq(buf_str(&d), buf_str(&again)))
            wrong++;
    }
    is_int(wrong, 0, "every character comes back from composition");
}

/* A million marks in the worst order must not take quadratic time. */
static void long_run(void)
{
    struct buf in AUTO(buf_free) = BUF_INIT(1 << 23);
    struct buf out AUTO(buf_free) = BUF_INIT(1 << 23);
    struct err e = ERR_INIT;

    buf_puts(&in, "a");
    for (int i = 0; i < 500000; i++)
        buf_puts(&in, ACUTE CEDILLA);
    is_int(unicode_form(buf_str(&in), false, &out, &e), 0, "a million marks");
    ok(out.len == in.len && memcmp(out.p, "a" CEDILLA CEDILLA, 5) == 0,
        "are put in order");
}

static void repaired(const char *text, size_t len, const char *want)
{
    struct buf out AUTO(buf_free) = BUF_INIT(1 << 10);

    unicode_repair((struct str){ text, len }, &out);
    is_str(out.p, want, "repair");
}

#define BAD "\xEF\xBF\xBD"

static void repairs(void)
{
    repaired("", 0, "");
    repaired("a\xC3\xA9z", 4, "a\xC3\xA9z");
    repaired("\xC3", 1, BAD);
    repaired("\xC3z", 2, BAD "z");
    repaired("\x80\x80", 2, BAD BAD);
    repaired("\xE2\x82", 2, BAD);
    repaired("\xE2\x82z", 3, BAD "z");
    repaired("\xF0\x9F\x98", 3, BAD);
    repaired("\xF0\x9F\x98\xF0\x9F\x98\x80", 7, BAD "\xF0\x9F\x98\x80");
    repaired("\xED\xA0\x80", 3, BAD BAD BAD);
    repaired("\xF0\x80\x80\x80", 4, BAD BAD BAD BAD);
    repaired("\xF4\x90\x80\x80", 4, BAD BAD BAD BAD);
    repaired("\xE0\x80\xC0\xAF", 4, BAD BAD BAD BAD);
    repaired("\xFF\xFE", 2, BAD BAD);
}

static void walking(void)
{
    struct str s = str_of("a\xC3\xA9\xF0\x9F\x98\x80");

    is_int((long long)unicode_back(s, 7), 3, "the last character starts");
    is_int((long long)unicode_back(s, 3), 1, "the one before");
    is_int((long long)unicode_back(s, 1), 0, "the first");
    is_int(unicode_at(s, 3).cp, 0x1F600, "a character is read");
    is_int(unicode_at(s, 7).len, 0, "the end has no length");
}

int main(void)
{
    classes();
    counts();
    forms();
    round_trips();
    long_run();
    repairs();
    walking();
    return done();
}
