#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/aside.h"
#include "cache/commands.h"
#include "cache/exporter.h"
#include "cache/frames.h"
#include "cache/look.h"
#include "cache/mode.h"

#include "base/file.h"
#include "base/human.h"
#include "base/json.h"
#include "base/log.h"
#include "base/zst.h"

enum { JSON_MAX = 1 << 30 };

/* A file of a listing and its members take about 1 kB. */
#define ARENA_MAX ((uint64_t)16 << 30)

struct export_opts {
    const char *volume;
    const char *lock;
    int64_t level;
    int64_t threads;
    bool group;
    bool force;
    bool dry_run;
    bool json;
};

static const struct export_opts defaults = { .level = ZST_LEVEL };

static const struct opt opts[] = {
    { .name = "volume",
        .type = OPT_STR,
        .at = offsetof(struct export_opts, volume),
        .arg = "VOLUME",
        .help = "from this volume, not from the hub cache" },
    { .name = "lock",
        .type = OPT_STR,
        .at = offsetof(struct export_opts, lock),
        .arg = "FILE",
        .help = "all that a lock lists (mlfetch lock); its signature "
                "FILE.minisig goes along" },
    { .name = "level",
        .type = OPT_INT,
        .at = offsetof(struct export_opts, level),
        .arg = "N",
        .help = "pack harder, and slower (default 3)",
        .min = 1,
        .max = ZST_LEVEL_MAX },
    { .name = "group",
        .type = OPT_FLAG,
        .at = offsetof(struct export_opts, group),
        .help = "pack alike bytes of 16- and 32-bit numbers together, where "
                "that saves: about a third of bf16; only mlcache import "
                "reads it" },
    { .name = "threads",
        .type = OPT_INT,
        .at = offsetof(struct export_opts, threads),
        .arg = "N",
        .help = "threads (default: one per core); the bytes are the same",
        .min = 1,
        .max = FRAMES_THREADS_MAX },
    { .letter = 'f',
        .name = "force",
        .type = OPT_FLAG,
        .at = offsetof(struct export_opts, force),
        .help = "replace ARCHIVE if it is there" },
    { .letter = 'n',
        .name = "dry-run",
        .type = OPT_FLAG,
        .at = offsetof(struct export_opts, dry_run),
        .help = "only say what would be in it" },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct export_opts, json),
        .help = "print one JSON document: archive, repositories, files, "
                "contents, content_bytes, grouped, tar_bytes, bytes" },
    OPT_END,
};

static void json_revision(struct buf *b, const struct archive_revision *r)
{
    uint64_t bytes = 0, files = 0;

    for (uint64_t i = 0; i < r->n_files; i++) {
        files += !r->files[i].absent;
        bytes += r->files[i].absent ? 0 : r->files[i].f.size;
    }
    buf_printf(b,
        "{\"type\": \"%s\", \"repository\": \"%s\", \"commit\": \"%s\", "
        "\"refs\": ",
        repo_type_names[r->repo.type], r->repo.id, r->commit);
    json_quote_all(b, r->refs, r->n_refs);
    buf_printf(b, ", \"files\": %llu, \"bytes\": %llu}",
        (unsigned long long)files, (unsigned long long)bytes);
}

static void put_json(
    struct buf *b, const struct exporter *x, const char *name, bool dry_run)
{
    const struct archive *a = &x->archive;

    buf_puts(b, "{\"archive\": ");
    json_quote(b, str_of(name));
    buf_puts(b, ", \"repositories\": [");
    for (uint64_t i = 0; i < a->n_revisions; i++) {
        buf_puts(b, i > 0 ? ",\n  " : "\n  ");
        json_revision(b, &a->revisions[i]);
    }
    buf_puts(b, "], \"files\": [");
    for (uint64_t i = 0; i < a->n_puts; i++) {
        buf_puts(b, i > 0 ? ",\n  {\"name\": " : "\n  {\"name\": ");
        json_quote(b, a->puts[i].name);
        buf_printf(b, ", \"bytes\": %llu, \"sha256\": \"%s\"}",
            (unsigned long long)a->puts[i].size, a->puts[i].sha256.hex);
    }
    buf_printf(b,
        "], \"contents\": %llu, \"content_bytes\": %llu, \"grouped\": %llu, "
        "\"tar_bytes\": %llu, \"bytes\": ",
        (unsigned long long)x->members.n_contents,
        (unsigned long long)x->members.content_bytes,
        (unsigned long long)a->n_groups, (unsigned long long)x->tar_bytes);
    if (dry_run)
        buf_puts(b, "null}\n");
    else
        buf_printf(b, "%llu}\n", (unsigned long long)x->packed);
}

static void put_plan(struct buf *b, const struct exporter *x)
{
    const struct archive *a = &x->archive;
    char size[HUMAN_MAX], name[192];

    for (uint64_t i = 0; i < a->n_revisions; i++) {
        const struct archive_revision *r = &a->revisions[i];
        uint64_t files = 0;

        for (uint64_t k = 0; k < r->n_files; k++)
            files += !r->files[k].absent;
        buf_printf(b, "%s@%.12s  %llu files", look_name(&r->repo, name),
            r->commit, (unsigned long long)files);
        for (uint64_t k = 0; k < r->n_refs; k++)
            buf_printf(b, "%s%.*s", k > 0 ? ", " : "  ", STR_ARG(r->refs[k]));
        buf_putc(b, '\n');
    }
    for (uint64_t i = 0; i < a->n_puts; i++) {
        buf_visible(b, a->puts[i].name);
        buf_printf(b, "  %s\n", human_size(size, a->puts[i].size));
    }
    buf_printf(b, "%llu contents, %s before packing\n",
        (unsigned long long)x->members.n_contents,
        human_size(size, x->tar_bytes));
}

