#include <stdio.h>

#include "bucket/stock.h"
#include "cache/commands.h"
#include "cache/look.h"

#include "base/human.h"
#include "base/json.h"

enum { ARENA_MAX = 1 << 30, JSON_MAX = 1 << 30, NAME_MAX_LEN = 192 };

struct ls_opts {
    const char *volume;
    bool json;
};

static const struct opt opts[] = {
    { .name = "volume",
        .type = OPT_STR,
        .at = offsetof(struct ls_opts, volume),
        .arg = "VOLUME",
        .help = "list this volume, not the hub cache; also s3://..." },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct ls_opts, json),
        .help = "print one JSON document: root, repositories, files" },
    OPT_END,
};

static void json_revision(struct buf *b, const struct held_revision *rev)
{
    buf_puts(b, "{\"commit\": ");
    json_quote(b, rev->commit);
    buf_puts(b, ", \"refs\": ");
    json_quote_all(b, rev->refs, rev->n_refs);
    buf_printf(b,
        ", \"files\": %llu, \"missing\": %llu, \"bytes\": %llu, "
        "\"pinned\": %s}",
        (unsigned long long)rev->files, (unsigned long long)rev->missing,
        (unsigned long long)rev->bytes, rev->pinned ? "true" : "false");
}

static void json_repo(struct buf *b, const struct held_repo *r)
{
    buf_printf(b,
        "{\"type\": \"%s\", \"id\": \"%s\", \"bytes\": %llu, "
        "\"partial_files\": %llu, \"partial_bytes\": %llu, "
        "\"conversions\": %llu, \"conversion_bytes\": %llu, "
        "\"quarantine\": %llu, \"quarantine_bytes\": %llu, "
        "\"revisions\": [",
        repo_type_names[r->repo.type], r->repo.id, (unsigned long long)r->bytes,
        (unsigned long long)r->partial_files,
        (unsigned long long)r->partial_bytes,
        (unsigned long long)r->conversions,
        (unsigned long long)r->conversion_bytes,
        (unsigned long long)r->aside_files, (unsigned long long)r->aside_bytes);
    for (uint64_t i = 0; i < r->n_revisions; i++) {
        buf_puts(b, i > 0 ? ", " : "");
        json_revision(b, &r->revisions[i]);
    }
    buf_puts(b, "]}");
}

static int print_json(const struct look *l, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(JSON_MAX);

    buf_puts(&b, "{\"root\": ");
    json_quote(&b, str_of(l->root));
    buf_puts(&b, ", \"repositories\": [");
    for (uint64_t i = 0; i < l->n_repos; i++) {
        buf_puts(&b, i > 0 ? ", " : "");
        json_repo(&b, &l->repos[i]);
    }
    buf_puts(&b, "], \"files\": [");
    for (uint64_t i = 0; i < l->n_files; i++) {
        buf_puts(&b, i > 0 ? ", {\"name\": " : "{\"name\": ");
        json_quote(&b, l->files[i].name);
        buf_printf(&b, ", \"size\": %llu, \"sha256\": \"%s\"}",
            (unsigned long long)l->files[i].size, l->files[i].sha256.hex);
    }
    buf_puts(&b, "]}\n");
    return cmd_print(&b, e);
}

static void print_row(int width, const char *name, const char *revision,
    const char *commit, uint64_t files, uint64_t bytes)
{
    char size[HUMAN_MAX];

    printf("%-*s  %-14s  %-12.12s  %5llu  %9s\n", width, name, revision, commit,
        (unsigned long long)files, human_size(size, bytes));
}

static void print_revision(
    int width, const char *name, const struct held_revision *rev)
{
    char text[256] = "", safe[4 * sizeof(text)];
    size_t n = 0;

    for (uint64_t i = 0; i < rev->n_refs && n < sizeof(text); i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s",
            i > 0 ? "," : "", STR_ARG(rev->refs[i]));
    if (rev->pinned && n < sizeof(text))
        snprintf(text + n, sizeof(text) - n, "%s(pinned)", n > 0 ? " " : "");
    err_escape(safe, sizeof(safe), text[0] != '\0' ? text : "-");
    print_row(width, name, safe, rev->commit.p, rev->files, rev->bytes);
    if (rev->missing > 0)
        print_row(width, name, "missing", rev->commit.p, rev->missing, 0);
}

static void print_repo(int width, const struct held_repo *r)
{
    char name[NAME_MAX_LEN];

    look_name(&r->repo, name);
    for (uint64_t i = 0; i < r->n_revisions; i++)
        print_revision(width, name, &r->revisions[i]);
    if (r->partial_files > 0)
        print_row(
            width, name, "partial", "-", r->partial_files, r->partial_bytes);
    if (r->conversions > 0)
        print_row(
            width, name, "converted", "-", r->conversions, r->conversion_bytes);
    if (r->aside_files > 0)
        print_row(
            width, name, "quarantine", "-", r->aside_files, r->aside_bytes);
    if (r->n_revisions + r->partial_files + r->conversions + r->aside_files ==
        0)
        print_row(width, name, "empty", "-", 0, r->bytes);
}

static void print_table(const struct look *l)
{
    char name[NAME_MAX_LEN], safe[4 * 1024 + 1];
    size_t width = 4;

    for (uint64_t i = 0; i < l->n_repos; i++)
        width = size_max(width, strlen(look_name(&l->repos[i].repo, name)));
    for (uint64_t i = 0; i < l->n_files; i++)
        width = size_max(width, size_min(l->files[i].name.len, 60));
    if (l->n_repos + l->n_files > 0)
        printf("%-*s  %-14s  %-12s  %5s  %9s\n", (int)width, "NAME", "REVISION",
            "COMMIT", "FILES", "SIZE");
    for (uint64_t i = 0; i < l->n_repos; i++)
        print_repo((int)width, &l->repos[i]);
    for (uint64_t i = 0; i < l->n_files; i++) {
        err_escape(safe, sizeof(safe), l->files[i].name.p);
        print_row((int)width, safe, "put", "-", 1, l->files[i].size);
    }
}

static int look_bucket(
    const char *volume, struct look *out, struct arena *arena, struct err *e)
{
    struct bucket b AUTO(bucket_close) = BUCKET_INIT;

    return bucket_open(&b, volume, e) != 0 ? -1 : stock_look(&b, out, arena, e);
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct ls_opts *o = values;
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    struct look l;

    (void)ctx;
    (void)argc;
    (void)argv;
    if ((o->volume != NULL && bucket_is(o->volume)
                ? look_bucket(o->volume, &l, &arena, e)
                : look(o->volume, LOOK_FILES, &l, &arena, e)) != 0)
        return -1;
    if (o->json)
        return print_json(&l, e);
    print_table(&l);
    return 0;
}

const struct cmd cmd_ls = {
    .name = "ls",
    .args = "",
    .brief = "list what is held: repositories, revisions, put files",
    .text = "One line per revision of every repository in the hub cache, or "
            "in --volume: the branches and tags that name it, its commit, "
            "files and size; \"(pinned)\" when mlcache pin keeps it. "
            "Unfinished downloads show as \"partial\", what mlcache verify "
            "moved aside as \"quarantine\", "
            "conversions as \"converted\", files put into the volume as "
            "\"put\", entries that lead to no file as \"missing\".",
    .opts = opts,
    .opts_size = sizeof(struct ls_opts),
    .max_args = 0,
    .run = run,
};
