#include <stdio.h>
#include <unistd.h>

#include "bucket/drop.h"
#include "cache/commands.h"
#include "cache/look.h"
#include "cache/removal.h"

#include "base/cancel.h"
#include "base/human.h"
#include "base/json.h"
#include "base/log.h"

enum { JSON_MAX = 1 << 30, TEXT_MAX = 1 << 30 };

/* A census takes about 300 bytes for each file. */
#define ARENA_MAX ((uint64_t)16 << 30)

struct rm_opts {
    const char *volume;
    bool yes;
    bool dry_run;
    bool json;
};

static const struct opt opts[] = {
    { .name = "volume",
        .type = OPT_STR,
        .at = offsetof(struct rm_opts, volume),
        .arg = "VOLUME",
        .help = "from this volume, not from the hub cache; also s3://..." },
    { .letter = 'y',
        .name = "yes",
        .type = OPT_FLAG,
        .at = offsetof(struct rm_opts, yes),
        .help = "do not ask" },
    { .letter = 'n',
        .name = "dry-run",
        .type = OPT_FLAG,
        .at = offsetof(struct rm_opts, dry_run),
        .help = "show what would go, and change nothing" },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct rm_opts, json),
        .help = "print one JSON document: removed, freed" },
    OPT_END,
};

/* "org/name", "org/name@0123456789ab", or the name of a put file. */
static void put_name(struct buf *b, const struct removal *r)
{
    char name[192];

    if (r->repo == NULL) {
        buf_visible(b, r->name);
        return;
    }
    buf_puts(b, look_name(r->repo, name));
    if (!r->whole)
        buf_printf(b, "@%.12s", r->commit.p);
}

static void put_row(struct buf *b, const struct removal *r, const char *why)
{
    char freed[HUMAN_MAX], shared[HUMAN_MAX];

    put_name(b, r);
    buf_printf(b, ": %llu %s, %s freed", (unsigned long long)r->files,
        r->files == 1 ? "file" : "files", human_size(freed, r->freed));
    if (r->shared > 0)
        buf_printf(b, " (%s stay%s)", human_size(shared, r->shared), why);
    buf_putc(b, '\n');
}

static uint64_t sum(const struct removal *v, uint64_t n)
{
    uint64_t bytes = 0;

    for (uint64_t i = 0; i < n; i++)
        bytes += v[i].freed;
    return bytes;
}

static void put_json(struct buf *b, const struct removal *v, uint64_t n)
{
    buf_puts(b, "{\"removed\": [");
    for (uint64_t i = 0; i < n; i++) {
        const struct removal *r = &v[i];

        buf_puts(b, i > 0 ? ",\n  {" : "\n  {");
        if (r->repo != NULL)
            buf_printf(b, "\"type\": \"%s\", \"repository\": \"%s\", ",
                repo_type_names[r->repo->type], r->repo->id);
        if (r->repo != NULL && !r->whole)
            buf_printf(b, "\"commit\": \"%s\", ", r->commit.p);
        if (r->repo == NULL) {
            buf_puts(b, "\"name\": ");
            json_quote(b, r->name);
            buf_puts(b, ", ");
        }
        buf_printf(b, "\"files\": %llu, \"freed\": %llu, \"shared\": %llu}",
            (unsigned long long)r->files, (unsigned long long)r->freed,
            (unsigned long long)r->shared);
    }
    buf_printf(b, "], \"freed\": %llu}\n", (unsigned long long)sum(v, n));
}

/* Why bytes stay. */
static const char *why_stay(const struct rm_opts *o)
{
    return o->volume != NULL && bucket_is(o->volume)
               ? " until mlcache gc finds them older than a day"
               : ": others need them";
}

/* 1: yes, 0: no, -1: nobody can be asked. */
static int ask(
    const struct rm_opts *o, const struct removal *v, uint64_t n, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    char freed[HUMAN_MAX], answer[16] = "";

    if (!isatty(STDIN_FILENO)) {
        err_set(e, ERR_USAGE, "nobody can be asked: stdin is no terminal");
        return err_hint(e, "--yes removes without asking, --dry-run shows "
                           "what would go");
    }
    for (uint64_t i = 0; i < n; i++)
        put_row(&b, &v[i], why_stay(o));
    buf_printf(
        &b, "Remove them, and free %s? [y/N] ", human_size(freed, sum(v, n)));
    if (buf_check(&b, e) != 0)
        return -1;
    fputs(b.p, stderr);
    fflush(stderr);
    if (fgets(answer, sizeof(answer), stdin) == NULL)
        return cancel_check(e);
    return answer[0] == 'y' || answer[0] == 'Y';
}

/* What was done is told, also when the rest was not. */
static int print(
    const struct rm_opts *o, const struct removal *v, uint64_t n, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(JSON_MAX);

    if (o->json)
        put_json(&b, v, n);
    for (uint64_t i = 0; i < n && !o->json; i++)
        if (v[i].done || o->dry_run)
            put_row(&b, &v[i], why_stay(o));
    return cmd_print(&b, e);
}

