#include "base/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/json_check.h"
#include "base/utf8.h"

/* struct json is never defined: its pointers are cJSON's. */
static const cJSON *item(const struct json *v)
{
    return (const cJSON *)(const void *)v;
}

static const struct json *value(const cJSON *c)
{
    return (const struct json *)(const void *)c;
}

static int cmp_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_names(const cJSON *object, struct err *e)
{
    size_t n = 0, i = 0;
    const char **names;
    int rc = 0;

    for (const cJSON *c = object->child; c != NULL; c = c->next)
        n++;
    if (n < 2)
        return 0;
    names = malloc(n * sizeof(*names));
    if (names == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (const cJSON *c = object->child; c != NULL; c = c->next)
        names[i++] = c->string;
    qsort(names, n, sizeof(*names), cmp_names);
    for (i = 1; i < n && rc == 0; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            rc = err_set(e, ERR_REFUSED,
                "malformed JSON: the name '%.100s' "
                "stands twice in one object",
                names[i]);
    free((void *)names);
    return rc;
}

/* Depth is bounded by json_check, so recursion is too. */
static int check_values(const cJSON *v, struct err *e)
{
    /* 1e999 is good grammar and no number of ours. */
    if (cJSON_IsNumber(v) && !isfinite(v->valuedouble))
        return err_set(e, ERR_REFUSED, "malformed JSON: a number is too large");
    if (cJSON_IsObject(v) && check_names(v, e) != 0)
        return -1;
    for (const cJSON *c = v->child; c != NULL; c = c->next)
        if (check_values(c, e) != 0)
            return -1;
    return 0;
}

int json_parse(
    struct json_doc *out, struct str text, unsigned flags, struct err *e)
{
    cJSON *root;

    if (json_check(text, (flags & JSON_PLAIN_INTS) != 0, JSON_DEPTH_MAX, e) !=
        0)
        return -1;
    root = cJSON_ParseWithLength(text.p, text.len);
    if (root == NULL)
        return err_set(
            e, ERR_NOMEM, "out of memory for JSON of %zu bytes", text.len);
    out->root = (struct json *)(void *)root;
    if (check_values(root, e) != 0) {
        json_free(out);
        return -1;
    }
    return 0;
}

int json_read(
    struct json_doc *out, const char *path, size_t limit, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(limit);

    if (file_slurp(path, &b, e) != 0)
        return -1;
    if (json_parse(out, buf_str(&b), 0, e) != 0)
        return err_ctx(e, "%s", path);
    return 0;
}

void json_free(struct json_doc *d)
{
    cJSON_Delete((cJSON *)(void *)d->root);
    d->root = NULL;
}

enum json_kind json_kind(const struct json *v)
{
    const cJSON *c = item(v);

    if (c == NULL || cJSON_IsNull(c))
        return JSON_NULL;
    if (cJSON_IsBool(c))
        return JSON_BOOL;
    if (cJSON_IsNumber(c))
        return JSON_NUMBER;
    if (cJSON_IsString(c))
        return JSON_STRING;
    return cJSON_IsArray(c) ? JSON_ARRAY : JSON_OBJECT;
}

const struct json *json_get(const struct json *v, const char *key)
{
    return v == NULL ? NULL
                     : value(cJSON_GetObjectItemCaseSensitive(item(v), key));
}

const struct json *json_first(const struct json *v)
{
    return v == NULL ? NULL : value(item(v)->child);
}

const struct json *json_next(const struct json *v)
{
    return value(item(v)->next);
}

size_t json_count(const struct json *v)
{
    size_t n = 0;

    for (const struct json *c = json_first(v); c != NULL; c = json_next(c))
        n++;
    return n;
}

const char *json_key(const struct json *member)
{
    const char *name = item(member)->string;

    return name != NULL ? name : "";
}

bool json_str(const struct json *v, const char **out)
{
    if (v == NULL || !cJSON_IsString(item(v)))
        return false;
    *out = item(v)->valuestring;
    return true;
}

bool json_digest(const struct json *v, enum hash_kind kind, struct digest *out)
{
    const char *text;

    return json_str(v, &text) && digest_parse(out, str_of(text)) &&
           out->kind == kind;
}

bool json_double(const struct json *v, double *out)
{
    if (v == NULL || !cJSON_IsNumber(item(v)))
        return false;
    *out = item(v)->valuedouble;
    return true;
}

bool json_i64(const struct json *v, int64_t *out)
{
    double d;

    if (!json_double(v, &d) || d != floor(d) || fabs(d) >= 9007199254740992.0)
        return false;
    *out = (int64_t)d;
    return true;
}

bool json_u64(const struct json *v, uint64_t *out)
{
    int64_t i;

    if (!json_i64(v, &i) || i < 0)
        return false;
    *out = (uint64_t)i;
    return true;
}

bool json_bool(const struct json *v, bool *out)
{
    if (v == NULL || !cJSON_IsBool(item(v)))
        return false;
    *out = cJSON_IsTrue(item(v)) != 0;
    return true;
}

void json_quote(struct buf *out, struct str text)
{
    buf_putc(out, '"');
    while (text.len > 0) {
        uint32_t cp = 0;
        unsigned n = utf8_get(text, &cp);

        if (n == 0 || cp == 0) {
            buf_puts(out, "\xEF\xBF\xBD");
            n = 1;
        } else if (cp == '"' || cp == '\\') {
            buf_putc(out, '\\');
            buf_putc(out, (char)cp);
        } else if (cp == '\n') {
            buf_puts(out, "\\n");
        } else if (cp == '\t') {
            buf_puts(out, "\\t");
        } else if (cp < 0x20 || cp == 0x7F) {
            buf_printf(out, "\\u%04x", cp);
        } else {
            buf_put(out, text.p, n);
        }
        text.p += n;
        text.len -= n;
    }
    buf_putc(out, '"');
}

void json_quote_all(struct buf *out, const struct str *v, uint64_t n)
{
    buf_putc(out, '[');
    for (uint64_t i = 0; i < n; i++) {
        buf_puts(out, i > 0 ? ", " : "");
        json_quote(out, v[i]);
    }
    buf_putc(out, ']');
}

static void write_number(struct buf *out, double d)
{
    char text[40];

    if (d == floor(d) && fabs(d) < 1e15) {
        buf_printf(out, "%.0f", d);
        return;
    }
    snprintf(text, sizeof(text), "%.15g", d);
    if (strtod(text, NULL) != d)
        snprintf(text, sizeof(text), "%.17g", d);
    buf_puts(out, text);
}

void json_write(struct buf *out, const struct json *v)
{
    enum json_kind kind = json_kind(v);
    const char *text = "";
    bool yes = false;
    double d = 0;

    switch (kind) {
    case JSON_NULL:
        buf_puts(out, "null");
        return;
    case JSON_BOOL:
        json_bool(v, &yes);
        buf_puts(out, yes ? "true" : "false");
        return;
    case JSON_NUMBER:
        json_double(v, &d);
        write_number(out, d);
        return;
    case JSON_STRING:
        json_str(v, &text);
        json_quote(out, str_of(text));
        return;
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    buf_putc(out, kind == JSON_OBJECT ? '{' : '[');
    for (const struct json *c = json_first(v); c != NULL; c = json_next(c)) {
        if (c != json_first(v))
            buf_putc(out, ',');
        if (kind == JSON_OBJECT) {
            json_quote(out, str_of(json_key(c)));
            buf_putc(out, ':');
        }
        json_write(out, c);
    }
    buf_putc(out, kind == JSON_OBJECT ? '}' : ']');
}
