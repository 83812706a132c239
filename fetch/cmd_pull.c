#include "fetch/commands.h"

#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "base/json.h"
#include "base/log.h"
#include "cache/volume.h"
#include "fetch/pull.h"
#include "fetch/retry.h"

enum { JOBS = 4, JOBS_MAX = 64, RETRY_MAX_S = 86400, OUT_MAX = 1 << 30 };

struct pull_opts {
    const char *revision;
    int repo_type;
    struct opt_list include;
    struct opt_list exclude;
    const char *volume;
    int64_t jobs;
    int64_t retry_s;
    bool dry_run;
    bool force;
    bool offline;
    bool json;
};

static const struct pull_opts defaults = { .jobs = JOBS,
    .retry_s = RETRY_TIME_S };

static const char *const types[] = { "model", "dataset", "space", NULL };

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
        .choices = types },
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
        .help = "into this volume, not into the hub cache" },
    { .letter = 'j',
        .name = "jobs",
        .type = OPT_INT,
        .at = offsetof(struct pull_opts, jobs),
        .arg = "N",
        .help = "connections at once (default 4)",
        .min = 1,
        .max = JOBS_MAX },
    { .name = "retry-time",
        .type = OPT_INT,
        .at = offsetof(struct pull_opts, retry_s),
        .arg = "SECONDS",
        .help = "give up after this long without one new byte (default 60)",
        .min = 0,
        .max = RETRY_MAX_S },
    { .letter = 'n',
        .name = "dry-run",
        .type = OPT_FLAG,
        .at = offsetof(struct pull_opts, dry_run),
        .help = "show what would be fetched, and change nothing" },
    { .name = "force",
        .type = OPT_FLAG,
        .at = offsetof(struct pull_opts, force),
        .help = "fetch again what is held" },
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

static const struct {
    const char *name;
    const char *id;
} aliases[] = {
    { "tinyllama", "TinyLlama/TinyLlama-1.1B-Chat-v1.0" },
    { "llama3.2-1b", "meta-llama/Llama-3.2-1B-Instruct" },
    { "stablelm", "stabilityai/stablelm-2-1_6b-chat" },
    { "pythia-1b", "EleutherAI/pythia-1b" },
    { "pythia-12b", "EleutherAI/pythia-12b" },
};

static int parse_repo(
    struct repo *r, const struct pull_opts *o, const char *text, struct err *e)
{
    size_t n = strcspn(text, "@");
    char full[512];

    for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
        if (str_is((struct str){ text, n }, aliases[i].name)) {
            snprintf(full, sizeof(full), "%s%.300s", aliases[i].id, text + n);
            text = full;
            break;
        }
    if (repo_parse(r, (enum repo_type)o->repo_type, text, e) != 0)
        return -1;
    if (o->revision == NULL)
        return 0;
    if (strchr(text, '@') != NULL)
        return err_set(
            e, ERR_USAGE, "a revision in '%s' and in --revision", text);
    if (strlen(o->revision) >= sizeof(r->revision) || o->revision[0] == '\0')
        return err_set(e, ERR_USAGE, "not a revision: '%.100s'", o->revision);
    snprintf(r->revision, sizeof(r->revision), "%s", o->revision);
    return 0;
}

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

static const char *state_word(const struct plan_file *f)
{
    if (f->state == PLAN_HELD)
        return "held";
    if (f->state == PLAN_LINK)
        return "link";
    return f->kept > 0 ? "partial" : "missing";
}

/* A path in a column: safe for a terminal, padded by characters. */
static void put_path(struct buf *out, struct str path, size_t width)
{
    char text[1025], safe[4 * sizeof(text)];
    size_t shown = 0, n;

    snprintf(text, sizeof(text), "%.*s", STR_ARG(path));
    n = err_escape(safe, sizeof(safe), text);
    buf_put(out, safe, n);
    for (size_t i = 0; i < n; i++)
        shown += ((unsigned char)safe[i] & 0xC0) != 0x80;
    for (; shown < width; shown++)
        buf_putc(out, ' ');
}

static void put_table(struct buf *out, const struct pull *p)
{
    const struct plan *plan = &p->plan;
    char size[HUMAN_MAX];
    size_t width = 4;

    for (size_t i = 0; i < plan->n; i++)
        width = size_max(width, size_min(plan->files[i].file->path.len, 60));
    put_path(out, str_of("FILE"), width);
    buf_printf(out, "  %10s  %s\n", "SIZE", "STATE");
    for (size_t i = 0; i < plan->n; i++) {
        const struct plan_file *f = &plan->files[i];

        put_path(out, f->file->path, width);
        buf_printf(out, "  %10s  %s\n", human_size(size, f->file->size),
            state_word(f));
    }
    buf_printf(out, "%zu files, %s", plan->n, human_size(size, plan->bytes));
    buf_printf(out, "; to fetch: %s\n", human_size(size, plan->fetch_bytes));
}

static void put_field(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, "\"%s\": ", name);
    json_quote(out, str_of(text));
    buf_puts(out, ", ");
}

