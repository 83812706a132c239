#include "serve/route.h"

#include <stdio.h>

#include "base/path.h"

/*
 * Repositories have at most three parts before what is asked of them, and
 * paths at most 1024 bytes.
 */
enum { PARTS_MAX = 520, TARGET_MAX = 8192 };

struct parts {
    struct str v[PARTS_MAX];
    unsigned n;
};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int64_t route_decode(char *out, size_t out_len, struct str text, bool plus)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];

        if (c == '%') {
            int high = i + 2 < text.len ? hex_value(text.p[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_value(text.p[i + 2]) : -1;

            if (high < 0 || low < 0)
                return -1;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (plus && c == '+') {
            c = ' ';
        }
        if (c == '\0' || n + 1 >= out_len)
            return -1;
        out[n++] = c;
    }
    out[n] = '\0';
    return (int64_t)n;
}

bool route_pair(struct str *rest, struct str *name, struct str *value)
{
    const char *end, *equals;

    while (rest->len > 0 && *rest->p == '&') {
        rest->p++;
        rest->len--;
    }
    if (rest->len == 0)
        return false;
    end = memchr(rest->p, '&', rest->len);
    *name = (struct str){ rest->p,
        end != NULL ? (size_t)(end - rest->p) : rest->len };
    rest->p += name->len;
    rest->len -= name->len;
    equals = memchr(name->p, '=', name->len);
    *value = (struct str){ "", 0 };
    if (equals != NULL) {
        *value = (struct str){ equals + 1,
            name->len - (size_t)(equals + 1 - name->p) };
        name->len = (size_t)(equals - name->p);
    }
    return true;
}

static void bad(struct route *out, const char *why)
{
    out->kind = ROUTE_BAD;
    out->why = why;
}

/* At the literal slashes; false: too many. A slash at the end is ignored. */
static bool split(struct parts *out, struct str path)
{
    out->n = 0;
    while (path.len > 0) {
        const char *slash;
        size_t n;

        path.p++; /* each part has its slash before it */
        path.len--;
        slash = memchr(path.p, '/', path.len);
        n = slash != NULL ? (size_t)(slash - path.p) : path.len;
        if (n == 0 && slash == NULL)
            return true;
        if (out->n == PARTS_MAX)
            return false;
        out->v[out->n++] = (struct str){ path.p, n };
        path.p += n;
        path.len -= n;
    }
    return true;
}

/* What one request is read with. */
struct reading {
    struct route *out;
    struct parts parts;
    struct str query;
    bool get; /* or HEAD */
    bool post;
};

static bool part_is(const struct reading *r, unsigned i, const char *word)
{
    return i < r->parts.n && str_is(r->parts.v[i], word);
}

/*
 * Parts from first on, each decoded, joined by slashes. A part may bring
 * slashes of its own: "tree/main/sub%2Fdir".
 */
static bool join_path(struct reading *r, unsigned first)
{
    struct err ignored = ERR_INIT;
    char *out = r->out->path;
    size_t n = 0;

    for (unsigned i = first; i < r->parts.n; i++) {
        int64_t len;

        if (i > first && n < ROUTE_PATH_MAX)
            out[n++] = '/';
        len =
            route_decode(out + n, ROUTE_PATH_MAX + 1 - n, r->parts.v[i], false);
        if (len <= 0) {
            bad(r->out, "the path has an empty part, NUL, an escape that is "
                        "none, or is too long");
            return false;
        }
        n += (size_t)len;
    }
    out[n] = '\0';
    if (n == 0 || path_check((struct str){ out, n }, &ignored) == 0)
        return true;
    bad(r->out, "the path has a part that no file of a repository has");
    return false;
}

/*
 * A model "datasets/x" would have the name of the data set "x", for tokens as
 * for people. The Hub has no such owner.
 */
static bool is_ambiguous(const char *id)
{
    struct str text = str_of(id);

    return str_starts(text, "datasets/") || str_starts(text, "spaces/");
}

/* The id that stands in parts[at] and, with two, the part after it. */
static bool take_repo(
    struct reading *r, enum repo_type type, unsigned at, unsigned count)
{
    struct err ignored = ERR_INIT;
    char id[sizeof(r->out->repo.id) * 2], part[sizeof(r->out->repo.id)];
    size_t n = 0;

    for (unsigned i = at; i < at + count; i++) {
        if (route_decode(part, sizeof(part), r->parts.v[i], false) <= 0)
            break;
        n += (size_t)snprintf(
            id + n, sizeof(id) - n, "%s%s", i > at ? "/" : "", part);
        if (i + 1 == at + count && strchr(id, '@') == NULL &&
            strncmp(id, "hf:", 3) != 0 &&
            repo_parse(&r->out->repo, type, id, &ignored) == 0 &&
            !is_ambiguous(r->out->repo.id))
            return true;
    }
    r->out->kind = ROUTE_NO_REPO;
    return false;
}

/* The id was taken: repo_parse checks the revision as it would a user's. */
static bool take_revision(struct reading *r, unsigned at)
{
    struct repo *repo = &r->out->repo;
    char text[sizeof(repo->id) + sizeof(repo->revision) + 1];
    struct err ignored = ERR_INIT;
    size_t n = (size_t)snprintf(text, sizeof(text), "%s@", repo->id);

    if (route_decode(text + n, sizeof(repo->revision), r->parts.v[at], false) >
            0 &&
        repo_parse(repo, repo->type, text, &ignored) == 0)
        return true;
    r->out->kind = ROUTE_NO_REVISION;
    return false;
}

static bool is_true(struct str value)
{
    return str_is(value, "true") || str_is(value, "True") || str_is(value, "1");
}

static void take_query(struct reading *r)
{
    struct str name, value;

    while (route_pair(&r->query, &name, &value)) {
        if (str_is(name, "recursive"))
            r->out->recursive = is_true(value);
        else if (str_is(name, "expand"))
            r->out->expand = is_true(value);
        else if (str_is(name, "blobs"))
            r->out->blobs = is_true(value);
    }
}

/* What may follow /api/models/ORG/NAME. */
static const struct verb {
    const char *word;
    enum route_kind kind;
    bool revision; /* follows */
    bool path;     /* may follow that */
    bool post;
} verbs[] = {
    { "revision", ROUTE_INFO, true, false, false },
    { "tree", ROUTE_TREE, true, true, false },
    { "refs", ROUTE_REFS, false, false, false },
    { "paths-info", ROUTE_PATHS_INFO, true, false, true },
    { "commits", ROUTE_COMMITS, true, false, false },
    { "auth-check", ROUTE_AUTH_CHECK, false, false, false },
    { "xet-read-token", ROUTE_XET, true, false, false },
};

/* The verb at a part, if what follows it fits. */
static const struct verb *verb_at(const struct reading *r, unsigned at)
{
    unsigned after = r->parts.n > at ? r->parts.n - at - 1 : 0;

    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        unsigned least = verbs[i].revision ? 1 : 0;

        if (part_is(r, at, verbs[i].word) && after >= least &&
            (verbs[i].path || after == least))
            return &verbs[i];
    }
    return NULL;
}

