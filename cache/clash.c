#include "cache/clash.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"

static int by_path(const void *key, const void *file)
{
    const struct str *name = key;
    const struct tree_file *f = file;

    return str_cmp(*name, f->path);
}

const struct tree_file *clash_listed(const struct tree *t, struct str name)
{
    if (t->n == 0)
        return NULL;
    return bsearch(&name, t->files, t->n, sizeof(*t->files), by_path);
}

/* An entry that is the bytes itself: are they others? */
static bool is_other(const char *path, const struct tree_file *f)
{
    struct err ignored = ERR_INIT;
    struct digest d;
    struct stat st;

    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           file_hash(path, (int)tree_etag(f)->kind, &d, NULL, NULL, &ignored) ==
               0 &&
           !digest_eq(&d, tree_etag(f));
}

bool clash(const struct hubdir *h, const struct repo *r, const char *commit,
    const struct tree *here, const struct tree_file *f)
{
    char root[PATH_MAX], path[PATH_MAX], target[PATH_MAX];
    struct err ignored = ERR_INIT;
    const struct tree_file *t;
    struct digest d;
    ssize_t n;

    if (here != NULL) {
        t = clash_listed(here, f->path);
        return t == NULL || !digest_eq(tree_etag(t), tree_etag(f));
    }
    if (hubdir_snapshot(h, r, commit, root, &ignored) != 0 ||
        path_join(path, root, f->path.p, &ignored) != 0)
        return false;
    n = readlink(path, target, sizeof(target) - 1);
    if (n <= 0)
        return is_other(path, f);
    target[n] = '\0';
    return digest_parse(&d, str_of(path_base(target))) &&
           !digest_eq(&d, tree_etag(f)) && access(path, F_OK) == 0;
}
