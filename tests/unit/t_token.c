#include "fetch/token.h"

#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

static void clear(void)
{
    static const char *const names[] = { "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN",
        "HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN" };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        unsetenv(names[i]);
    setenv("HOME", at("home"), 1);
}

static void finds(const char *value, const char *source, const char *name)
{
    static struct token t;
    struct err e = ERR_INIT;

    ok(token_find(&t, &e) == 0 && strcmp(t.value, value) == 0 &&
            (source[0] == '\0' ? t.source[0] == '\0'
                               : strstr(t.source, source) != NULL),
        "%s", name);
    if (strcmp(t.value, value) != 0)
        printf("# got '%s' from '%s' (%s)\n", t.value, t.source, e.msg);
}

/* Each place wins over those before it. */
static void order(void)
{
    clear();
    finds("", "", "no token anywhere");
    write_text(at("home/.cache/huggingface/token"), "hf_home");
    finds("hf_home", "home/.cache/huggingface/token", "~/.cache");
    write_text(at("xdg/huggingface/token"), "hf_xdg");
    setenv("XDG_CACHE_HOME", at("xdg"), 1);
    finds("hf_xdg", "xdg/huggingface/token", "XDG_CACHE_HOME");
    write_text(at("hf/token"), "hf_hfhome");
    setenv("HF_HOME", at("hf"), 1);
    finds("hf_hfhome", "hf/token", "HF_HOME");
    write_text(at("elsewhere"), "hf_path");
    setenv("HF_TOKEN_PATH", at("elsewhere"), 1);
    finds("hf_path", "the file ", "HF_TOKEN_PATH");
    setenv("HUGGING_FACE_HUB_TOKEN", "hf_old", 1);
    finds("hf_old", "HUGGING_FACE_HUB_TOKEN", "the old variable");
    setenv("HF_TOKEN", "hf_env", 1);
    finds("hf_env", "HF_TOKEN", "HF_TOKEN");
    setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1", 1);
    finds("", "", "not wanted");
}

static void cleaning(void)
{
    clear();
    setenv("HOME", at("another"), 1);
    setenv("HF_TOKEN", "  hf_a\r\nb\n ", 1);
    finds("hf_ab", "HF_TOKEN", "line ends and blanks go");
    setenv("HF_TOKEN", " \r\n ", 1);
    finds("", "", "nothing but blanks is none");
    setenv("HF_TOKEN_PATH", at("empty"), 1);
    write_text(at("empty"), "\n");
    finds("", "", "an empty file is none");
    setenv("HF_TOKEN_PATH", at("missing"), 1);
    finds("", "", "a missing file is none");
}

static void refuses(const char *value, const char *name)
{
    static struct token t;
    struct err e = ERR_INIT;

    setenv("HF_TOKEN", value, 1);
    ok(token_find(&t, &e) == -1 && e.kind == ERR_REFUSED &&
            strstr(e.msg, "secret") == NULL,
        "%s", name);
}

static void hostile(void)
{
    static char big[TOKEN_MAX + 10];
    static struct token t;
    struct err e = ERR_INIT;

    clear();
    refuses("secret\001", "a control character is refused, and not shown");
    refuses("secret\xc3\xa9", "and what is not ASCII");
    memset(big, 'x', sizeof(big) - 1);
    refuses(big, "and what is too long");
    clear();
    setenv("HF_TOKEN_PATH", scratch, 1);
    ok(token_find(&t, &e) == -1, "a folder for a token file is an error");
}

int main(void)
{
    scratch_open();
    order();
    cleaning();
    hostile();
    scratch_close();
    return done();
}
