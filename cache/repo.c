/* A repository's name, from what a user wrote or from a folder's name. */
#include "cache/hubdir.h"
#include "cache/hubdir_internal.h"

#include <ctype.h>
#include <stdio.h>

#include "base/hex.h"
#include "base/path.h"

enum { NAME_PART_MAX = 96 };

const char *const repo_type_names[] = { [REPO_MODEL] = "model",
    [REPO_DATASET] = "dataset",
    [REPO_SPACE] = "space",
    [REPO_TYPES] = NULL };

static const struct {
    enum repo_type type;
    const char *plural;
} types[] = {
    { REPO_MODEL, "models" },
    { REPO_DATASET, "datasets" },
    { REPO_SPACE, "spaces" },
};

bool repo_is_commit(const char *revision)
{
    return hex_is(str_of(revision), 40);
}

/* One half of an id. Source: hub protocol, section 1.3. */
static bool part_ok(struct str s)
{
    if (s.len == 0 || s.len > NAME_PART_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool mark = c == '-' || c == '.';

        if (!isalnum(c) && c != '_' && !mark)
            return false;
        if (mark && (i == 0 || i + 1 == s.len))
            return false;
        if (mark && (unsigned char)s.p[i - 1] == c)
            return false;
    }
    return !str_ends(s, ".git");
}

static bool id_ok(struct str id)
{
    const char *slash = memchr(id.p, '/', id.len);
    size_t front;

    if (id.len >= sizeof(((struct repo *)0)->id))
        return false;
    if (slash == NULL)
        return part_ok(id);
    front = (size_t)(slash - id.p);
    return part_ok((struct str){ id.p, front }) &&
           part_ok((struct str){ slash + 1, id.len - front - 1 });
}

static int bad_id(const char *text, struct err *e)
{
    err_set(e, ERR_USAGE, "'%.200s' is not a repository id", text);
    return err_hint(e, "write ORG/NAME or ORG/NAME@REVISION: letters, "
                       "digits, '_', '-', '.', one '/'");
}

/* A revision becomes a path below refs/ and one segment of a URL. */
static int check_revision(const char *rev, struct err *e)
{
    struct err why = ERR_INIT;
    bool bad = path_check(str_of(rev), &why) != 0 ||
               strlen(rev) >= sizeof(((struct repo *)0)->revision);

    /* What git forbids in the name of a reference. */
    bad = bad || strpbrk(rev, " ~^:?*[") != NULL || strstr(rev, "..") != NULL;
    if (!bad)
        return 0;
    return err_set(e, ERR_USAGE, "'%.200s' cannot be a revision", rev);
}

static void set_folder(struct repo *r)
{
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (types[i].type == r->type)
            n = (size_t)snprintf(
                r->folder, sizeof(r->folder), "%s--", types[i].plural);
    for (const char *p = r->id; *p != '\0'; p++) {
        r->folder[n++] = *p == '/' ? '-' : *p;
        if (*p == '/')
            r->folder[n++] = '-';
    }
    r->folder[n] = '\0';
}

/* hf://[TYPE/]ORG/NAME[@REVISION]: the id needs its namespace. */
static int parse_uri(enum repo_type *type, const char **at, struct err *e)
{
    const char *text = *at, *slash;

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        size_t n = strlen(types[i].plural);
        if (strncmp(*at, types[i].plural, n) == 0 && (*at)[n] == '/' &&
            strchr(*at + n + 1, '/') != NULL) {
            *type = types[i].type;
            *at += n + 1;
            break;
        }
    }
    slash = strpbrk(*at, "/@");
    if (slash == NULL || *slash != '/')
        return bad_id(text, e);
    return 0;
}

int repo_parse(
    struct repo *out, enum repo_type type, const char *text, struct err *e)
{
    bool uri = strncmp(text, "hf://", 5) == 0;
    const char *at = uri ? text + 5 : text, *rev;
    struct str id;

    *out = (struct repo){ .type = type };
    if (uri && parse_uri(&out->type, &at, e) != 0)
        return -1;
    rev = strchr(at, '@');
    id = (struct str){ at, rev ? (size_t)(rev - at) : strlen(at) };
    if (!id_ok(id))
        return bad_id(text, e);
    rev = rev != NULL ? rev + 1 : "main";
    if (check_revision(rev, e) != 0)
        return -1;
    if (uri && strchr(rev, '/') != NULL && strncmp(rev, "refs/", 5) != 0)
        return err_set(
            e, ERR_USAGE, "'%.200s' names a file, not a repository", text);
    memcpy(out->id, id.p, id.len);
    snprintf(out->revision, sizeof(out->revision), "%s", rev);
    set_folder(out);
    return 0;
}

bool repo_of_folder(struct repo *out, const char *folder)
{
    struct repo r = { .revision = "main" };
    const char *id = NULL, *cut;
    size_t n;

    for (size_t i = 0; i < ARRAY_LEN(types) && id == NULL; i++) {
        n = strlen(types[i].plural);
        if (strncmp(folder, types[i].plural, n) == 0 &&
            strncmp(folder + n, "--", 2) == 0) {
            r.type = types[i].type;
            id = folder + n + 2;
        }
    }
    if (id == NULL || strlen(id) >= sizeof(r.id))
        return false;
    cut = strstr(id, "--");
    if (cut == NULL)
        snprintf(r.id, sizeof(r.id), "%s", id);
    else
        snprintf(r.id, sizeof(r.id), "%.*s/%s", (int)(cut - id), id, cut + 2);
    if (!id_ok(str_of(r.id)))
        return false;
    set_folder(&r);
    *out = r;
    return strcmp(r.folder, folder) == 0;
}
