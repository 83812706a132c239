/* mv and cp: the same, but that one keeps the old names. */
#include "cache/moves.h"

#include "base/log.h"
#include "fetch/changeview.h"
#include "fetch/commands.h"

#define ARENA_MAX ((uint64_t)4 << 30)

enum { TEXT_MAX = 1 << 30 };

struct mv_opts {
    bool force;
    bool recursive;
    bool json;
};

#define FORCE_OPT                                                              \
    {                                                                          \
        'f', "force", OPT_FLAG, offsetof(struct mv_opts, force), NULL,         \
            "replace what has other content; the log keeps it", 0, 0, NULL     \
    }

#define JSON_OPT                                                               \
    {                                                                          \
        .name = "json", .type = OPT_FLAG,                                      \
        .at = offsetof(struct mv_opts, json),                                  \
        .help = "print one JSON document: volume, step, changes"               \
    }

static const struct opt mv_table[] = { FORCE_OPT, JSON_OPT, OPT_END };

static const struct opt cp_table[] = { FORCE_OPT,
    { 'r', "recursive", OPT_FLAG, offsetof(struct mv_opts, recursive), NULL,
        "folders, too, with all in them", 0, 0, NULL },
    JSON_OPT, OPT_END };

static int run(struct moves *m, const struct mv_opts *o, int argc, char **argv,
    struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    struct buf text AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct volume v;
    struct step step;

    m->v = &v;
    m->force = o->force;
    m->folders = o->recursive;
    if (volume_locate(&v, argv[0], e) != 0 ||
        moves_run(m, argv + 1, (size_t)argc - 1, &step, &arena, e) != 0)
        return -1;
    if (step.number == 0)
        log_info("the volume has all of it already");
    if (o->json)
        changeview_step(&text, &v, &step);
    else
        changeview_names(&text, step.changes, step.n, true);
    return cmd_print(&text, e);
}

static int run_mv(const struct cmd_ctx *ctx, void *values, int argc,
    char **argv, struct err *e)
{
    struct moves m = { .keep = false };

    (void)ctx;
    return run(&m, values, argc, argv, e);
}

static int run_cp(const struct cmd_ctx *ctx, void *values, int argc,
    char **argv, struct err *e)
{
    struct moves m = { .keep = true };

    (void)ctx;
    return run(&m, values, argc, argv, e);
}

static const struct cmd_example mv_examples[] = {
    { "mlfetch mv scratch model.pt old.pt", "another name" },
    { "mlfetch mv scratch nightly/run7 kept/", "a folder, to kept/run7" },
    { NULL, NULL },
};

const struct cmd cmd_mv = {
    .name = "mv",
    .args = "VOLUME NAME... TO",
    .brief = "give files of a volume other names",
    .text = "NAME, a file or a folder, becomes TO. Where TO ends in \"/\" or "
            "is a folder, or where there are several names, they go into it; "
            "\"/\" is the top. All of it happens at once, as one step of the "
            "log, and no byte is copied.\n\n"
            "A name that has other content is refused (status 2), but with "
            "-f: the log keeps it, and mlfetch rollback brings it back.\n\n"
            "Prints the new names. With --json: volume; step, its number in "
            "the log, or null where nothing changed; changes, a list of name, "
            "before and after, each null or size, sha256, date.",
    .opts = mv_table,
    .opts_size = sizeof(struct mv_opts),
    .min_args = 3,
    .max_args = -1,
    .run = run_mv,
    .examples = mv_examples,
};

static const struct cmd_example cp_examples[] = {
    { "mlfetch cp scratch model.pt best.pt", "a second name" },
    { "mlfetch cp -r scratch nightly/run7 kept/", "a folder, to kept/run7" },
    { NULL, NULL },
};

const struct cmd cmd_cp = {
    .name = "cp",
    .args = "VOLUME NAME... TO",
    .brief = "give files of a volume second names",
    .text = "As mlfetch mv, but the old names stay; a folder is copied with "
            "-r only. The names share their bytes: a copy takes no room.\n\n"
            "Prints the new names. With --json: volume; step, its number in "
            "the log, or null where nothing changed; changes, a list of name, "
            "before and after, each null or size, sha256, date.",
    .opts = cp_table,
    .opts_size = sizeof(struct mv_opts),
    .min_args = 3,
    .max_args = -1,
    .run = run_cp,
    .examples = cp_examples,
};
