#include <stdio.h>
#include <unistd.h>

#include "cache/shelf.h"

#include "base/cancel.h"
#include "base/human.h"
#include "base/json.h"
#include "base/log.h"
#include "fetch/commands.h"

#define ARENA_MAX ((uint64_t)4 << 30)

enum { TEXT_MAX = 1 << 30 };

struct volume_opts {
    bool yes;
    bool json;
};

static const struct opt opts[] = {
    { 'y', "yes", OPT_FLAG, offsetof(struct volume_opts, yes), NULL,
        "of rm: do not ask", 0, 0, NULL },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct volume_opts, json),
        .help = "print one JSON document" },
    OPT_END,
};

/* ---- create ---- */

static int create(const struct volume_opts *o, int argc, char **argv,
    struct arena *arena, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct volume v;
    bool created;

    (void)argc;
    (void)arena;
    if (volume_locate(&v, argv[0], e) != 0 ||
        volume_create(&v, &created, e) != 0)
        return -1;
    if (!created)
        return err_set(e, ERR_USAGE, "%s: there is a volume already", v.root);
    if (o->json) {
        buf_puts(&b, "{\"path\": ");
        json_quote(&b, str_of(v.root));
        buf_puts(&b, "}\n");
    } else {
        buf_printf(&b, "%s\n", v.root);
    }
    return cmd_print(&b, e);
}

/* ---- ls ---- */

static void put_json(struct buf *b, const struct shelved *list, uint64_t n)
{
    buf_puts(b, "{\"volumes\": [");
    for (uint64_t i = 0; i < n; i++) {
        buf_puts(b, i > 0 ? ",\n  {\"name\": " : "\n  {\"name\": ");
        json_quote(b, list[i].name);
        buf_puts(b, ", \"path\": ");
        json_quote(b, str_of(list[i].volume.root));
        buf_printf(b,
            ", \"files\": %llu, \"bytes\": %llu, \"repositories\": %llu}",
            (unsigned long long)list[i].files,
            (unsigned long long)list[i].bytes,
            (unsigned long long)list[i].repositories);
    }
    buf_puts(b, "]}\n");
}

static void put_table(struct buf *b, const struct shelved *list, uint64_t n)
{
    char size[HUMAN_MAX];
    size_t width = 4;

    for (uint64_t i = 0; i < n; i++)
        width = size_max(width, size_min(list[i].name.len, 60));
    if (n > 0)
        buf_printf(b, "%-*s  %9s  %9s  %12s\n", (int)width, "NAME", "FILES",
            "SIZE", "REPOSITORIES");
    for (uint64_t i = 0; i < n; i++) {
        size_t start = b->len;

        buf_visible(b, list[i].name);
        while (b->bad == ERR_NONE && b->len - start < width)
            buf_putc(b, ' ');
        buf_printf(b, "  %9llu  %9s  %12llu\n",
            (unsigned long long)list[i].files, human_size(size, list[i].bytes),
            (unsigned long long)list[i].repositories);
    }
}

static int list(const struct volume_opts *o, int argc, char **argv,
    struct arena *arena, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct shelved *found;
    uint64_t n;

    (void)argc;
    (void)argv;
    if (shelf_list(&found, &n, arena, e) != 0)
        return -1;
    if (o->json)
        put_json(&b, found, n);
    else
        put_table(&b, found, n);
    return cmd_print(&b, e);
}

/* ---- rm ---- */

/* 1: yes, 0: no, -1: nobody can be asked. */
static int ask(const struct shelved *s, struct err *e)
{
    char size[HUMAN_MAX], answer[16] = "";

    if (!isatty(STDIN_FILENO)) {
        err_set(e, ERR_USAGE,
            "%s is not empty, and nobody can be asked: stdin is no terminal",
            s->volume.root);
        return err_hint(e, "--yes removes it without asking");
    }
    fprintf(stderr,
        "%s: %llu files (%s), %llu repositories. Remove it for good? [y/N] ",
        s->volume.root, (unsigned long long)s->files,
        human_size(size, s->bytes), (unsigned long long)s->repositories);
    fflush(stderr);
    if (fgets(answer, sizeof(answer), stdin) == NULL)
        return cancel_check(e);
    return answer[0] == 'y' || answer[0] == 'Y';
}

