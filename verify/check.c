#include "verify/check.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/human.h"
#include "base/map.h"
#include "base/path.h"
#include "formats/index.h"
#include "verify/cut.h"
#include "verify/held.h"
#include "verify/int8form.h"
#include "verify/manifested.h"
#include "verify/shards.h"

/* Everything about one target while it is looked at. */
struct work {
    const struct check_env *env;
    struct findings *report;
    struct filelist list;
    struct wfile *weights; /* room for one per file */
    size_t n_weights;
    unsigned flags; /* enum wfile_flags */
    bool has_manifest;
    struct manifest manifest;
    struct arena arena;
    struct hash_jobs jobs; /* files, then tensors, then sums */
    size_t n_file_jobs;
    size_t n_tensor_jobs;
};

static void work_free(struct work *w)
{
    for (size_t i = 0; i < w->n_weights; i++)
        wfile_free(&w->weights[i]);
    free(w->weights);
    filelist_free(&w->list);
    arena_free(&w->arena);
    hash_jobs_free(&w->jobs);
}

static int read_weights(struct work *w, struct err *e)
{
    w->weights = calloc(w->list.n + 1, sizeof(*w->weights));
    if (w->weights == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < w->list.n; i++) {
        struct wfile *x = &w->weights[w->n_weights];

        *x = (struct wfile)WFILE_INIT;
        if (w->list.files[i].index)
            continue;
        if (wfile_read(x, &w->list.files[i], w->flags, w->report))
            w->n_weights++;
        else
            wfile_free(x);
    }
    return 0;
}

static int check_indexes(struct work *w, struct err *e)
{
    for (size_t i = 0; i < w->list.n; i++)
        if (w->list.files[i].index &&
            shards_check(&w->list.files[i], &w->list, w->weights, w->n_weights,
                w->report, e) != 0)
            return -1;
    return 0;
}

/* One job for every kind of digest that somebody promised; else SHA-256. */
static int add_file_jobs(struct work *w, struct err *e)
{
    for (size_t i = 0; i < w->list.n; i++) {
        const struct vfile *f = &w->list.files[i];
        struct hash_job job = { .path = f->path,
            .name = f->name.p,
            .len = f->size,
            .kind = HASH_SHA256,
            .owner = i };
        bool sha256 = f->n_expects == 0, git = false;

        for (size_t k = 0; k < f->n_expects; k++) {
            sha256 |= f->expects[k].digest.kind == HASH_SHA256;
            git |= f->expects[k].digest.kind == HASH_GIT_SHA1;
        }
        if (!f->damaged && sha256 && hash_jobs_add(&w->jobs, &job, e) != 0)
            return -1;
        job.kind = HASH_GIT_SHA1;
        if (!f->damaged && git && hash_jobs_add(&w->jobs, &job, e) != 0)
            return -1;
    }
    w->n_file_jobs = w->jobs.n;
    return 0;
}

static int add_sum_jobs(struct work *w, struct err *e)
{
    for (size_t i = 0; i < w->n_weights; i++) {
        const struct wfile *x = &w->weights[i];

        for (uint64_t k = 0; k < x->n_sums; k++) {
            struct hash_job job = { .path = x->file->path,
                .offset = x->sums[k].at,
                .len = x->sums[k].len,
                .crc = true,
                .owner = i };

            if (hash_jobs_add(&w->jobs, &job, e) != 0)
                return -1;
        }
    }
    return 0;
}

static const char *kind_name(enum hash_kind kind)
{
    return kind == HASH_SHA256 ? "sha256" : "git sha1";
}

