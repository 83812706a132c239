#include "fetch/commands.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "bucket/bucket.h"
#include "cache/volume.h"
#include "fetch/cmd_bucket.h"
#include "fetch/lockpin.h"
#include "fetch/pace.h"
#include "fetch/planview.h"
#include "fetch/shortname.h"
#include "net/retry.h"

enum { OUT_MAX = 1 << 30 };

struct pull_opts {
    const char *revision;
    int repo_type;
    struct opt_list include;
    struct opt_list exclude;
    const char *volume;
    const char *from;
    const char *local_dir;
    const char *lock;
    int convert;
    int64_t jobs;
    uint64_t limit_rate;
    int64_t retry_s;
    bool dry_run;
    bool force;
    bool offline;
    bool json;
};

static const struct pull_opts defaults = { .retry_s = RETRY_TIME_S };

static const struct opt opts[] = {
    { .name = "revision",
        .type = OPT_STR,
        .at = offsetof(struct pull_opts, revision),
        .arg = "REV",
        .help = "branch, tag, refs/pr/N or commit (default main)" },
    { .name = "repo-type",
        .type = OPT_CHOICE,
        .at = offsetof(struct pull_opts, repo_type),
        .arg = "TYPE",
        .help = "model, dataset or space (default model)",
        .choices = repo_type_names },
    { .name = "include",
        .type = OPT_LIST,
        .at = offsetof(struct pull_opts, include),
        .arg = "GLOB",
        .help = "only files that match; may be given several times" },
    { .name = "exclude",
        .type = OPT_LIST,
        .at = offsetof(struct pull_opts, exclude),
        .arg = "GLOB",
        .help = "no files that match; may be given several times" },
    { .name = "volume",
        .type = OPT_STR,
        .at = offsetof(struct pull_opts, volume),
        .arg = "VOLUME",
        .help = "into this volume, not into the hub cache; also s3://..." },
    { .name = "from",
        .type = OPT_STR,
        .at = offsetof(struct pull_opts, from),
        .arg = "s3://...",
        .help = "not from the hub, but from this volume in object storage" },
    { .name = "local-dir",
        .type = OPT_STR,
        .at = offsetof(struct pull_opts, local_dir),
        .arg = "DIR",
        .help = "plain files in this folder, not the hub cache" },
    { .name = "lock",
        .type = OPT_STR,
        .at = offsetof(struct pull_opts, lock),
        .arg = "FILE",
        .help = "exactly what this lock lists (mlfetch lock)" },
    { .name = "fp16",
        .type = OPT_SET,
        .at = offsetof(struct pull_opts, convert),
        .help = "then convert to float16 (mlconvert), and print that folder",
        .min = CONVERSION_FP16 },
    { .name = "bf16",
        .type = OPT_SET,
        .at = offsetof(struct pull_opts, convert),
        .help = "the same, bfloat16",
        .min = CONVERSION_BF16 },
    { .name = "int8",
        .type = OPT_SET,
        .at = offsetof(struct pull_opts, convert),
        .help = "the same, matrices as int8, for mlverify-run",
        .min = CONVERSION_INT8 },
    { .letter = 'j',
        .name = "jobs",
        .type = OPT_INT,
        .at = offsetof(struct pull_opts, jobs),
        .arg = "N",
        .help = "connections at most (default: as many as help, up to 32)",
        .min = 1,
        .max = PULL_JOBS_MAX },
    { .name = "limit-rate",
        .type = OPT_SIZE,
        .at = offsetof(struct pull_opts, limit_rate),
        .arg = "RATE",
        .help = "bytes a second at most, over all connections to the hub "
                "(10M, 500k)" },
    { .name = "retry-time",
        .type = OPT_INT,
        .at = offsetof(struct pull_opts, retry_s),
        .arg = "SECONDS",
        .help = "give up after this long without one new byte (default 60)",
        .min = 0,
        .max = RETRY_TIME_MAX_S },
    { .letter = 'n',
        .name = "dry-run",
        .type = OPT_FLAG,
        .at = offsetof(struct pull_opts, dry_run),
        .help = "show what would be fetched, and change nothing" },
    { .name = "force",
        .type = OPT_FLAG,
        .at = offsetof(struct pull_opts, force),
        .help = "fetch again what is held; replace files of yours" },
    { .name = "offline",
        .type = OPT_FLAG,
        .at = offsetof(struct pull_opts, offline),
        .help = "make no request; succeed only if all is held" },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct pull_opts, json),
        .help = "print one JSON document" },
    OPT_END,
};

