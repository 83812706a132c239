#include <stdio.h>

#include "cache/adopt.h"
#include "cache/commands.h"
#include "cache/look.h"

#include "base/human.h"
#include "base/json.h"
#include "base/log.h"

enum { JSON_MAX = 1 << 30, TEXT_MAX = 1 << 30 };

/* A file takes about 1,500 bytes on its way. */
#define ARENA_MAX ((uint64_t)16 << 30)

struct adopt_opts {
    const char *volume;
    const char *name;
    int kind;
    int how;
    bool force;
    bool dry_run;
    bool json;
};

static const struct opt opts[] = {
    { .name = "volume",
        .type = OPT_STR,
        .at = offsetof(struct adopt_opts, volume),
        .arg = "VOLUME",
        .help = "into this volume, not into the hub cache; made where it is "
                "not there" },
    { .name = "link",
        .type = OPT_SET,
        .at = offsetof(struct adopt_opts, how),
        .min = BRING_LINK,
        .help = "hard links only; what cannot be linked is not taken" },
    { .name = "reflink",
        .type = OPT_SET,
        .at = offsetof(struct adopt_opts, how),
        .min = BRING_CLONE,
        .help =
            "clones only, which share bytes but not the file (XFS, btrfs)" },
    { .name = "copy",
        .type = OPT_SET,
        .at = offsetof(struct adopt_opts, how),
        .min = BRING_COPY,
        .help = "copies only" },
    { .name = "move",
        .type = OPT_SET,
        .at = offsetof(struct adopt_opts, how),
        .min = BRING_MOVE,
        .help = "and remove from SOURCE what came over whole" },
    { .name = "kind",
        .type = OPT_CHOICE,
        .at = offsetof(struct adopt_opts, kind),
        .arg = "KIND",
        .choices = foreign_kind_names,
        .help = "what SOURCE is, where it does not show" },
    { .name = "name",
        .type = OPT_STR,
        .at = offsetof(struct adopt_opts, name),
        .arg = "NAME",
        .help = "what stands in front of the names of put files; \"ollama\", "
                "\"lmstudio\" or the folder's name without" },
    { .letter = 'f',
        .name = "force",
        .type = OPT_FLAG,
        .at = offsetof(struct adopt_opts, force),
        .help = "give a put name its new content when it has another" },
    { .letter = 'n',
        .name = "dry-run",
        .type = OPT_FLAG,
        .at = offsetof(struct adopt_opts, dry_run),
        .help = "read and hash all, say what would be taken, change nothing" },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct adopt_opts, json),
        .help = "print one JSON document: root, sources" },
    OPT_END,
};

static const char *const fault_names[FAULT_KINDS] = {
    [FAULT_DAMAGED] = "damaged",
    [FAULT_MISSING] = "missing",
    [FAULT_UNFINISHED] = "unfinished",
    [FAULT_OTHER] = "other",
    [FAULT_UNKNOWN] = "unknown",
    [FAULT_UNSAFE] = "unsafe",
    [FAULT_CLASH] = "clash",
    [FAULT_UNFIT] = "unfit",
    [FAULT_UNMOVED] = "unmoved",
    [FAULT_UNREADABLE] = "unreadable",
};

/* ---- counting ---- */

struct sums {
    uint64_t by[BROUGHT_COPIED + 1]; /* files taken; of a dry run all [0] */
    uint64_t taken, taken_bytes, held, held_bytes, left;
};

static struct sums sum_files(const struct adopt *a)
{
    struct sums s = { .taken = 0 };

    for (uint64_t i = 0; i < a->foreign.n_files; i++) {
        const struct adopt_file *f = &a->files[i];

        if (f->state == ADOPT_TAKEN) {
            s.by[f->how]++;
            s.taken++;
            s.taken_bytes += f->size;
        } else if (f->state == ADOPT_HELD) {
            s.held++;
            s.held_bytes += f->size;
        } else if (f->state == ADOPT_LEFT) {
            s.left++;
        }
    }
    return s;
}

struct set_sums {
    uint64_t files, fresh, bytes;
};

/* Of the names from *i on that are of one set; *i behind them. */
static struct set_sums sum_set(const struct adopt *a, uint64_t *i)
{
    const struct foreign *f = &a->foreign;
    uint64_t set = f->names[*i].set;
    struct set_sums s = { .files = 0 };

    for (; *i < f->n_names && f->names[*i].set == set; ++*i) {
        if (a->names[*i] < ADOPT_NAME_HELD)
            continue;
        s.files++;
        s.fresh += a->names[*i] == ADOPT_NAME_NEW;
        s.bytes += a->files[f->names[*i].file].size;
    }
    return s;
}

/* ---- printing ---- */

static const char *root_of(const struct place *p)
{
    return p->has_volume ? p->volume.root : p->hub.root;
}