static int remove_volume(const struct volume_opts *o, int argc, char **argv,
    struct arena *arena, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct shelved s;
    struct volume v;
    int rc = 1;

    (void)argc;
    if (volume_locate(&v, argv[0], e) != 0 || shelf_check(&v, e) != 0 ||
        shelf_look(&v, &s, arena, e) != 0)
        return -1;
    if (!o->yes && (s.files > 0 || s.repositories > 0))
        rc = ask(&s, e);
    if (rc < 0)
        return -1;
    if (rc == 0)
        log_info("nothing was removed");
    else if (shelf_remove(&v, arena, e) != 0)
        return -1;
    if (o->json) {
        buf_puts(&b, "{\"path\": ");
        json_quote(&b, str_of(v.root));
        buf_printf(&b, ", \"removed\": %s}\n", rc > 0 ? "true" : "false");
    } else if (rc > 0) {
        buf_printf(&b, "%s\n", v.root);
    }
    return cmd_print(&b, e);
}

/* ---- */

static const struct action {
    const char *name;
    int args;
    int (*run)(const struct volume_opts *o, int argc, char **argv,
        struct arena *arena, struct err *e);
} actions[] = {
    { "create", 1, create },
    { "ls", 0, list },
    { "list", 0, list },
    { "rm", 1, remove_volume },
    { "delete", 1, remove_volume },
};

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct volume_opts *o = values;
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);

    (void)ctx;
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        const struct action *a = &actions[i];

        if (strcmp(a->name, argv[0]) != 0)
            continue;
        if (o->yes && a->run != remove_volume)
            return err_set(
                e, ERR_USAGE, "--yes is of 'volume rm', not '%s'", a->name);
        if (argc - 1 == a->args)
            return a->run(o, argc - 1, argv + 1, &arena, e);
        err_set(e, ERR_USAGE, "'volume %s' takes %s", a->name,
            a->args > 0 ? "one volume" : "no argument");
        return err_hint(e, "mlfetch volume --help");
    }
    err_set(e, ERR_USAGE, "'%s' is nothing to do with a volume", argv[0]);
    return err_hint(e, "create, ls or rm; files in one: mlfetch put, get, ls, "
                       "rm, mv, cp");
}

static const struct cmd_example examples[] = {
    { "mlfetch volume create scratch", "an empty volume" },
    { "mlfetch volume ls", "those that have a name" },
    { "mlfetch volume rm scratch --yes", "with all that is in it" },
    { NULL, NULL },
};

const struct cmd cmd_volume = {
    .name = "volume",
    .args = "create|ls|rm [VOLUME]",
    .brief = "make, list and remove volumes",
    .text =
        "create VOLUME makes an empty one, a folder or a name below "
        "MLFETCH_VOLUMES; where there is one it is left alone (status 2). "
        "mlfetch put makes one, too. Prints its path. With --json: path.\n\n"
        "ls (or list) lists the volumes below MLFETCH_VOLUMES. With --json: "
        "volumes, a list of name, path, files, bytes (of the files put into "
        "it), repositories.\n\n"
        "rm (or delete) VOLUME removes it with its files, repositories and "
        "log, for good. It asks where it is not empty. A folder with other "
        "things in it is refused (status 8), as is a volume with a revision "
        "that mlcache pin keeps, and one that a program is at work on "
        "(status 1). With --json: path, removed.",
    .opts = opts,
    .opts_size = sizeof(struct volume_opts),
    .min_args = 1,
    .max_args = 2,
    .run = run,
    .examples = examples,
};
