#include "cache/past.h"

#include "base/json.h"
#include "fetch/changeview.h"
#include "fetch/commands.h"

#define ARENA_MAX ((uint64_t)4 << 30)

enum { TEXT_MAX = 1 << 30 };

struct diff_opts {
    bool json;
};

static const struct opt opts[] = {
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct diff_opts, json),
        .help = "print one JSON document: volume, from, to, changes" },
    OPT_END,
};

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct diff_opts *o = values;
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    struct buf text AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct change *changes;
    uint64_t from, to, n;
    struct history h;
    struct volume v;

    (void)ctx;
    if (volume_locate(&v, argv[0], e) != 0 || volume_check(&v, e) != 0 ||
        history_read(&v, &arena, &h, e) != 0 ||
        past_point(&h, argv[1], &from, e) != 0 ||
        past_point(&h, argc > 2 ? argv[2] : "now", &to, e) != 0 ||
        past_diff(&h, from, to, &arena, &changes, &n, e) != 0)
        return -1;
    if (o->json) {
        buf_puts(&text, "{\"volume\": ");
        json_quote(&text, str_of(v.root));
        buf_printf(&text, ", \"from\": %llu, \"to\": %llu, \"changes\": ",
            (unsigned long long)from, (unsigned long long)to);
        changeview_json(&text, changes, n);
        buf_puts(&text, "}\n");
    } else {
        changeview_lines(&text, changes, n);
    }
    return cmd_print(&text, e);
}

static const struct cmd_example examples[] = {
    { "mlfetch diff scratch 41", "what has changed since step 41" },
    { "mlfetch diff scratch 0 12", "what the first twelve steps came to" },
    { "mlfetch diff scratch 2026-11-20", "what has changed since that day "
                                         "began" },
    { NULL, NULL },
};

const struct cmd cmd_diff = {
    .name = "diff",
    .args = "VOLUME A [B]",
    .brief = "compare two points of a volume's log",
    .text = "A and B are steps of mlfetch log: the volume as it was after "
            "them; 0 is before the first one, \"now\", which B is without "
            "being given, after the last one. A time (2026-11-21, or "
            "2026-11-21T09:30, in UTC) is the volume as it was then.\n\n"
            "Prints a line per file that differs: + is in B only, - in A "
            "only, ~ has other content. The status is 0 also where they "
            "differ. With --json: volume, from, to (steps), changes: a list "
            "of name, before and after, each null or size, sha256, date.",
    .opts = opts,
    .opts_size = sizeof(struct diff_opts),
    .min_args = 2,
    .max_args = 3,
    .run = run,
    .examples = examples,
};
