#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bucket/content.h"
#include "bucket/names.h"
#include "cache/mode.h"
#include "cache/volume.h"

#include "base/file.h"
#include "base/json.h"
#include "base/path.h"
#include "fetch/commands.h"

enum { JSON_MAX = 1 << 30 };

struct get_opts {
    bool force;
    bool json;
};

/* One get: entries of a volume, and the paths they are to have. */
struct get {
    struct volume v;
    struct bucket bucket;
    struct catalog_file *files; /* in a bucket: what entries are; or NULL */
    struct volume_entry *entries;
    const char **dest;
    uint64_t n;
    uint64_t total; /* bytes */
};

static const struct opt opts[] = {
    { 'f', "force", OPT_FLAG, offsetof(struct get_opts, force), NULL,
        "replace a file that is there", 0, 0, NULL },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct get_opts, json),
        .help = "print one JSON document: files" },
    OPT_END,
};

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int find_in_bucket(
    struct get *g, const char *name, struct arena *arena, struct err *e)
{
    if (names_list(&g->bucket, name, arena, &g->files, &g->n, e) != 0)
        return -1;
    if (g->n == 0)
        return names_missing(&g->bucket, name, e);
    g->entries = arena_alloc(arena, g->n, sizeof(*g->entries), e);
    if (g->entries == NULL)
        return -1;
    for (uint64_t i = 0; i < g->n; i++)
        g->entries[i] = names_entry(&g->files[i]);
    return 0;
}

/* The file NAME, or every file below it. */
static int find_entries(
    struct get *g, const char *name, struct arena *arena, struct err *e)
{
    if (g->bucket.s3 != NULL) {
        if (find_in_bucket(g, name, arena, e) != 0)
            return -1;
    } else if (volume_list(&g->v, name, arena, &g->entries, &g->n, e) != 0)
        return -1;
    if (g->n == 0) {
        struct volume_entry none;

        return volume_find(&g->v, name, arena, &none, e);
    }
    for (uint64_t i = 0; i < g->n; i++)
        if (!size_add(g->total, g->entries[i].size, &g->total))
            return err_set(e, ERR_CORRUPT, "sizes do not add up");
    return 0;
}

/* Where NAME itself goes: into a folder that is there, or as DEST. */
static int top_dest(
    const char *name, const char *dest, char *out, struct err *e)
{
    if (dest == NULL)
        return path_fmt(out, e, "%s", path_base(name));
    if (!str_ends(str_of(dest), "/"))
        return is_folder(dest) ? path_join(out, dest, path_base(name), e)
                               : path_fmt(out, e, "%s", dest);
    return path_fmt(out, e, "%s%s", dest, path_base(name));
}

/* May this path be written? */
static int check_dest(const char *path, bool force, struct err *e)
{
    struct stat st;

    if (lstat(path, &st) != 0)
        return 0;
    /* A link counts as what it leads to: think of /dev/stdout. */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return err_set(e, ERR_USAGE, "%s: is a %s", path,
            S_ISDIR(st.st_mode) ? "folder" : "device, a pipe or a socket");
    if (force)
        return 0;
    err_set(e, ERR_USAGE, "%s: is there already", path);
    return err_hint(e, "-f replaces it");
}

static int set_dests(struct get *g, const char *name, const char *dest,
    bool force, struct arena *arena, struct err *e)
{
    char top[PATH_MAX], path[PATH_MAX];

    g->dest = arena_alloc(arena, g->n, sizeof(*g->dest), e);
    if (g->dest == NULL || top_dest(name, dest, top, e) != 0)
        return -1;
    for (uint64_t i = 0; i < g->n; i++) {
        /* "" for NAME itself, else "/..." */
        struct str below = g->entries[i].name;

        below.p += strlen(name);
        below.len -= strlen(name);
        if (path_fmt(path, e, "%s%.*s", top, STR_ARG(below)) != 0 ||
            check_dest(path, force, e) != 0)
            return -1;
        g->dest[i] = arena_str(arena, str_of(path), e).p;
        if (g->dest[i] == NULL)
            return -1;
    }
    return 0;
}

/* It appears whole or not at all, as volume_save does it. */
static int save_from_bucket(
    struct get *g, uint64_t i, struct progress *progress, struct err *e)
{
    struct file_new f AUTO(file_new_abandon) = FILE_NEW_INIT;
    struct progress_item *item;
    uint64_t free_bytes;

    if (dir_free_space(g->dest[i], &free_bytes, e) != 0)
        return -1;
    if (g->files[i].size > free_bytes)
        return err_set(
            e, ERR_NOSPACE, "%s: needs more than is free there", g->dest[i]);
    if (file_new_begin(&f, g->dest[i], e) != 0)
        return -1;
    item = progress_item(progress, g->dest[i], g->files[i].size);
    if (content_fetch(&g->bucket, &g->files[i], f.fd, f.tmp, item, e) != 0)
        return -1;
    progress_done(item);
    return file_new_commit(&f, mode_masked(0666), e);
}

