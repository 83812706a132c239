#include <stdio.h>
#include <time.h>

#include "bucket/names.h"
#include "cache/volume.h"

#include "base/human.h"
#include "base/json.h"
#include "base/path.h"
#include "fetch/commands.h"

enum { JSON_MAX = 1 << 30, DATE_MAX = 32 };

struct ls_opts {
    bool json;
};

static const struct opt opts[] = {
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct ls_opts, json),
        .help = "print one JSON document: volume, files" },
    OPT_END,
};

/* In UTC, for programs or for people. */
static const char *date(char out[DATE_MAX], int64_t when, bool iso)
{
    time_t t = (time_t)when;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL ||
        strftime(out, DATE_MAX, iso ? "%Y-%m-%dT%H:%M:%SZ" : "%Y-%m-%d %H:%M",
            &tm) == 0)
        snprintf(out, DATE_MAX, "-");
    return out;
}

static int print_json(const struct volume *v, const struct volume_entry *list,
    uint64_t n, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(JSON_MAX);
    char when[DATE_MAX];

    buf_puts(&b, "{\"volume\": ");
    json_quote(&b, str_of(v->root));
    buf_puts(&b, ", \"files\": [");
    for (uint64_t i = 0; i < n; i++) {
        buf_puts(&b, i > 0 ? ", {\"name\": " : "{\"name\": ");
        json_quote(&b, list[i].name);
        buf_printf(&b,
            ", \"size\": %llu, \"sha256\": \"%s\", \"date\": \"%s\"}",
            (unsigned long long)list[i].size, list[i].sha256.hex,
            date(when, list[i].mtime, true));
    }
    buf_puts(&b, "]}\n");
    return cmd_print(&b, e);
}

static void print_table(const struct volume_entry *list, uint64_t n)
{
    char size[HUMAN_MAX], when[DATE_MAX], name[4 * 1024 + 1];
    size_t width = 4;

    for (uint64_t i = 0; i < n; i++)
        width = size_max(width, size_min(list[i].name.len, 60));
    if (n > 0)
        printf("%-*s  %9s  %-12s  %s\n", (int)width, "NAME", "SIZE", "SHA256",
            "DATE");
    for (uint64_t i = 0; i < n; i++) {
        err_escape(name, sizeof(name), list[i].name.p);
        printf("%-*s  %9s  %.12s  %s\n", (int)width, name,
            human_size(size, list[i].size), list[i].sha256.hex,
            date(when, list[i].mtime, false));
    }
}

static int list_bucket(struct volume *v, const char *where, const char *name,
    struct arena *arena, struct volume_entry **out, uint64_t *n, struct err *e)
{
    struct bucket b AUTO(bucket_close) = BUCKET_INIT;
    struct catalog_file *files;

    if (bucket_open(&b, where, e) != 0 ||
        path_fmt(v->root, e, "%s", b.shown) != 0 ||
        names_list(&b, name, arena, &files, n, e) != 0)
        return -1;
    if (*n == 0 && name != NULL)
        return names_missing(&b, name, e);
    *out = arena_alloc(arena, *n, sizeof(**out), e);
    if (*out == NULL)
        return -1;
    for (uint64_t i = 0; i < *n; i++)
        (*out)[i] = names_entry(&files[i]);
    return 0;
}

static int list_volume(struct volume *v, const char *where, const char *name,
    struct arena *arena, struct volume_entry **out, uint64_t *n, struct err *e)
{
    struct volume_entry none;

    if (volume_locate(v, where, e) != 0 ||
        volume_shown(v, name, arena, out, n, e) != 0)
        return -1;
    return *n == 0 && name != NULL ? volume_find(v, name, arena, &none, e) : 0;
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct ls_opts *o = values;
    struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    const char *name = argc > 1 ? argv[1] : NULL;
    struct volume_entry *list = NULL;
    struct volume v;
    uint64_t n;

    (void)ctx;
    if ((bucket_is(argv[0]) ? list_bucket : list_volume)(
            &v, argv[0], name, &arena, &list, &n, e) != 0)
        return -1;
    if (o->json)
        return print_json(&v, list, n, e);
    print_table(list, n);
    return 0;
}

static const struct cmd_example examples[] = {
    { "mlfetch ls scratch", "everything in the volume 'scratch'" },
    { "mlfetch ls scratch nightly", "what lies below nightly/" },
    { NULL, NULL },
};

const struct cmd cmd_ls = {
    .name = "ls",
    .args = "VOLUME [NAME]",
    .brief = "list what was put into a volume",
    .text =
        "Lists the files of VOLUME (s3://BUCKET/PREFIX, too), or the file NAME "
        "or those below it: "
        "name, size, the first digits of the SHA-256, and when it was put "
        "(UTC). Repositories pulled with --volume are listed by mlcache "
        "ls --volume VOLUME.\n\n"
        "With --json: volume; files, a list of name, size, sha256, date.",
    .opts = opts,
    .opts_size = sizeof(struct ls_opts),
    .min_args = 1,
    .max_args = 2,
    .run = run,
    .examples = examples,
};
