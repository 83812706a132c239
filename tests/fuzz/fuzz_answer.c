/*
 * The small texts of a server: ranges, lengths, waits, URLs, refusals. A
 * URL that was understood is shown without its query, names that match a
 * pattern do so soon.
 */
// seeds: tests/fuzz/answer/*
// dict: answer.dict
#include "kit.h"

#include <stdlib.h>

#include "cache/hubdir.h"
#include "fetch/hub.h"
#include "fetch/hub_error.h"
#include "fetch/pattern.h"
#include "fetch/token.h"
#include "fetch/treepage.h"
#include "net/content_range.h"
#include "net/retry.h"
#include "net/url.h"

/* The text up to the next newline, which is taken away. */
static char *line(struct buf *text, size_t *at)
{
    char *p = text->p + *at, *end = strchr(p, '\n');

    if (end != NULL)
        *end = '\0';
    *at += strlen(p) + (end != NULL);
    return p;
}

static void check_numbers(const char *text)
{
    struct content_range r;
    uint64_t n;

    if (content_range(text, &r))
        must(r.from < r.to && (!r.sized || r.to <= r.size));
    content_length(text, &n);
}

static void check_url(const char *text, const char *other)
{
    char shown[URL_SHOW_MAX], endpoint[URL_MAX + 1];
    struct err e = ERR_INIT;
    struct url u;

    url_show(shown, text);
    must(strchr(shown, '?') == NULL);
    url_host(shown, text);
    url_same_origin(text, other);
    url_downgrades(text, other);
    if (url_parse(&u, text))
        must(u.host[0] != '\0' && u.port > 0 && u.port < 65536 &&
             url_same_origin(text, text));
    if (strlen(text) < URL_MAX &&
        url_endpoint(endpoint, sizeof(endpoint), text, &e) != 0)
        kit_failed(&e);
}

static void check_header(const char *text)
{
    char next[URL_MAX];
    struct digest d;

    if (hub_etag(text, &d))
        must(d.kind == HASH_GIT_SHA1 || d.kind == HASH_SHA256);
    if (treepage_next(text, next))
        must(strlen(next) < URL_MAX && strlen(next) <= strlen(text));
}

static void check_error(const char *code, const char *message, struct str body)
{
    static const long known[] = { 400, 401, 403, 404, 429, 451, 500, 503 };
    static struct token token = { .source = "a file" };
    struct repo repo;
    struct err parsed = ERR_INIT;

    must(repo_parse(&repo, REPO_MODEL, "org/name", &parsed) == 0);
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        struct hub_answer a = { known[i], code, message, body, 1 };
        struct hub_question q = { "https://hub.example", &repo, NULL, &token };
        struct err e = ERR_INIT;

        must(hub_error(&a, &q, &e) == -1);
        kit_failed(&e);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text AUTO(buf_free) = BUF_INIT(1 << 20);
    size_t at = 0;
    const char *a, *b;
    struct repo repo;
    struct err e = ERR_INIT;

    buf_put(&text, data, size);
    a = line(&text, &at);
    b = line(&text, &at);
    check_numbers(a);
    check_url(a, b);
    retry_named_s(429, a, b);
    pattern_match(a, str_of(b));
    if (repo_parse(&repo, REPO_MODEL, a, &e) != 0)
        kit_failed(&e);
    check_header(a);
    check_error(a, b, (struct str){ text.p + at, text.len - at });
    return 0;
}
