#include "net/reply.h"

#include <ctype.h>
#include <strings.h>

#include "net/content_range.h"

static const char begins[] = "HTTP/1.1 ";

enum { INTERIMS_MAX = 8, BEGINS = sizeof(begins) - 1 };

void reply_clear(struct reply *a)
{
    buf_clear(&a->head);
    a->interims = 0;
    a->status = 0;
    a->sized = false;
    a->length = 0;
    a->keeps = false;
}

void reply_free(struct reply *a)
{
    buf_free(&a->head);
}

/* The line behind this one; NULL: there is none. */
static const char *next_line(const struct reply *a, const char *line)
{
    const char *end = a->head.p + a->head.len;

    line += strlen(line);
    while (line < end && *line == '\0')
        line++;
    return line < end ? line : NULL;
}

/* The value, if that is the line's name. */
static const char *value_of(const char *line, const char *name)
{
    size_t n = strlen(name);

    if (strncasecmp(line, name, n) != 0 || line[n] != ':')
        return NULL;
    line += n + 1;
    return line + strspn(line, " \t");
}

const char *reply_header(const struct reply *a, const char *name, size_t index)
{
    const char *line = a->head.p, *value;

    while ((line = next_line(a, line)) != NULL)
        if ((value = value_of(line, name)) != NULL && index-- == 0)
            return value;
    return NULL;
}

/* ---- one head, from its first byte to the empty line ---- */

static bool token_char(char c)
{
    return isalnum((unsigned char)c) ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Ends the line at its CR LF; NULL: it has none, or what no line has. */
static char *end_line(char *line)
{
    char *p = line, *last;

    while (*p == '\t' || ((unsigned char)*p >= ' ' && *p != 0x7f))
        p++;
    if (p[0] != '\r' || p[1] != '\n')
        return NULL;
    for (last = p; last > line && (last[-1] == ' ' || last[-1] == '\t'); last--)
        ;
    memset(last, 0, (size_t)(p + 2 - last));
    return p + 2;
}

static bool take_status(struct reply *a, const char *line)
{
    if (strncmp(line, begins, BEGINS) != 0)
        return false;
    line += BEGINS;
    if (!isdigit((unsigned char)line[0]) || !isdigit((unsigned char)line[1]) ||
        !isdigit((unsigned char)line[2]) || (line[3] != ' ' && line[3] != '\0'))
        return false;
    a->status = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    return true;
}

static bool is_header(const char *line)
{
    size_t n = 0;

    while (token_char(line[n]))
        n++;
    return n > 0 && line[n] == ':';
}

/* Lines become texts. False: it is odd. */
static bool split(struct reply *a)
{
    char *line = a->head.p, *next = end_line(line);

    if (next == NULL || !take_status(a, line))
        return false;
    while (strncmp(next, "\r\n", 2) != 0) {
        line = next;
        next = end_line(line);
        if (next == NULL || !is_header(line))
            return false;
    }
    memset(next, 0, 2);
    return true;
}

/* How long is the body? Nothing may be said twice, or in another way. */
static bool measure(struct reply *a)
{
    const char *length = reply_header(a, "Content-Length", 0);
    const char *kept = reply_header(a, "Connection", 0);
    bool refusal = a->status >= 400 && a->status <= 599;

    if (a->status != 200 && a->status != 206 && !refusal)
        return false;
    a->sized = length != NULL && reply_header(a, "Content-Length", 1) == NULL &&
               reply_header(a, "Transfer-Encoding", 0) == NULL &&
               content_length(length, &a->length);
    a->keeps =
        a->sized && (kept == NULL || strcasecmp(kept, "keep-alive") == 0);
    return a->sized || refusal;
}

/* REPLY_PART: that was an interim one. */
static enum reply_state take_head(struct reply *a)
{
    if (!split(a))
        return REPLY_ODD;
    if (a->status >= 200)
        return measure(a) ? REPLY_WHOLE : REPLY_ODD;
    if (a->status < 100 || a->status == 101 || ++a->interims > INTERIMS_MAX)
        return REPLY_ODD;
    buf_clear(&a->head);
    return REPLY_PART;
}

/* How many of the bytes belong to the head that is under way. */
static size_t head_part(const struct reply *a, const char *bytes, size_t len)
{
    static const char end[] = "\r\n\r\n";
    size_t had = size_min(a->head.len, 3), seen = 0;
    const char *last = a->head.p + a->head.len - had;

    /* How much of the end came before, or came now. */
    for (size_t i = 0; i < had + len; i++) {
        char c = i < had ? last[i] : bytes[i - had];

        seen = c == end[seen] ? seen + 1 : c == end[0];
        if (seen == 4)
            return i + 1 - had;
    }
    return len;
}

static bool ends(const struct buf *b)
{
    return b->len >= 4 && memcmp(b->p + b->len - 4, "\r\n\r\n", 4) == 0;
}

enum reply_state reply_feed(
    struct reply *a, const void *bytes, size_t len, size_t *used)
{
    const char *p = bytes;
    enum reply_state state = REPLY_PART;

    *used = 0;
    while (*used < len && state == REPLY_PART) {
        size_t n = head_part(a, p + *used, len - *used);

        buf_put(&a->head, p + *used, n);
        *used += n;
        if (a->head.bad != ERR_NONE ||
            memcmp(a->head.p, begins, size_min(a->head.len, BEGINS)) != 0)
            return REPLY_ODD;
        if (ends(&a->head))
            state = take_head(a);
    }
    return state;
}