static void judge_file(struct work *w, const struct hash_job *job)
{
    const struct vfile *f = &w->list.files[job->owner];
    struct problems bad = PROBLEMS_INIT(w->report, "digest", ERR_CORRUPT);
    const char *by = NULL;
    char size[HUMAN_MAX];

    if (job->why != NULL) {
        findings_fail(w->report, "digest", job->why->kind, "%s", job->why->msg);
        return;
    }
    for (size_t i = 0; i < f->n_expects; i++) {
        const struct expect *x = &f->expects[i];

        if (x->digest.kind != job->kind)
            continue;
        if (digest_eq(&x->digest, &job->out))
            by = by != NULL ? by : x->by;
        else
            problem(&bad, "%.*s: %s is %s, %s says %s", STR_ARG(f->name),
                kind_name(job->kind), job->out.hex, x->by, x->digest.hex);
    }
    if (bad.n == 0)
        findings_ok(w->report, "digest", "%.*s: %s %s, %s%s%s",
            STR_ARG(f->name), kind_name(job->kind), job->out.hex,
            human_size(size, f->size), by != NULL ? ", as promised by " : "",
            by != NULL ? by : "");
}

/* The jobs from first on are those of one file, in the order of its sums. */
static void judge_sums(struct work *w, const struct wfile *x, size_t first)
{
    struct problems bad = PROBLEMS_INIT(w->report, "checksums", ERR_CORRUPT);

    for (uint64_t i = 0; i < x->n_sums; i++) {
        const struct zip_sum *sum = &x->sums[i];
        const struct hash_job *job = &w->jobs.v[first + i];

        if (job->why != NULL)
            problem(&bad, "%s", job->why->msg);
        else if (job->crc_out != sum->crc)
            problem(&bad,
                "%.*s: record %.*s at byte %llu has checksum %08x, the archive "
                "says %08x",
                STR_ARG(x->file->name), STR_ARG(sum->name),
                (unsigned long long)sum->at, job->crc_out, sum->crc);
    }
    problems_end(&bad);
    if (bad.n == 0 && x->n_sums > 0)
        findings_ok(w->report, "checksums",
            "%.*s: %llu records are as the archive says",
            STR_ARG(x->file->name), (unsigned long long)x->n_sums);
}

static void judge(struct work *w)
{
    size_t at = w->n_file_jobs;

    for (size_t i = 0; i < w->n_file_jobs; i++)
        judge_file(w, &w->jobs.v[i]);
    if (w->has_manifest)
        manifested_digests(
            &w->manifest, &w->jobs, at, w->n_tensor_jobs, w->report);
    at += w->n_tensor_jobs;
    for (size_t i = 0; i < w->n_weights; i++) {
        judge_sums(w, &w->weights[i], at);
        at += w->weights[i].n_sums;
    }
}

static int read_bytes(struct work *w, struct err *e)
{
    if (add_file_jobs(w, e) != 0)
        return -1;
    /* Files that are broken were told already; what they hold is no cut. */
    if (w->has_manifest && findings_failed(w->report) == 0 &&
        cut_check(&w->manifest, &w->list, w->weights, w->n_weights, w->report,
            e) != 0)
        return -1;
    if (w->has_manifest && manifested_tensors(&w->manifest, w->weights,
                               w->n_weights, &w->jobs, w->report, e) != 0)
        return -1;
    if (w->has_manifest && str_is(w->manifest.dtype, "int8"))
        int8form_check(w->weights, w->n_weights, w->report);
    w->n_tensor_jobs = w->jobs.n - w->n_file_jobs;
    if (add_sum_jobs(w, e) != 0 ||
        hash_jobs_run(&w->jobs, w->env->pool, w->env->progress, e) != 0)
        return -1;
    judge(w);
    return findings_check(w->report, e);
}

static int check_files(struct work *w, struct err *e)
{
    held_expect_links(&w->list);
    if (read_weights(w, e) != 0 || check_indexes(w, e) != 0)
        return -1;
    return read_bytes(w, e);
}

