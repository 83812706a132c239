#include "serve/response.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "net/url.h"
#include "serve/hubjson.h"
#include "serve/span.h"
#include "serve/tokens.h"

/* A listing of more files, or names, is not made where others wait. */
enum { QUICK_FILES = 2000, QUICK_FORM = 16 << 10 };

static const char json_type[] = "application/json; charset=utf-8";
static const char wrong_token[] = "Invalid credentials in Authorization header";

void response_free(struct response *a)
{
    buf_free(&a->fields);
    buf_free(&a->body);
    source_free(&a->source);
}

static void field(struct response *a, const char *name, const char *value)
{
    buf_printf(&a->fields, "%s: ", name);
    /* Clients read header fields as Latin-1, or as nothing. */
    for (; *value != '\0'; value++)
        buf_putc(&a->fields, *value >= ' ' && *value <= '~' ? *value : '?');
    buf_putc(&a->fields, '\n');
}

static void has_body(struct response *a, unsigned status, const char *type)
{
    a->status = status;
    a->size = a->body.len;
    field(a, "Content-Type", type);
}

void response_refuse(struct response *out, unsigned status, const char *why)
{
    buf_clear(&out->body);
    buf_clear(&out->fields);
    source_free(&out->source);
    out->at = 0;
    out->from = RESPONSE_ELSEWHERE;
    field(out, "X-Error-Message", why);
    hubjson_error(&out->body, why);
    has_body(out, status, json_type);
}

static void not_found(struct response *a, const char *code, const char *why)
{
    response_refuse(a, 404, why);
    field(a, "X-Error-Code", code);
}

/* ---- what cannot be had ---- */

static const struct {
    unsigned status;
    const char *code; /* or NULL */
} lacks[] = {
    [LACK_NONE] = { 500, NULL },
    [LACK_REPO] = { 404, "RepoNotFound" },
    [LACK_PERHAPS] = { 404, "RepoNotFound" },
    [LACK_REVISION] = { 404, "RevisionNotFound" },
    [LACK_ENTRY] = { 404, "EntryNotFound" },
    [LACK_GATED] = { 403, "GatedRepo" },
    [LACK_DISABLED] = { 403, NULL },
    [LACK_FORBIDDEN] = { 403, NULL },
    [LACK_POLICY] = { 403, NULL },
    [LACK_LIMIT] = { 429, NULL },
    [LACK_BYTES] = { 504, NULL },
    [LACK_SPACE] = { 507, NULL },
    [LACK_FAULT] = { 500, NULL },
};

static void refuse_lack(struct responder *by, const struct asked *q,
    struct response *a, enum lack lack, const struct err *why)
{
    char text[sizeof(why->msg) + sizeof(why->hint) + 256];

    if (lack == LACK_FAULT) {
        log_warn("%s: %s", q->route.repo.id, why->msg);
        snprintf(text, sizeof(text),
            "mirror %s: something is wrong with what "
            "it holds of %s; its log says more",
            by->name, q->route.repo.id);
    } else if (lack == LACK_DISABLED) {
        snprintf(text, sizeof(text), "Access to this resource is disabled.");
    } else {
        snprintf(text, sizeof(text), "mirror %s: %s%s%s%s", by->name, why->msg,
            why->hint[0] != '\0' ? " (" : "", why->hint,
            why->hint[0] != '\0' ? ")" : "");
    }
    response_refuse(a, lacks[lack].status, text);
    if (lacks[lack].code != NULL)
        field(a, "X-Error-Code", lacks[lack].code);
    if (lack == LACK_LIMIT)
        field(a, "Retry-After", "5");
}

static void no_entry(struct responder *by, const struct asked *q,
    const struct edition *ed, struct response *a)
{
    bool unsure = !ed->whole && by->supply->supplier != NULL;
    char text[640];

    snprintf(text, sizeof(text), "mirror %s: %s@%.12s has no '%.300s'%s",
        by->name, ed->repo.id, ed->commit, q->route.path,
        unsure ? " here, and nobody can tell whether it should" : "");
    if (unsure)
        response_refuse(a, 504, text);
    else
        not_found(a, "EntryNotFound", text);
    field(a, "X-Repo-Commit", ed->commit);
}

/* ---- a file ---- */

/* What only some may have must not come out of a cache that all share; nor, of
 * a file on its way, what nobody has proved yet out of any. */
static const char *caching(const struct responder *by, const struct asked *q)
{
    if (!repo_is_commit(q->route.repo.revision))
        return by->tokens != NULL ? "private, no-cache" : "no-cache";
    return by->tokens != NULL ? "private, max-age=31536000, immutable"
                              : "public, max-age=31536000, immutable";
}

