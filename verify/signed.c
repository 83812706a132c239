#include "verify/signed.h"

#include <sys/stat.h>

#include "base/path.h"
#include "formats/manifest.h"
#include "verify/filelist.h"

static int verify_one(const struct sign_public *key, const char *path,
    struct str name, struct problems *bad, struct err *e)
{
    struct buf comment AUTO(buf_free) = BUF_INIT(SIGN_COMMENT_MAX);
    struct err why = ERR_INIT;
    char sig_path[PATH_MAX], id[2 * SIGN_ID + 1];

    if (path_fmt(sig_path, e, "%s" SIGN_SUFFIX, path) != 0)
        return -1;
    if (sign_verify(key, path, sig_path, &comment, &why) != 0) {
        if (why.kind == ERR_NOMEM || why.kind == ERR_CANCELLED) {
            *e = why;
            return -1;
        }
        problem(bad, "%.*s: %s", STR_ARG(name), why.msg);
        return 0;
    }
    sign_id_text(id, key->id);
    /* minisign parts its default comment with tabs. */
    for (size_t i = 0; i < comment.len; i++)
        if (comment.p[i] == '\t')
            comment.p[i] = ' ';
    findings_ok(bad->report, "signature", "%.*s: signed with key %s: %s",
        STR_ARG(name), id, comment.p);
    return 0;
}

static int verify_folder(const struct sign_public *key, const char *folder,
    struct problems *bad, struct err *e)
{
    struct filelist list AUTO(filelist_free) = FILELIST_INIT;

    if (filelist_walk(&list, folder, false, bad->report, e) != 0)
        return -1;
    for (size_t i = 0; i < list.n; i++)
        if (!str_ends(list.files[i].name, SIGN_SUFFIX) &&
            verify_one(key, list.files[i].path, list.files[i].name, bad, e) !=
                0)
            return -1;
    return 0;
}

int signed_found(const struct sign_public *key, const struct found *found,
    struct findings *report, struct err *e)
{
    struct problems bad = PROBLEMS_INIT(report, "signature", ERR_VERDICT);
    char path[PATH_MAX];
    struct stat st;
    int rc;

    if (path_join(path, found->path, MANIFEST_NAME, e) != 0)
        return -1;
    if (found->kind == FOUND_FILE || found->kind == FOUND_PUT)
        rc = verify_one(
            key, found->path, str_of(path_base(found->path)), &bad, e);
    else if (lstat(path, &st) == 0)
        rc = verify_one(key, path, str_of(MANIFEST_NAME), &bad, e);
    else
        rc = verify_folder(key, found->path, &bad, e);
    problems_end(&bad);
    return rc != 0 ? -1 : findings_check(report, e);
}