/* The hub cache to fill: the volume's, or the one of all tools. */
static int find_dir(
    const struct pull_opts *o, struct hubdir *out, struct err *e)
{
    struct volume v;
    bool created = false;

    if (o->volume == NULL)
        return hubdir_default(out, e);
    if (volume_locate(&v, o->volume, e) != 0)
        return -1;
    if (!o->dry_run && volume_create(&v, &created, e) != 0)
        return -1;
    if (created)
        log_info("created the volume %s", v.root);
    return volume_hub(&v, out, e);
}

/* What cannot be meant together. */
static int check(const struct pull_opts *o, int argc, struct err *e)
{
    if (o->lock == NULL && argc == 0) {
        err_set(e, ERR_USAGE, "argument missing: REPO[@REV]... or --lock FILE");
        return err_hint(e, "mlfetch pull --help");
    }
    if (o->lock != NULL && (argc > 0 || o->include.n > 0 || o->exclude.n > 0 ||
                               o->revision != NULL || o->repo_type != 0))
        return err_set(e, ERR_USAGE,
            "--lock says what is brought: no repository, revision or pattern "
            "beside it");
    if (o->from != NULL && (o->offline || o->force))
        return err_set(e, ERR_USAGE,
            "--from asks a store: neither --offline nor --force goes with it");
    if (o->from != NULL && (o->jobs > 0 || o->limit_rate > 0))
        return err_set(e, ERR_USAGE,
            "--from takes neither --jobs nor --limit-rate: they are for what "
            "comes from the hub");
    if (o->volume != NULL && bucket_is(o->volume) &&
        (o->dry_run || o->force || o->offline || o->from != NULL ||
            o->convert != CONVERSION_NONE))
        return err_set(e, ERR_USAGE,
            "--volume %s: --dry-run, --force, --offline, --from and "
            "conversions are for a volume or cache of this machine",
            o->volume);
    if (o->local_dir != NULL && o->volume != NULL)
        return err_set(e, ERR_USAGE, "--local-dir and --volume are two places");
    if (o->convert != CONVERSION_NONE &&
        (o->lock != NULL || o->local_dir != NULL || o->repo_type != REPO_MODEL))
        return err_set(e, ERR_USAGE,
            "--fp16, --bf16 and --int8 are for models in a cache or volume%s",
            o->lock != NULL ? "; a lock says itself what to convert" : "");
    if (o->force && (o->offline || pull_offline()))
        return err_set(
            e, ERR_USAGE, "--force needs the network, and this is offline");
    return pace_check(o->limit_rate, e);
}

static void set_asked(struct pull *p, const struct cmd_ctx *ctx,
    const struct pull_opts *o, const struct localdir *local)
{
    p->include = o->include.v;
    p->n_include = o->include.n;
    p->exclude = o->exclude.v;
    p->n_exclude = o->exclude.n;
    p->local = o->local_dir != NULL ? local : NULL;
    p->volume = o->volume;
    p->jobs = (unsigned)o->jobs;
    p->limit_rate = o->limit_rate;
    p->offline = o->from == NULL && (o->offline || pull_offline());
    p->force = o->force;
    p->progress = ctx->progress;
}

