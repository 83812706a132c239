#include <stdio.h>
#include <unistd.h>

#include "cache/commands.h"
#include "cache/frames.h"
#include "cache/importer.h"
#include "cache/look.h"

#include "base/file.h"
#include "base/human.h"
#include "base/json.h"
#include "base/log.h"

enum { JSON_MAX = 1 << 30 };

struct import_opts {
    const char *volume;
    const char *key;
    int64_t threads;
    bool force;
    bool dry_run;
    bool json;
};

static const struct opt opts[] = {
    { .name = "volume",
        .type = OPT_STR,
        .at = offsetof(struct import_opts, volume),
        .arg = "VOLUME",
        .help = "into this volume, not into the hub cache; it is made where "
                "it is missing" },
    { .name = "key",
        .type = OPT_STR,
        .at = offsetof(struct import_opts, key),
        .arg = "PUB",
        .help = "demand a lock in it, with a valid signature by this public "
                "key of minisign: a file, or the key itself" },
    { .name = "threads",
        .type = OPT_INT,
        .at = offsetof(struct import_opts, threads),
        .arg = "N",
        .help = "threads (default: one per core)",
        .min = 1,
        .max = FRAMES_THREADS_MAX },
    { .letter = 'f',
        .name = "force",
        .type = OPT_FLAG,
        .at = offsetof(struct import_opts, force),
        .help = "replace files of the volume that have the same names" },
    { .letter = 'n',
        .name = "dry-run",
        .type = OPT_FLAG,
        .at = offsetof(struct import_opts, dry_run),
        .help = "prove the archive, say what is new, and change nothing" },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct import_opts, json),
        .help = "print one JSON document: archive, root, repositories, files, "
                "contents, content_bytes, fresh, fresh_bytes, bytes" },
    OPT_END,
};

static void json_revision(
    struct buf *b, const struct importer *m, const struct archive_revision *r)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX] = "";

    hubdir_snapshot(&m->place.hub, &r->repo, r->commit, path, &ignored);
    buf_printf(b,
        "{\"type\": \"%s\", \"repository\": \"%s\", \"commit\": \"%s\", "
        "\"refs\": ",
        repo_type_names[r->repo.type], r->repo.id, r->commit);
    json_quote_all(b, r->refs, r->n_refs);
    buf_puts(b, ", \"path\": ");
    json_quote(b, str_of(path));
    buf_putc(b, '}');
}

static void put_json(struct buf *b, const struct importer *m, const char *name)
{
    const struct archive *a = &m->archive;

    buf_puts(b, "{\"archive\": ");
    json_quote(b, str_of(name));
    buf_puts(b, ", \"root\": ");
    json_quote(b,
        str_of(m->place.has_volume ? m->place.volume.root : m->place.hub.root));
    buf_puts(b, ", \"repositories\": [");
    for (uint64_t i = 0; i < a->n_revisions; i++) {
        buf_puts(b, i > 0 ? ",\n  " : "\n  ");
        json_revision(b, m, &a->revisions[i]);
    }
    buf_puts(b, "], \"files\": [");
    for (uint64_t i = 0; i < a->n_puts; i++) {
        buf_puts(b, i > 0 ? ", " : "");
        json_quote(b, a->puts[i].name);
    }
    buf_printf(b,
        "], \"contents\": %llu, \"content_bytes\": %llu, \"fresh\": %llu, "
        "\"fresh_bytes\": %llu, \"bytes\": %llu}\n",
        (unsigned long long)m->members.n_contents,
        (unsigned long long)m->members.content_bytes,
        (unsigned long long)m->fresh, (unsigned long long)m->fresh_bytes,
        (unsigned long long)m->packed);
}

