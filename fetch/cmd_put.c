#include <stdio.h>

#include "cache/putlist.h"
#include "cache/volume.h"

#include "base/json.h"
#include "base/log.h"
#include "fetch/commands.h"

enum { ARENA_MAX = 1 << 30, JSON_MAX = 1 << 30 };

struct put_opts {
    bool json;
};

static const struct opt opts[] = {
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct put_opts, json),
        .help = "print one JSON document: volume, files" },
    OPT_END,
};

static int print_json(const struct volume *v,
    const struct volume_entry *entries, uint64_t n, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(JSON_MAX);

    buf_puts(&b, "{\"volume\": ");
    json_quote(&b, str_of(v->root));
    buf_puts(&b, ", \"files\": [");
    for (uint64_t i = 0; i < n; i++) {
        buf_puts(&b, i > 0 ? ", {\"name\": " : "{\"name\": ");
        json_quote(&b, entries[i].name);
        buf_printf(&b, ", \"size\": %llu, \"sha256\": \"%s\"}",
            (unsigned long long)entries[i].size, entries[i].sha256.hex);
    }
    buf_puts(&b, "]}\n");
    return cmd_print(&b, e);
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct put_opts *o = values;
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    struct progress *progress AUTO(progress_close_auto) = NULL;
    struct putlist_item *items;
    struct volume_entry *entries;
    uint64_t n, total;
    struct volume v;
    bool created;

    if (volume_locate(&v, argv[0], e) != 0 ||
        putlist_make(&v, argv[1], argc > 2 ? argv[2] : NULL, &arena, &items, &n,
            &total, e) != 0 ||
        volume_create(&v, &created, e) != 0)
        return -1;
    if (created)
        log_info("made the volume %s", v.root);
    progress = progress_open(ctx->progress, "putting", total, e);
    if (progress == NULL ||
        putlist_run(&v, items, n, progress, &entries, &arena, e) != 0)
        return -1;
    progress_close(progress);
    progress = NULL;
    if (o->json)
        return print_json(&v, entries, n, e);
    for (uint64_t i = 0; i < n; i++)
        printf("%.*s\n", STR_ARG(entries[i].name));
    return 0;
}

static const struct cmd_example examples[] = {
    { "mlfetch put scratch model.pt", "keep model.pt in the volume 'scratch'" },
    { "mlfetch put /data/vol run7/ nightly/",
        "every file of run7, as nightly/run7/..." },
    { NULL, NULL },
};

const struct cmd cmd_put = {
    .name = "put",
    .args = "VOLUME FILE|DIR [NAME]",
    .brief = "copy a file or a folder into a volume",
    .text = "Copies FILE, or every file below DIR, into VOLUME: a folder's "
            "path, or a name below MLFETCH_VOLUMES. A volume that is not there "
            "is made. NAME is what it is to be called, its own name without; "
            "\"NAME/\" means into that folder of the volume. An older content "
            "of the same name is replaced only when the new one is safely on "
            "disk.\n\n"
            "Prints the names. A symbolic link in DIR counts when it leads to "
            "a file inside DIR; any other is refused.",
    .opts = opts,
    .opts_size = sizeof(struct put_opts),
    .min_args = 2,
    .max_args = 3,
    .run = run,
    .examples = examples,
};
