#include <stdio.h>

#include "bucket/proof.h"
#include "cache/commands.h"
#include "cache/look.h"
#include "cache/repair.h"

#include "base/human.h"
#include "base/json.h"

enum { JSON_MAX = 1 << 30, SAMPLES_MAX = 1000000 };

/* A listing of a commit and an entry take about 300 bytes a file. */
#define ARENA_MAX ((uint64_t)16 << 30)

struct verify_opts {
    const char *volume;
    const char *sample;
    bool repair;
    bool json;
};

static const struct opt opts[] = {
    { .name = "volume",
        .type = OPT_STR,
        .at = offsetof(struct verify_opts, volume),
        .arg = "VOLUME",
        .help = "check this volume, not the hub cache; also s3://..." },
    { .name = "sample",
        .type = OPT_STR,
        .at = offsetof(struct verify_opts, sample),
        .arg = "N/T",
        .help = "hash the N-th of T parts only; the T parts together are "
                "everything" },
    { .name = "repair",
        .type = OPT_FLAG,
        .at = offsetof(struct verify_opts, repair),
        .help =
            "fetch again what is wrong, and nothing else (runs mlfetch); in "
            "s3://...: a damaged ref falls back to what is whole" },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct verify_opts, json),
        .help = "print one JSON document: root, checked, bytes, resumed, "
                "unreadable, unknown, wrong" },
    OPT_END,
};

static const char *const kinds[] = {
    [WRONG_DAMAGED] = "damaged",
    [WRONG_UNREAD] = "unreadable",
    [WRONG_MISSING] = "missing",
    [WRONG_OTHER] = "other",
    [WRONG_REF] = "ref",
};

/* "3/10": the digits of a number, and what is behind it. */
static const char *number(const char *text, uint64_t *out)
{
    *out = 0;
    while (*text >= '0' && *text <= '9' && *out <= SAMPLES_MAX)
        *out = 10 * *out + (uint64_t)(*text++ - '0');
    return text;
}

static int parse_sample(struct verify *v, const char *text, struct err *e)
{
    const char *at;

    if (text == NULL)
        return 0;
    at = number(text, &v->sample);
    if (*at == '/')
        at = number(at + 1, &v->samples);
    if (*at == '\0' && v->sample >= 1 && v->sample <= v->samples &&
        v->samples <= SAMPLES_MAX)
        return 0;
    err_set(e, ERR_USAGE, "--sample %s: not N/T with N from 1 to T", text);
    return err_hint(e, "--sample 3/10 is the third tenth");
}

static const char *place_root(const struct place *p)
{
    return p->has_volume ? p->volume.root : p->hub.root;
}

static void json_text(struct buf *b, const char *key, struct str text)
{
    buf_printf(b, ", \"%s\": ", key);
    if (text.len > 0)
        json_quote(b, text);
    else
        buf_puts(b, "null");
}

static void json_wrong(struct buf *b, const struct wrong *w)
{
    buf_printf(b, "{\"kind\": \"%s\"", kinds[w->kind]);
    json_text(b, "type",
        str_of(w->repo != NULL ? repo_type_names[w->repo->type] : ""));
    json_text(b, "repository", str_of(w->repo != NULL ? w->repo->id : ""));
    json_text(b, "commit", w->commit);
    json_text(b, "name", w->name);
    json_text(b, "digest", str_of(w->digest.hex));
    json_text(b, "why", w->why);
    json_text(b, "path", w->path);
    json_text(b, "moved_to", w->moved);
    buf_printf(b, ", \"names\": %llu, \"repaired\": %s}",
        (unsigned long long)w->names, w->repaired ? "true" : "false");
}

static void put_json(struct buf *b, const struct verify *v)
{
    buf_puts(b, "{\"root\": ");
    json_quote(b, str_of(place_root(v->place)));
    buf_printf(b,
        ", \"checked\": %llu, \"bytes\": %llu, \"resumed\": %llu, "
        "\"unreadable\": %llu, \"unknown\": %llu, \"wrong\": [",
        (unsigned long long)v->checked, (unsigned long long)v->checked_bytes,
        (unsigned long long)v->resumed, (unsigned long long)v->unreadable,
        (unsigned long long)v->census.unknown);
    for (uint64_t i = 0; i < v->n_wrong; i++) {
        buf_puts(b, i > 0 ? ",\n  " : "\n  ");
        json_wrong(b, &v->wrong[i]);
    }
    buf_puts(b, "]}\n");
}

