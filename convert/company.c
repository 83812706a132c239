#include "convert/company.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/path.h"

enum { CONFIG_BYTES_MAX = 16 << 20, COPY_BYTES = 1 << 20 };

const char *const company_names[] = { COMPANY_CONFIG, "generation_config.json",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "tokenizer.model", "added_tokens.json", "vocab.json", "merges.txt",
    "chat_template.jinja", NULL };

/* The config's text: beside the weights, inside the checkpoint, or "". */
static int config_text(
    const struct checkpoint *c, struct buf *out, struct err *e)
{
    char path[PATH_MAX];

    if (path_join(path, c->folder, COMPANY_CONFIG, e) != 0)
        return -1;
    if (access(path, F_OK) == 0)
        return file_slurp(path, out, e);
    buf_put(out, c->config.p, c->config.len);
    return buf_check(out, e);
}

int company_tied(const struct checkpoint *c, bool *out, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(CONFIG_BYTES_MAX);
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;

    *out = false;
    if (config_text(c, &text, e) != 0)
        return -1;
    if (text.len == 0)
        return 0;
    if (json_parse(&doc, buf_str(&text), 0, e) != 0)
        return err_ctx(e, "%s/%s", c->folder, COMPANY_CONFIG);
    json_bool(json_get(doc.root, "tie_word_embeddings"), out);
    return 0;
}

static const char *torch_name(enum dtype t)
{
    if (t == DTYPE_F16)
        return "float16";
    return t == DTYPE_BF16 ? "bfloat16" : "float32";
}

static void put_member(struct buf *out, const struct json *m, bool first)
{
    buf_puts(out, first ? "\n  " : ",\n  ");
    json_quote(out, str_of(json_key(m)));
    buf_puts(out, ": ");
}

int company_config(
    struct buf *out, struct str text, const struct recipe *r, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    const struct json *m;
    bool set = false;

    if (json_parse(&doc, text, 0, e) != 0)
        return -1;
    if (json_kind(doc.root) != JSON_OBJECT)
        return err_set(e, ERR_REFUSED, "not a JSON object");
    buf_putc(out, '{');
    for (m = json_first(doc.root); m != NULL; m = json_next(m)) {
        const char *key = json_key(m);

        put_member(out, m, m == json_first(doc.root));
        /* Newer configs call it "dtype". */
        if (strcmp(key, "torch_dtype") != 0 && strcmp(key, "dtype") != 0) {
            json_write(out, m);
            continue;
        }
        buf_printf(out, "\"%s\"", torch_name(r->dtype));
        set = true;
    }
    if (!set)
        buf_printf(out, "%s\n  \"torch_dtype\": \"%s\"",
            json_first(doc.root) != NULL ? "," : "", torch_name(r->dtype));
    buf_puts(out, "\n}\n");
    return buf_check(out, e);
}

static int put_config(const struct checkpoint *c, const struct recipe *r,
    const char *path, struct manifest_file *file, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(CONFIG_BYTES_MAX);
    struct buf made AUTO(buf_free) = BUF_INIT(8 * CONFIG_BYTES_MAX);

    if (config_text(c, &text, e) != 0)
        return -1;
    if (text.len == 0)
        return 0;
    if (r->dtype == DTYPE_NONE)
        buf_put(&made, text.p, text.len);
    else if (company_config(&made, buf_str(&text), r, e) != 0)
        return err_ctx(e, "%s/%s", c->folder, COMPANY_CONFIG);
    if (buf_check(&made, e) != 0)
        return -1;
    file->name = str_of(COMPANY_CONFIG);
    file->size = made.len;
    if (hash_bytes(HASH_SHA256, made.p, made.len, &file->sha256, e) != 0)
        return -1;
    return file_put(path, made.p, made.len, 0644, e);
}

/* Copy and hash in one pass. */
static int copy(int from, uint64_t size, const char *from_name,
    const char *to_name, struct digest *sha, struct err *e)
{
    struct file_new to AUTO(file_new_abandon) = FILE_NEW_INIT;
    struct hash h AUTO(hash_free) = HASH_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(COPY_BYTES);

    if (buf_room(&b, COPY_BYTES) == NULL)
        return buf_check(&b, e);
    if (file_new_begin(&to, to_name, e) != 0 ||
        hash_begin(&h, HASH_SHA256, size, e) != 0)
        return -1;
    for (uint64_t at = 0; at < size; at += COPY_BYTES) {
        size_t n = size_min(COPY_BYTES, size - at);
        if (file_read_at(from, b.p, n, at, from_name, e) != 0 ||
            file_write_at(to.fd, b.p, n, at, to_name, e) != 0)
            return -1;
        hash_add(&h, b.p, n);
    }
    hash_end(&h, sha);
    return file_new_commit(&to, 0644, e);
}

/* file->name stays empty when there is nothing to carry. */
static int carry(const struct checkpoint *c, const char *name, const char *to,
    struct manifest_file *file, struct err *e)
{
    char from[PATH_MAX];
    int fd AUTO(fd_close) = -1;

    if (path_join(from, c->folder, name, e) != 0)
        return -1;
    if (access(from, F_OK) != 0)
        return 0;
    fd = file_open(from, &file->size, e);
    if (fd < 0)
        return -1;
    if (file->size > COMPANY_BYTES_MAX)
        return err_set(e, ERR_REFUSED,
            "%s: %llu bytes, too many for such a "
            "file",
            from, (unsigned long long)file->size);
    file->name = str_of(name);
    return copy(fd, file->size, from, to, &file->sha256, e);
}

int company_carry(const struct checkpoint *c, const struct recipe *r,
    const char *folder, struct manifest_file *files, uint64_t *n, struct err *e)
{
    *n = 0;
    for (size_t i = 0; company_names[i] != NULL; i++) {
        struct manifest_file *file = &files[*n];
        const char *name = company_names[i];
        char to[PATH_MAX];
        int rc;

        *file = (struct manifest_file){ .size = 0 };
        if (path_join(to, folder, name, e) != 0)
            return -1;
        rc = strcmp(name, COMPANY_CONFIG) == 0 ? put_config(c, r, to, file, e)
                                               : carry(c, name, to, file, e);
        if (rc != 0)
            return -1;
        if (file->name.len > 0)
            ++*n;
    }
    return 0;
}
