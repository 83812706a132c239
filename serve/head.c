/*
 * The library ends a line at a bare LF, a target or a value at NUL, and the
 * head at a line that begins with NUL, and does not tell. It works in place,
 * though, and knows how long the head was: where each line ended in CR LF, the
 * next one stands two bytes behind it, and the head ends two bytes behind the
 * last. The memory of another release, which may refuse such lines itself, is
 * not looked into: there the version is no part of the lines.
 */
#include "serve/head.h"

#include <strings.h>

void head_begin(struct head *h, const struct head_line *first)
{
    const char *version = first->version;
    uintptr_t front = (uintptr_t)first->raw, back = (uintptr_t)version;

    *h = (struct head){ .minor = 2 };
    if (strcmp(version, "HTTP/1.1") == 0)
        h->minor = 1;
    else if (strcmp(version, "HTTP/1.0") == 0)
        h->minor = 0;
    if (h->minor > 1 || first->raw == NULL || back <= front ||
        back - front > HEAD_MAX)
        return;
    h->torn = back - front != first->len + 1;
    h->next = version + strlen("HTTP/1.1") + 2;
    h->end = first->raw - 1 - strlen(first->method) + first->size;
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

static bool is_called(struct str key, const char *name)
{
    return key.len == strlen(name) && strncasecmp(key.p, name, key.len) == 0;
}

void head_field(struct head *h, struct str key, struct str value)
{
    if (!is_token(key) || !is_value(value) ||
        (h->next != NULL && h->next != key.p))
        h->strange = true;
    if (h->next != NULL)
        h->next = value.p + value.len + 2;
    h->hosts += is_called(key, "Host");
    h->encodings += is_called(key, "Transfer-Encoding");
    if (is_called(key, "Content-Length")) {
        h->lengths++;
        if (!is_length(value, &h->length))
            h->strange = true;
    }
}

/* The last CR LF CR LF, made NULs. */
static bool ends_blank(const struct head *h)
{
    return h->next + 2 == h->end && memcmp(h->end - 4, "\0\0\0", 4) == 0;
}

const char *head_judge(const struct head *h, bool form, unsigned *status)
{
    *status = 400;
    if (h->minor > 1)
        return "only HTTP/1.1 and HTTP/1.0 are spoken here";
    if (h->torn)
        return "the request line has NUL in it";
    if (h->next != NULL && !ends_blank(h))
        return "a line of the head does not end in CR LF, or has NUL in it";
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
