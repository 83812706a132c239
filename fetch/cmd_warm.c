#include "fetch/commands.h"

#include <stdio.h>

#include "base/file.h"
#include "base/log.h"
#include "bucket/bucket.h"
#include "cache/layer.h"
#include "cache/trust.h"
#include "cache/volume.h"
#include "fetch/cmd_bucket.h"
#include "fetch/lockpin.h"
#include "fetch/pace.h"
#include "fetch/planview.h"
#include "net/retry.h"

enum { OUT_MAX = 1 << 30 };

struct warm_opts {
    const char *lock;
    const char *key;
    const char *volume;
    const char *from;
    int64_t jobs;
    uint64_t limit_rate;
    int64_t retry_s;
    bool offline;
    bool image;
    bool json;
};

static const struct warm_opts defaults = { .retry_s = RETRY_TIME_S };

static const struct opt opts[] = {
    { .name = "lock",
        .type = OPT_STR,
        .at = offsetof(struct warm_opts, lock),
        .arg = "FILE",
        .help = "what must be there (mlfetch lock); needed" },
    { .name = "key",
        .type = OPT_STR,
        .at = offsetof(struct warm_opts, key),
        .arg = "PUB",
        .help = "demand FILE.minisig, a valid signature by this public key "
                "of minisign: a file, or the key itself" },
    { .name = "volume",
        .type = OPT_STR,
        .at = offsetof(struct warm_opts, volume),
        .arg = "VOLUME",
        .help = "in this volume, not in the hub cache; also s3://..." },
    { .name = "from",
        .type = OPT_STR,
        .at = offsetof(struct warm_opts, from),
        .arg = "s3://...",
        .help =
            "bring it from this volume in object storage, not from the hub" },
    { .letter = 'j',
        .name = "jobs",
        .type = OPT_INT,
        .at = offsetof(struct warm_opts, jobs),
        .arg = "N",
        .help = "connections at most (default: as many as help, up to 32)",
        .min = 1,
        .max = PULL_JOBS_MAX },
    { .name = "limit-rate",
        .type = OPT_SIZE,
        .at = offsetof(struct warm_opts, limit_rate),
        .arg = "RATE",
        .help = "bytes a second at most, over all connections to the hub "
                "(10M, 500k)" },
    { .name = "retry-time",
        .type = OPT_INT,
        .at = offsetof(struct warm_opts, retry_s),
        .arg = "SECONDS",
        .help = "give up after this long without one new byte (default 60)",
        .min = 0,
        .max = RETRY_TIME_MAX_S },
    { .name = "offline",
        .type = OPT_FLAG,
        .at = offsetof(struct warm_opts, offline),
        .help = "make no request and change nothing: prove that all of it is "
                "there" },
    { .name = "image",
        .type = OPT_FLAG,
        .at = offsetof(struct warm_opts, image),
        .help = "the cache becomes a layer of an image: leave no locks, and "
                "nothing younger than SOURCE_DATE_EPOCH (default: 0)" },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct warm_opts, json),
        .help = "print one JSON document" },
    OPT_END,
};

static int find_dir(
    const struct warm_opts *o, bool offline, struct hubdir *out, struct err *e)
{
    struct volume v;
    bool created = false;

    if (o->volume == NULL || bucket_is(o->volume))
        return hubdir_default(out, e);
    if (volume_locate(&v, o->volume, e) != 0)
        return -1;
    if (!offline && volume_create(&v, &created, e) != 0)
        return -1;
    if (created)
        log_info("created the volume %s", v.root);
    return volume_hub(&v, out, e);
}

static int plan_all(const struct cmd_ctx *ctx, const struct warm_opts *o,
    const struct lockfile *lock, struct pull_set *s, const struct hubdir *dir,
    struct hub *hub, struct from_bucket *from, struct err *e)
{
    for (size_t i = 0; i < s->n; i++) {
        struct pull *p = &s->v[i];

        lockpin(p, &lock->v[i]);
        p->jobs = (unsigned)o->jobs;
        p->limit_rate = o->limit_rate;
        p->offline = o->from == NULL && (o->offline || pull_offline());
        p->verify = true;
        p->volume = o->volume;
        p->progress = ctx->progress;
        if (from != NULL ? from_bucket_plan(from, p, dir, hub, e) != 0
                         : pull_plan(p, dir, hub, e) != 0)
            return -1;
    }
    return from != NULL ? pull_check(s->v, s->n, e)
                        : pull_reserve(s->v, s->n, e);
}

