#include <stdio.h>

#include "bucket/sweep.h"
#include "cache/collect.h"
#include "cache/commands.h"
#include "cache/reaper.h"

#include "base/human.h"
#include "base/json.h"
#include "base/log.h"

enum { TEXT_MAX = 1 << 30, HOURS_MAX = 24 * 3650 };

#define ARENA_MAX ((uint64_t)16 << 30)

struct gc_opts {
    const char *volume;
    uint64_t max_size;
    int64_t grace_h;
    bool partial;
    bool quarantine;
    bool dry_run;
    bool json;
};

#define NO_LIMIT UINT64_MAX

static const struct gc_opts defaults = { .max_size = NO_LIMIT,
    .grace_h = REAPER_GRACE_S / 3600 };

static const struct opt opts[] = {
    { .name = "volume",
        .type = OPT_STR,
        .at = offsetof(struct gc_opts, volume),
        .arg = "VOLUME",
        .help = "in this volume, not in the hub cache; also s3://..." },
    { .name = "max-size",
        .type = OPT_SIZE,
        .at = offsetof(struct gc_opts, max_size),
        .arg = "SIZE",
        .help = "remove revisions, those used longest ago first, until no "
                "more than this is taken (500G, 2TB)" },
    { .name = "grace",
        .type = OPT_INT,
        .at = offsetof(struct gc_opts, grace_h),
        .arg = "HOURS",
        .help = "leave what is younger, so that it can come back "
                "(mlfetch rollback; default 24)",
        .min = 0,
        .max = HOURS_MAX },
    { .name = "partial",
        .type = OPT_FLAG,
        .at = offsetof(struct gc_opts, partial),
        .help = "unfinished downloads, too: ours of any age, those of other "
                "tools older than the time of grace" },
    { .name = "quarantine",
        .type = OPT_FLAG,
        .at = offsetof(struct gc_opts, quarantine),
        .help = "what mlcache verify moved aside, too" },
    { .letter = 'n',
        .name = "dry-run",
        .type = OPT_FLAG,
        .at = offsetof(struct gc_opts, dry_run),
        .help = "show what would go, and change nothing" },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct gc_opts, json),
        .help =
            "print one JSON document: removed, freed, left, busy, partial" },
    OPT_END,
};

static const char *const kinds[] = {
    [COLLECTED_OBJECT] = "object",
    [COLLECTED_LEFTOVER] = "leftover",
    [COLLECTED_PARTIAL] = "partial",
    [COLLECTED_QUARANTINE] = "quarantine",
    [COLLECTED_REVISION] = "revision",
};

static void put_json(struct buf *b, const struct collect *c)
{
    buf_puts(b, "{\"removed\": [");
    for (uint64_t i = 0; i < c->n; i++) {
        const struct collected *x = &c->v[i];

        buf_printf(b,
            "%s{\"kind\": \"%s\", \"repository\": ", i > 0 ? ",\n  " : "\n  ",
            kinds[x->kind]);
        if (x->repo.len > 0)
            json_quote(b, x->repo);
        else
            buf_puts(b, "null");
        buf_puts(b, ", \"name\": ");
        json_quote(b, x->name);
        buf_printf(b, ", \"bytes\": %llu}", (unsigned long long)x->bytes);
    }
    buf_printf(b,
        "], \"freed\": %llu, \"left\": %llu, \"busy\": %llu, "
        "\"partial\": %llu}\n",
        (unsigned long long)c->bytes, (unsigned long long)c->left_bytes,
        (unsigned long long)c->busy, (unsigned long long)c->kept_partial_bytes);
}

static void put_text(struct buf *b, const struct collect *c)
{
    char size[HUMAN_MAX], left[HUMAN_MAX];

    for (uint64_t i = 0; i < c->n; i++) {
        const struct collected *x = &c->v[i];

        buf_printf(
            b, "%-10s  %9s  ", kinds[x->kind], human_size(size, x->bytes));
        if (x->repo.len > 0) {
            buf_visible(b, x->repo);
            buf_puts(b, x->kind == COLLECTED_REVISION ? "@" : "  ");
        }
        buf_visible(b, x->name);
        buf_putc(b, '\n');
    }
    buf_printf(b, "%s %s, %s %s\n", human_size(size, c->bytes),
        c->dry_run ? "would be freed" : "freed",
        human_size(left, c->left_bytes), c->dry_run ? "would be left" : "left");
}

static void tell(const struct collect *c)
{
    char size[HUMAN_MAX], more[HUMAN_MAX];

    if (c->kept_partial_bytes > 0)
        log_info("unfinished downloads take %s; --partial removes them",
            human_size(size, c->kept_partial_bytes));
    if (c->max_size > 0 && c->left_bytes > c->max_size)
        log_warn("still %s more than %s: the rest is pinned, in use, new, or "
                 "was put there",
            human_size(more, c->left_bytes - c->max_size),
            human_size(size, c->max_size));
}

static const char *const swept_kinds[] = {
    [SWEPT_OBJECT] = "object",
    [SWEPT_LEFTOVER] = "leftover",
    [SWEPT_QUARANTINE] = "quarantine",
};

