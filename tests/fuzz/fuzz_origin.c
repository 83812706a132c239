/*
 * Where a model's numbers come from: a table of tensors and a config, beside
 * them or inside the file, in any project's words. Whatever is accepted has
 * numbers that code can use, the heads that the user said, and a rule.
 *
 * An input is lines: three letters (folder, --arch, --heads), the config or
 * nothing, then a tensor's name and its sizes in each.
 */
// seeds: tests/fuzz/origin/*
// dict: json.dict config.dict origin.dict
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "verify-run/origin.h"

enum { TENSORS_MAX = 64, RANK_MAX = 5, PATH_LEN = 64 };

/* The first has a config.json; names of others stand in gpt-fast's table. */
static const char *const folders[] = { "with", "model", "stories15M-copy",
    "llama-3-8b" };
static const char *const archs[] = { NULL, "llama", "gpt_neox", "gpt2",
    "gpt_fast", "quantum_llm", "smalllm", "7B", "stories15M", "llama-3-8b",
    "none" };

static char base[PATH_LEN / 2];

static const char *at(char out[PATH_LEN], const char *folder, const char *name)
{
    snprintf(out, PATH_LEN, "%s/%s%s", base, folder, name);
    return out;
}

static void remove_folders(void)
{
    char path[PATH_LEN];

    unlink(at(path, folders[0], "/config.json"));
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        rmdir(at(path, folders[i], ""));
    rmdir(base);
}

/*
 * Real ones, since a name is asked of the file system; once. They lie where
 * make clean finds them, for AFL++ lets nobody tidy up.
 */
static void make_folders(void)
{
    char path[PATH_LEN];

    if (base[0] != '\0')
        return;
    snprintf(base, sizeof(base), "build/fuzz-origin.XXXXXX");
    must(mkdtemp(base) != NULL);
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        must(mkdir(at(path, folders[i], ""), 0700) == 0);
    must(
        symlink(kit_path(0, "", 0), at(path, folders[0], "/config.json")) == 0);
    atexit(remove_folders);
}

/* ---- the input ---- */

static struct str line(struct str *rest)
{
    const char *end = rest->len > 0 ? memchr(rest->p, '\n', rest->len) : NULL;
    size_t n = end != NULL ? (size_t)(end - rest->p) : rest->len;
    struct str got = { rest->p, n };

    n += end != NULL;
    *rest = (struct str){ rest->p + n, rest->len - n };
    return got;
}

static bool read_size(const char **p, const char *end, uint64_t *out)
{
    const char *from;

    while (*p < end && **p == ' ')
        ++*p;
    from = *p;
    for (*out = 0; *p < end && **p >= '0' && **p <= '9'; ++*p)
        *out = *out * 10 + (uint64_t)(**p - '0');
    return *p > from;
}

/* A tensor as a reader would give it: named, and of a size that there is. */
static bool read_tensor(
    struct str text, struct tensor *t, uint64_t shape[static RANK_MAX])
{
    const char *end = text.p + text.len;
    const char *p = text.len > 0 ? memchr(text.p, ' ', text.len) : NULL;

    if (p == NULL)
        p = end;
    *t = (struct tensor){ .name = { text.p, (size_t)(p - text.p) },
        .dtype = DTYPE_F16,
        .shape = shape };
    while (t->rank < RANK_MAX && read_size(&p, end, &shape[t->rank]))
        t->rank++;
    return t->name.len > 0 && t->name.len <= TENSOR_NAME_MAX &&
           memchr(t->name.p, '\0', t->name.len) == NULL &&
           tensor_count(shape, t->rank, &t->n);
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(
        ((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static void read_tensors(struct checkpoint *c, struct str text,
    uint64_t shapes[static TENSORS_MAX][RANK_MAX])
{
    uint64_t n = 0, kept = 0;

    while (text.len > 0 && n < TENSORS_MAX)
        n += read_tensor(line(&text), &c->tensors[n], shapes[n]);
    if (n > 0)
        qsort(c->tensors, n, sizeof(c->tensors[0]), by_name);
    for (uint64_t i = 0; i < n; i++)
        if (i == 0 || by_name(&c->tensors[kept - 1], &c->tensors[i]) != 0)
            c->tensors[kept++] = c->tensors[i];
    c->n_tensors = kept;
}

/* ---- the promises ---- */

static void check(const struct checkpoint *c, const struct origin_wish *wish)
{
    struct model_config config;
    struct origin o;
    struct err e = ERR_INIT;

    if (origin_load(&config, &o, c, wish, &e) != 0) {
        kit_failed(&e);
        return;
    }
    kit_config(&config);
    must(wish->heads == 0 || config.heads == wish->heads);
    must(o.rule[0] != '\0' && strlen(o.rule) < sizeof(o.rule));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ckpt_file file = { .name = "model.pt" };
    static struct tensor tensors[TENSORS_MAX];
    uint64_t shapes[TENSORS_MAX][RANK_MAX];
    struct checkpoint c = { .files = &file, .n_files = 1, .tensors = tensors };
    struct str text = { (const char *)data, size };
    struct str wish = line(&text);
    struct str config = line(&text);
    size_t folder;

    if (wish.len < 3)
        return -1;
    make_folders();
    folder = (size_t)(wish.p[0] & 3);
    at(c.folder, folders[folder], "");
    snprintf(file.path, sizeof(file.path), "%s/model.pt", c.folder);
    if (folder == 0) {
        kit_path(0, config.p, config.len);
    } else if (config.len > 0) {
        c.config = config;
        c.config_from = str_of("args");
    }
    read_tensors(&c, text, shapes);
    check(&c, &(struct origin_wish){
                  archs[(size_t)(wish.p[1] & 15) % ARRAY_LEN(archs)],
                  (uint32_t)(wish.p[2] & 31) });
    return 0;
}