static void read_verb(struct reading *r, const struct verb *v, unsigned at)
{
    r->out->kind = v->kind;
    r->out->post = v->post;
    if (v->post ? !r->post : !r->get)
        r->out->kind = ROUTE_METHOD;
    else if (!v->revision || take_revision(r, at + 1))
        if (v->path)
            join_path(r, at + 2);
}

/*
 * /api/models/NAME, /api/models/ORG/NAME, and verbs after either. Where both
 * readings are possible the bare name wins, as with the Hub, whose owners
 * cannot call a repository "refs" or "tree".
 */
static void read_api_repo(struct reading *r, enum repo_type type)
{
    const struct verb *bare = verb_at(r, 3), *full = verb_at(r, 4);

    if (r->parts.n == 2) {
        r->out->kind = ROUTE_OTHER; /* a search */
        return;
    }
    if (bare != NULL || r->parts.n == 3) {
        if (!take_repo(r, type, 2, 1))
            return;
    } else if (full != NULL || r->parts.n == 4) {
        if (!take_repo(r, type, 2, 2))
            return;
    } else {
        r->out->kind = ROUTE_OTHER;
        return;
    }
    if (bare != NULL)
        read_verb(r, bare, 3);
    else if (full != NULL)
        read_verb(r, full, 4);
    else
        r->out->kind = r->get ? ROUTE_INFO : ROUTE_METHOD;
}