static void put_wrong(struct buf *b, const struct wrong *w)
{
    char name[192];

    buf_printf(b, "%s  ", w->repaired ? "repaired" : kinds[w->kind]);
    if (w->repo != NULL)
        buf_puts(b, look_name(w->repo, name));
    if (w->commit.len > 0)
        buf_printf(b, "@%.12s", w->commit.p);
    buf_puts(b, w->repo != NULL ? "  " : "");
    buf_visible(b, w->name);
    if (w->names > 1)
        buf_printf(
            b, " (and %llu names more)", (unsigned long long)(w->names - 1));
    if (w->names == 0 && !w->converted)
        buf_puts(b, " (nobody needs it)");
    buf_puts(b, ": ");
    buf_visible(b, w->why);
    if (w->moved.len > 0) {
        buf_puts(b, "; moved to ");
        buf_visible(b, w->moved);
    }
    buf_putc(b, '\n');
}

static void put_text(struct buf *b, const struct verify *v)
{
    char size[HUMAN_MAX];

    for (uint64_t i = 0; i < v->n_wrong; i++)
        put_wrong(b, &v->wrong[i]);
    buf_printf(b, "%llu objects, %s hashed", (unsigned long long)v->checked,
        human_size(size, v->checked_bytes));
    if (v->resumed > 0)
        buf_printf(b, ", %llu found right before it was interrupted",
            (unsigned long long)v->resumed);
    if (v->census.unknown > 0)
        buf_printf(b, ", %llu without a recorded digest",
            (unsigned long long)v->census.unknown);
    buf_printf(b, ": %s\n", v->n_wrong == 0 ? "all right" : "not all right");
}

/* What the exit status is about. */
static int outcome(
    const struct verify *v, bool repaired, const struct err *why, struct err *e)
{
    uint64_t left = repaired ? verify_left(v) : v->n_wrong;

    if (left > 0 && why->kind != ERR_NONE) {
        *e = *why;
        return -1;
    }
    if (left > 0) {
        err_set(e, ERR_CORRUPT, "%s: %llu %s wrong", place_root(v->place),
            (unsigned long long)left, left == 1 ? "thing is" : "things are");
        if (!repaired)
            return err_hint(
                e, "mlcache verify --repair fetches again what a hub has");
        for (uint64_t i = 0; i < v->n_wrong; i++)
            if (v->wrong[i].content)
                return err_hint(
                    e, "put files are mended by putting them again");
        return -1;
    }
    if (v->unreadable > 0)
        return err_set(e, ERR_IO, "%s: %llu objects could not be looked at",
            place_root(v->place), (unsigned long long)v->unreadable);
    return 0;
}

static const char *const proof_kinds[] = {
    [PROOF_DAMAGED] = "damaged",
    [PROOF_MISSING] = "missing",
    [PROOF_REF] = "ref",
    [PROOF_UNREAD] = "unreadable",
};

static void proof_json(struct buf *b, const struct proof *p)
{
    buf_puts(b, "{\"root\": ");
    json_quote(b, str_of(p->b->shown));
    buf_printf(b,
        ", \"checked\": %llu, \"bytes\": %llu, \"resumed\": 0, "
        "\"unreadable\": %llu, \"unknown\": 0, \"wrong\": [",
        (unsigned long long)p->checked, (unsigned long long)p->checked_bytes,
        (unsigned long long)p->unread);
    for (uint64_t i = 0; i < p->n_wrong; i++) {
        const struct proof_wrong *x = &p->wrong[i];
        const struct need *n = x->need;

        buf_printf(b, "%s{\"kind\": \"%s\", \"type\": null",
            i > 0 ? ",\n  " : "\n  ", proof_kinds[x->kind]);
        json_text(b, "repository", str_of(""));
        json_text(b, "commit", str_of(""));
        json_text(b, "ref", x->ref);
        json_text(b, "name", n != NULL ? n->name : x->ref);
        json_text(b, "digest", str_of(n != NULL ? n->sha256.hex : ""));
        json_text(b, "why", x->why);
        json_text(b, "path", str_of(""));
        json_text(b, "moved_to", x->moved);
        buf_printf(b, ", \"names\": %llu, \"repaired\": %s",
            (unsigned long long)(n != NULL ? n->names : 0),
            x->mended ? "true" : "false");
        if (x->mended)
            buf_printf(b, ", \"step\": %llu, \"date\": %lld, \"last\": %s",
                (unsigned long long)x->to.number, (long long)x->to.when,
                x->to.last ? "true" : "false");
        buf_puts(b, "}");
    }
    buf_puts(b, "]}\n");
}

