/* The vectors are those of hub protocol, section 15.5. */
#include <stdlib.h>
#include <time.h>

#include "fetch/pattern.h"

#include "tests/unit/tap.h"

static const char *const paths[] = { "README.md", "data/a.json",
    "data/sub/b.json", "onnx/model.onnx", ".gitattributes", "A.JSON",
    "x[1].txt", "dir/file", "dir2" };

static void matches(const char *pattern, const char *want)
{
    char got[256] = "";

    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (pattern_match(pattern, str_of(paths[i])))
            snprintf(
                got + strlen(got), sizeof(got) - strlen(got), "%s ", paths[i]);
    is_str(got, want, pattern);
}

static void vectors(void)
{
    const char *both = "data/a.json data/sub/b.json ";

    matches("*.json", both);
    matches("data/*.json", both);
    matches("data/", both);
    matches("data/**", both);
    matches("data\\", both);
    matches("data", "");
    matches("dir", "");
    matches("*.JSON", "A.JSON ");
    matches("[!d]*", "README.md onnx/model.onnx .gitattributes A.JSON "
                     "x[1].txt ");
    matches("?ata/*", both);
    matches("x[[]1].txt", "x[1].txt ");
    matches("**/*.json", both);
    matches("data\\a.json", "data/a.json ");
    matches("./data/a.json", "");
    matches("/data/*", "");
}

static void is(const char *pattern, const char *path, bool want)
{
    ok(pattern_match(pattern, str_of(path)) == want, "'%s' %s '%s'", pattern,
        want ? "matches" : "does not match", path);
}

/* Each line was checked against Python's fnmatch.fnmatchcase. */
static void corners(void)
{
    is("", "", true);
    is("", "a", false);
    is("*", "", true);
    is("a*b*c", "aXbYbZc", true);
    is("a*b*c", "aXbYbZ", false);
    is("[a-c]x", "bx", true);
    is("[a-c]x", "dx", false);
    is("[c-a]x", "bx", false);
    is("[]a]", "]", true);
    is("[]a]", "a", true);
    is("[!]a]", "b", true);
    is("[!]a]", "]", false);
    is("[a-]", "-", true);
    is("[-a]", "-", true);
    is("[a-c-e]", "-", true);
    is("[a-c-e]", "d", false);
    is("[", "[", true);
    is("[abc", "[abc", true);
    is("[]", "[]", true);
    is("[!]", "[!]", true);
    is("{a,b}", "a", false);
    is("{a,b}", "{a,b}", true);
    is("?", "\xc3\xa9", true);
    is("??", "\xc3\xa9", false);
    is("[\xc3\xa0-\xc3\xbf]", "\xc3\xa9", true);
    is("?", "\xff", true);
    is("*a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        false);
    is("*.bin", "model.bin", true);
    is("*.bin", "model.bin.index.json", false);
}

static void choice(void)
{
    static const char *const in[] = { "*.json", "*.txt" };
    static const char *const out[] = { "data/*" };

    ok(pattern_chosen(NULL, 0, NULL, 0, str_of("x")), "no patterns: all");
    ok(pattern_chosen(in, 2, out, 1, str_of("a.json")), "included");
    ok(!pattern_chosen(in, 2, out, 1, str_of("data/a.json")), "excluded");
    ok(!pattern_chosen(in, 2, out, 1, str_of("a.bin")), "not included");
    ok(pattern_chosen(NULL, 0, out, 1, str_of("a.bin")), "only exclusions");
}

/* Names are the server's: none may keep a pattern busy. */
static void long_name(void)
{
    enum { LEN = 60000 };
    char *name = malloc(LEN);
    clock_t start = clock();

    memset(name, 'a', LEN);
    ok(!pattern_match("*a*a*b/", (struct str){ name, LEN }), "no such folder");
    name[LEN - 2] = 'b';
    name[LEN - 1] = '/';
    ok(pattern_match("*a*a*b/", (struct str){ name, LEN }), "such a folder");
    ok(clock() - start < 5 * CLOCKS_PER_SEC, "and soon");
    free(name);
}

int main(void)
{
    vectors();
    corners();
    choice();
    long_name();
    return done();
}
