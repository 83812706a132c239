#include "cache/moves.h"

#include "base/log.h"
#include "fetch/changeview.h"
#include "fetch/commands.h"

#define ARENA_MAX ((uint64_t)4 << 30)

enum { TEXT_MAX = 1 << 30 };

struct rm_opts {
    bool recursive;
    bool json;
};

static const struct opt opts[] = {
    { 'r', "recursive", OPT_FLAG, offsetof(struct rm_opts, recursive), NULL,
        "folders, too, with all in them", 0, 0, NULL },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct rm_opts, json),
        .help = "print one JSON document: volume, step, changes" },
    OPT_END,
};

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct rm_opts *o = values;
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    struct buf text AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct volume v;
    struct moves m = { .v = &v, .folders = o->recursive };
    struct step step;

    (void)ctx;
    if (volume_locate(&v, argv[0], e) != 0 ||
        moves_rm(&m, argv + 1, (size_t)argc - 1, &step, &arena, e) != 0)
        return -1;
    if (o->json)
        changeview_step(&text, &v, &step);
    else
        changeview_names(&text, step.changes, step.n, false);
    return cmd_print(&text, e);
}

static const struct cmd_example examples[] = {
    { "mlfetch rm scratch model.pt", "one file" },
    { "mlfetch rm -r scratch nightly/run7", "a folder" },
    { NULL, NULL },
};

const struct cmd cmd_rm = {
    .name = "rm",
    .args = "VOLUME NAME...",
    .brief = "take files out of a volume; they can be brought back",
    .text = "Takes the names out of VOLUME, all of them at once, as one step "
            "of its log. A folder goes with -r only.\n\n"
            "The bytes stay until mlcache gc is run, and for a day in any "
            "case: until then mlfetch rollback brings the names back. To free "
            "the space at once, use mlcache rm.\n\n"
            "Prints the names. With --json: volume; step, its number in the "
            "log; changes, a list of name, before and after, each null or "
            "size, sha256, date.",
    .opts = opts,
    .opts_size = sizeof(struct rm_opts),
    .min_args = 2,
    .max_args = -1,
    .run = run,
    .examples = examples,
};
