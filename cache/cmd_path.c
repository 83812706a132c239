#include <stdio.h>

#include "cache/commands.h"
#include "cache/find.h"

#include "base/json.h"

enum { JSON_MAX = 1 << 20 };

struct path_opts {
    const char *volume;
    bool json;
};

static const struct opt opts[] = {
    { .name = "volume",
        .type = OPT_STR,
        .at = offsetof(struct path_opts, volume),
        .arg = "VOLUME",
        .help = "look in this volume, not in the hub cache" },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct path_opts, json),
        .help = "print one JSON document: path, kind, repository, commit, "
                "converted" },
    OPT_END,
};

static const char *const kinds[] = {
    [FOUND_FILE] = "file",
    [FOUND_FOLDER] = "folder",
    [FOUND_REPO] = "repository",
    [FOUND_PUT] = "put",
};

static void put_member(struct buf *b, const char *key, const char *text)
{
    buf_printf(b, "%s\"%s\": ", b->len > 1 ? ", " : "", key);
    if (text[0] != '\0')
        json_quote(b, str_of(text));
    else
        buf_puts(b, "null");
}

static int print_json(const struct found *f, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(JSON_MAX);

    buf_putc(&b, '{');
    put_member(&b, "path", f->path);
    put_member(&b, "kind", kinds[f->kind]);
    put_member(&b, "repository", f->repository);
    put_member(&b, "commit", f->commit);
    put_member(&b, "converted", f->converted);
    buf_puts(&b, "}\n");
    return cmd_print(&b, e);
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct path_opts *o = values;
    struct found f;

    (void)ctx;
    (void)argc;
    if (find_model(argv[0], o->volume, &f, e) != 0)
        return -1;
    if (o->json)
        return print_json(&f, e);
    printf("%s\n", f.path);
    return 0;
}

static const struct cmd_example examples[] = {
    { "mlcache path EleutherAI/pythia-1b", "its snapshot folder" },
    { "mlcache path scratch:model.pt", "a file put into a volume" },
    { NULL, NULL },
};

const struct cmd cmd_path = {
    .name = "path",
    .args = "REF",
    .brief = "print where a repository or a put file is on disk",
    .text = "REF is ORG/NAME[@REVISION], held in the hub cache or in "
            "--volume; VOLUME:NAME, a file put into a volume; or a path. "
            "Nothing is fetched: exit status 3 when it is not held.\n\n"
            "With --json, converted is the folder that holds conversions.",
    .opts = opts,
    .opts_size = sizeof(struct path_opts),
    .min_args = 1,
    .max_args = 1,
    .run = run,
    .examples = examples,
};
