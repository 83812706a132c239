#include "bucket/names.h"
#include "cache/moves.h"

#include "base/log.h"
#include "base/path.h"
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

static int rm(const struct rm_opts *o, struct volume *v, struct bucket *b,
    int argc, char **argv, struct step *step, struct arena *arena,
    struct err *e)
{
    struct moves m = { .v = v, .folders = o->recursive };
    size_t n = (size_t)argc - 1;

    if (!bucket_is(argv[0]))
        return volume_locate(v, argv[0], e) != 0
                   ? -1
                   : moves_rm(&m, argv + 1, n, step, arena, e);
    if (bucket_open(b, argv[0], e) != 0 ||
        path_fmt(v->root, e, "%s", b->shown) != 0)
        return -1;
    return names_rm(b, argv + 1, n, o->recursive, step, arena, e);
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct rm_opts *o = values;
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    struct buf text AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct bucket bucket AUTO(bucket_close) = BUCKET_INIT;
    struct volume v;
    struct step step;

    (void)ctx;
    if (rm(o, &v, &bucket, argc, argv, &step, &arena, e) != 0)
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
    .text =
        "Takes the names out of VOLUME, all of them at once, as one step "
        "of its log. A folder goes with -r only.\n\n"
        "The bytes stay until mlcache gc finds them older than a day (its "
        "--grace): until then mlfetch rollback brings the names back. To free "
        "the space at once, use mlcache rm. In s3://BUCKET/PREFIX mlcache gc "
        "alone frees it.\n\n"
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