/* Is the ETag one of those of an If-None-Match, or the one of an If-Range? */
static bool names_etag(const char *list, const char *etag)
{
    if (list == NULL)
        return false;
    return strcmp(list, "*") == 0 || strstr(list, etag) != NULL;
}

static void file_fields(struct responder *by, const struct asked *q,
    const struct edition *ed, const struct tree_file *f, const char *etag,
    struct response *a)
{
    struct buf name AUTO(buf_free) = BUF_INIT(4096);
    const char *base = strrchr(f->path.p, '/');
    char number[24];

    base = base != NULL ? base + 1 : f->path.p;
    field(a, "X-Repo-Commit", ed->commit);
    field(a, "ETag", etag);
    field(a, "Accept-Ranges", "bytes");
    field(a, "X-Linked-Etag", etag);
    snprintf(number, sizeof(number), "%" PRIu64, f->size);
    field(a, "X-Linked-Size", number);
    field(a, "Cache-Control",
        a->from == RESPONSE_FETCHED ? "no-store" : caching(by, q));
    buf_puts(&name, "inline; filename*=UTF-8''");
    url_encode(&name, str_of(base), false);
    buf_puts(&name, "; filename=\"");
    for (; *base != '\0'; base++)
        buf_putc(
            &name, *base >= ' ' && *base <= '~' && *base != '"' ? *base : '_');
    buf_puts(&name, "\";");
    field(a, "Content-Disposition", name.p);
    field(a, "Content-Type", "application/octet-stream");
}

static void past_the_end(
    const struct tree_file *f, const char *etag, struct response *a)
{
    char text[64];

    response_refuse(a, 416, "the range begins past the end of the file");
    snprintf(text, sizeof(text), "bytes */%" PRIu64, f->size);
    field(a, "Content-Range", text);
    field(a, "ETag", etag);
    field(a, "Accept-Ranges", "bytes");
}

static void send_part(
    const struct tree_file *f, uint64_t from, uint64_t to, struct response *a)
{
    char text[96];

    a->status = 206;
    snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, from,
        to - 1, f->size);
    field(a, "Content-Range", text);
}

void response_later(struct response *out, const char *why)
{
    response_refuse(out, 503, why);
    buf_puts(&out->fields, "Retry-After: 2\n");
}

void response_give_up(struct responder *by, const struct asked *q,
    enum lack lack, const struct err *why, struct response *out)
{
    response_free(out);
    *out = (struct response)RESPONSE_INIT;
    refuse_lack(by, q, out, lack, why);
}

static bool is_doubtful(
    const struct supply *s, const struct edition *ed, const struct tree_file *f)
{
    const struct supplier *from = s->supplier;

    return from != NULL && from->doubtful != NULL &&
           from->doubtful(from->self, &ed->repo, tree_etag(f));
}

/* Which bytes are asked for. */
struct part {
    enum span_kind kind;
    uint64_t from, to;
};

/*
 * Who goes on behind first bytes that were wrong gets all of it instead. That
 * is looked at behind the opening: what is found wrong later, its feed tells.
 */
static int open_part(struct responder *by, const struct asked *q,
    const struct edition *ed, const struct tree_file *f, struct part *p,
    struct response *a, enum lack *lack, struct err *why)
{
    int rc =
        supply_open(by->supply, ed, f, p->from, p->to, &a->source, lack, why);

    a->goes_on = p->kind == SPAN_REST && p->from > 0;
    if (rc != 0 || !a->goes_on || !(q->anew || is_doubtful(by->supply, ed, f)))
        return rc;
    source_free(&a->source);
    a->goes_on = false;
    *p = (struct part){ SPAN_ALL, 0, f->size };
    return supply_open(by->supply, ed, f, 0, f->size, &a->source, lack, why);
}

/* What is not there any more can still be answered: nothing was sent. */
static void answer_file(struct responder *by, const struct asked *q,
    const struct edition *ed, const struct tree_file *f, struct response *a)
{
    struct part part = { SPAN_ALL, 0, f->size };
    struct err why = ERR_INIT;
    enum lack lack = LACK_FAULT;
    char etag[HASH_MAX_HEX + 2];
    int rc;

    snprintf(etag, sizeof(etag), "\"%s\"", tree_etag(f)->hex);
    if (!q->route.head &&
        (q->if_range == NULL || strcmp(q->if_range, etag) == 0))
        part.kind = span_parse(q->range, f->size, &part.from, &part.to);
    if (names_etag(q->if_none_match, etag)) {
        a->status = 304;
        a->size = f->size; /* as of the answer that it stands for */
        file_fields(by, q, ed, f, etag, a);
        return;
    }
    if (part.kind == SPAN_NONE) {
        past_the_end(f, etag, a);
        field(a, "X-Repo-Commit", ed->commit);
        return;
    }
    rc = q->route.head ? supply_check(by->supply, ed, f, &lack, &why)
                       : open_part(by, q, ed, f, &part, a, &lack, &why);
    if (rc != 0) {
        refuse_lack(by, q, a, lack, &why);
        field(a, "X-Repo-Commit", ed->commit);
        return;
    }
    a->status = 200;
    a->at = part.from;
    a->size = part.to - part.from;
    if (!q->route.head)
        a->from = a->source.feed != NULL ? RESPONSE_FETCHED : RESPONSE_HELD;
    file_fields(by, q, ed, f, etag, a);
    if (part.kind != SPAN_ALL)
        send_part(f, part.from, part.to, a);
}