static void put_text(struct buf *b, const struct importer *m, bool dry_run)
{
    const struct archive *a = &m->archive;
    struct err ignored = ERR_INIT;
    char path[PATH_MAX], name[192];

    for (uint64_t i = 0; i < a->n_revisions; i++) {
        const struct archive_revision *r = &a->revisions[i];

        if (dry_run)
            buf_printf(b, "%s@%.12s\n", look_name(&r->repo, name), r->commit);
        else if (hubdir_snapshot(
                     &m->place.hub, &r->repo, r->commit, path, &ignored) == 0)
            buf_printf(b, "%s\n", path);
    }
    for (uint64_t i = 0; i < a->n_puts; i++) {
        buf_visible(b, a->puts[i].name);
        buf_putc(b, '\n');
    }
}

static int open_in(const char *path, struct err *e)
{
    if (strcmp(path, "-") != 0)
        return file_open(path, NULL, e);
    if (!isatty(STDIN_FILENO))
        return dup(STDIN_FILENO);
    err_set(e, ERR_USAGE, "the archive would come from the terminal");
    err_hint(e, "name a file, or put a pipe before it");
    return -1;
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct import_opts *o = values;
    struct importer m AUTO(importer_free) = IMPORTER_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(JSON_MAX);
    int fd AUTO(fd_close) = open_in(argv[0], e);
    const char *name = strcmp(argv[0], "-") == 0 ? "stdin" : argv[0];
    char size[HUMAN_MAX];

    (void)argc;
    if (fd < 0)
        return e->kind != ERR_NONE ? -1 : err_sys(e, "%s", name);
    m.volume = o->volume;
    m.key = o->key;
    m.threads = (unsigned)o->threads;
    m.force = o->force;
    m.dry_run = o->dry_run;
    m.progress = ctx->progress;
    if (importer_run(&m, fd, name, e) != 0)
        return -1;
    if (m.created)
        log_info("made the volume %s", m.place.volume.root);
    log_info("%llu contents, all right; %llu of them, %s, %s new",
        (unsigned long long)m.members.n_contents, (unsigned long long)m.fresh,
        human_size(size, m.fresh_bytes), o->dry_run ? "would be" : "were");
    if (o->json)
        put_json(&b, &m, argv[0]);
    else
        put_text(&b, &m, o->dry_run);
    return cmd_print(&b, e);
}

static const struct cmd_example examples[] = {
    { "mlcache import pythia.tar.zst", "into the hub cache" },
    { "mlcache import models.tar.zst --volume /models --key ci.pub",
        "only if ci signed the lock in it" },
    { "mlcache import --dry-run models.tar.zst", "is it whole and right?" },
    { NULL, NULL },
};

const struct cmd cmd_import = {
    .name = "import",
    .args = "ARCHIVE",
    .brief = "take in an archive of mlcache export",
    .text =
        "Reads ARCHIVE (\"-\" is stdin), and proves it: every file that its "
        "manifest names is in it, with its digest, and nothing else. Only "
        "then anything becomes visible: first the contents, then the files of "
        "each commit, then its branches and tags, which move if they named "
        "other commits here. Files of a volume need --volume; one that is "
        "there under the same name with other bytes is refused (status 2) "
        "without --force. All of them get their names at once, as one step of "
        "mlfetch log. A commit never changes: one that has other files here, "
        "or a name that is in the way of another, is refused (8).\n\n"
        "An archive that is damaged (status 6), or is not one that mlcache "
        "export writes (8), leaves nothing behind. After an interruption, a "
        "full disk or a broken pipe the contents that had come stay aside, "
        "and the next import of them goes on from there; what is held "
        "already is compared, and not written again. mlcache gc removes what "
        "was not gone on with for a day.\n\n"
        "With --key the lock inside must be signed, under its name, by that "
        "key, and not be older than one that was accepted here before; "
        "nothing that it does not list may be in the archive. Else status 9 "
        "and nothing is done.\n\n"
        "Prints the folder of each snapshot, and the name of each file of a "
        "volume.",
    .opts = opts,
    .opts_size = sizeof(struct import_opts),
    .min_args = 1,
    .max_args = 1,
    .run = run,
    .examples = examples,
};