/* Which repositories: those named, or those of the lock. */
static int set_repos(struct pull_set *s, const struct pull_opts *o,
    struct lockfile *lock, int argc, char **argv, struct err *e)
{
    if (o->lock != NULL && lockfile_read(lock, o->lock, e) != 0)
        return -1;
    if (pull_set_make(s, o->lock != NULL ? lock->n : (size_t)argc, e) != 0)
        return -1;
    if (o->local_dir != NULL && s->n != 1)
        return err_set(e, ERR_USAGE, "--local-dir takes one repository");
    for (size_t i = 0; i < s->n; i++) {
        if (o->lock != NULL)
            lockpin(&s->v[i], &lock->v[i]);
        else if (shortname_parse(&s->v[i].repo, (enum repo_type)o->repo_type,
                     o->revision, argv[i], e) != 0)
            return -1;
        if (o->convert != CONVERSION_NONE)
            s->v[i].convert = (enum conversion_kind)o->convert;
        if (o->convert != CONVERSION_NONE && s->v[i].repo.type != REPO_MODEL)
            return err_set(
                e, ERR_USAGE, "%s: only models are converted", argv[i]);
        if (o->local_dir != NULL && s->v[i].convert != CONVERSION_NONE)
            return err_set(e, ERR_USAGE,
                "%s: the lock asks for a conversion, which --local-dir has no "
                "place for",
                o->lock);
    }
    return 0;
}

static int show_plans(
    const struct pull_opts *o, struct pull_set *s, struct err *e)
{
    struct buf out AUTO(buf_free) = BUF_INIT(OUT_MAX);

    for (size_t i = 0; i < s->n; i++) {
        struct pull *p = &s->v[i];

        plan_by_path(&p->plan);
        if (o->json) {
            buf_puts(&out, i > 0 ? ",\n  " : "[\n  ");
            planview_json(&out, p, true);
            continue;
        }
        buf_printf(&out, "%s%s@%s is commit %s\n", i > 0 ? "\n" : "",
            p->repo.id, p->repo.revision, p->commit);
        planview_table(&out, p);
        planview_totals(&out, p);
    }
    if (o->json)
        buf_puts(&out, s->n > 0 ? "\n]\n" : "[]\n");
    if (cmd_print(&out, e) != 0)
        return -1;
    /* What is known already to stop the pull is the dry run's answer, too. */
    return pull_check(s->v, s->n, e);
}

/* Each path is shown as soon as its repository is whole. */
static int fetch_all(const struct pull_opts *o, struct pull_set *s,
    const struct hubdir *dir, struct hub *hub, struct from_bucket *from,
    struct err *e)
{
    struct buf out AUTO(buf_free) = BUF_INIT(OUT_MAX);

    if (from == NULL && pull_reserve(s->v, s->n, e) != 0)
        return -1;
    for (size_t i = 0; i < s->n; i++) {
        if (from != NULL ? from_bucket_bring(from, &s->v[i], dir, hub, e) != 0
                         : pull_fetch(&s->v[i], hub, e) != 0)
            return -1;
        if (o->json) {
            buf_puts(&out, i > 0 ? ",\n  " : "[\n  ");
            planview_json(&out, &s->v[i], false);
            continue;
        }
        buf_printf(&out, "%s\n",
            s->v[i].converted[0] ? s->v[i].converted : s->v[i].path);
        if (cmd_print(&out, e) != 0 || cmd_flush(e) != 0)
            return -1;
        buf_clear(&out);
    }
    if (o->json)
        buf_puts(&out, s->n > 0 ? "\n]\n" : "[]\n");
    return cmd_print(&out, e);
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct pull_opts *o = values;
    struct lockfile lock AUTO(lockfile_free) = LOCKFILE_INIT;
    struct hub hub AUTO(hub_free) = HUB_INIT;
    struct from_bucket *from AUTO(from_bucket_close) = NULL;
    struct hubdir dir;
    struct localdir local;
    struct pull_set set AUTO(pull_set_free) = PULL_SET_INIT;