/* What is asked for, and where: a place, or a bucket. */
struct asked {
    struct place place;
    struct bucket bucket;
    struct drop *drops; /* in a bucket: what v is there */
    struct removal *v;
    uint64_t n;
    struct arena arena;
};

static void asked_free(struct asked *a)
{
    bucket_close(&a->bucket);
    arena_free(&a->arena);
}

static int plan_bucket(
    struct asked *a, const char *url, int argc, char **argv, struct err *e)
{
    size_t n = (size_t)argc;

    a->drops = arena_alloc(&a->arena, n, sizeof(*a->drops), e);
    a->v = arena_alloc(&a->arena, n, sizeof(*a->v), e);
    if (a->drops == NULL || a->v == NULL ||
        bucket_open(&a->bucket, url, e) != 0)
        return -1;
    for (; a->n < n; a->n++) {
        struct drop *d = &a->drops[a->n];
        struct repo repo;
        bool whole;

        if (place_repo(argv[a->n], &repo, &whole, e) != 0)
            return err_hint(e, "files that were put go with mlfetch rm");
        if (drop_plan(&a->bucket, &repo, whole, &a->arena, d, e) != 0)
            return -1;
        a->v[a->n] = (struct removal){ .repo = &d->repo,
            .commit = str_of(d->commit),
            .whole = whole,
            .files = d->files,
            .shared = d->bytes };
    }
    return 0;
}

static int plan(struct asked *a, const struct rm_opts *o, int argc, char **argv,
    struct err *e)
{
    struct target *targets;

    if (o->volume != NULL && bucket_is(o->volume))
        return plan_bucket(a, o->volume, argc, argv, e);
    return place_targets(&a->place, o->volume, argv, (size_t)argc, &targets,
               &a->arena, e) != 0
               ? -1
               : removal_plan(&a->place, targets, (size_t)argc, &a->v, &a->n,
                     &a->arena, e);
}

static void remove_all(struct asked *a, struct err *e)
{
    if (a->drops == NULL) {
        removal_run(&a->place, a->v, a->n, e);
        return;
    }
    for (uint64_t i = 0; i < a->n; i++) {
        if (drop_run(&a->bucket, &a->drops[i], e) != 0)
            return;
        a->v[i].done = true;
    }
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct rm_opts *o = values;
    struct asked a AUTO(
        asked_free) = { .bucket = BUCKET_INIT, .arena = ARENA_INIT(ARENA_MAX) };
    struct err why = ERR_INIT;
    int rc;

    (void)ctx;
    if (plan(&a, o, argc, argv, e) != 0)
        return -1;
    if (!o->yes && !o->dry_run) {
        rc = ask(o, a.v, a.n, e);
        if (rc < 0)
            return -1;
        if (rc == 0) {
            log_info("nothing was removed");
            return 0;
        }
    }
    if (!o->dry_run)
        remove_all(&a, &why);
    if ((why.kind == ERR_NONE || !o->json) && print(o, a.v, a.n, e) != 0)
        return -1;
    if (why.kind == ERR_NONE)
        return 0;
    *e = why;
    return -1;
}

static const struct cmd_example examples[] = {
    { "mlcache rm EleutherAI/pythia-1b", "a repository, all of it" },
    { "mlcache rm org/name@v1.0 --yes", "one revision, without asking" },
    { "mlcache rm scratch:run7", "put files: a file or a folder" },
    { "mlcache rm --volume s3://team/models org/name@v1.0",
        "out of object storage" },
    { NULL, NULL },
};

const struct cmd cmd_rm = {
    .name = "rm",
    .args = "REF...",
    .brief = "remove repositories, revisions or put files",
    .text =
        "REF is ORG/NAME, all of a repository; ORG/NAME@REVISION, one "
        "revision with the branches that name it and its conversions; NAME of "
        "a put file or folder in --volume, or VOLUME:NAME. Says what it would "
        "free and asks. Blobs that other revisions need stay.\n\n"
        "Nothing is removed that is pinned (status 8), or that a program is "
        "at work on (status 1): the message names the process. A kill on the "
        "way leaves no half-removed name, and no byte that mlcache gc does "
        "not find.\n\n"
        "In s3://BUCKET/PREFIX the names of repositories and revisions go, at "
        "once for everybody, but for a branch that names another commit by "
        "then; bytes that nothing else names stay until mlcache gc, run there, "
        "finds them older than a day (its --grace), for who is reading them. "
        "Files that were put there go with mlfetch rm.\n\n"
        "With --json: removed, a list of type and repository, commit (of a "
        "revision), or name (of a put file), with files, freed, shared "
        "(bytes that stay, since others need them; in s3://... all of them, "
        "until gc); and freed, the sum.",
    .opts = opts,
    .opts_size = sizeof(struct rm_opts),
    .min_args = 1,
    .max_args = -1,
    .run = run,
    .examples = examples,
};
