#include <stdio.h>

#include "cache/commands.h"
#include "cache/look.h"

#include "base/human.h"

enum { ARENA_MAX = 1 << 30, NAME_MAX_LEN = 192 };

struct du_opts {
    const char *volume;
    bool json;
};

static const struct opt opts[] = {
    { .name = "volume",
        .type = OPT_STR,
        .at = offsetof(struct du_opts, volume),
        .arg = "VOLUME",
        .help = "measure this volume, not the hub cache" },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct du_opts, json),
        .help = "print one JSON document: repositories, files, "
                "conversions, quarantine, trash, total" },
    OPT_END,
};

static uint64_t repo_bytes(const struct held_repo *r)
{
    return r->bytes + r->partial_bytes + r->conversion_bytes + r->aside_bytes +
           r->trash_bytes;
}

static uint64_t all_repos(const struct look *l)
{
    uint64_t bytes = 0;

    for (uint64_t i = 0; i < l->n_repos; i++)
        bytes += repo_bytes(&l->repos[i]);
    return bytes;
}

static void print_row(const char *name, uint64_t bytes)
{
    char size[HUMAN_MAX];

    printf("%9s  %s\n", human_size(size, bytes), name);
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct du_opts *o = values;
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    char name[NAME_MAX_LEN];
    uint64_t repos, total;
    struct look l;

    (void)ctx;
    (void)argc;
    (void)argv;
    if (look(o->volume, LOOK_SIZES, &l, &arena, e) != 0)
        return -1;
    repos = all_repos(&l);
    total = repos + l.stored_bytes + l.converted_bytes + l.aside_bytes +
            l.trash_bytes;
    if (o->json) {
        printf("{\"repositories\": %llu, \"files\": %llu, "
               "\"conversions\": %llu, \"quarantine\": %llu, "
               "\"trash\": %llu, \"total\": %llu}\n",
            (unsigned long long)repos, (unsigned long long)l.stored_bytes,
            (unsigned long long)l.converted_bytes,
            (unsigned long long)l.aside_bytes,
            (unsigned long long)l.trash_bytes, (unsigned long long)total);
        return 0;
    }
    for (uint64_t i = 0; i < l.n_repos; i++)
        print_row(look_name(&l.repos[i].repo, name), repo_bytes(&l.repos[i]));
    if (l.stored_bytes > 0)
        print_row("(put files)", l.stored_bytes);
    if (l.converted_bytes > 0)
        print_row("(conversions of them)", l.converted_bytes);
    if (l.aside_bytes > 0)
        print_row("(quarantine)", l.aside_bytes);
    if (l.trash_bytes > 0)
        print_row("(trash)", l.trash_bytes);
    print_row("total", total);
    return 0;
}

const struct cmd cmd_du = {
    .name = "du",
    .args = "",
    .brief = "say how much room each repository takes",
    .text =
        "Bytes of every repository, each content counted once, with "
        "unfinished downloads, conversions, quarantine and what was removed "
        "but is not freed yet. With --json, bytes: repositories, files (put "
        "into the volume), conversions, quarantine and trash (of those "
        "files), total.",
    .opts = opts,
    .opts_size = sizeof(struct du_opts),
    .max_args = 0,
    .run = run,
};
