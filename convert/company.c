#include "convert/company.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/path.h"

enum { COPY_BYTES = 1 << 20, CONFIG_MADE_MAX = 8 * CONFIG_BYTES_MAX };

const char *const company_names[] = { COMPANY_CONFIG, "generation_config.json",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "tokenizer.model", "added_tokens.json", "vocab.json", "merges.txt",
    "chat_template.jinja", "vocab.txt", "spiece.model",
    "sentencepiece.bpe.model", "preprocessor_config.json", NULL };

_Static_assert(ARRAY_LEN(company_names) - 1 <= COMPANY_MAX, "room for each");

int company_config_text(
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

void company_report(const struct checkpoint *c)
{
    char path[PATH_MAX];
    struct err e = ERR_INIT;
    bool beside = path_join(path, c->folder, COMPANY_CONFIG, &e) == 0 &&
                  access(path, F_OK) == 0;

    if (c->config.len == 0)
        return;
    if (beside)
        log_info("the %s beside the weights is carried; left out of the "
                 "checkpoint: %.*s%s%.*s",
            COMPANY_CONFIG, STR_ARG(c->config_from),
            c->config_rest.len > 0 ? ", " : "", STR_ARG(c->config_rest));
    else if (c->config_rest.len > 0)
        log_info("%s is made of %.*s; left out: %.*s", COMPANY_CONFIG,
            STR_ARG(c->config_from), STR_ARG(c->config_rest));
    else
        log_info("%s is made of %.*s", COMPANY_CONFIG, STR_ARG(c->config_from));
}

int company_tied(const struct checkpoint *c, enum tie *out, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(CONFIG_BYTES_MAX);
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    bool tied;

    *out = TIE_UNSAID;
    if (company_config_text(c, &text, e) != 0)
        return -1;
    if (text.len == 0)
        return 0;
    if (json_parse(&doc, buf_str(&text), 0, e) != 0)
        return err_ctx(e, "%s/%s", c->folder, COMPANY_CONFIG);
    if (json_bool(json_get(doc.root, "tie_word_embeddings"), &tied))
        *out = tied ? TIE_YES : TIE_NO;
    return 0;
}

/* Their matrices stand as (inputs, outputs), unlike all others. */
static const char *const transposed[] = { "gpt2", "openai-gpt", "imagegpt",
    "decision_transformer" };

static int check_int8(const struct json *root, struct err *e)
{
    const struct json *quantised = json_get(root, "quantization_config");
    const char *type = "";

    if (quantised != NULL && json_kind(quantised) != JSON_NULL)
        return err_set(e, ERR_REFUSED,
            "has a quantization_config: it is quantised already");
    json_str(json_get(root, "model_type"), &type);
    for (size_t i = 0; i < ARRAY_LEN(transposed); i++)
        if (strcmp(type, transposed[i]) == 0)
            return err_set(e, ERR_UNSUPPORTED,
                "a matrix of %s has a row for each input, int8 a scale for "
                "each output",
                type);
    return 0;
}

/* A member of a config's outermost object, and what is to stand there. */
struct edit {
    const char *key, *value;
    size_t begin, end; /* the old value; 0: there is none */
};

/* Without the quant_method that a loader would ask for: it must stop. */
static const struct edit int8_edit = { .key = "quantization_config",
    .value = "{\"format\": \"ml-safetensors int8\"}" };

static const char *torch_name(enum dtype t)
{
    if (t == DTYPE_F16)
        return "\"float16\"";
    return t == DTYPE_BF16 ? "\"bfloat16\"" : "\"float32\"";
}

/* Behind the string that starts at at; the text is known to be JSON. */
static size_t skip_string(struct str t, size_t at)
{
    for (at++; at < t.len && t.p[at] != '"'; at++)
        if (t.p[at] == '\\')
            at++;
    return at + 1;
}

/* Behind the value that starts at at, or its blanks: the next , or }. */
static size_t skip_value(struct str t, size_t at)
{
    unsigned depth = 0;

    for (; at < t.len; at++) {
        char c = t.p[at];

        if (c == '"')
            at = skip_string(t, at) - 1;
        else if (c == '{' || c == '[')
            depth++;
        else if (depth == 0 && (c == ',' || c == '}'))
            return at;
        else if (c == '}' || c == ']')
            depth--;
    }
    return at;
}

static size_t skip_blanks(struct str t, size_t at)
{
    while (at < t.len && strchr(" \t\r\n", t.p[at]) != NULL)
        at++;
    return at;
}

/*
 * Where the value of a member of the outermost object stands in the text;
 * false when no member is written with just this key.
 */
static bool find_member(
    struct str t, const char *key, size_t *begin, size_t *end)
{
    size_t at = skip_blanks(t, 0) + 1; /* the brace */

    for (;;) {
        struct str name;
        size_t start = skip_blanks(t, at);

        if (start >= t.len || t.p[start] != '"')
            return false;
        at = skip_string(t, start);
        name = (struct str){ t.p + start + 1, at - start - 2 };
        *begin = skip_blanks(t, skip_blanks(t, at) + 1); /* the colon */
        *end = at = skip_value(t, *begin);
        while (*end > *begin && strchr(" \t\r\n", t.p[*end - 1]) != NULL)
            --*end;
        if (str_is(name, key))
            return true;
        at++; /* the comma */
    }
}

static int find_edit(
    struct edit *m, struct str text, const struct json *root, struct err *e)
{
    if (json_get(root, m->key) == NULL ||
        find_member(text, m->key, &m->begin, &m->end))
        return 0;
    return err_set(e, ERR_REFUSED, "'%s' is written with escapes", m->key);
}

/* A first member, unless there is an old one to edit. */
static void put_new(struct buf *out, const struct edit *m, bool last)
{
    if (m->begin == 0)
        buf_printf(
            out, "\n  \"%s\": %s%s", m->key, m->value, last ? "\n" : ",");
}

static const struct edit *edit_behind(const struct edit *m, size_t n, size_t at)
{
    const struct edit *next = NULL;

    for (size_t i = 0; i < n; i++)
        if (m[i].begin > at && (next == NULL || m[i].begin < next->begin))
            next = &m[i];
    return next;
}

int company_config(
    struct buf *out, struct str text, const struct recipe *r, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    const char *name = torch_name(r->dtype);
    /* Newer configs call it "dtype"; where both stand, that one is read. */
    struct edit m[] = { { .key = "torch_dtype", .value = name },
        { .key = "dtype", .value = name }, int8_edit };
    size_t n = r->int8 ? 3 : 2, at = skip_blanks(text, 0) + 1;

    if (json_parse(&doc, text, 0, e) != 0)
        return -1;
    if (json_kind(doc.root) != JSON_OBJECT)
        return err_set(e, ERR_REFUSED, "not a JSON object");
    if (r->int8 && check_int8(doc.root, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (find_edit(&m[i], text, doc.root, e) != 0)
            return -1;
    buf_put(out, text.p, at);
    if (r->int8)
        put_new(out, &m[2], false);
    if (m[1].begin == 0)
        put_new(out, &m[0], json_count(doc.root) == 0);
    for (const struct edit *x; (x = edit_behind(m, n, at)) != NULL;
         at = x->end) {
        buf_put(out, text.p + at, x->begin - at);
        buf_puts(out, x->value);
    }
    buf_put(out, text.p + at, text.len - at);
    return buf_check(out, e);
}

/* "" when there is none. */
static int make_config(const struct checkpoint *c, const struct recipe *r,
    struct buf *out, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(CONFIG_BYTES_MAX);

    if (company_config_text(c, &text, e) != 0)
        return -1;
    if (r->dtype == DTYPE_NONE || text.len == 0)
        buf_put(out, text.p, text.len);
    else if (company_config(out, buf_str(&text), r, e) != 0)
        return err_ctx(e, "%s/%s", c->folder, COMPANY_CONFIG);
    return buf_check(out, e);
}

int company_check(
    const struct checkpoint *c, const struct recipe *r, struct err *e)
{
    struct buf made AUTO(buf_free) = BUF_INIT(CONFIG_MADE_MAX);

    return make_config(c, r, &made, e);
}

static int put_config(const struct checkpoint *c, const struct recipe *r,
    const char *path, struct manifest_file *file, struct err *e)
{
    struct buf made AUTO(buf_free) = BUF_INIT(CONFIG_MADE_MAX);

    if (make_config(c, r, &made, e) != 0)
        return -1;
    if (made.len == 0)
        return 0;
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
