#include "bucket/names.h"
#include "cache/past.h"

#include "base/log.h"
#include "base/path.h"
#include "fetch/changeview.h"
#include "fetch/commands.h"

#define ARENA_MAX ((uint64_t)4 << 30)

enum { TEXT_MAX = 1 << 30 };

struct rollback_opts {
    bool json;
};

static const struct opt opts[] = {
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct rollback_opts, json),
        .help = "print one JSON document: volume, step, changes" },
    OPT_END,
};

static int roll_back(const char *where, const char *point, const char *name,
    struct volume *v, struct step *step, struct arena *arena, struct err *e)
{
    struct bucket b AUTO(bucket_close) = BUCKET_INIT;

    if (bucket_is(where))
        return bucket_open(&b, where, e) != 0 ||
                       path_fmt(v->root, e, "%s", b.shown) != 0
                   ? -1
                   : names_rollback(&b, point, name, step, arena, e);
    return volume_locate(v, where, e) != 0
               ? -1
               : past_rollback(v, point, name, step, arena, e);
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct rollback_opts *o = values;
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    struct buf text AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    char name[PATH_MAX] = "";
    struct volume v;
    struct step step;

    (void)ctx;
    if (argc > 2 && path_fmt(name, e, "%s", argv[2]) != 0)
        return -1;
    name[path_len(name)] = '\0';
    if (roll_back(argv[0], argv[1], argc > 2 ? name : NULL, &v, &step, &arena,
            e) != 0)
        return -1;
    if (step.number == 0)
        log_info("nothing differs from then");
    if (o->json)
        changeview_step(&text, &v, &step);
    else
        changeview_lines(&text, step.changes, step.n);
    return cmd_print(&text, e);
}

static const struct cmd_example examples[] = {
    { "mlfetch rollback scratch 41", "undo all that came after step 41" },
    { "mlfetch rollback scratch 41 model.pt", "of one file only" },
    { NULL, NULL },
};

const struct cmd cmd_rollback = {
    .name = "rollback",
    .args = "VOLUME STEP [NAME]",
    .brief = "bring a volume back to what it was",
    .text =
        "The names of VOLUME, or the file or folder NAME alone, mean again "
        "what they did after STEP, a number of mlfetch log, or at a time "
        "(2026-11-21, or 2026-11-21T09:30, in UTC). That is a new step of the "
        "log itself, and can be rolled back like any other.\n\n"
        "Bytes that a step took out are kept until mlcache gc finds them older "
        "than a day (its --grace). Where some that are needed are gone, "
        "nothing is changed (status 3), and the message names the file.\n\n"
        "Prints a line per file: + came back, - went, ~ has the other content "
        "again. With --json: volume; step, its number in the log, or null "
        "where nothing changed; changes, a list of name, before and after, "
        "each null or size, sha256, date.",
    .opts = opts,
    .opts_size = sizeof(struct rollback_opts),
    .min_args = 2,
    .max_args = 3,
    .run = run,
    .examples = examples,
};
