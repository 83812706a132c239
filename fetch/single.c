#include "fetch/single.h"

#include <fcntl.h>

#include "base/log.h"
#include "cache/lease.h"
#include "cache/used.h"
#include "fetch/space.h"
#include "fetch/transfer.h"

/* Somebody else may have brought it meanwhile: then it is read from there. */
static int show_blob(const struct single *s, struct err *e)
{
    char blob[PATH_MAX];
    int fd;

    if (s->watch->round > 0)
        return 0;
    if (hubdir_blob(s->dir, s->repo, tree_etag(s->file), blob, e) != 0)
        return -1;
    fd = open(blob, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, "%s", blob);
    watch_found(s->watch, fd);
    return 0;
}

static int transfer(const struct single *s, struct hub *hub, struct err *e)
{
    struct transfer_opts opts = { .hub = hub,
        .dir = s->dir,
        .repo = s->repo,
        .commit = s->commit,
        .jobs = s->jobs,
        .blocks = s->blocks,
        .first_s = s->first_s,
        .watch = s->watch,
        .locator = s->locator };
    struct plan_file file = { .file = s->file, .state = PLAN_FETCH };
    struct plan plan = { .files = NULL };
    struct space space = { .dir = s->dir, .repo = s->repo, .plan = &plan };
    uint64_t bytes;

    if (plan_make(&plan, &file, 1, e) != 0 ||
        (watch_whole(s->watch) && space_check(&space, 1, e) != 0) ||
        transfer_run(&opts, &plan, &bytes, e) != 0)
        return -1;
    return show_blob(s, e);
}

int single_fetch(const struct single *s, struct hub *hub, struct err *e)
{
    struct lease lease AUTO(lease_free) = LEASE_INIT;
    char path[PATH_MAX];

    if (hubdir_init(s->dir, e) != 0 ||
        lease_of_repo(s->dir, s->repo, path, e) != 0 ||
        lease_hold(&lease, path, true, e) != 0)
        return -1;
    if (transfer(s, hub, e) != 0)
        return -1;
    used_note(s->dir, s->repo, s->commit);
    return 0;
}