static int print(
    const struct warm_opts *o, const struct pull_set *s, struct err *e)
{
    struct buf out AUTO(buf_free) = BUF_INIT(OUT_MAX);

    if (o->json && s->n == 0)
        buf_puts(&out, "[]\n");
    for (size_t i = 0; i < s->n; i++) {
        if (!o->json) {
            buf_printf(&out, "%s\n",
                s->v[i].converted[0] ? s->v[i].converted : s->v[i].path);
            continue;
        }
        buf_puts(&out, i > 0 ? ",\n  " : "[\n  ");
        planview_json(&out, &s->v[i], false);
        if (i + 1 == s->n)
            buf_puts(&out, "\n]\n");
    }
    return cmd_print(&out, e);
}

/* What it left must say nothing of this run. */
static int settle(const struct layer *layer, struct pull_set *s, struct err *e)
{
    for (size_t i = 0; i < s->n; i++)
        lease_free(&s->v[i].lease);
    for (size_t i = 0; i < s->n; i++)
        if (layer_settle(layer, &s->v[i].repo, e) != 0)
            return -1;
    return layer_end(layer, e);
}

struct warm {
    const struct cmd_ctx *ctx;
    const struct warm_opts *o;
    bool offline;
    struct lockfile lock;
    struct trust trust;
    struct hubdir dir;
    struct layer layer;
};

static void warm_free(struct warm *w)
{
    lockfile_free(&w->lock);
}

static int remember(const struct warm *w, struct err *e)
{
    return w->o->key != NULL && !w->offline ? trust_remember(&w->trust, e) : 0;
}

/* In object storage. */
static int warm_bucket(const struct warm *w, struct err *e)
{
    const struct warm_opts *o = w->o;
    struct pull_set set AUTO(pull_set_free) = PULL_SET_INIT;
    struct hub hub AUTO(hub_free) = HUB_INIT;

    if (w->offline)
        return in_bucket(o->volume, &w->lock, w->ctx->progress, o->json, e);
    if (pull_set_make(&set, w->lock.n, e) != 0 ||
        hub_init(&hub, (unsigned)o->jobs, (uint64_t)o->retry_s, e) != 0)
        return -1;
    for (size_t i = 0; i < set.n; i++) {
        lockpin(&set.v[i], &w->lock.v[i]);
        set.v[i].jobs = (unsigned)o->jobs;
        set.v[i].limit_rate = o->limit_rate;
        set.v[i].progress = w->ctx->progress;
    }
    return into_bucket_all(o->volume, &set, &hub, o->json, e) != 0
               ? -1
               : remember(w, e);
}

/* In a cache or volume of this machine. */
static int warm_dir(const struct warm *w, struct err *e)
{
    const struct warm_opts *o = w->o;
    struct from_bucket *from AUTO(from_bucket_close) = NULL;
    struct pull_set set AUTO(pull_set_free) = PULL_SET_INIT;
    struct hub hub AUTO(hub_free) = HUB_INIT;

    if ((o->from != NULL && (from = from_bucket_open(
                                 o->from, (uint64_t)o->retry_s, e)) == NULL) ||
        pull_set_make(&set, w->lock.n, e) != 0 ||
        hub_init(&hub, (unsigned)o->jobs, (uint64_t)o->retry_s, e) != 0 ||
        plan_all(w->ctx, o, &w->lock, &set, &w->dir, &hub, from, e) != 0)
        return -1;
    for (size_t i = 0; i < set.n; i++)
        if (from != NULL
                ? from_bucket_bring(from, &set.v[i], &w->dir, &hub, e) != 0
                : pull_fetch(&set.v[i], &hub, e) != 0)
            return -1;
    if (remember(w, e) != 0 || (o->image && settle(&w->layer, &set, e) != 0))
        return -1;
    return print(o, &set, e);
}

