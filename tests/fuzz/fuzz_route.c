/*
 * A request of a mirror: whatever the line says, what comes out are names that
 * were checked, which lie below the folder that they are meant for; a range
 * lies in its file; a form's pairs lie in the form; and a head that is taken
 * can be read in one way only.
 */
// seeds: tests/fuzz/route/*
// dict: route.dict
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/path.h"
#include "serve/head.h"
#include "serve/route.h"
#include "serve/span.h"

static void check_names(const struct route *r)
{
    struct err ignored = ERR_INIT;
    char text[512];
    struct repo again;

    must(memchr(r->repo.id, '\0', sizeof(r->repo.id)) != NULL);
    must(memchr(r->path, '\0', sizeof(r->path)) != NULL);
    if (route_names_repo(r)) {
        snprintf(text, sizeof(text), "%s@%s", r->repo.id, r->repo.revision);
        must(repo_parse(&again, r->repo.type, text, &ignored) == 0);
        must(strcmp(again.folder, r->repo.folder) == 0);
        must(strcmp(again.id, r->repo.id) == 0);
        must(strcmp(again.revision, r->repo.revision) == 0);
        must(strchr(r->repo.folder, '/') == NULL);
        must(r->repo.folder[0] != '.');
    }
    if (r->kind == ROUTE_RESOLVE)
        must(r->path[0] != '\0');
    if (r->kind == ROUTE_RESOLVE || r->kind == ROUTE_TREE)
        must(r->path[0] == '\0' || path_check(str_of(r->path), &ignored) == 0);
    must((r->kind == ROUTE_BAD) == (r->why != NULL));
}

static void check_span(const char *header, uint64_t size)
{
    uint64_t from, to;

    enum span_kind kind = span_parse(header, size, &from, &to);

    if (kind != SPAN_PART && kind != SPAN_REST)
        return;
    must(from < to && to <= size);
}

static void check_form(struct str form)
{
    struct str rest = form, name, value;
    char out[64];

    while (route_pair(&rest, &name, &value)) {
        must(name.len <= form.len && value.len <= form.len);
        must(rest.p + rest.len == form.p + form.len);
        must(route_decode(out, sizeof(out), value, true) < 64);
    }
}

/* The library's lines end at LF: how much of p is the first one, or 0. */
static size_t line_size(const char *p, size_t n)
{
    const char *lf = memchr(p, '\n', n);

    return lf != NULL ? (size_t)(lf - p) + 1 : 0;
}

/* Its head ends with a line of nothing, or one that begins with NUL. */
static size_t head_size(const char *p, size_t n)
{
    size_t all = line_size(p, n), line = all;

    while (line > 0 && (line = line_size(p + all, n - all)) > 0) {
        bool last = p[all] == '\n' || p[all] == '\0' ||
                    (p[all] == '\r' && p[all + 1] == '\n');

        all += line;
        if (last)
            return all;
    }
    return 0;
}

/* Can it be read in one way only? NUL passes in the place of a CR, and of any
 * of the last CR LF CR LF: that is as long. */
static bool is_sound(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i + 4 >= n && memchr("\r\n", p[i], 3) == NULL)
            return false;
        if (i + 4 < n && (p[i] == '\r' || p[i] == '\0') != (p[i + 1] == '\n'))
            return false;
    }
    return n >= 4;
}

/* The line at p, its end made NULs; the next one. */
static char *cut_line(char *p, size_t n)
{
    char *next = p + line_size(p, n);

    if (next - p > 1 && next[-2] == '\r')
        next[-2] = '\0';
    next[-1] = '\0';
    return next;
}

static unsigned take_fields(struct head *h, char *p, char *end)
{
    unsigned hosts = 0;

    for (char *next; p < end && *p != '\0'; p = next) {
        char *colon;
        struct str value;

        next = cut_line(p, (size_t)(end - p));
        colon = strchr(p, ':');
        if (colon == NULL)
            break;
        value = str_of(colon + 1 + strspn(colon + 1, " \t"));
        hosts += str_is((struct str){ p, (size_t)(colon - p) }, "Host");
        head_field(h, (struct str){ p, (size_t)(colon - p) }, value);
    }
    return hosts;
}

/* A head in the library's memory: lines in place, a blank or colon apart. */
static void check_head(struct str text, bool form)
{
    size_t n = head_size(text.p, size_min(text.len, HEAD_MAX - 16));
    bool sound = is_sound(text.p, n);
    char *room = calloc(1, HEAD_MAX), *next, *blank;
    struct head_line first = { .method = room, .raw = room + 4 };
    unsigned hosts, status = 0;
    const char *why;
    struct head h;

    must(room != NULL);
    memcpy(room, "GET", 4);
    memcpy(room + 4, text.p, n);
    next = n > 0 ? cut_line(room + 4, n) : room;
    blank = strchr(room + 4, ' ');
    if (blank == NULL) {
        free(room);
        return;
    }
    *blank = '\0';
    first.len = strlen(first.raw);
    first.version = blank + 1;
    first.size = n + 4;
    head_begin(&h, &first);
    hosts = take_fields(&h, next, room + 4 + n);
    why = head_judge(&h, form, &status);
    if (strchr(first.raw, '\r') != NULL) { /* which the head leaves to it */
        struct route r;

        route_parse(&r, str_of("GET"), str_of(first.raw), "");
        must(r.kind == ROUTE_BAD);
        free(room);
        return;
    }
    must(why != NULL || (sound && hosts <= 1 && h.minor <= 1));
    must(why != NULL || h.length <= (form ? HEAD_FORM_MAX : 0));
    must(why == NULL || status == 400 || status == 411 || status == 413 ||
         status == 501);
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = { "GET", "HEAD", "POST", "PUT" };
    struct str text = { (const char *)data, size };
    struct buf copy AUTO(buf_free) = BUF_INIT(1 << 17);
    struct route r;

    if (size == 0)
        return 0;
    text.p++;
    text.len--;
    route_parse(&r, str_of(methods[data[0] & 3]), text,
        (data[0] & 4) != 0 ? "/hub" : "");
    check_names(&r);
    check_form(text);
    check_head(text, (data[0] & 8) != 0);
    buf_put(&copy, text.p, text.len);
    check_span(copy.p, data[0]);
    check_span(copy.p, UINT64_MAX);
    return 0;
}