static int check_folder(struct work *w, const char *folder, struct err *e)
{
    struct err why = ERR_INIT;
    char path[PATH_MAX];

    if (path_join(path, folder, MANIFEST_NAME, e) != 0)
        return -1;
    if (manifest_read(&w->manifest, path, &w->arena, &why) == 0)
        w->has_manifest = true;
    else if (why.kind != ERR_MISSING)
        findings_err(w->report, "manifest", &why);
    /* Dotted folders are company of a download, but extra in our own form. */
    if (filelist_walk(&w->list, folder, w->has_manifest, w->report, e) != 0)
        return -1;
    /* Nothing looked at must not read like nothing found. */
    if (w->list.n == 0)
        findings_fail(w->report, "files", ERR_MISSING, "the folder is empty");
    if (w->has_manifest) {
        w->flags |= WFILE_UNIFORM;
        manifested_files(&w->manifest, path, &w->list, w->report);
    }
    if (held_expect_listing(&w->list, folder, w->report, e) != 0 ||
        check_files(w, e) != 0)
        return -1;
    if (w->n_weights == 0 && findings_failed(w->report) == 0)
        findings_note(w->report, "structure", "there are no weights here");
    return 0;
}

/* An index stands for itself and the shards beside it. */
static int add_shards(struct work *w, const char *path, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(INDEX_BYTES_MAX);
    struct err why = ERR_INIT;
    struct weight_index index;
    char dir[PATH_MAX], shard[PATH_MAX];

    w->list.files[0].index = true;
    if (file_slurp(path, &text, &why) != 0 ||
        index_parse(&index, buf_str(&text), &w->arena, &why) != 0)
        return 0; /* reported when it is held against its shards */
    path_dir(dir, sizeof(dir), path);
    for (uint32_t i = 0; i < index.n_shards; i++) {
        if (path_join(shard, dir, index.shards[i].p, e) != 0)
            return -1;
        if (strcmp(index.shards[i].p, path_base(path)) != 0 &&
            filelist_add(&w->list, shard, index.shards[i].p, &why) != 0)
            err_clear(&why); /* reported as a shard that is not there */
    }
    filelist_sort(&w->list);
    return 0;
}

/* Single files of a converted folder have promises in the manifest there. */
static int expect_beside(struct work *w, const char *path, struct err *e)
{
    char dir[PATH_MAX], name[PATH_MAX];
    struct err why = ERR_INIT;
    struct manifest m;

    path_dir(dir, sizeof(dir), path);
    if (path_join(name, dir, MANIFEST_NAME, e) != 0)
        return -1;
    if (manifest_read(&m, name, &w->arena, &why) != 0)
        return 0;
    for (uint64_t i = 0; i < m.n_files; i++) {
        struct vfile *f = filelist_find(&w->list, m.files[i].name);

        if (f != NULL)
            vfile_expect(f, &m.files[i].sha256, "the manifest");
    }
    return 0;
}

static int check_file(struct work *w, const struct found *found, struct err *e)
{
    enum file_format format = FORMAT_UNKNOWN;
    struct err ignored = ERR_INIT;
    struct map m AUTO(map_close) = MAP_INIT;

    if (filelist_add(&w->list, found->path, path_base(found->path), e) != 0)
        return -1;
    if (found->kind == FOUND_FILE)
        w->flags |= WFILE_ALONE;
    if (map_open(&m, found->path, &ignored) == 0)
        format =
            detect_format(m.p, size_min(m.len, DETECT_HEAD), m.len, &ignored);
    if (format == FORMAT_JSON && found->kind == FOUND_FILE &&
        add_shards(w, found->path, e) != 0)
        return -1;
    if (expect_beside(w, found->path, e) != 0)
        return -1;
    return check_files(w, e);
}

int check_found(const struct check_env *env, const struct found *found,
    struct findings *report, struct err *e)
{
    struct work w AUTO(work_free) = { .env = env,
        .report = report,
        .list = FILELIST_INIT,
        .arena = ARENA_INIT((uint64_t)512 << 20),
        .jobs = HASH_JOBS_INIT };

    if (found->kind == FOUND_FOLDER || found->kind == FOUND_REPO)
        return check_folder(&w, found->path, e);
    return check_file(&w, found, e);
}
