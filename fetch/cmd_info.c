#include "fetch/commands.h"

#include <stdio.h>

#include "base/human.h"
#include "base/json.h"
#include "cache/volume.h"
#include "fetch/planview.h"
#include "fetch/shortname.h"
#include "net/retry.h"

enum { OUT_MAX = 1 << 30 };

struct info_opts {
    int repo_type;
    const char *volume;
    int64_t retry_s;
    bool offline;
    bool json;
};

static const struct info_opts defaults = { .retry_s = RETRY_TIME_S };

static const struct opt opts[] = {
    { .name = "repo-type",
        .type = OPT_CHOICE,
        .at = offsetof(struct info_opts, repo_type),
        .arg = "TYPE",
        .help = "model, dataset or space (default model)",
        .choices = repo_type_names },
    { .name = "volume",
        .type = OPT_STR,
        .at = offsetof(struct info_opts, volume),
        .arg = "VOLUME",
        .help = "what is held there, not in the hub cache" },
    { .name = "retry-time",
        .type = OPT_INT,
        .at = offsetof(struct info_opts, retry_s),
        .arg = "SECONDS",
        .help = "give up after this long without an answer (default 60)",
        .min = 0,
        .max = RETRY_TIME_MAX_S },
    { .name = "offline",
        .type = OPT_FLAG,
        .at = offsetof(struct info_opts, offline),
        .help = "make no request; show what is known here" },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct info_opts, json),
        .help = "print one JSON document" },
    OPT_END,
};

/* Files and bytes whose names lead to them here. */
static size_t held(const struct plan *plan, uint64_t *bytes)
{
    size_t n = 0;

    *bytes = 0;
    for (size_t i = 0; i < plan->n; i++)
        if (plan->files[i].state == PLAN_HELD) {
            n++;
            *bytes += plan->files[i].file->size;
        }
    return n;
}

static void put_text(struct buf *out, const struct pull *p)
{
    const struct hub_revision *r = &p->revision;
    char a[HUMAN_MAX], b[HUMAN_MAX], safe[4 * sizeof(r->modified) + 1];
    uint64_t bytes;
    size_t n = held(&p->plan, &bytes);

    buf_printf(
        out, "repository  %s %s\n", repo_type_names[p->repo.type], p->repo.id);
    buf_printf(out, "revision    %s\n", p->repo.revision);
    buf_printf(out, "commit      %s\n", p->commit);
    if (r->modified[0] != '\0') {
        err_escape(safe, sizeof(safe), r->modified);
        buf_printf(out, "modified    %s\n", safe);
    }
    if (r->commit[0] != '\0') {
        err_escape(safe, sizeof(safe), r->gated);
        buf_printf(out, "access      %s%s%s\n",
            r->private ? "private" : "public", safe[0] ? ", gated: " : "",
            safe);
    }
    buf_printf(
        out, "files       %zu, %s\n", p->plan.n, human_size(a, p->plan.bytes));
    buf_printf(out, "held        %zu, %s\n", n, human_size(b, bytes));
    if (p->plan.n > 0)
        buf_putc(out, '\n');
    if (p->plan.n > 0)
        planview_table(out, p);
}

static void put_json(struct buf *out, const struct pull *p)
{
    const struct hub_revision *r = &p->revision;
    uint64_t bytes;
    size_t n = held(&p->plan, &bytes);

    buf_putc(out, '{');
    planview_field(out, "repository", p->repo.id);
    buf_puts(out, ", ");
    planview_field(out, "type", repo_type_names[p->repo.type]);
    buf_puts(out, ", ");
    planview_field(out, "revision", p->repo.revision);
    buf_puts(out, ", ");
    planview_field(out, "commit", p->commit);
    if (r->commit[0] != '\0') {
        buf_puts(out, ", ");
        planview_field(out, "modified", r->modified);
        buf_printf(out,
            ", \"private\": %s, \"gated\": ", r->private ? "true" : "false");
        if (r->gated[0] != '\0')
            json_quote(out, str_of(r->gated));
        else
            buf_puts(out, "false");
    }
    buf_printf(out,
        ", \"files\": %zu, \"bytes\": %llu, \"held_files\": %zu, "
        "\"held_bytes\": %llu, \"entries\": ",
        p->plan.n, (unsigned long long)p->plan.bytes, n,
        (unsigned long long)bytes);
    planview_entries(out, p);
    buf_puts(out, "}\n");
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct info_opts *o = values;
    struct hubdir dir;
    struct pull p AUTO(pull_free) = PULL_INIT;
    struct buf out AUTO(buf_free) = BUF_INIT(OUT_MAX);
    struct hub hub AUTO(hub_free) = HUB_INIT;
    struct volume v;

    (void)ctx;
    (void)argc;
    p.inform = true;
    p.offline = o->offline || pull_offline();
    if (shortname_parse(
            &p.repo, (enum repo_type)o->repo_type, NULL, argv[0], e) != 0 ||
        hub_init(&hub, 1, (uint64_t)o->retry_s, e) != 0)
        return -1;
    if (o->volume == NULL ? hubdir_default(&dir, e) != 0
                          : volume_locate(&v, o->volume, e) != 0 ||
                                volume_hub(&v, &dir, e) != 0)
        return -1;
    if (pull_plan(&p, &dir, &hub, e) != 0)
        return -1;
    plan_by_path(&p.plan);
    if (o->json)
        put_json(&out, &p);
    else
        put_text(&out, &p);
    return cmd_print(&out, e);
}

static const struct cmd_example examples[] = {
    { "mlfetch info tinyllama", "what is in it, and what of it is here" },
    { "mlfetch info org/name@v1 --json", "for a program" },
    { NULL, NULL },
};

const struct cmd cmd_info = {
    .name = "info",
    .args = "REPO[@REV]",
    .brief = "show what a repository consists of, and what of it is held",
    .text =
        "Shows the commit of the revision, when it was made, who may read it, "
        "and of every file the size, whether it is held here, and the first "
        "digits of its digest. Changes nothing.\n\n"
        "--json prints an object: repository, type, revision, commit, "
        "modified, private, gated (false, \"auto\" or \"manual\"), files, "
        "bytes, held_files, held_bytes, and entries: " PLANVIEW_ENTRY_KEYS
        ". modified, private and gated are left out when nobody was asked "
        "(--offline).",
    .opts = opts,
    .defaults = &defaults,
    .opts_size = sizeof(struct info_opts),
    .min_args = 1,
    .max_args = 1,
    .run = run,
    .examples = examples,
};