static bool type_of(struct str word, enum repo_type *out)
{
    static const char *const words[] = { [REPO_MODEL] = "models",
        [REPO_DATASET] = "datasets",
        [REPO_SPACE] = "spaces" };

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_is(word, words[i])) {
            *out = (enum repo_type)i;
            return true;
        }
    return false;
}

static void read_api(struct reading *r)
{
    enum repo_type type;

    if (part_is(r, 1, "telemetry"))
        r->out->kind = ROUTE_TELEMETRY;
    else if (part_is(r, 1, "whoami-v2") && r->parts.n == 2)
        r->out->kind = r->get ? ROUTE_WHOAMI : ROUTE_METHOD;
    else if (r->parts.n >= 2 && type_of(r->parts.v[1], &type))
        read_api_repo(r, type);
    else
        r->out->kind = ROUTE_OTHER;
}

/* [datasets/|spaces/]NAME/resolve/REV/PATH, or with ORG/NAME. */
static void read_resolve(struct reading *r)
{
    enum repo_type type = REPO_MODEL;
    unsigned at = 0, count;

    if (r->parts.n > 0 && type_of(r->parts.v[0], &type) && type != REPO_MODEL)
        at = 1;
    else
        type = REPO_MODEL;
    if (part_is(r, at + 1, "resolve"))
        count = 1;
    else if (part_is(r, at + 2, "resolve"))
        count = 2;
    else
        count = 0;
    if (count == 0 || r->parts.n < at + count + 3) {
        r->out->kind = ROUTE_OTHER;
        return;
    }
    if (!take_repo(r, type, at, count))
        return;
    if (!r->get) {
        r->out->kind = ROUTE_METHOD;
        return;
    }
    if (!take_revision(r, at + count + 1))
        return;
    r->out->kind = ROUTE_RESOLVE;
    join_path(r, at + count + 2);
}

static void read_own(struct reading *r, enum route_kind kind)
{
    r->out->kind = r->get ? kind : ROUTE_METHOD;
}

static bool is_target(struct str target)
{
    for (size_t i = 0; i < target.len; i++)
        if ((unsigned char)target.p[i] <= ' ' || target.p[i] == 0x7F)
            return false;
    return true;
}

void route_parse(
    struct route *out, struct str method, struct str target, const char *prefix)
{
    struct reading r = { .out = out };
    const char *mark;

    *out = (struct route){ .kind = ROUTE_OTHER };
    out->head = str_is(method, "HEAD");
    r.get = out->head || str_is(method, "GET");
    r.post = str_is(method, "POST");
    if (target.len == 0 || target.p[0] != '/') {
        bad(out, "the target is not a path of this server");
        return;
    }
    if (target.len > TARGET_MAX || !is_target(target)) {
        bad(out, "the target is too long, or has blanks or controls in it");
        return;
    }
    mark = memchr(target.p, '?', target.len);
    if (mark != NULL) {
        r.query = (struct str){ mark + 1,
            target.len - (size_t)(mark + 1 - target.p) };
        target.len = (size_t)(mark - target.p);
    }
    if (!str_starts(target, prefix) ||
        (target.len > strlen(prefix) && target.p[strlen(prefix)] != '/')) {
        out->kind = ROUTE_NOWHERE;
        return;
    }
    target.p += strlen(prefix);
    target.len -= strlen(prefix);
    if (!split(&r.parts, target)) {
        bad(out, "the path has too many parts");
        return;
    }
    take_query(&r);
    if (r.parts.n == 0)
        read_own(&r, ROUTE_PAGE);
    else if (part_is(&r, 0, "healthz") && r.parts.n == 1)
        read_own(&r, ROUTE_HEALTH);
    else if (part_is(&r, 0, "metrics") && r.parts.n == 1)
        read_own(&r, ROUTE_METRICS);
    else if (part_is(&r, 0, "api"))
        read_api(&r);
    else
        read_resolve(&r);
}

bool route_names_repo(const struct route *r)
{
    return r->kind >= ROUTE_RESOLVE && r->kind <= ROUTE_XET;
}

const char *route_file(const struct route *r, char *out, size_t out_len)
{
    if (r->kind != ROUTE_RESOLVE || r->head)
        return "";
    snprintf(out, out_len, "%s/%.200s", r->repo.id, r->path);
    return out;
}
