#include "fetch/hub_error.h"

#include <stdio.h>
#include <strings.h>

#include "base/json.h"
#include "cache/hubdir.h"
#include "fetch/token.h"
#include "net/url.h"

enum { TEXT_MAX = 200 };

static bool is(const char *a, const char *b)
{
    return a != NULL && strcasecmp(a, b) == 0;
}

static const char *first_text(const struct json *v)
{
    const char *text = NULL;

    if (json_str(v, &text))
        return text;
    if (json_kind(v) == JSON_ARRAY && json_first(v) != NULL) {
        v = json_first(v);
        if (!json_str(v, &text))
            json_str(json_get(v, "message"), &text);
    }
    return text;
}

/* What the server says itself: its header, else its JSON. */
static void server_text(const struct hub_answer *a, char out[TEXT_MAX])
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct err ignored = ERR_INIT;
    const char *text = a->message;

    if (text == NULL && a->body.len > 0 && a->body.p[0] == '{' &&
        json_parse(&doc, a->body, 0, &ignored) == 0) {
        const struct json *v = json_get(doc.root, "error");
        if (v == NULL)
            v = json_get(doc.root, "errors");
        if (v != NULL)
            text = first_text(v);
    }
    snprintf(out, TEXT_MAX, "%s", text != NULL ? text : "");
}

static bool has_token(const struct hub_question *q)
{
    return q->token->value[0] != '\0';
}

static int gated(const struct hub_answer *a, const struct hub_question *q,
    const char *said, struct err *e)
{
    const char *id = q->repo->id;

    if (a->status == 401 && !has_token(q)) {
        err_set(e, ERR_AUTH,
            "%s is gated: it needs a token, and none was "
            "found",
            id);
        return err_hint(e,
            "ask for access at %.100s/%.100s, then run mlfetch login, or set "
            "HF_TOKEN",
            q->endpoint, id);
    }
    if (a->status == 401) {
        err_set(e, ERR_AUTH,
            "%s is gated, and the token from %.150s was not "
            "accepted",
            id, q->token->source);
        return err_hint(
            e, "make a new token at %.150s/settings/tokens", q->endpoint);
    }
    if (strstr(said, "await") != NULL || strstr(said, "pending") != NULL) {
        err_set(e, ERR_AUTH,
            "%s is gated, and your request for access is "
            "still waiting for an answer",
            id);
        return err_hint(e,
            "the token from %.200s is good: try again once "
            "access is granted",
            q->token->source);
    }
    err_set(e, ERR_AUTH,
        "%s is gated, and the account of the token from "
        "%.150s has no access to it",
        id, q->token->source);
    return err_hint(e, "ask for access at %.120s/%.120s", q->endpoint, id);
}

static int no_repo(const struct hub_question *q, struct err *e)
{
    if (!has_token(q)) {
        err_set(e, ERR_MISSING,
            "%s does not exist, or is private and no "
            "token was found",
            q->repo->id);
        return err_hint(e, "check the spelling; for a private repository "
                           "run mlfetch login, or set HF_TOKEN");
    }
    err_set(e, ERR_MISSING,
        "%s does not exist, or is private and the token "
        "from %.150s may not see it",
        q->repo->id, q->token->source);
    return err_hint(e, "check the spelling, and whose token it is");
}

static int bad_token(const struct hub_question *q, struct err *e)
{
    char host[URL_SHOW_MAX];

    err_set(e, ERR_AUTH, "%s does not accept the token from %.150s",
        url_host(host, q->endpoint), q->token->source);
    return err_hint(e,
        "it may be revoked or mistyped: make a new one at "
        "%.150s/settings/tokens, or unset it",
        q->endpoint);
}

static int forbidden(
    const struct hub_question *q, const char *said, struct err *e)
{
    char host[URL_SHOW_MAX];

    err_set(e, ERR_AUTH, "%.100s forbids reading %s%s%s",
        url_host(host, q->endpoint), q->repo->id, said[0] ? ": " : "", said);
    if (has_token(q))
        return err_hint(e, "check the permissions of the token from %.150s",
            q->token->source);
    return err_hint(
        e, "run mlfetch login with a token that may read it, or set HF_TOKEN");
}