static int check_opts(const struct warm_opts *o, bool offline, struct err *e)
{
    if (o->lock == NULL) {
        err_set(e, ERR_USAGE, "--lock FILE is needed");
        return err_hint(e, "mlfetch lock REPO -o FILE makes one");
    }
    if (o->from != NULL && o->offline)
        return err_set(
            e, ERR_USAGE, "--from asks a store: --offline asks none");
    if (o->from != NULL && (o->jobs > 0 || o->limit_rate > 0))
        return err_set(e, ERR_USAGE,
            "--from takes neither --jobs nor --limit-rate: they are for what "
            "comes from the hub");
    if (o->from != NULL && o->volume != NULL && bucket_is(o->volume))
        return err_set(e, ERR_USAGE,
            "--volume %s: what is brought there comes from the hub, not --from",
            o->volume);
    if (o->image && o->volume != NULL) {
        err_set(e, ERR_USAGE, "--image is for the hub cache, not for a volume");
        return err_hint(e, "HF_HUB_CACHE says where the hub cache is");
    }
    if (o->image && offline)
        return err_set(
            e, ERR_USAGE, "--image changes the cache, offline nothing does");
    return pace_check(o->limit_rate, e);
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct warm_opts *o = values;
    struct warm w AUTO(warm_free) = { .ctx = ctx,
        .o = o,
        .offline = o->from == NULL && (o->offline || pull_offline()),
        .lock = LOCKFILE_INIT };
    struct buf text AUTO(buf_free) = BUF_INIT(LOCKFILE_MAX);

    (void)argc;
    (void)argv;
    if (check_opts(o, w.offline, e) != 0 ||
        find_dir(o, w.offline, &w.dir, e) != 0 ||
        (o->image && layer_begin(&w.layer, &w.dir, e) != 0) ||
        file_slurp(o->lock, &text, e) != 0)
        return -1;
    if (o->key != NULL &&
        trust_check(&w.trust, &w.dir, o->lock, buf_str(&text), o->key, e) != 0)
        return -1;
    if (lockfile_parse(&w.lock, buf_str(&text), o->lock, e) != 0)
        return -1;
    return o->volume != NULL && bucket_is(o->volume) ? warm_bucket(&w, e)
                                                     : warm_dir(&w, e);
}

static const struct cmd_example examples[] = {
    { "mlfetch warm --lock models.lock", "bring what is missing" },
    { "mlfetch warm --lock models.lock --key ci.pub --volume /models",
        "only if ci signed it" },
    { "mlfetch warm --lock models.lock --volume s3://team/models",
        "into object storage, for all machines" },
    { "mlfetch warm --lock models.lock --from s3://team/models",
        "and from there, without the hub" },
    { "mlfetch warm --lock models.lock --offline", "is every byte here?" },
    { NULL, NULL },
};

const struct cmd cmd_warm = {
    .name = "warm",
    .args = "",
    .brief = "bring exactly what a lock lists, or prove that it is there",
    .text =
        "Brings every file of the lock, from the commits it names, and gives "
        "the revisions it names to these commits. What is held already is read "
        "and hashed; a file that is damaged is fetched again. Status 3 when a "
        "file or commit is gone from the Hub, 6 when the Hub has other bytes. "
        "Where the lock asks for a conversion, mlconvert is run, unless it is "
        "there; then its digests are checked, too. "
        "Prints the folder of each snapshot, or of its converted form.\n\n"
        "With --from s3://BUCKET/PREFIX the files come from there, where "
        "mlfetch pull or warm with --volume has brought them; the hub is not "
        "asked. With --volume s3://BUCKET/PREFIX they go there, as mlfetch "
        "pull --volume does it: that the bucket has one is asked of the store, "
        "not read, and where it has all of them the hub is not asked. Prints "
        "REPO@COMMIT.\n\n"
        "With --offline nothing is asked for or changed: status 0 says that "
        "every file of the lock is here, 5 that one is not, 6 that one is "
        "damaged; the message names it. Of s3://BUCKET/PREFIX every byte is "
        "read from the store, which is all that is asked.\n\n"
        "With --key the signature beside the lock must be valid, made under "
        "the file's name, and not older than one that was accepted in this "
        "cache or volume before (by key and name of the file); else status 9 "
        "and nothing is done; of s3://BUCKET/PREFIX this machine's hub cache "
        "remembers it. mlverify sign makes such a signature.\n\n"
        "With --image the cache is left as a layer of a container image wants "
        "it: of these repositories the locks and the empty folders go, and "
        "what is younger than SOURCE_DATE_EPOCH (seconds since 1970; 0 where "
        "it is not set) gets that time. In an empty cache the same lock then "
        "leaves the same tree, to the last bit. Status 1 when another process "
        "is at work there.\n\n"
        "--json prints the list that mlfetch pull --json prints.",
    .opts = opts,
    .defaults = &defaults,
    .opts_size = sizeof(struct warm_opts),
    .min_args = 0,
    .max_args = 0,
    .run = run,
    .examples = examples,
};
