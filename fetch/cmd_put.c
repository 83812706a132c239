#include <stdio.h>

#include "bucket/names.h"
#include "cache/putlist.h"
#include "cache/volume.h"

#include "base/json.h"
#include "base/log.h"
#include "base/path.h"
#include "fetch/commands.h"

enum { JSON_MAX = 1 << 30 };

struct put_opts {
    bool force;
    bool json;
};

static const struct opt opts[] = {
    { 'f', "force", OPT_FLAG, offsetof(struct put_opts, force), NULL,
        "replace what has other content; the log keeps it", 0, 0, NULL },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct put_opts, json),
        .help = "print one JSON document: volume, step, files" },
    OPT_END,
};

static int print_json(const struct volume *v, const struct putlist_done *done,
    uint64_t n, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(JSON_MAX);

    buf_puts(&b, "{\"volume\": ");
    json_quote(&b, str_of(v->root));
    if (done->step > 0)
        buf_printf(&b, ", \"step\": %llu", (unsigned long long)done->step);
    else
        buf_puts(&b, ", \"step\": null");
    buf_puts(&b, ", \"files\": [");
    for (uint64_t i = 0; i < n; i++) {
        const struct volume_entry *entry = &done->entries[i];

        buf_puts(&b, i > 0 ? ",\n  {\"name\": " : "\n  {\"name\": ");
        json_quote(&b, entry->name);
        buf_printf(&b, ", \"size\": %llu, \"sha256\": \"%s\", \"copied\": %s}",
            (unsigned long long)entry->size, entry->sha256.hex,
            done->copied[i] ? "true" : "false");
    }
    buf_puts(&b, "]}\n");
    return cmd_print(&b, e);
}

static int print_names(
    const struct putlist_done *done, uint64_t n, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(JSON_MAX);

    for (uint64_t i = 0; i < n; i++)
        buf_printf(&b, "%.*s\n", STR_ARG(done->entries[i].name));
    return cmd_print(&b, e);
}

/* What there is to put, and where it goes; in a bucket when b is one. */
static int plan(struct volume *v, struct bucket *b, int argc, char **argv,
    struct arena *arena, struct putlist_item **items, uint64_t *n,
    uint64_t *total, struct err *e)
{
    const char *name = argc > 2 ? argv[2] : NULL;
    bool created;

    if (bucket_is(argv[0])) {
        if (bucket_open(b, argv[0], e) != 0 ||
            putlist_make(NULL, argv[1], name, arena, items, n, total, e) != 0)
            return -1;
        return path_fmt(v->root, e, "%s", b->shown);
    }
    if (volume_locate(v, argv[0], e) != 0 ||
        putlist_make(v, argv[1], name, arena, items, n, total, e) != 0 ||
        volume_create(v, &created, e) != 0)
        return -1;
    if (created)
        log_info("made the volume %s", v->root);
    return 0;
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct put_opts *o = values;
    struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    struct progress *progress AUTO(progress_close_auto) = NULL;
    struct bucket bucket AUTO(bucket_close) = BUCKET_INIT;
    struct putlist_item *items;
    struct putlist_done done;
    uint64_t n, total;
    bool copied = false;
    struct volume v;
    int rc;

    if (plan(&v, &bucket, argc, argv, &arena, &items, &n, &total, e) != 0)
        return -1;
    progress = progress_open(
        ctx->progress, "putting", bucket_is(argv[0]) ? 2 * total : total, e);
    if (progress == NULL)
        return -1;
    rc =
        bucket_is(argv[0])
            ? names_put(&bucket, items, n, o->force, progress, &done, &arena, e)
            : putlist_run(&v, items, n, o->force, progress, &done, &arena, e);
    if (rc != 0)
        return -1;
    progress_close(progress);
    progress = NULL;
    for (uint64_t i = 0; i < n; i++)
        copied = copied || done.copied[i];
    if (done.step == 0 && !copied)
        log_info("the volume has all of it already");
    return o->json ? print_json(&v, &done, n, e) : print_names(&done, n, e);
}

static const struct cmd_example examples[] = {
    { "mlfetch put scratch model.pt", "keep model.pt in the volume 'scratch'" },
    { "mlfetch put /data/vol run7/ nightly/",
        "every file of run7, as nightly/run7/..." },
    { "mlfetch put s3://team/models run7/ nightly/", "into object storage" },
    { NULL, NULL },
};

const struct cmd cmd_put = {
    .name = "put",
    .args = "VOLUME FILE|DIR [NAME]",
    .brief = "copy a file or a folder into a volume",
    .text =
        "Copies FILE, or every file below DIR, into VOLUME: a folder's path, "
        "a name below MLFETCH_VOLUMES, or s3://BUCKET/PREFIX. A volume that "
        "is not there is made (a bucket is not). "
        "NAME is what it is to be called, its own name without; \"NAME/\" "
        "means into that folder of the volume. All files of one put appear "
        "at once, as one step of the volume's log, when the last of them is "
        "on disk and has been read back; a put that fails or is killed "
        "changes nothing. A bucket's store checks the bytes against their "
        "digests as they come; where the answer to the last request of all "
        "does not come, a put that fails may have been done, and says "
        "so.\n\n"
        "A name that has other content already is refused (status 2), but "
        "with -f: mlfetch log lists what was replaced, and mlfetch rollback "
        "brings it back. Bytes that the volume has under any name are "
        "recognised by their SHA-256, and not copied. Where another process "
        "puts the same name meanwhile, it wins, and this one ends with "
        "status 1.\n\n"
        "Prints the names. With --json: volume; step, its number in the log, "
        "or null where nothing changed; files, a list of name, size, sha256, "
        "copied. A symbolic link in DIR counts when it leads to a file inside "
        "DIR; any other is refused.",
    .opts = opts,
    .opts_size = sizeof(struct put_opts),
    .min_args = 2,
    .max_args = 3,
    .run = run,
    .examples = examples,
};
