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

/* The end of the line at p, made NULs as the library makes it; then, *sound:
 * was it CR LF? Of a line with NUL that cannot be told. The next line, or
 * NULL. */
static char *cut_line(char *p, char *end, bool *sound)
{
    char *lf = memchr(p, '\n', (size_t)(end - p));

    if (lf == NULL)
        return NULL;
    *sound = (lf > p && lf[-1] == '\r') || memchr(p, '\0', (size_t)(lf - p));
    if (lf > p && lf[-1] == '\r')
        lf[-1] = '\0';
    *lf = '\0';
    return lf + 1;
}

/* A head in the library's memory: lines in place, a blank or colon apart. */
static void check_head(struct str text, bool form)
{
    size_t n = size_min(text.len, HEAD_MAX - 16);
    char *room = calloc(1, HEAD_MAX), *p = room, *next, *end = room + n, *blank;
    bool sound = true, all = true, last = true;
    unsigned hosts = 0, status = 0;
    const char *why;
    struct head h;

    must(room != NULL);
    memcpy(room, text.p, n);
    next = cut_line(p, end, &all);
    blank = memchr(p, ' ', n);
    if (next == NULL || blank == NULL || blank > next) {
        free(room);
        return;
    }
    *blank = '\0';
    head_begin(&h, room, strlen(room), blank + 1);
    while ((p = next) < end && (next = cut_line(p, end, &sound)) != NULL) {
        char *colon = strchr(p, ':');
        struct str key = { p, colon != NULL ? (size_t)(colon - p) : strlen(p) };
        struct str value = str_of(colon != NULL ? colon + 1 : "");

        value.p += strspn(value.p, " ");
        value.len = strlen(value.p);
        if (colon == NULL)
            break;
        all = all && last; /* how the last line ends cannot be told */
        last = sound;
        hosts += str_is(key, "Host");
        head_field(&h, key, value);
    }
    why = head_judge(&h, form, &status);
    must(why != NULL || (all && hosts <= 1 && h.minor <= 1));
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