static int is_there(const char *path, struct err *e)
{
    err_set(e, ERR_USAGE, "%s: is there already", path);
    return err_hint(e, "--force replaces it");
}

/* As file_new_commit, but not onto what came there meanwhile. */
static int commit_new(struct file_new *f, const char *path, struct err *e)
{
    struct err why = ERR_INIT;

    if (file_mode(f->fd, mode_masked(0666)) != 0 || fsync(f->fd) != 0)
        return err_sys(e, "%s: making it durable", path);
    if (aside_back(f->tmp, path, &why) == 0) {
        fd_close(&f->fd);
        return 0;
    }
    if (why.kind == ERR_BUSY)
        return is_there(path, e);
    *e = why;
    return -1;
}

/* To a file, which appears whole or not at all. */
static int save(struct exporter *x, const char *path, bool force, struct err *e)
{
    struct file_new f AUTO(file_new_abandon) = FILE_NEW_INIT;

    if (file_new_begin(&f, path, e) != 0 || exporter_run(x, f.fd, path, e) != 0)
        return -1;
    return force ? file_new_commit(&f, mode_masked(0666), e)
                 : commit_new(&f, path, e);
}

static int check_out(
    const struct export_opts *o, const char *path, struct err *e)
{
    struct stat st;

    if (strcmp(path, "-") == 0) {
        if (o->json && !o->dry_run)
            return err_set(
                e, ERR_USAGE, "--json and the archive both want stdout");
        if (!o->dry_run && isatty(STDOUT_FILENO)) {
            err_set(e, ERR_USAGE, "the archive would go to the terminal");
            return err_hint(e, "name a file, or put a pipe behind it");
        }
        return 0;
    }
    if (o->dry_run || lstat(path, &st) != 0)
        return 0;
    if (!o->force)
        return is_there(path, e);
    /* A device would be gone, and a file in its place. */
    return S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)
               ? 0
               : err_set(e, ERR_USAGE, "%s: not a file", path);
}

static int write_out(struct exporter *x, const struct export_opts *o,
    const char *path, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(JSON_MAX);
    char packed[HUMAN_MAX], size[HUMAN_MAX];
    bool pipe = strcmp(path, "-") == 0;

    if (o->dry_run)
        put_plan(&b, x);
    else if ((pipe ? exporter_run(x, STDOUT_FILENO, "stdout", e)
                   : save(x, path, o->force, e)) != 0)
        return -1;
    if (!o->dry_run)
        log_info("%llu contents, %s in %s",
            (unsigned long long)x->members.n_contents,
            human_size(size, x->members.content_bytes),
            human_size(packed, x->packed));
    if (!o->dry_run && !pipe)
        buf_printf(&b, "%s\n", path);
    if (o->json) {
        buf_clear(&b);
        put_json(&b, x, path, o->dry_run);
    }
    return cmd_print(&b, e);
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct export_opts *o = values;
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    struct exporter x AUTO(exporter_free) = EXPORTER_INIT;
    struct target *targets;
    struct place place;

    if (argc < 2 && o->lock == NULL) {
        err_set(e, ERR_USAGE, "nothing to export is named");
        return err_hint(e, "mlcache export ARCHIVE REF..., or --lock FILE");
    }
    if (check_out(o, argv[0], e) != 0 ||
        place_targets(&place, o->volume, argv + 1, (size_t)argc - 1, &targets,
            &arena, e) != 0)
        return -1;
    x.place = &place;
    x.targets = targets;
    x.n_targets = (size_t)argc - 1;
    x.lock = o->lock;
    x.threads = (unsigned)o->threads;
    x.level = (int)o->level;
    x.group = o->group;
    x.progress = ctx->progress;
    if (exporter_plan(&x, &arena, e) != 0)
        return -1;
    return write_out(&x, o, argv[0], e);
}

static const struct cmd_example examples[] = {
    { "mlcache export pythia.tar.zst EleutherAI/pythia-1b",
        "all revisions of it that are here" },
    { "mlcache export --lock models.lock models.tar.zst",
        "what a lock lists, with its signature" },
    { "mlcache export - results:run1 | ssh host mlcache import - --volume V",
        "a folder of a volume, to another machine" },
    { NULL, NULL },
};

const struct cmd cmd_export = {
    .name = "export",
    .args = "ARCHIVE [REF...]",
    .brief = "write models into one archive, to carry them elsewhere",
    .text =
        "Writes the revisions, and the files of a volume, that REF names and "
        "--lock lists into ARCHIVE, a .tar.zst; \"-\" is stdout. REF is "
        "ORG/NAME (all its revisions here), ORG/NAME@REVISION, NAME of a put "
        "file or folder, or VOLUME:NAME. Every byte is checked against its "
        "digest on the way. mlcache import takes it in.\n\n"
        "Any tar that knows zstd unpacks it: hub/ is a hub cache then, files/ "
        "has the files of the volume (ml-archive(5)). The same things give "
        "the same bytes, on any machine with the same version of zstd, with "
        "any number of threads. zstd's frames hold 1 MiB each, and a table of "
        "them is at the end (zstd's seekable format).\n\n"
        "Prints ARCHIVE. Unfinished revisions are refused (status 3). "
        "Converted forms are not exported: they are made anew where they are "
        "needed.",
    .opts = opts,
    .defaults = &defaults,
    .opts_size = sizeof(struct export_opts),
    .min_args = 1,
    .max_args = -1,
    .run = run,
    .examples = examples,
};