/* ---- of a commit ---- */

static void answer_info(
    const struct asked *q, const struct edition *ed, struct response *a)
{
    hubjson_info(&a->body, ed, q->route.blobs);
    has_body(a, 200, json_type);
}

static void answer_tree(struct responder *by, const struct asked *q,
    const struct edition *ed, struct response *a)
{
    if (!hubjson_tree(&a->body, ed, str_of(q->route.path), q->route.recursive,
            q->route.expand)) {
        no_entry(by, q, ed, a);
        return;
    }
    has_body(a, 200, json_type);
}

static void answer_edition(struct responder *by, const struct asked *q,
    const struct edition *ed, struct response *a)
{
    const struct tree_file *f;

    switch (q->route.kind) {
    case ROUTE_RESOLVE:
        f = edition_file(ed, str_of(q->route.path));
        if (f == NULL)
            no_entry(by, q, ed, a);
        else
            answer_file(by, q, ed, f, a);
        return;
    case ROUTE_TREE:
        answer_tree(by, q, ed, a);
        break;
    case ROUTE_PATHS_INFO:
        hubjson_paths(&a->body, ed, q->body);
        has_body(a, 200, json_type);
        break;
    case ROUTE_COMMITS:
        hubjson_commits(&a->body, ed);
        has_body(a, 200, json_type);
        break;
    case ROUTE_XET:
        not_found(a, "EntryNotFound", "this mirror does not use Xet");
        field(a, "X-Repo-Commit", ed->commit);
        break;
    case ROUTE_AUTH_CHECK:
        a->status = 200;
        break;
    default:
        answer_info(q, ed, a);
        break;
    }
    if (a->status == 200)
        field(a, "X-Repo-Commit", ed->commit);
}

static int resolve(struct responder *by, const struct asked *q,
    enum supply_wait how, struct response *a)
{
    struct edition *ed AUTO(edition_drop_auto) = NULL;
    enum lack lack = LACK_FAULT;
    struct err why = ERR_INIT;
    int rc = supply_resolve(by->supply, &q->route.repo, how, &ed, &lack, &why);

    if (rc == SUPPLY_WAIT)
        return SUPPLY_WAIT;
    if (rc != 0) {
        refuse_lack(by, q, a, lack, &why);
        return 0;
    }
    if (how == SUPPLY_NOW && q->route.kind != ROUTE_RESOLVE &&
        (ed->tree.n > QUICK_FILES || q->body.len > QUICK_FORM))
        return SUPPLY_WAIT;
    answer_edition(by, q, ed, a);
    return 0;
}

static int answer_refs(struct responder *by, const struct asked *q,
    enum supply_wait how, struct response *a)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(64 << 20);
    struct supply_ref *refs;
    enum lack lack = LACK_FAULT;
    struct err why = ERR_INIT;
    uint64_t n;
    int rc;

    if (how == SUPPLY_NOW)
        return SUPPLY_WAIT;
    rc = supply_refs(
        by->supply, &q->route.repo, how, &arena, &refs, &n, &lack, &why);
    if (rc == SUPPLY_WAIT)
        return SUPPLY_WAIT;
    if (rc != 0) {
        refuse_lack(by, q, a, lack, &why);
        return 0;
    }
    hubjson_refs(&a->body, refs, n);
    has_body(a, 200, json_type);
    return 0;
}

/* ---- of the mirror ---- */