static void json_set(
    struct buf *b, const struct foreign_set *set, const struct set_sums *s)
{
    if (set->repo != NULL) {
        buf_printf(b,
            "{\"type\": \"%s\", \"repository\": \"%s\", \"commit\": \"%s\"",
            repo_type_names[set->repo->type], set->repo->id, set->commit);
    } else {
        buf_puts(b, "{\"name\": ");
        json_quote(b, set->label);
    }
    buf_printf(b,
        ", \"files\": %llu, \"new\": %llu, \"bytes\": %llu, "
        "\"broken\": %llu}",
        (unsigned long long)s->files, (unsigned long long)s->fresh,
        (unsigned long long)s->bytes, (unsigned long long)set->broken);
}

static void json_faults(struct buf *b, const struct foreign *f)
{
    buf_puts(b, "\"broken\": [");
    for (uint64_t i = 0; i < f->n_faults; i++) {
        const struct fault *w = &f->faults[i];

        buf_printf(b,
            "%s{\"kind\": \"%s\", \"path\": ", i > 0 ? ",\n  " : "\n  ",
            fault_names[w->kind]);
        json_quote(b, w->path);
        buf_puts(b, ", \"name\": ");
        if (w->name.len > 0)
            json_quote(b, w->name);
        else
            buf_puts(b, "null");
        buf_puts(b, ", \"why\": ");
        json_quote(b, w->why);
        buf_putc(b, '}');
    }
    buf_puts(b, "]");
}

static void json_source(struct buf *b, const struct adopt *a)
{
    struct sums s = sum_files(a);

    buf_puts(b, "\n {\"source\": ");
    json_quote(b, str_of(a->foreign.root));
    buf_printf(b, ", \"kind\": \"%s\", \"adopted\": [",
        foreign_kind_names[a->foreign.kind]);
    for (uint64_t i = 0; i < a->foreign.n_names;) {
        const struct foreign_set *set =
            &a->foreign.sets[a->foreign.names[i].set];
        bool first = i == 0;
        struct set_sums sums = sum_set(a, &i);

        buf_puts(b, first ? "\n  " : ",\n  ");
        json_set(b, set, &sums);
    }
    buf_puts(b, "],\n  ");
    json_faults(b, &a->foreign);
    buf_printf(b,
        ",\n  \"taken\": %llu, \"bytes\": %llu, \"linked\": %llu, "
        "\"cloned\": %llu, \"copied\": %llu, \"held\": %llu, "
        "\"left\": %llu, \"removed\": %llu}",
        (unsigned long long)s.taken, (unsigned long long)s.taken_bytes,
        (unsigned long long)s.by[BROUGHT_LINKED],
        (unsigned long long)s.by[BROUGHT_CLONED],
        (unsigned long long)s.by[BROUGHT_COPIED], (unsigned long long)s.held,
        (unsigned long long)s.left, (unsigned long long)a->removed);
}

static void put_json(struct buf *b, const struct place *p,
    const struct adopt *v, size_t n, bool dry_run)
{
    buf_puts(b, "{\"root\": ");
    json_quote(b, str_of(root_of(p)));
    buf_printf(
        b, ", \"dry_run\": %s, \"sources\": [", dry_run ? "true" : "false");
    for (size_t i = 0; i < n; i++) {
        buf_puts(b, i > 0 ? "," : "");
        json_source(b, &v[i]);
    }
    buf_puts(b, "]}\n");
}

static void put_set(struct buf *b, const struct foreign_set *set,
    const struct set_sums *s, bool dry_run)
{
    char name[192], size[HUMAN_MAX];

    if (set->repo != NULL)
        buf_printf(b, "%s@%.12s", look_name(set->repo, name), set->commit);
    else
        buf_visible(b, set->label);
    buf_printf(b, ": %llu %s, %s", (unsigned long long)s->files,
        s->files == 1 ? "file" : "files", human_size(size, s->bytes));
    if (s->fresh == 0 && s->files > 0)
        buf_puts(b, ", already held");
    else if (s->fresh < s->files)
        buf_printf(b, ", %llu of them already held",
            (unsigned long long)(s->files - s->fresh));
    else if (dry_run)
        buf_puts(b, " to be taken");
    if (set->broken > 0)
        buf_printf(b, "; %llu not taken", (unsigned long long)set->broken);
    buf_putc(b, '\n');
}

static void put_fault(struct buf *b, const struct fault *w)
{
    buf_printf(b, "%s  ", fault_names[w->kind]);
    buf_visible(b, w->path);
    if (w->name.len > 0 && !str_ends(w->name, w->path.p) &&
        !str_ends(w->path, w->name.p)) {
        buf_puts(b, " (");
        buf_visible(b, w->name);
        buf_putc(b, ')');
    }
    buf_puts(b, ": ");
    buf_visible(b, w->why);
    buf_putc(b, '\n');
}

