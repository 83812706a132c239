/*
 * The library ends a line at a bare LF, too, and a target or a value at NUL,
 * and does not tell. It works in place, though: in the first line there is one
 * NUL, that was a blank; after the version, and after each value, stand the
 * two that were CR and LF; and a blank after those continues the value. The
 * memory of another release, which may refuse such lines itself, is not looked
 * into: there the version is no part of the lines.
 */
#include "serve/head.h"

#include <strings.h>

void head_begin(
    struct head *h, const char *raw, size_t len, const char *version)
{
    uintptr_t front = (uintptr_t)raw, back = (uintptr_t)version;

    *h = (struct head){ .minor = 2 };
    if (strcmp(version, "HTTP/1.1") == 0)
        h->minor = 1;
    else if (strcmp(version, "HTTP/1.0") == 0)
        h->minor = 0;
    if (h->minor > 1 || raw == NULL || back <= front || back - front > HEAD_MAX)
        return;
    h->from = front;
    h->to = front + HEAD_MAX;
    h->torn = back - front != len + 1 || version[9] != '\0';
}

static bool is_length(struct str value, uint64_t *out)
{
    *out = 0;
    if (value.len == 0 || value.len > 18)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return false;
        *out = *out * 10 + (uint64_t)(value.p[i] - '0');
    }
    return true;
}

static bool is_token(struct str key)
{
    for (size_t i = 0; i < key.len; i++)
        if (key.p[i] <= ' ' || key.p[i] >= 0x7F || key.p[i] == ':')
            return false;
    return key.len > 0;
}

static bool is_value(struct str value)
{
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.p[i] < ' ' && value.p[i] != '\t')
            return false;
    return true;
}

static bool line_ends(const struct head *h, struct str value)
{
    const char *end = value.p + value.len;
    uintptr_t at = (uintptr_t)value.p;

    if (h->from == 0)
        return true;
    return at > h->from && at + value.len + 2 < h->to && end[0] == '\0' &&
           end[1] == '\0' && end[2] != ' ' && end[2] != '\t';
}

static bool is_called(struct str key, const char *name)
{
    return key.len == strlen(name) && strncasecmp(key.p, name, key.len) == 0;
}

void head_field(struct head *h, struct str key, struct str value)
{
    if (!is_token(key) || !is_value(value) || !line_ends(h, value))
        h->strange = true;
    h->hosts += is_called(key, "Host");
    h->encodings += is_called(key, "Transfer-Encoding");
    if (is_called(key, "Content-Length")) {
        h->lengths++;
        if (!is_length(value, &h->length))
            h->strange = true;
    }
}

const char *head_judge(const struct head *h, bool form, unsigned *status)
{
    *status = 400;
    if (h->minor > 1)
        return "only HTTP/1.1 and HTTP/1.0 are spoken here";
    if (h->torn)
        return "the request line has NUL in it, or does not end in CR LF";
    if (h->strange || h->lengths > 1 || h->hosts > 1)
        return "a header field is malformed, or stands there twice";
    if (h->hosts == 0 && h->minor == 1)
        return "there is no Host field";
    if (h->encodings > 0) {
        *status = 501;
        return "a body must have a Content-Length, and no transfer encoding";
    }
    if (!form)
        return h->length > 0 ? "this request has no use for a body" : NULL;
    if (h->lengths == 0) {
        *status = 411;
        return "the body has no Content-Length";
    }
    if (h->length > HEAD_FORM_MAX) {
        *status = 413;
        return "the body is longer than 1 MiB";
    }
    return NULL;
}
