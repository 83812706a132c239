/*
 * A request of a mirror: whatever the line says, what comes out are names that
 * were checked, which lie below the folder that they are meant for; a range
 * lies in its file; and a form's pairs lie in the form.
 */
// seeds: tests/fuzz/route/*
// dict: route.dict
#include "kit.h"

#include <stdio.h>

#include "base/path.h"
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

    if (span_parse(header, size, &from, &to) != SPAN_PART)
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
    buf_put(&copy, text.p, text.len);
    check_span(copy.p, data[0]);
    check_span(copy.p, UINT64_MAX);
    return 0;
}