static void swept_json(struct buf *b, const struct sweep *s)
{
    buf_puts(b, "{\"removed\": [");
    for (uint64_t i = 0; i < s->n; i++) {
        buf_printf(b, "%s{\"kind\": \"%s\", \"repository\": null, \"name\": ",
            i > 0 ? ",\n  " : "\n  ", swept_kinds[s->v[i].kind]);
        json_quote(b, s->v[i].name);
        buf_printf(b, ", \"bytes\": %llu}", (unsigned long long)s->v[i].bytes);
    }
    buf_printf(b,
        "], \"freed\": %llu, \"left\": %llu, \"busy\": 0, \"partial\": 0}\n",
        (unsigned long long)s->bytes, (unsigned long long)s->left_bytes);
}

static void swept_text(struct buf *b, const struct sweep *s)
{
    char size[HUMAN_MAX], left[HUMAN_MAX];

    for (uint64_t i = 0; i < s->n; i++) {
        buf_printf(b, "%-10s  %9s  ", swept_kinds[s->v[i].kind],
            human_size(size, s->v[i].bytes));
        buf_visible(b, s->v[i].name);
        buf_putc(b, '\n');
    }
    buf_printf(b, "%s %s, %s %s\n", human_size(size, s->bytes),
        s->dry_run ? "would be freed" : "freed",
        human_size(left, s->left_bytes), s->dry_run ? "would be left" : "left");
}

static int sweep_bucket(
    const struct gc_opts *o, struct arena *arena, struct err *e)
{
    struct bucket bucket AUTO(bucket_close) = BUCKET_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct sweep s = { .b = &bucket,
        .grace_s = o->grace_h * 3600,
        .quarantine = o->quarantine,
        .dry_run = o->dry_run,
        .arena = arena };
    struct err ignored = ERR_INIT;
    int rc;

    if (o->partial || o->max_size != NO_LIMIT)
        return err_set(e, ERR_USAGE,
            "%s: --partial and --max-size are for a volume or cache of this "
            "machine",
            o->volume);
    if (bucket_open(&bucket, o->volume, e) != 0)
        return -1;
    rc = sweep_run(&s, e);
    /* What went is told, also when the rest did not. */
    if (rc != 0 && s.n == 0)
        return -1;
    if (o->json)
        swept_json(&b, &s);
    else
        swept_text(&b, &s);
    return cmd_print(&b, rc != 0 ? &ignored : e) != 0 ? -1 : rc;
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct gc_opts *o = values;
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    struct buf b AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct place place;
    struct collect c = { .place = &place,
        .grace_s = (uint64_t)o->grace_h * 3600,
        .max_size = o->max_size == NO_LIMIT ? 0 : o->max_size,
        .partial = o->partial,
        .quarantine = o->quarantine,
        .dry_run = o->dry_run,
        .arena = &arena };

    (void)ctx;
    (void)argc;
    (void)argv;
    if (o->max_size == 0) {
        err_set(e, ERR_USAGE, "--max-size 0 would remove every revision");
        return err_hint(e, "mlcache rm removes what is named");
    }
    if (o->volume != NULL && bucket_is(o->volume))
        return sweep_bucket(o, &arena, e);
    if (place_open(&place, o->volume, e) != 0 || collect_run(&c, e) != 0)
        return -1;
    if (o->json)
        put_json(&b, &c);
    else
        put_text(&b, &c);
    if (cmd_print(&b, e) != 0)
        return -1;
    tell(&c);
    return 0;
}

static const struct cmd_example examples[] = {
    { "mlcache gc", "what nothing needs any more" },
    { "mlcache gc --max-size 500GB --dry-run",
        "what would have to go for no more than that" },
    { "mlcache gc --partial", "unfinished downloads, too" },
    { "mlcache gc --volume s3://team/models", "in object storage" },
    { NULL, NULL },
};

const struct cmd cmd_gc = {
    .name = "gc",
    .args = "",
    .brief = "free what nothing needs any more",
    .text =
        "Removes blobs that no revision leads to, content that no put name "
        "leads to, and what killed programs left behind, where it is older "
        "than the time of grace. Revisions, pinned or not, and put files stay; "
        "with --max-size the revisions that were used longest ago go, with "
        "the branches that name them and their conversions, but none that is "
        "pinned, and none that another tool began within the time of grace: it "
        "may still be at work on it.\n\n"
        "May run at any time. What a program is at work on is passed by: pull, "
        "put, mlconvert, mlverify and mlverify-run hold a lease on what they "
        "use, and the locks of the official client are heeded. The time of "
        "grace is for other tools, which hold nothing between two steps: with "
        "--grace 0 none of them should be at work.\n\n"
        "In s3://BUCKET/PREFIX it removes content and catalogs that no name "
        "leads to, nor did within the time of grace, nor any program at work "
        "has said it counts on, and multipart uploads that were begun before "
        "that and never ended; all by the store's clock. Put files and "
        "repositories stay. One program does this at a time: a second one is "
        "told whose turn it is, status 1.\n\n"
        "With --json: removed, a list of kind (object, leftover, partial, "
        "quarantine, revision), repository (null: the volume's own), name, "
        "bytes; and the sums freed and left, busy (repositories passed by), "
        "partial (bytes of unfinished downloads that stay).",
    .opts = opts,
    .defaults = &defaults,
    .opts_size = sizeof(struct gc_opts),
    .max_args = 0,
    .run = run,
    .examples = examples,
};
