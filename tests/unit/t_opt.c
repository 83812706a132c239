#include "base/opt.h"

#include "tests/unit/tap.h"

struct values {
    bool force;
    const char *out;
    struct opt_list include;
    int64_t jobs;
    uint64_t size;
    int backend;
    int dtype;
};

static const char *const backends[] = { "auto", "cpu", "cuda", NULL };

static const struct opt table[] = {
    { 'f', "force", OPT_FLAG, offsetof(struct values, force), NULL,
        "do it all the same", 0, 0, NULL },
    { 'o', "out", OPT_STR, offsetof(struct values, out), "OUT",
        "where to, with a text that is long enough to be wrapped at least "
        "once in a window of eighty columns",
        0, 0, NULL },
    { 0, "include", OPT_LIST, offsetof(struct values, include), "GLOB",
        "what to take", 0, 0, NULL },
    { 'j', "jobs", OPT_INT, offsetof(struct values, jobs), "N",
        "how many at once", 1, 64, NULL },
    { 0, "size", OPT_SIZE, offsetof(struct values, size), "SIZE", "how large",
        0, 0, NULL },
    { 0, "backend", OPT_CHOICE, offsetof(struct values, backend), "NAME",
        "auto, cpu or cuda", 0, 0, backends },
    { 0, "fp16", OPT_SET, offsetof(struct values, dtype), NULL, "to fp16", 7, 0,
        NULL },
    { 0, "hidden", OPT_FLAG, offsetof(struct values, force), NULL, NULL, 0, 0,
        NULL },
    OPT_END,
};

static char *words[32]; /* what opt_parse left of the last line */

/* A command line up to NULL; returns what opt_parse returns. */
static int parse(struct values *v, struct err *e, const char *const *line)
{
    const struct opt *tables[] = { table };
    void *into[] = { v };
    int argc = 0;

    memset(v, 0, sizeof(*v));
    for (; line[argc] != NULL; argc++)
        words[argc] = (char *)(uintptr_t)line[argc];
    return opt_parse(tables, into, 1, argc, words, e);
}

static void accepted(void)
{
    static const char *const line[] = { "a", "-fj8", "--out=x", "b",
        "--include", "*.json", "--include=*.bin", "--size", "1k",
        "--backend=cpu", "--fp16", "-", "--", "--force", NULL };
    struct values v;
    struct err e = ERR_INIT;

    is_int(parse(&v, &e, line), 4, "four arguments remain");
    ok(strcmp(words[0], "a") == 0 && strcmp(words[1], "b") == 0 &&
            strcmp(words[2], "-") == 0 && strcmp(words[3], "--force") == 0,
        "in their order, '--' ends the options, '-' is an argument");
    ok(v.force && v.jobs == 8, "bundled letters, a glued number");
    is_str(v.out, "x", "--name=value");
    ok(v.include.n == 2 && strcmp(v.include.v[1], "*.bin") == 0, "a list");
    ok(v.size == 1000 && v.backend == 1 && v.dtype == 7,
        "a size, a choice, one of several");
    opt_list_free(&v.include);
}

static void refused(void)
{
    static const struct {
        const char *word, *next, *text;
    } row[] = {
        { "--nope", NULL, "unknown option --nope" },
        { "--forc", NULL, "unknown option --forc" },
        { "-x", NULL, "unknown option -x" },
        { "-fx", NULL, "unknown option -x" },
        { "--jobs", NULL, "--jobs needs an argument: N" },
        { "--jobs", "0", "--jobs: '0' is not a number from 1 to 64" },
        { "-j65", NULL, "-j: '65' is not a number from 1 to 64" },
        { "--jobs=", NULL, "--jobs: '' is not a number from 1 to 64" },
        { "--jobs=3x", NULL, "--jobs: '3x' is not a number from 1 to 64" },
        { "--jobs=99999999999999999999", NULL, NULL },
        { "--force=1", NULL, "--force takes no argument" },
        { "--backend", "gpu", "--backend: 'gpu' is not auto, cpu or cuda" },
        { "--size", "big", "--size: 'big' is not a size such as 500M or 2GiB" },
    };

    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        struct values v;
        struct err e = ERR_INIT;
        const char *line[] = { row[i].word, row[i].next, NULL };

        ok(parse(&v, &e, line) == -1 && e.kind == ERR_USAGE, "refused: %s %s",
            row[i].word, row[i].next ? row[i].next : "");
        if (row[i].text != NULL)
            is_str(e.msg, row[i].text, "with the words");
    }
}

static void help(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(10000);
    bool narrow = true;
    size_t column = 0;

    opt_help(&b, table);
    for (const char *p = b.p; *p != '\0'; p++) {
        column = *p == '\n' ? 0 : column + 1;
        narrow = narrow && column <= 80;
    }
    ok(narrow, "help fits 80 columns");
    ok(strstr(b.p, "  -j, --jobs=N") != NULL, "and names letters");
    ok(strstr(b.p, "hidden") == NULL, "an entry without help is hidden");
}

int main(void)
{
    accepted();
    refused();
    help();
    return done();
}
