#include <stdio.h>
#include <unistd.h>

#include "cache/commands.h"
#include "cache/lease.h"
#include "cache/look.h"
#include "cache/pin.h"
#include "cache/place.h"

enum { ARENA_MAX = 1 << 30 };

struct pin_opts {
    const char *volume;
};

static const struct opt opts[] = {
    { .name = "volume",
        .type = OPT_STR,
        .at = offsetof(struct pin_opts, volume),
        .arg = "VOLUME",
        .help = "in this volume, not in the hub cache" },
    OPT_END,
};

/* The commit that a REF means: without a revision what main is here. */
static int find_commit(const struct place *p, struct target *t, struct err *e)
{
    int have;

    if (t->kind == TARGET_PUT) {
        err_set(e, ERR_USAGE, "'%s' is a put file", t->text);
        return err_hint(
            e, "put files need no pin: mlcache gc never removes them");
    }
    if (t->kind == TARGET_REVISION)
        return 0;
    have = hubdir_ref(&p->hub, &t->repo, t->commit, e);
    if (have < 0)
        return -1;
    if (have == HAVE)
        return 0;
    err_set(e, ERR_MISSING, "%s: no branch 'main' here", t->repo.id);
    return err_hint(e, "name a revision: %s@REVISION", t->repo.id);
}

/* Under the lease nobody removes it; what is not here cannot be kept. */
static int set(const struct hubdir *h, const struct repo *r, const char *commit,
    struct err *e)
{
    struct lease lease AUTO(lease_free) = LEASE_INIT;
    char path[PATH_MAX];

    if (lease_of_repo(h, r, path, e) != 0 ||
        lease_hold(&lease, path, true, e) != 0 ||
        hubdir_snapshot(h, r, commit, path, e) != 0)
        return -1;
    if (access(path, F_OK) != 0) {
        err_set(e, ERR_MISSING, "%s@%s is not held", r->id, commit);
        return err_hint(e, "run: mlfetch pull %s@%s", r->id, commit);
    }
    return pin_set(h, r, commit, e);
}

static int each(const struct pin_opts *o, int argc, char **argv,
    int (*act)(
        const struct hubdir *, const struct repo *, const char *, struct err *),
    struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    struct target *targets;
    struct place place;
    char name[192];

    if (place_targets(
            &place, o->volume, argv, (size_t)argc, &targets, &arena, e) != 0)
        return -1;
    for (int i = 0; i < argc; i++)
        if (find_commit(&place, &targets[i], e) != 0)
            return -1;
    for (int i = 0; i < argc; i++) {
        if (act(&place.hub, &targets[i].repo, targets[i].commit, e) != 0)
            return -1;
        printf("%s@%s\n", look_name(&targets[i].repo, name), targets[i].commit);
    }
    return 0;
}

static int run_pin(const struct cmd_ctx *ctx, void *values, int argc,
    char **argv, struct err *e)
{
    (void)ctx;
    return each(values, argc, argv, set, e);
}

static int run_unpin(const struct cmd_ctx *ctx, void *values, int argc,
    char **argv, struct err *e)
{
    (void)ctx;
    return each(values, argc, argv, pin_clear, e);
}

const struct cmd cmd_pin = {
    .name = "pin",
    .args = "REF...",
    .brief = "keep a revision: neither rm nor gc removes it",
    .text = "REF is ORG/NAME[@REVISION], main without a revision. What is "
            "pinned is the commit that it is now, held here. Prints it. "
            "mlcache ls shows what is pinned.",
    .opts = opts,
    .opts_size = sizeof(struct pin_opts),
    .min_args = 1,
    .max_args = -1,
    .run = run_pin,
};

const struct cmd cmd_unpin = {
    .name = "unpin",
    .args = "REF...",
    .brief = "let go of a pinned revision",
    .text = "REF is ORG/NAME[@REVISION], as for mlcache pin. Prints the commit "
            "that is not pinned any more. One that was not is fine.",
    .opts = opts,
    .opts_size = sizeof(struct pin_opts),
    .min_args = 1,
    .max_args = -1,
    .run = run_unpin,
};