    if (check(o, argc, e) != 0 || set_repos(&set, o, &lock, argc, argv, e) != 0)
        return -1;
    if (o->local_dir != NULL && localdir_at(&local, o->local_dir, e) != 0)
        return -1;
    if (hub_init(&hub, (unsigned)o->jobs, (uint64_t)o->retry_s, e) != 0)
        return -1;
    for (size_t i = 0; i < set.n; i++)
        set_asked(&set.v[i], ctx, o, &local);
    if (o->volume != NULL && bucket_is(o->volume))
        return into_bucket_all(o->volume, &set, &hub, o->json, e);
    if (o->from != NULL &&
        (from = from_bucket_open(o->from, (uint64_t)o->retry_s, e)) == NULL)
        return -1;
    if (find_dir(o, &dir, e) != 0)
        return -1;
    for (size_t i = 0; i < set.n; i++)
        if (from != NULL ? from_bucket_plan(from, &set.v[i], &dir, &hub, e) != 0
                         : pull_plan(&set.v[i], &dir, &hub, e) != 0)
            return -1;
    return o->dry_run ? show_plans(o, &set, e)
                      : fetch_all(o, &set, &dir, &hub, from, e);
}

static const struct cmd_example examples[] = {
    { "mlfetch pull tinyllama", "fetch a model that everybody may read" },
    { "mlfetch pull org/name@v1.0 --include '*.safetensors'",
        "some files of a tag" },
    { "mlfetch pull llama3.2-1b", "a gated model, after mlfetch login" },
    { "mlfetch pull org/name --local-dir model", "plain files in ./model" },
    { "mlfetch pull --fp16 pythia-1b", "and convert it, as mlconvert does" },
    { "mlfetch pull --lock models.lock", "exactly these files" },
    { "mlfetch pull org/name --volume s3://team/models",
        "into object storage, for all machines" },
    { "mlfetch pull org/name --from s3://team/models",
        "and from there, without the hub" },
    { NULL, NULL },
};

const struct cmd cmd_pull = {
    .name = "pull",
    .args = "REPO[@REV]...",
    .brief = "fetch repositories from a hub",
    .text =
        "Prints the folder of each snapshot, or of its converted form. What "
        "is held is not fetched again, what was interrupted goes on where it "
        "ended, and every byte is checked against the Hub's digest before it "
        "is visible. "
        "Without --volume the hub cache of all tools is used, so "
        "from_pretrained() finds what was pulled."
        "\n\n"
        "Several repositories are planned together: what they need on disk "
        "is checked and reserved before the first byte. A dataset or a "
        "space is named with --repo-type, or as hf://datasets/ORG/NAME."
        "\n\n" SHORTNAME_HELP "\n\n"
        "Patterns match the whole path; '*' also matches '/'."
        "\n\n"
        "With --local-dir the files stand in DIR as the official client "
        "puts them there, all of them after the last byte has come. What "
        "the hub cache holds is shared with it or copied, not fetched. A "
        "file that is there and was not fetched, or was changed since, is "
        "left alone: nothing is done without --force."
        "\n\n"
        "With --volume s3://BUCKET/PREFIX the files go into object storage, by "
        "way of a spool on this machine (below XDG_CACHE_HOME) of 2 GiB or "
        "the largest file, which a pull that was killed finds again for a "
        "week; what the bucket or the hub cache has is not "
        "fetched. Then any machine has them from there, without the hub: "
        "mlfetch pull, lock and warm with --from. Prints REPO@COMMIT, and "
        "with --json: repository, revision, commit, volume, files, bytes, "
        "fetched_bytes, sent_bytes."
        "\n\n"
        "--dry-run shows the plan, and ends with the status that the pull "
        "would end with, as far as is known: 7 when the disk is too small, "
        "5 when it is offline and files are missing."
        "\n\n"
        "--json prints a list with an object for each repository: "
        "repository, revision, commit, path, files, bytes, fetched_bytes, "
        "requests (made), converted (a folder, if asked for). With --dry-run "
        "also fetch_bytes, fetch_requests "
        "(at most), space_bytes, free_bytes and entries: " PLANVIEW_ENTRY_KEYS
        ".",
    .opts = opts,
    .defaults = &defaults,
    .opts_size = sizeof(defaults),
    .min_args = 0,
    .max_args = -1,
    .run = run,
    .examples = examples,
};
