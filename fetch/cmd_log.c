#include <stdio.h>

#include "bucket/names.h"
#include "cache/past.h"

#include "base/json.h"
#include "base/path.h"
#include "fetch/changeview.h"
#include "fetch/commands.h"

#define ARENA_MAX ((uint64_t)4 << 30)

enum { TEXT_MAX = 1 << 30, NAMES_SHOWN = 3 };

struct log_opts {
    int64_t most;
    bool json;
};

static const struct opt opts[] = {
    { 'n', "number", OPT_INT, offsetof(struct log_opts, most), "N",
        "the newest N steps only", 1, INT64_MAX, NULL },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct log_opts, json),
        .help = "print one JSON document: volume, steps" },
    OPT_END,
};

static bool is_about(const struct step *s, const char *name)
{
    if (name == NULL)
        return true;
    for (uint64_t i = 0; i < s->n; i++)
        if (volume_is_below(s->changes[i].name, str_of(name)))
            return true;
    return false;
}

/* The newest first; those of the name alone. */
static uint64_t choose(
    struct history *h, const char *name, int64_t most, const struct step **out)
{
    uint64_t n = 0, limit = most > 0 ? (uint64_t)most : UINT64_MAX;

    for (uint64_t i = h->n; i > 0 && n < limit; i--)
        if (is_about(&h->steps[i - 1], name))
            out[n++] = &h->steps[i - 1];
    return n;
}

static void put_json(struct buf *b, const struct volume *v,
    const struct step *const *steps, uint64_t n)
{
    char date[CHANGEVIEW_DATE_MAX];

    buf_puts(b, "{\"volume\": ");
    json_quote(b, str_of(v->root));
    buf_puts(b, ", \"steps\": [");
    for (uint64_t i = 0; i < n; i++) {
        const struct step *s = steps[i];

        buf_printf(b, "%s\n {\"step\": %llu, \"date\": \"%s\", \"what\": ",
            i > 0 ? "," : "", (unsigned long long)s->number,
            changeview_date(date, s->when, true));
        json_quote(b, s->what);
        buf_puts(b, ", \"who\": ");
        json_quote(b, s->who);
        buf_puts(b, ", \"changes\": ");
        changeview_json(b, s->changes, s->n);
        buf_putc(b, '}');
    }
    buf_puts(b, "]}\n");
}

/* "+ a, - b, ~ c and 4 more" */
static void put_names(struct buf *b, const struct step *s)
{
    for (uint64_t i = 0; i < s->n && i < NAMES_SHOWN; i++) {
        const struct change *c = &s->changes[i];

        buf_printf(b, "%s%c", i > 0 ? ", " : "",
            !c->was ? '+'
            : c->is ? '~'
                    : '-');
        buf_visible(b, c->name);
    }
    if (s->n > NAMES_SHOWN)
        buf_printf(
            b, " and %llu more", (unsigned long long)(s->n - NAMES_SHOWN));
}

static void put_table(
    struct buf *b, const struct step *const *steps, uint64_t n)
{
    char date[CHANGEVIEW_DATE_MAX];
    size_t what = 4, who = 3;

    for (uint64_t i = 0; i < n; i++) {
        what = size_max(what, size_min(steps[i]->what.len, 16));
        who = size_max(who, size_min(steps[i]->who.len, 32));
    }
    if (n > 0)
        buf_printf(b, "%5s  %-16s  %-*s  %-*s  %s\n", "STEP", "DATE", (int)who,
            "WHO", (int)what, "WHAT", "FILES");
    for (uint64_t i = 0; i < n; i++) {
        const struct step *s = steps[i];
        struct buf by AUTO(buf_free) = BUF_INIT(4 * STEP_WHO_MAX);
        struct buf did AUTO(buf_free) = BUF_INIT(4 * STEP_WHAT_MAX);

        buf_visible(&by, s->who);
        buf_visible(&did, s->what);
        buf_printf(b, "%5llu  %-16s  %-*s  %-*s  ",
            (unsigned long long)s->number,
            changeview_date(date, s->when, false), (int)who, by.p, (int)what,
            did.p);
        put_names(b, s);
        buf_putc(b, '\n');
    }
}

/* The history, of a volume or a bucket. */
static int load(const struct log_opts *o, const char *where, const char *name,
    struct volume *v, struct history *h, struct arena *arena, struct err *e)
{
    struct bucket b AUTO(bucket_close) = BUCKET_INIT;
    uint64_t most =
        o->most > 0 && name == NULL ? (uint64_t)o->most : UINT64_MAX;

    if (bucket_is(where))
        return bucket_open(&b, where, e) != 0 ||
                       path_fmt(v->root, e, "%s", b.shown) != 0
                   ? -1
                   : names_history(&b, most, arena, h, e);
    return volume_locate(v, where, e) != 0 || volume_check(v, e) != 0
               ? -1
               : history_read(v, arena, h, e);
}

/* No step is about it: has anybody heard of it? */
static int check_known(const struct volume *v, const struct history *h,
    const char *name, struct arena *arena, struct err *e)
{
    if (!bucket_is(v->root))
        return past_known(v, h, name, arena, e);
    err_set(e, ERR_MISSING, "%s: no step that is kept is about '%s'", v->root,
        name);
    return err_hint(e, "see what is: mlfetch log %s", v->root);
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct log_opts *o = values;
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    struct buf text AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    char name[PATH_MAX] = "";
    const struct step **steps;
    struct history h;
    struct volume v;
    uint64_t n;

    (void)ctx;
    if (argc > 1 && path_fmt(name, e, "%s", argv[1]) != 0)
        return -1;
    name[path_len(name)] = '\0';
    if ((argc > 1 && path_check(str_of(name), e) != 0) ||
        load(o, argv[0], argc > 1 ? name : NULL, &v, &h, &arena, e) != 0)
        return -1;
    steps = arena_alloc(&arena, h.n, sizeof(struct step *), e);
    if (steps == NULL)
        return -1;
    n = choose(&h, argc > 1 ? name : NULL, o->most, steps);
    if (n == 0 && argc > 1 && check_known(&v, &h, name, &arena, e) != 0)
        return -1;
    if (o->json)
        put_json(&text, &v, steps, n);
    else
        put_table(&text, steps, n);
    return cmd_print(&text, e);
}

static const struct cmd_example examples[] = {
    { "mlfetch log scratch", "every change, the newest first" },
    { "mlfetch log -n 3 scratch model.pt", "the last three of one file" },
    { NULL, NULL },
};

const struct cmd cmd_log = {
    .name = "log",
    .args = "VOLUME [NAME]",
    .brief = "list what was changed in a volume",
    .text =
        "Lists every put, rm, mv, cp, rollback and adopt, the newest first, or "
        "those "
        "of the file or folder NAME alone: the step's number, when (UTC), who, "
        "what, and the files: + is new, ~ has other content, - is gone. "
        "\"remove\" is mlcache rm, whose bytes are not kept.\n\n"
        "The list itself is kept for good. The bytes that a step took out are "
        "kept until mlcache gc finds them older than a day (its --grace); in "
        "s3://BUCKET/PREFIX the list, too: of the oldest step that is kept no "
        "files are told. Repairs (mlcache verify --repair) are listed there, "
        "too.\n\n"
        "With --json: volume; steps, a list of step, date, what, who, changes: "
        "a list of name, before and after, each null or size, sha256, date.",
    .opts = opts,
    .opts_size = sizeof(struct log_opts),
    .min_args = 1,
    .max_args = 2,
    .run = run,
    .examples = examples,
};
