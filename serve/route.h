/*
 * route.h - what a request asks for: a method and the target as it stood on
 * the request line, read once, into names that were checked. Pure.
 *
 * The path is split at its literal slashes first and decoded then, so that an
 * escaped slash stays part of a name: a branch "refs%2Fpr%2F1". What could
 * lead out of a folder ("..", an empty part, NUL) is ROUTE_BAD, and an id that
 * no repository can have is ROUTE_NO_REPO: neither reaches the file system.
 * Source: mirror and S3, section 1.1.
 */
#ifndef SERVE_ROUTE_H
#define SERVE_ROUTE_H

#include "cache/hubdir.h"

enum route_kind {
    ROUTE_BAD,         /* 400: this is no request */
    ROUTE_NOWHERE,     /* 404: not below the prefix */
    ROUTE_OTHER,       /* 501: something of a Hub's that no mirror does */
    ROUTE_METHOD,      /* 405: known, but not with this method */
    ROUTE_NO_REPO,     /* 404: no repository can be called that */
    ROUTE_NO_REVISION, /* 404: nor a revision */
    ROUTE_RESOLVE,     /* a file */
    ROUTE_INFO,
    ROUTE_TREE,
    ROUTE_REFS,
    ROUTE_PATHS_INFO, /* POST; the body says of which paths */
    ROUTE_COMMITS,
    ROUTE_AUTH_CHECK,
    ROUTE_XET,
    ROUTE_WHOAMI,
    ROUTE_TELEMETRY,
    ROUTE_HEALTH,
    ROUTE_METRICS,
    ROUTE_PAGE
};

enum { ROUTE_PATH_MAX = 1024 };

struct route {
    enum route_kind kind;
    bool head;
    struct repo repo; /* with the revision asked for; "main" if none was */
    char path[ROUTE_PATH_MAX + 1]; /* a file, or a folder; "" is the top */
    bool recursive;                /* of a tree */
    bool expand;                   /* with the last commit of each entry */
    bool blobs;                    /* of an info: with sizes */
    bool post;                     /* it is asked with POST alone */
    const char *why;               /* of ROUTE_BAD: in a few words */
};

/*
 * route_parse - never fails: what is wrong is a kind of its own
 * method   "GET"
 * target   path and query, as they came
 * prefix   that all paths begin with: "" or "/a/b"
 */
void route_parse(struct route *out, struct str method, struct str target,
    const char *prefix);

/*
 * route_names_repo - does the kind ask for something of r->repo? Then who asks
 * must be allowed to have it.
 */
bool route_names_repo(const struct route *r);

/* route_file - the file whose bytes are asked for, to be shown; "": none. */
const char *route_file(const struct route *r, char *out, size_t out_len);

/*
 * route_decode - the percent escapes of text, into out of out_len bytes
 * plus     a '+' is a blank, as in forms
 * Returns  the length, terminated; or -1: an escape that is none, NUL, too long
 */
int64_t route_decode(char *out, size_t out_len, struct str text, bool plus);

/*
 * route_pair - take the next "name=value" off a query or a form
 * Returns false at the end. What is left in rest goes on after it.
 */
bool route_pair(struct str *rest, struct str *name, struct str *value);

#endif
