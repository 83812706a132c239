#include "fetch/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "bucket/bucket.h"
#include "cache/mode.h"
#include "cache/volume.h"
#include "fetch/cmd_bucket.h"
#include "fetch/lockpin.h"
#include "fetch/shortname.h"
#include "net/retry.h"

struct lock_opts {
    const char *out;
    const char *from;
    const char *volume;
    int repo_type;
    struct opt_list include;
    struct opt_list exclude;
    int convert;
    int64_t retry_s;
    bool offline;
};

static const struct lock_opts defaults = { .retry_s = RETRY_TIME_S };

static const struct opt opts[] = {
    { .letter = 'o',
        .name = "output",
        .type = OPT_STR,
        .at = offsetof(struct lock_opts, out),
        .arg = "FILE",
        .help = "write the lock here (default: standard output)" },
    { .name = "from",
        .type = OPT_STR,
        .at = offsetof(struct lock_opts, from),
        .arg = "s3://...",
        .help =
            "as this volume in object storage has it; the hub is not asked" },
    { .name = "volume",
        .type = OPT_STR,
        .at = offsetof(struct lock_opts, volume),
        .arg = "VOLUME",
        .help = "with what this volume knows, not the hub cache; s3://...: as "
                "--from" },
    { .name = "repo-type",
        .type = OPT_CHOICE,
        .at = offsetof(struct lock_opts, repo_type),
        .arg = "TYPE",
        .help = "model, dataset or space (default model)",
        .choices = repo_type_names },
    { .name = "include",
        .type = OPT_LIST,
        .at = offsetof(struct lock_opts, include),
        .arg = "GLOB",
        .help = "only files that match; may be given several times" },
    { .name = "exclude",
        .type = OPT_LIST,
        .at = offsetof(struct lock_opts, exclude),
        .arg = "GLOB",
        .help = "no files that match; may be given several times" },
    { .name = "fp16",
        .type = OPT_SET,
        .at = offsetof(struct lock_opts, convert),
        .help = "who brings it also converts it to float16",
        .min = CONVERSION_FP16 },
    { .name = "bf16",
        .type = OPT_SET,
        .at = offsetof(struct lock_opts, convert),
        .help = "the same, bfloat16",
        .min = CONVERSION_BF16 },
    { .name = "int8",
        .type = OPT_SET,
        .at = offsetof(struct lock_opts, convert),
        .help = "the same, matrices as int8, for mlverify-run",
        .min = CONVERSION_INT8 },
    { .name = "retry-time",
        .type = OPT_INT,
        .at = offsetof(struct lock_opts, retry_s),
        .arg = "SECONDS",
        .help = "give up after this long without an answer (default 60)",
        .min = 0,
        .max = RETRY_TIME_MAX_S },
    { .name = "offline",
        .type = OPT_FLAG,
        .at = offsetof(struct lock_opts, offline),
        .help = "make no request; lock what the hub cache knows" },
    OPT_END,
};

static int plan_one(struct pull *p, const struct lock_opts *o, const char *text,
    const struct hubdir *dir, struct hub *hub, struct from_bucket *from,
    struct err *e)
{
    p->include = o->include.v;
    p->n_include = o->include.n;
    p->exclude = o->exclude.v;
    p->n_exclude = o->exclude.n;
    p->offline = o->from == NULL && (o->offline || pull_offline());
    p->convert = (enum conversion_kind)o->convert;
    if (shortname_parse(
            &p->repo, (enum repo_type)o->repo_type, NULL, text, e) != 0)
        return -1;
    if (p->convert != CONVERSION_NONE && p->repo.type != REPO_MODEL)
        return err_set(e, ERR_USAGE, "%s: only models are converted", text);
    return from != NULL ? from_bucket_plan(from, p, dir, hub, e)
                        : pull_plan(p, dir, hub, e);
}

static void list_free(struct lock_entry **v)
{
    free(*v);
}

static int write_lock(
    const struct lock_opts *o, const struct buf *text, struct err *e)
{
    struct buf shown AUTO(buf_free) = BUF_INIT(PATH_MAX);

    if (o->out == NULL || strcmp(o->out, "-") == 0)
        return cmd_print(text, e);
    if (file_put(o->out, text->p, text->len, mode_masked(0666), e) != 0)
        return -1;
    buf_printf(&shown, "%s\n", o->out);
    return cmd_print(&shown, e);
}

static int find_dir(const char *volume, struct hubdir *out, struct err *e)
{
    struct volume v;

    if (volume == NULL)
        return hubdir_default(out, e);
    return volume_locate(&v, volume, e) != 0 || volume_check(&v, e) != 0
               ? -1
               : volume_hub(&v, out, e);
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    struct lock_opts *o = values;
    struct from_bucket *from AUTO(from_bucket_close) = NULL;
    struct hubdir dir;
    struct pull_set set AUTO(pull_set_free) = PULL_SET_INIT;
    struct lock_entry *list AUTO(list_free) = NULL;
    struct buf text AUTO(buf_free) = BUF_INIT(LOCKFILE_MAX);
    struct hub hub AUTO(hub_free) = HUB_INIT;

    (void)ctx;
    if (o->from != NULL && o->volume != NULL)
        return err_set(e, ERR_USAGE, "--from and --volume are two places");
    if (o->volume != NULL && bucket_is(o->volume)) {
        o->from = o->volume;
        o->volume = NULL;
    }
    if (o->from != NULL && o->offline)
        return err_set(e, ERR_USAGE,
            "%s: a store is asked, and --offline asks nobody", o->from);
    if (o->from != NULL &&
        (from = from_bucket_open(o->from, (uint64_t)o->retry_s, e)) == NULL)
        return -1;
    list = calloc((size_t)argc, sizeof(*list));
    if (list == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (pull_set_make(&set, (size_t)argc, e) != 0 ||
        hub_init(&hub, 1, (uint64_t)o->retry_s, e) != 0 ||
        find_dir(o->volume, &dir, e) != 0)
        return -1;
    for (size_t i = 0; i < set.n; i++)
        if (plan_one(&set.v[i], o, argv[i], &dir, &hub, from, e) != 0 ||
            lockpin_of(&list[i], &set.v[i], e) != 0)
            return -1;
    if (lockfile_text(&text, list, set.n, e) != 0)
        return -1;
    return write_lock(o, &text, e);
}

static const struct cmd_example examples[] = {
    { "mlfetch lock org/name@v1 org/other -o models.lock",
        "what these are today" },
    { "mlverify sign models.lock", "who vouches for it" },
    { "mlfetch warm --lock models.lock", "bring it, on any machine" },
    { NULL, NULL },
};

const struct cmd cmd_lock = {
    .name = "lock",
    .args = "REPO[@REV]...",
    .brief = "write down exactly which files repositories consist of now",
    .text =
        "Asks what each revision is, and writes its commit, and path, size "
        "and digest of every file. No file is fetched. The text is a function "
        "of these alone: the same commits give the same bytes, on any machine, "
        "in any order of the arguments (ml-lock(5)).\n\n"
        "mlfetch pull --lock and mlfetch warm --lock bring exactly these files "
        "or fail, wherever the branches have moved since.\n\n"
        "Prints FILE.\n\n" SHORTNAME_HELP,
    .opts = opts,
    .defaults = &defaults,
    .opts_size = sizeof(struct lock_opts),
    .min_args = 1,
    .max_args = -1,
    .run = run,
    .examples = examples,
};