static void put_sum(struct buf *b, const struct adopt *a)
{
    static const char *const words[] = { [BROUGHT_LINKED] = "linked",
        [BROUGHT_CLONED] = "cloned",
        [BROUGHT_COPIED] = "copied" };
    struct sums s = sum_files(a);
    const char *sep = " (";
    char size[HUMAN_MAX];

    buf_puts(b, "from ");
    buf_visible(b, str_of(a->foreign.root));
    buf_printf(b, ": %llu %s, %s%s", (unsigned long long)s.taken,
        s.taken == 1 ? "file" : "files", human_size(size, s.taken_bytes),
        a->dry_run ? " would be taken" : " taken");
    for (size_t i = BROUGHT_LINKED; i < ARRAY_LEN(words); i++) {
        if (s.by[i] == 0)
            continue;
        buf_printf(b, "%s%llu %s", sep, (unsigned long long)s.by[i], words[i]);
        sep = ", ";
    }
    buf_puts(b, sep[0] == ',' ? ")" : "");
    buf_printf(b, ", %llu already held, %llu broken",
        (unsigned long long)s.held, (unsigned long long)a->foreign.n_faults);
    if (s.left > 0)
        buf_printf(b, ", %llu that nothing names", (unsigned long long)s.left);
    if (a->removed > 0)
        buf_printf(b, "; %llu removed there", (unsigned long long)a->removed);
    buf_putc(b, '\n');
}

static void put_text(struct buf *b, const struct adopt *a)
{
    for (uint64_t i = 0; i < a->foreign.n_names;) {
        const struct foreign_set *set =
            &a->foreign.sets[a->foreign.names[i].set];
        struct set_sums sums = sum_set(a, &i);

        put_set(b, set, &sums, a->dry_run);
    }
    for (uint64_t i = 0; i < a->foreign.n_faults; i++)
        put_fault(b, &a->foreign.faults[i]);
    put_sum(b, a);
}

/* ---- what the exit status is about ---- */

static enum err_kind err_of(enum fault_kind kind)
{
    if (kind < FAULT_UNSAFE)
        return ERR_CORRUPT;
    return kind == FAULT_UNREADABLE ? ERR_IO : ERR_REFUSED;
}

/* The gravest of them, and the first of those; NULL: there are none. */
static const struct fault *gravest(
    const struct adopt *v, size_t n, const struct adopt **from, uint64_t *count)
{
    static const enum err_kind order[] = { ERR_CORRUPT, ERR_IO, ERR_REFUSED };
    const struct fault *found = NULL;

    *count = 0;
    for (size_t i = 0; i < n; i++)
        *count += v[i].foreign.n_faults;
    for (size_t k = 0; k < ARRAY_LEN(order); k++)
        for (size_t i = 0; i < n; i++) {
            const struct foreign *f = &v[i].foreign;

            for (uint64_t w = 0; w < f->n_faults && found == NULL; w++)
                if (err_of(f->faults[w].kind) == order[k]) {
                    found = &f->faults[w];
                    *from = &v[i];
                }
        }
    return found;
}

static int outcome(const struct adopt *v, size_t n, struct err *e)
{
    const struct adopt *from = NULL;
    const struct fault *w;
    char more[64] = "";
    uint64_t count;

    for (size_t i = 0; i < n; i++)
        if (v[i].foreign.n_names == 0 && v[i].foreign.n_faults == 0)
            return err_set(
                e, ERR_MISSING, "%s: nothing to adopt in it", v[i].source);
    w = gravest(v, n, &from, &count);
    if (w == NULL)
        return 0;
    if (count > 1)
        snprintf(more, sizeof(more), "; and %llu more",
            (unsigned long long)(count - 1));
    err_set(e, err_of(w->kind), "%s/%s: not %s: %s%s", from->foreign.root,
        w->path.p, w->kind == FAULT_UNMOVED ? "moved" : "taken", w->why.p,
        more);
    if (err_of(w->kind) != ERR_CORRUPT)
        return -1;
    return err_hint(e, "%s; the rest of the source %s",
        from->foreign.kind == FOREIGN_HUB      ? "mlfetch pull fetches it again"
        : from->foreign.kind == FOREIGN_OLLAMA ? "ollama pull fetches it again"
                                               : "it stays where it is",
        from->dry_run ? "would be taken" : "was taken");
}