static int save_all(struct get *g, struct progress *progress, struct err *e)
{
    char dir[PATH_MAX];

    for (uint64_t i = 0; i < g->n; i++) {
        path_dir(dir, sizeof(dir), g->dest[i]);
        if (dir_make(dir, e) != 0)
            return -1;
        if (g->files != NULL ? save_from_bucket(g, i, progress, e) != 0
                             : volume_save(&g->v, &g->entries[i], g->dest[i],
                                   progress, e) != 0)
            return -1;
    }
    return 0;
}

static int print_json(const struct get *g, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(JSON_MAX);

    buf_puts(&b, "{\"files\": [");
    for (uint64_t i = 0; i < g->n; i++) {
        buf_puts(&b, i > 0 ? ", {\"name\": " : "{\"name\": ");
        json_quote(&b, g->entries[i].name);
        buf_puts(&b, ", \"path\": ");
        json_quote(&b, str_of(g->dest[i]));
        buf_printf(&b, ", \"size\": %llu, \"sha256\": \"%s\"}",
            (unsigned long long)g->entries[i].size, g->entries[i].sha256.hex);
    }
    buf_puts(&b, "]}\n");
    return cmd_print(&b, e);
}

static int get_files(const struct cmd_ctx *ctx, struct get *g, const char *name,
    const char *dest, const struct get_opts *o, struct arena *arena,
    struct err *e)
{
    struct progress *progress AUTO(progress_close_auto) = NULL;

    if (set_dests(g, name, dest, o->force, arena, e) != 0)
        return -1;
    progress = progress_open(ctx->progress, "getting", g->total, e);
    if (progress == NULL || save_all(g, progress, e) != 0)
        return -1;
    progress_close(progress);
    progress = NULL;
    if (o->json)
        return print_json(g, e);
    for (uint64_t i = 0; i < g->n; i++)
        printf("%s\n", g->dest[i]);
    return 0;
}

static int get_stream(const struct cmd_ctx *ctx, struct get *g,
    const char *name, const struct get_opts *o, struct err *e)
{
    struct progress *progress AUTO(progress_close_auto) = NULL;

    if (o->json)
        return err_set(e, ERR_USAGE, "--json and '-' both want stdout");
    if (g->n != 1)
        return err_set(e, ERR_USAGE, "'-' takes one file, not a folder");
    progress = progress_open(ctx->progress, "getting", g->total, e);
    if (progress == NULL)
        return -1;
    if (g->files != NULL)
        return content_stream(&g->bucket, &g->files[0], STDOUT_FILENO, "stdout",
            progress_item(progress, name, g->total), e);
    return volume_get(
        &g->v, &g->entries[0], STDOUT_FILENO, "stdout", progress, e);
}

static void get_free(struct get *g)
{
    bucket_close(&g->bucket);
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct get_opts *o = values;
    struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    const char *dest = argc > 2 ? argv[2] : NULL;
    struct get g AUTO(get_free) = { .bucket = BUCKET_INIT };
    char name[PATH_MAX];

    if (path_fmt(name, e, "%s", argv[1]) != 0)
        return -1;
    if (name[0] == '\0')
        return err_set(e, ERR_REFUSED, "the file's name is empty");
    name[path_len(name)] = '\0';
    if (bucket_is(argv[0]) ? bucket_open(&g.bucket, argv[0], e) != 0
                           : volume_locate(&g.v, argv[0], e) != 0)
        return -1;
    if (find_entries(&g, name, &arena, e) != 0)
        return -1;
    if (dest != NULL && strcmp(dest, "-") == 0)
        return get_stream(ctx, &g, name, o, e);
    return get_files(ctx, &g, name, dest, o, &arena, e);
}

static const struct cmd_example examples[] = {
    { "mlfetch get scratch model.pt", "write ./model.pt" },
    { "mlfetch get scratch model.pt - | sha256sum", "to a pipe" },
    { "mlfetch get scratch nightly/run7 /tmp", "a folder of files" },
    { NULL, NULL },
};

const struct cmd cmd_get = {
    .name = "get",
    .args = "VOLUME NAME [DEST|-]",
    .brief = "copy a file out of a volume, checking its digest",
    .text =
        "Copies the file NAME, or every file below NAME, out of VOLUME to "
        "DEST: a file, a folder (one that is there, or \"NAME/\"), or \"-\" "
        "for stdout. Without DEST it goes "
        "to the current folder under its own name. A file that is there "
        "is replaced with -f only. The digest is checked on the way, and a "
        "file appears only when it is right; on stdout a wrong digest "
        "shows in the exit status, 6. Out of s3://BUCKET/PREFIX nothing goes "
        "to "
        "stdout before it is checked: 64 MiB at a time, and the last of "
        "them when the whole is right.\n\n"
        "Prints the paths written. With --json: files, a list of name, path, "
        "size, sha256.",
    .opts = opts,
    .opts_size = sizeof(struct get_opts),
    .min_args = 2,
    .max_args = 3,
    .run = run,
    .examples = examples,
};