static void proof_mended(struct buf *b, const struct mended *m)
{
    char date[HUMAN_MAX];

    buf_printf(b, "; repaired: as it was after step %llu (%s, %llu %s)%s",
        (unsigned long long)m->number, human_date(date, m->when),
        (unsigned long long)m->files, m->files == 1 ? "file" : "files",
        m->last ? ", which was the last" : "; what came later is lost");
}

static void proof_text(struct buf *b, const struct proof *p)
{
    char size[HUMAN_MAX];

    for (uint64_t i = 0; i < p->n_wrong; i++) {
        const struct proof_wrong *x = &p->wrong[i];

        buf_printf(b, "%s  ", proof_kinds[x->kind]);
        buf_visible(b, x->ref);
        if (x->need != NULL && x->need->name.len > 0) {
            buf_puts(b, "  ");
            buf_visible(b, x->need->name);
        }
        if (x->need != NULL && x->need->names > 1)
            buf_printf(b, " (and %llu names more)",
                (unsigned long long)(x->need->names - 1));
        buf_puts(b, ": ");
        buf_visible(b, x->why);
        if (x->moved.len > 0) {
            buf_puts(b, "; moved to ");
            buf_visible(b, x->moved);
        }
        if (x->mended)
            proof_mended(b, &x->to);
        buf_putc(b, '\n');
    }
    buf_printf(b, "%llu objects, %s hashed: %s\n",
        (unsigned long long)p->checked, human_size(size, p->checked_bytes),
        p->n_wrong == 0 ? "all right" : "not all right");
}

/* What is as it was before is not wrong any more. */
static int proof_outcome(const struct proof *p, struct err *e)
{
    uint64_t left = 0, refs = 0;

    for (uint64_t i = 0; i < p->n_wrong; i++) {
        left += p->wrong[i].kind != PROOF_UNREAD &&
                (!p->wrong[i].mended || !p->wrong[i].to.last);
        refs += p->wrong[i].kind == PROOF_REF && !p->wrong[i].mended;
    }
    if (left == 0 && p->unread > 0)
        return err_set(e, ERR_IO, "%s: %llu %s could not be read", p->b->shown,
            (unsigned long long)p->unread,
            p->unread == 1 ? "object" : "objects");
    if (left == 0)
        return 0;
    err_set(e, ERR_CORRUPT, "%s: %llu %s wrong", p->b->shown,
        (unsigned long long)left, left == 1 ? "thing is" : "things are");
    if (refs > 0 && !p->repair)
        return err_hint(e,
            "with --repair a damaged ref falls back to the last that is "
            "whole");
    return err_hint(e, "put the files again, pull the repositories again");
}