static int open_place(
    struct place *out, const struct adopt_opts *o, struct err *e)
{
    *out = (struct place){ .name = o->volume, .has_volume = o->volume != NULL };
    if (o->volume == NULL)
        return hubdir_default(&out->hub, e);
    if (volume_locate(&out->volume, o->volume, e) != 0)
        return -1;
    return volume_hub(&out->volume, &out->hub, e);
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct adopt_opts *o = values;
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    struct buf b AUTO(buf_free) = BUF_INIT(JSON_MAX);
    struct err why = ERR_INIT;
    struct place place;
    struct adopt *v;
    size_t n = 0;

    if (o->name != NULL && argc > 1)
        return err_set(e, ERR_USAGE, "--name is for one SOURCE");
    v = arena_alloc(&arena, (uint64_t)argc, sizeof(*v), e);
    if (v == NULL || open_place(&place, o, e) != 0)
        return -1;
    for (; n < (size_t)argc && why.kind == ERR_NONE; n++) {
        v[n] = (struct adopt){ .place = &place,
            .source = argv[n],
            .kind = (enum foreign_kind)o->kind,
            .name = o->name,
            .how = (enum bring_how)o->how,
            .dry_run = o->dry_run,
            .force = o->force,
            .progress = ctx->progress,
            .foreign = FOREIGN_INIT };
        if (adopt_run(&v[n], &arena, &why) != 0)
            n--;
        else if (v[n].created)
            log_info("made the volume %s", place.volume.root);
        adopt_free(&v[n + (why.kind != ERR_NONE)]);
    }
    if (o->json && (n > 0 || why.kind == ERR_NONE))
        put_json(&b, &place, v, n, o->dry_run);
    for (size_t i = 0; i < n && !o->json; i++)
        put_text(&b, &v[i]);
    if (cmd_print(&b, e) != 0)
        return -1;
    if (why.kind == ERR_NONE)
        return outcome(v, n, e);
    *e = why;
    return -1;
}

static const struct cmd_example examples[] = {
    { "mlcache adopt --volume /models ~/.cache/huggingface/hub",
        "the hub cache of Python tools into a volume beside it" },
    { "mlcache adopt --volume /models ~/.ollama",
        "every model of Ollama, as ollama/NAME/TAG/model.gguf ..." },
    { "mlcache adopt --move --volume /models old/runs",
        "a folder of one's own, as runs/..., which is then empty" },
    { "mlcache adopt --dry-run /mnt/disk/hub", "what is sound there, and what "
                                               "is broken" },
    { NULL, NULL },
};

const struct cmd cmd_adopt = {
    .name = "adopt",
    .args = "SOURCE...",
    .brief = "take over what another program keeps, without copying it",
    .text =
        "SOURCE is a hub cache (or HF_HOME, or one models--ORG--NAME of it), "
        "an Ollama store, a folder of LM Studio, or any folder. Every file is "
        "hashed, on all cores; the sound ones are taken, the broken ones are "
        "listed with their cause and stay where they are. Repositories are "
        "held as if they had been pulled. What is in other folders becomes "
        "put files of --volume: ollama/NAME/TAG/model.gguf (with template, "
        "params, license and the manifest beside it), "
        "lmstudio/PUBLISHER/REPO/FILE, FOLDER/PATH.\n\n"
        "Without an option the bytes are shared where the file system can: "
        "cloned (XFS, btrfs), else linked, else copied. A linked file is one "
        "file with two names: it is made read-only under both, so that no "
        "program writes into what is held by accident; a file of another "
        "user, or one that a program has open for writing, is never linked. "
        "Whoever makes it writable again and changes it changes what is held, "
        "and mlcache verify finds that; --copy and --reflink share nothing. "
        "The other program can go on using its folder.\n\n"
        "With --move a file is removed from SOURCE when all its names are "
        "held and on disk; what is broken stays there. No link is followed "
        "out of SOURCE. What was interrupted goes on where it ended, and what "
        "is held is not taken twice.\n\n"
        "Each line is a revision or a model that was taken; or what was not, "
        "by kind: \"damaged\" (empty, zeroed, another digest), \"missing\" (a "
        "name leads nowhere), \"unfinished\", \"other\" (two of them "
        "disagree), "
        "\"unknown\" (nothing says what it should be), and status 6; "
        "\"unreadable\", and 1; \"unsafe\" (leads outside, no file, a strange "
        "name), \"clash\" (other content has its name here), \"unfit\" (cannot "
        "be linked, cloned or moved, as was asked), \"unmoved\" (held now, but "
        "not removed from SOURCE), and 8. With --json: root, dry_run, sources: "
        "a list of source, kind, adopted (type, repository, "
        "commit, or name; files, new, bytes, broken), broken (kind, path, "
        "name, why), and the numbers of files: taken (with bytes), linked, "
        "cloned, copied, held, left (that nothing names), removed.",
    .opts = opts,
    .opts_size = sizeof(struct adopt_opts),
    .min_args = 1,
    .max_args = -1,
    .run = run,
    .examples = examples,
};