static void put_entries(struct buf *out, const struct plan *plan)
{
    buf_puts(out, ", \"entries\": [");
    for (size_t i = 0; i < plan->n; i++) {
        buf_puts(out, i > 0 ? ", {\"path\": " : "{\"path\": ");
        json_quote(out, plan->files[i].file->path);
        buf_printf(out, ", \"size\": %llu, \"state\": \"%s\"}",
            (unsigned long long)plan->files[i].file->size,
            state_word(&plan->files[i]));
    }
    buf_putc(out, ']');
}

static void put_json(struct buf *out, const struct pull *p)
{
    buf_puts(out, out->len > 0 ? ",\n  {" : "[\n  {");
    put_field(out, "repository", p->repo.id);
    put_field(out, "revision", p->repo.revision);
    put_field(out, "commit", p->commit);
    put_field(out, "path", p->path);
    buf_printf(out, "\"files\": %zu, \"bytes\": %llu, ", p->plan.n,
        (unsigned long long)p->plan.bytes);
    if (p->dry_run)
        buf_printf(out, "\"fetch_bytes\": %llu, ",
            (unsigned long long)p->plan.fetch_bytes);
    buf_printf(out, "\"fetched_bytes\": %llu, \"requests\": %llu",
        (unsigned long long)p->fetched_bytes, (unsigned long long)p->requests);
    if (p->dry_run)
        put_entries(out, &p->plan);
    buf_putc(out, '}');
}

static int write_out(struct buf *out, struct err *e)
{
    if (buf_check(out, e) != 0)
        return -1;
    if (fwrite(out->p, 1, out->len, stdout) != out->len || fflush(stdout) != 0)
        return err_sys(e, "standard output");
    buf_clear(out);
    return 0;
}

/* One repository; without --json its result is shown at once. */
static int pull_one(const struct cmd_ctx *ctx, const struct pull_opts *o,
    const char *text, const struct hubdir *dir, struct hub *hub,
    struct buf *out, struct err *e)
{
    struct pull p AUTO(pull_free) = PULL_INIT;

    p.include = o->include.v;
    p.n_include = o->include.n;
    p.exclude = o->exclude.v;
    p.n_exclude = o->exclude.n;
    p.jobs = (unsigned)o->jobs;
    p.offline = o->offline || pull_offline();
    p.force = o->force;
    p.dry_run = o->dry_run;
    p.progress = ctx->progress;
    if (p.force && p.offline)
        return err_set(e, ERR_USAGE,
            "--force needs the network, and this is "
            "offline");
    if (parse_repo(&p.repo, o, text, e) != 0 || pull_run(&p, dir, hub, e) != 0)
        return -1;
    plan_by_path(&p.plan);
    if (o->json) {
        put_json(out, &p);
        return 0;
    }
    if (o->dry_run)
        put_table(out, &p);
    else
        buf_printf(out, "%s\n", p.path);
    return write_out(out, e);
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct pull_opts *o = values;
    struct hub hub AUTO(hub_free) = HUB_INIT;
    struct buf out AUTO(buf_free) = BUF_INIT(OUT_MAX);
    struct hubdir dir;
    struct repo checked;

    for (int i = 0; i < argc; i++)
        if (parse_repo(&checked, o, argv[i], e) != 0)
            return -1;
    if (hub_init(&hub, (unsigned)o->jobs, (uint64_t)o->retry_s, e) != 0 ||
        find_dir(o, &dir, e) != 0)
        return -1;
    for (int i = 0; i < argc; i++)
        if (pull_one(ctx, o, argv[i], &dir, &hub, &out, e) != 0)
            return -1;
    if (!o->json)
        return 0;
    buf_puts(&out, "\n]\n");
    return write_out(&out, e);
}

static const struct cmd_example examples[] = {
    { "mlfetch pull tinyllama", "fetch a model that everybody may read" },
    { "mlfetch pull org/name@v1.0 --include '*.safetensors'",
        "some files of a tag" },
    { "HF_TOKEN=hf_... mlfetch pull llama3.2-1b", "a gated model" },
    { NULL, NULL },
};

const struct cmd cmd_pull = {
    .name = "pull",
    .args = "REPO[@REV]...",
    .brief = "fetch repositories from a hub",
    .text = "Prints the folder of each snapshot. What is held is not fetched "
            "again, what was interrupted goes on where it ended, and every "
            "byte is checked against the Hub's digest before it is visible. "
            "Without --volume the hub cache of all tools is used, so "
            "from_pretrained() finds what was pulled."
            "\n\n"
            "Short names: tinyllama (TinyLlama/TinyLlama-1.1B-Chat-v1.0), "
            "llama3.2-1b (meta-llama/Llama-3.2-1B-Instruct), stablelm "
            "(stabilityai/stablelm-2-1_6b-chat), pythia-1b "
            "(EleutherAI/pythia-1b), pythia-12b (EleutherAI/pythia-12b)."
            "\n\n"
            "Patterns match the whole path; '*' also matches '/'.",
    .opts = opts,
    .defaults = &defaults,
    .opts_size = sizeof(defaults),
    .min_args = 1,
    .max_args = -1,
    .run = run,
    .examples = examples,
};