static void answer_own(
    struct responder *by, const struct asked *q, struct response *a)
{
    switch (q->route.kind) {
    case ROUTE_HEALTH:
        buf_puts(&a->body, "ok\n");
        has_body(a, 200, "text/plain; charset=utf-8");
        break;
    case ROUTE_METRICS:
        by->metrics(by->me, &a->body);
        has_body(a, 200, "text/plain; version=0.0.4; charset=utf-8");
        break;
    case ROUTE_PAGE:
        by->page(by->me, &a->body, q->host);
        has_body(a, 200, "text/html; charset=utf-8");
        field(a, "Refresh", "5");
        field(a, "X-Content-Type-Options", "nosniff");
        field(a, "Referrer-Policy", "no-referrer");
        break;
    case ROUTE_WHOAMI:
        hubjson_user(&a->body, by->name);
        has_body(a, 200, json_type);
        break;
    default: /* ROUTE_TELEMETRY */
        a->status = 204;
        return;
    }
    field(a, "Cache-Control", "no-store");
}

/* What is no question to this mirror. */
static bool answer_nonsense(
    struct responder *by, const struct asked *q, struct response *a)
{
    char text[320];

    switch (q->route.kind) {
    case ROUTE_BAD:
        response_refuse(a, 400, q->route.why);
        return true;
    case ROUTE_NOWHERE:
        response_refuse(a, 404, "nothing is served outside the path prefix");
        return true;
    case ROUTE_OTHER:
        snprintf(text, sizeof(text),
            "mirror %s (mlfetch serve) does not do this: it serves files and "
            "their listings",
            by->name);
        response_refuse(a, 501, text);
        return true;
    case ROUTE_METHOD:
        response_refuse(a, 405, "not with this method");
        field(a, "Allow", q->route.post ? "POST" : "GET, HEAD");
        return true;
    case ROUTE_NO_REPO:
        not_found(a, "RepoNotFound", "no repository can have this name");
        return true;
    case ROUTE_NO_REVISION:
        not_found(a, "RevisionNotFound", "no revision can have this name");
        return true;
    default:
        return false;
    }
}

static bool may_pass(enum route_kind kind)
{
    return kind == ROUTE_HEALTH || kind == ROUTE_TELEMETRY;
}

/* false: it was answered, with a no. */
static bool admit(
    struct responder *by, const struct asked *q, struct response *a)
{
    const struct tokens *tokens =
        by->tokens != NULL ? by->tokens(by->me) : NULL;
    bool own = q->route.kind == ROUTE_PAGE || q->route.kind == ROUTE_METRICS;
    enum tokens_answer said = TOKENS_YES;
    char text[512];

    if (tokens != NULL && !may_pass(q->route.kind))
        said = own ? tokens_check_all(tokens, q->authorization)
                   : tokens_check(tokens, q->authorization,
                         route_names_repo(&q->route) ? &q->route.repo : NULL);
    if (tokens != NULL)
        by->tokens_done(by->me);
    switch (said) {
    case TOKENS_YES:
        return true;
    case TOKENS_NOT_THIS:
        snprintf(text, sizeof(text),
            "blocked by mirror policy: the token may "
            "not have %s from mirror %s",
            own ? "this page" : q->route.repo.id, by->name);
        response_refuse(a, 403, text);
        return false;
    case TOKENS_WRONG:
        response_refuse(a, 401, wrong_token);
        break;
    case TOKENS_NO_TOKEN:
        snprintf(text, sizeof(text),
            "mirror %s asks for a token of its own: log in with one, or set "
            "HF_TOKEN",
            by->name);
        response_refuse(a, 401, text);
        break;
    }
    field(a, "WWW-Authenticate",
        own ? "Basic realm=\"mirror\", charset=\"UTF-8\"" : "Bearer");
    return false;
}

/* What this mirror asks its upstream has come back to it. */
static bool goes_round(
    struct responder *by, const struct asked *q, struct response *a)
{
    const struct supplier *from = by->supply->supplier;
    char text[320];

    if (q->mark == NULL || from == NULL || from->mark == NULL ||
        strcmp(q->mark, from->mark) != 0)
        return false;
    log_warn("the upstream, %s, is this mirror itself: start it with another "
             "--upstream",
        from->name);
    snprintf(text, sizeof(text), "mirror %s is its own upstream", by->name);
    response_refuse(a, 508, text);
    return true;
}

int response_make(struct responder *by, const struct asked *q,
    enum supply_wait how, struct response *out)
{
    int rc = 0;

    if (goes_round(by, q, out) || answer_nonsense(by, q, out) ||
        !admit(by, q, out))
        return 0;
    if (q->route.kind == ROUTE_REFS)
        rc = answer_refs(by, q, how, out);
    else if (route_names_repo(&q->route))
        rc = resolve(by, q, how, out);
    else
        answer_own(by, q, out);
    if (rc == 0 && (buf_check(&out->body, &(struct err)ERR_INIT) != 0 ||
                       buf_check(&out->fields, &(struct err)ERR_INIT) != 0))
        response_refuse(out, 500, "the answer is too long for this mirror");
    return rc;
}