static int prove_bucket(const struct cmd_ctx *ctx, const struct verify_opts *o,
    int argc, struct arena *arena, struct err *e)
{
    struct bucket bucket AUTO(bucket_close) = BUCKET_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(JSON_MAX);
    struct proof p = { .b = &bucket,
        .progress = ctx->progress,
        .repair = o->repair,
        .arena = arena };
    struct err ignored = ERR_INIT;
    int rc;

    if (argc > 0 || o->sample != NULL)
        return err_set(e, ERR_USAGE,
            "%s: all of it is checked: REF and --sample are for a volume or "
            "cache of this machine",
            o->volume);
    if (bucket_open(&bucket, o->volume, e) != 0)
        return -1;
    rc = proof_run(&p, e);
    if (rc != 0 && p.n_wrong == 0)
        return -1;
    if (o->json)
        proof_json(&b, &p);
    else
        proof_text(&b, &p);
    if (rc != 0)
        return cmd_print(&b, &ignored) != 0 ? -1 : rc;
    return cmd_print(&b, e) != 0 ? -1 : proof_outcome(&p, e);
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct verify_opts *o = values;
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    struct buf b AUTO(buf_free) = BUF_INIT(JSON_MAX);
    struct err why = ERR_INIT;
    struct target *targets;
    struct place place;
    struct verify v = {
        .place = &place, .n_targets = (size_t)argc, .progress = ctx->progress
    };

    if (o->volume != NULL && bucket_is(o->volume))
        return prove_bucket(ctx, o, argc, &arena, e);
    if (parse_sample(&v, o->sample, e) != 0 ||
        place_targets(
            &place, o->volume, argv, (size_t)argc, &targets, &arena, e) != 0)
        return -1;
    v.targets = targets;
    if (verify_run(&v, &arena, e) != 0)
        return -1;
    if (o->repair && v.n_wrong > 0)
        repair_run(&v, ctx->quiet, &why);
    if (o->json)
        put_json(&b, &v);
    else
        put_text(&b, &v);
    if (cmd_print(&b, e) != 0)
        return -1;
    return outcome(&v, o->repair, &why, e);
}

static const struct cmd_example examples[] = {
    { "mlcache verify", "everything in the hub cache" },
    { "mlcache verify --repair EleutherAI/pythia-1b",
        "one repository; what is wrong is fetched again" },
    { "mlcache verify --volume /models --sample 3/7",
        "a seventh of a volume, for every day of the week" },
    { NULL, NULL },
};

const struct cmd cmd_verify = {
    .name = "verify",
    .args = "[REF...]",
    .brief = "hash what is held, and move aside what is wrong",
    .text =
        "Reads every stored object on all cores and compares its digest with "
        "its name: blobs of the hub cache, files put into a volume, files of "
        "conversions. REF is ORG/NAME[@REVISION], NAME of a put file, or "
        "VOLUME:NAME; without one all is checked. Status 6 when something is "
        "wrong.\n\n"
        "What is wrong is moved aside, into ml/quarantine/ of its repository "
        "or quarantine/ of the volume, and never deleted. Its names lead "
        "nowhere from then on, so that the next mlfetch pull fetches it, and "
        "nobody loads it meanwhile. With --repair that is done at once: "
        "mlfetch fetches the files concerned, and nothing else; the status is "
        "0 when nothing is missing any more. A damaged conversion is made "
        "anew when it is next asked for; a put file has to be put again.\n\n"
        "Of s3://BUCKET/PREFIX all content that a name leads to is read from "
        "the store; what is wrong is moved to quarantine/ there, and comes "
        "back by "
        "putting or pulling it again. With --repair a ref that is damaged, "
        "or whose catalog is, means again what it did by the last catalog "
        "that is whole; the line says which, and whether later changes are "
        "lost (status 6), and then all is checked.\n\n"
        "A check that was interrupted goes on where it ended, if what it had "
        "found right was not touched since, for a week.\n\n"
        "Each line is an object or a name: \"damaged\", \"unreadable\" (the "
        "disk could not read it, or the store does not hand it out), "
        "\"missing\" (a name leads nowhere), "
        "\"other\" (it leads to other content than its "
        "commit's listing says), \"ref\" (a branch names no commit; in "
        "s3://... a ref is damaged), "
        "\"repaired\". With --json: root, checked (objects), bytes, resumed "
        "(right before the interruption), unreadable, unknown (files without "
        "a recorded digest), wrong: a list of kind, type, repository, commit, "
        "name, digest, why, path, moved_to, names (that need it), repaired; "
        "of s3://... also ref, and of a repaired one step, date (seconds "
        "since 1970) and last (nothing later is lost).",
    .opts = opts,
    .opts_size = sizeof(struct verify_opts),
    .max_args = -1,
    .run = run,
    .examples = examples,
};
