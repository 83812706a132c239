/*
 * json.h - a narrow, strict JSON reader. json.c is the only file that
 * includes cJSON.
 *
 * cJSON is lenient and keeps every number as a double, so the text is
 * checked before it is parsed: RFC 8259 grammar, well-formed UTF-8, no lone
 * surrogates, no NUL inside strings, no bytes after the document, bounded
 * depth. Duplicate keys of one object are refused (names are compared after
 * decoding). Integers from 2^53 on are refused where an integer is asked for.
 *
 * Messages name the byte offset; the caller adds the file's name.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

struct json; /* one value; lives as long as its document */

/* A parsed document; AUTO(json_free). */
struct json_doc {
    struct json *root;
};

#define JSON_DOC_INIT                                                          \
    {                                                                          \
        .root = NULL                                                           \
    }

enum json_kind {
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

enum {
    JSON_DEPTH_MAX = 128,
    /* Every number must be a plain unsigned integer literal (safetensors). */
    JSON_PLAIN_INTS = 1
};

/*
 * json_parse - read one document
 * flags    0 or JSON_PLAIN_INTS
 * Returns  0, or -1 with *e: REFUSED (malformed, with offset), NOMEM
 * Cost     linear, plus a sort of each object's keys; about 100 bytes of
 *          memory per value
 */
int json_parse(
    struct json_doc *out, struct str text, unsigned flags, struct err *e);

/* json_read - parse a file of at most limit bytes; errors name the file. */
int json_read(
    struct json_doc *out, const char *path, size_t limit, struct err *e);

void json_free(struct json_doc *d);

enum json_kind json_kind(const struct json *v);

/* json_get - the member of an object, or NULL (also when v is no object). */
const struct json *json_get(const struct json *v, const char *key);

/* First and next child of an array or object; NULL at the end. */
const struct json *json_first(const struct json *v);
const struct json *json_next(const struct json *v);
size_t json_count(const struct json *v);

/* json_key - the name of an object's member. */
const char *json_key(const struct json *member);

/*
 * Scalars. Each returns true and sets *out when v is there and of that kind
 * (an integer in range for json_u64/json_i64), and leaves *out alone
 * otherwise, so a default may stand in it.
 */
bool json_str(const struct json *v, const char **out);
bool json_u64(const struct json *v, uint64_t *out);
bool json_i64(const struct json *v, int64_t *out);
bool json_double(const struct json *v, double *out);
bool json_bool(const struct json *v, bool *out);

/* json_digest - one of that kind, in hexadecimal digits; *out may change. */
bool json_digest(const struct json *v, enum hash_kind kind, struct digest *out);

/*
 * json_quote - append text as a JSON string; bad UTF-8 becomes U+FFFD, and so
 * does NUL, which the reader refuses
 */
void json_quote(struct buf *out, struct str text);

/* json_quote_all - append n of them as a list: ["one", "two"] */
void json_quote_all(struct buf *out, const struct str *v, uint64_t n);

/*
 * json_write - append v again as JSON text, keys in order, compact
 * Numbers come out as the shortest text that reads back the same.
 */
void json_write(struct buf *out, const struct json *v);

#endif