static int busy(
    const struct hub_answer *a, const struct hub_question *q, struct err *e)
{
    char host[URL_SHOW_MAX];

    url_host(host, q->endpoint);
    if (a->wait_s > 0)
        err_set(e, ERR_NET,
            "%.100s has had too many requests (429) and asks "
            "to wait %llu s",
            host, (unsigned long long)a->wait_s);
    else
        err_set(e, ERR_NET, "%.100s has had too many requests (429)", host);
    return err_hint(e, "try again later; what was fetched is kept%s",
        has_token(q)
            ? ""
            : ", and a token (mlfetch login, or HF_TOKEN) raises the limit");
}

static int other(const struct hub_answer *a, const struct hub_question *q,
    const char *said, struct err *e)
{
    char host[URL_SHOW_MAX];

    err_set(e, ERR_NET, "%.100s answered %ld for %s%s%s%s%s",
        url_host(host, q->endpoint), a->status, q->repo->id,
        q->path != NULL ? "/" : "", q->path != NULL ? q->path : "",
        said[0] ? ": " : "", said);
    return a->status >= 500
               ? err_hint(e, "the server has a problem of its own; try again "
                             "later, what was fetched is kept")
               : -1;
}

/* No Hub asks for this: what stands between here and there does. */
static int proxy_wants(const struct hub_question *q, struct err *e)
{
    char host[URL_SHOW_MAX];

    err_set(e, ERR_NET,
        "the proxy does not let requests to %.150s through: it wants a user "
        "name and a password (407)",
        url_host(host, q->endpoint));
    return err_hint(e, "http_proxy and https_proxy may hold them: "
                       "http://user:password@host:port");
}

/* A 404 without a code: a mirror's, or no Hub's at all. */
static int not_there(const struct hub_answer *a, const struct hub_question *q,
    const char *said, struct err *e)
{
    char host[URL_SHOW_MAX];

    err_set(e, ERR_MISSING, "%.100s has no %s%s%s at '%.100s' (%ld)%s%s",
        url_host(host, q->endpoint), q->repo->id, q->path != NULL ? "/" : "",
        q->path != NULL ? q->path : "", q->repo->revision, a->status,
        said[0] ? ": " : "", said);
    return err_hint(e, "check the spelling, and that HF_ENDPOINT is a Hub");
}

/* A 401 that names no reason: a bad token, or a repository unseen. */
static int unnamed_401(
    const struct hub_question *q, const char *said, struct err *e)
{
    if (has_token(q) && is(said, "Invalid credentials in Authorization header"))
        return bad_token(q, e);
    return no_repo(q, e);
}

int hub_error(
    const struct hub_answer *a, const struct hub_question *q, struct err *e)
{
    char said[TEXT_MAX];

    server_text(a, said);
    if (is(a->code, "RevisionNotFound")) {
        err_set(e, ERR_MISSING, "%s has no revision '%.150s'", q->repo->id,
            q->repo->revision);
        return err_hint(e, "its branches and tags are listed at %.100s/%.100s",
            q->endpoint, q->repo->id);
    }
    if (is(a->code, "EntryNotFound"))
        return err_set(e, ERR_MISSING, "%s has no file '%.200s' at '%.100s'",
            q->repo->id, q->path != NULL ? q->path : "", q->repo->revision);
    if (is(a->code, "GatedRepo"))
        return gated(a, q, said, e);
    if (is(said, "Access to this resource is disabled."))
        return err_set(e, ERR_AUTH,
            "%s was disabled by the Hub and cannot be "
            "read by anybody",
            q->repo->id);
    if (is(a->code, "RepoNotFound"))
        return no_repo(q, e);
    if (a->status == 401)
        return unnamed_401(q, said, e);
    if (a->status == 403)
        return forbidden(q, said, e);
    if (a->status == 404 || a->status == 410)
        return not_there(a, q, said, e);
    if (a->status == 407)
        return proxy_wants(q, e);
    if (a->status == 429)
        return busy(a, q, e);
    return other(a, q, said, e);
}
