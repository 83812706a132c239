#include "verify-run/tokenfile.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/path.h"

#define VOCAB_FILE "vocab.json"
#define MERGES_FILE "merges.txt"

enum { CONFIG_MAX = 64 << 20 };

/* ---- which file ---- */

static bool is_there(const char *folder, const char *name)
{
    char path[PATH_MAX];
    struct err e = ERR_INIT;

    return path_join(path, folder, name, &e) == 0 && access(path, F_OK) == 0;
}

/* A file more: the first is taken, the second named. */
static void note(struct tokenfile *out, const char *name)
{
    char *to = out->name[0] == '\0' ? out->name : out->other;

    if (strcmp(name, out->name) != 0 && *to == '\0')
        snprintf(to, sizeof(out->name), "%s", name);
}

/* The only file of the folder whose name ends like this. */
static int only_one(
    struct tokenfile *out, const char *folder, const char *end, struct err *e)
{
    DIR *d AUTO(dir_close) = opendir(folder);
    char name[NAME_MAX + 1] = "";
    struct dirent *entry;
    unsigned n = 0;

    if (d == NULL)
        return err_sys(e, "%s", folder);
    while ((entry = readdir(d)) != NULL) {
        if (entry->d_name[0] == '.' || !str_ends(str_of(entry->d_name), end))
            continue;
        snprintf(name, sizeof(name), "%s", entry->d_name);
        n++;
    }
    if (n == 1)
        note(out, name);
    return 0;
}

int tokenfile_find(struct tokenfile *out, const char *folder, struct err *e)
{
    static const char *const named[] = { "tokenizer.json", "tokenizer.model" };

    *out = (struct tokenfile){ .name = "" };
    for (size_t i = 0; i < ARRAY_LEN(named); i++)
        if (is_there(folder, named[i]))
            note(out, named[i]);
    if (only_one(out, folder, ".tiktoken", e) != 0 ||
        only_one(out, folder, ".model", e) != 0)
        return -1;
    if (is_there(folder, VOCAB_FILE) && is_there(folder, MERGES_FILE))
        note(out, VOCAB_FILE);
    if (out->name[0] == '\0')
        return err_set(e, ERR_MISSING,
            "%s: no tokenizer.json, tokenizer.model, *.tiktoken, nor "
            "vocab.json with merges.txt",
            folder);
    return 0;
}

/* ---- vocab.json and merges.txt ---- */

static void put_merges(struct buf *out, struct str text)
{
    const char *comma = "";

    while (text.len > 0) {
        const char *end = memchr(text.p, '\n', text.len);
        struct str line = { text.p,
            end != NULL ? (size_t)(end - text.p) : text.len };

        text.p += line.len + (end != NULL);
        text.len -= line.len + (end != NULL);
        if (line.len > 0 && line.p[line.len - 1] == '\r')
            line.len--;
        if (line.len == 0 || str_starts(line, "#version"))
            continue;
        buf_puts(out, comma);
        json_quote(out, line);
        comma = ",";
    }
}

/* The two files as the tokenizer.json that they would be. */
static int put_pair(struct buf *out, const char *folder, struct err *e)
{
    struct buf vocab AUTO(buf_free) = BUF_INIT(CONFIG_MAX);
    struct buf merges AUTO(buf_free) = BUF_INIT(CONFIG_MAX);
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    const struct json *end;
    char path[PATH_MAX];
    uint64_t id = 0;

    if (path_join(path, folder, MERGES_FILE, e) != 0 ||
        file_slurp(path, &merges, e) != 0 ||
        path_join(path, folder, VOCAB_FILE, e) != 0 ||
        file_slurp(path, &vocab, e) != 0 ||
        json_parse(&doc, buf_str(&vocab), 0, e) != 0)
        return err_ctx(e, "%s", path);
    buf_puts(out, "{\"added_tokens\":[");
    end = json_get(doc.root, "<|endoftext|>");
    if (json_u64(end, &id))
        buf_printf(out,
            "{\"content\":\"<|endoftext|>\",\"id\":%llu,\"special\":true}",
            (unsigned long long)id);
    buf_puts(out, "],\"pre_tokenizer\":{\"type\":\"ByteLevel\","
                  "\"add_prefix_space\":false},\"decoder\":{\"type\":"
                  "\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":");
    buf_put(out, vocab.p, vocab.len);
    buf_puts(out, ",\"merges\":[");
    put_merges(out, buf_str(&merges));
    buf_puts(out, "]}}");
    return buf_check(out, e);
}

static struct tokenizer *open_pair(const char *folder, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT((size_t)4 * CONFIG_MAX);
    struct tokenizer *t;

    if (put_pair(&text, folder, e) != 0)
        return NULL;
    t = tokenizer_parse(buf_str(&text), e);
    if (t == NULL)
        err_ctx(e, "%s: %s with %s", folder, VOCAB_FILE, MERGES_FILE);
    return t;
}

/* ---- policy ---- */

static int read_policy(struct tokenizer *t, const char *folder, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    char path[PATH_MAX];
    bool bos = true, eos = false;

    if (!is_there(folder, "tokenizer_config.json"))
        return 0;
    if (path_join(path, folder, "tokenizer_config.json", e) != 0 ||
        json_read(&doc, path, CONFIG_MAX, e) != 0)
        return -1;
    json_bool(json_get(doc.root, "add_bos_token"), &bos);
    json_bool(json_get(doc.root, "add_eos_token"), &eos);
    tokenizer_set_ends(t, bos, eos);
    return 0;
}

struct tokenizer *tokenfile_open(
    struct tokenfile *out, const char *folder, struct err *e)
{
    struct tokenizer *t AUTO(tokenizer_close_auto) = NULL;
    struct tokenizer *done;
    char path[PATH_MAX];

    if (tokenfile_find(out, folder, e) != 0 ||
        path_join(path, folder, out->name, e) != 0)
        return NULL;
    t = strcmp(out->name, VOCAB_FILE) == 0 ? open_pair(folder, e)
                                           : tokenizer_open(path, e);
    if (t == NULL || read_policy(t, folder, e) != 0)
        return NULL;
    done = t;
    t = NULL;
    return done;
}
