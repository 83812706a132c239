#include "verify/manifested.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/sign.h"

/*
 * What is written from what was read must be the file again: then no byte
 * of it is without meaning, and its seal covers all the others.
 */
static void check_seal(
    const struct manifest *m, const char *path, struct findings *report)
{
    struct buf found AUTO(buf_free) = BUF_INIT(MANIFEST_BYTES_MAX);
    struct buf again AUTO(buf_free) = BUF_INIT(MANIFEST_BYTES_MAX);
    struct err why = ERR_INIT;
    size_t at = 0;

    if (file_slurp(path, &found, &why) != 0 ||
        manifest_write(&again, m, &why) != 0) {
        findings_err(report, "manifest", &why);
        return;
    }
    while (at < found.len && at < again.len && found.p[at] == again.p[at])
        at++;
    if (at < found.len || at < again.len)
        findings_fail(report, "manifest", ERR_CORRUPT,
            "%s: was changed after it was written, see byte %zu", MANIFEST_NAME,
            at);
}

static int by_file_name(const void *a, const void *b)
{
    return str_cmp(((const struct manifest_file *)a)->name,
        ((const struct manifest_file *)b)->name);
}

static void expect(
    const struct manifest_file *want, struct vfile *f, struct problems *bad)
{
    if (f == NULL) {
        problem(bad, "%.*s: is listed in %s and not there", STR_ARG(want->name),
            MANIFEST_NAME);
    } else if (f->size != want->size) {
        problem(bad, "%.*s: has %llu bytes, %s says %llu", STR_ARG(want->name),
            (unsigned long long)f->size, MANIFEST_NAME,
            (unsigned long long)want->size);
        f->damaged = true;
    } else {
        vfile_expect(f, &want->sha256, "the manifest");
    }
}

void manifested_files(const struct manifest *m, const char *path,
    struct filelist *l, struct findings *report)
{
    struct problems bad = PROBLEMS_INIT(report, "manifest", ERR_CORRUPT);
    size_t before = findings_failed(report);

    check_seal(m, path, report);
    if (m->n_files > 1)
        qsort(m->files, m->n_files, sizeof(*m->files), by_file_name);
    for (uint64_t i = 0; i < m->n_files; i++)
        expect(&m->files[i], filelist_find(l, m->files[i].name), &bad);
    for (size_t i = 0; i < l->n; i++) {
        struct manifest_file key = { .name = l->files[i].name };

        /* No file can list its own digest, nor that of its signature. */
        if (str_is(key.name, MANIFEST_NAME) ||
            str_is(key.name, MANIFEST_NAME SIGN_SUFFIX))
            continue;
        if (m->n_files == 0 || bsearch(&key, m->files, m->n_files, sizeof(key),
                                   by_file_name) == NULL)
            problem(&bad, "%.*s: is here and not listed in %s",
                STR_ARG(key.name), MANIFEST_NAME);
    }
    problems_end(&bad);
    if (findings_failed(report) == before)
        findings_ok(report, "manifest",
            "%s: lists all %llu files and no others, written by %.*s",
            MANIFEST_NAME, (unsigned long long)m->n_files, STR_ARG(m->tool));
}

static int by_tensor_name(const void *a, const void *b)
{
    return str_cmp(((const struct manifest_tensor *)a)->name,
        ((const struct manifest_tensor *)b)->name);
}

static const struct manifest_tensor *find(
    const struct manifest *m, struct str name)
{
    struct manifest_tensor key = { .name = name };

    if (m->n_tensors == 0)
        return NULL;
    return bsearch(&key, m->tensors, m->n_tensors, sizeof(key), by_tensor_name);
}

static bool same_shape(
    const struct manifest_tensor *want, const struct tensor *t)
{
    return want->dtype == t->dtype && want->rank == t->rank &&
           (t->rank == 0 ||
               memcmp(want->shape, t->shape, t->rank * sizeof(*t->shape)) == 0);
}

static int check_tensor(const struct manifest *m, const struct wfile *w,
    const struct tensor *t, struct hash_jobs *jobs, struct problems *bad,
    struct err *e)
{
    const struct manifest_tensor *want = find(m, t->name);
    struct hash_job job = { .path = w->file->path,
        .offset = t->offset,
        .len = tensor_bytes(t),
        .kind = HASH_SHA256 };
    char shape[256];

    if (want == NULL) {
        problem(bad, "%.*s: tensor '%.*s' is not in %s", STR_ARG(w->file->name),
            STR_ARG(t->name), MANIFEST_NAME);
        return 0;
    }
    if (!same_shape(want, t)) {
        problem(bad, "%.*s: tensor '%.*s' is %s %s, not what %s says",
            STR_ARG(w->file->name), STR_ARG(t->name), dtype_name(t->dtype),
            tensor_shape_text(shape, sizeof(shape), t), MANIFEST_NAME);
        return 0;
    }
    job.owner = (size_t)(want - m->tensors);
    return hash_jobs_add(jobs, &job, e);
}

static void check_aliases(const struct manifest *m, struct problems *bad)
{
    for (uint64_t i = 0; i < m->n_aliases; i++) {
        const struct manifest_alias *a = &m->aliases[i];

        if (find(m, a->name) != NULL)
            problem(bad, "%s: '%.*s' is an alias and a tensor as well",
                MANIFEST_NAME, STR_ARG(a->name));
        if (find(m, a->of) == NULL)
            problem(bad,
                "%s: alias '%.*s' stands for '%.*s', which is no "
                "tensor",
                MANIFEST_NAME, STR_ARG(a->name), STR_ARG(a->of));
    }
}

/* All of the manifest's tensors are in one of the files. */
static void check_complete(const struct manifest *m,
    const struct wfile *weights, size_t n, struct problems *bad)
{
    for (uint64_t i = 0; i < m->n_tensors; i++) {
        bool there = false;

        for (size_t k = 0; k < n && !there; k++)
            there = wfile_find(&weights[k], m->tensors[i].name) != NULL;
        if (!there)
            problem(bad, "%s: tensor '%.*s' is in none of the files",
                MANIFEST_NAME, STR_ARG(m->tensors[i].name));
    }
}

int manifested_tensors(const struct manifest *m, const struct wfile *weights,
    size_t n, struct hash_jobs *jobs, struct findings *report, struct err *e)
{
    struct problems bad = PROBLEMS_INIT(report, "manifest", ERR_CORRUPT);

    if (m->n_tensors > 1)
        qsort(m->tensors, m->n_tensors, sizeof(*m->tensors), by_tensor_name);
    for (size_t i = 0; i < n; i++)
        for (uint64_t k = 0; k < weights[i].n; k++)
            if (check_tensor(
                    m, &weights[i], &weights[i].tensors[k], jobs, &bad, e) != 0)
                return -1;
    check_complete(m, weights, n, &bad);
    check_aliases(m, &bad);
    problems_end(&bad);
    return 0;
}

void manifested_digests(const struct manifest *m, const struct hash_jobs *jobs,
    size_t first, size_t n, struct findings *report)
{
    struct problems bad = PROBLEMS_INIT(report, "tensors", ERR_CORRUPT);

    for (size_t i = 0; i < n; i++) {
        const struct hash_job *job = &jobs->v[first + i];
        const struct manifest_tensor *t = &m->tensors[job->owner];

        if (job->why != NULL)
            problem(&bad, "tensor '%.*s': %s", STR_ARG(t->name), job->why->msg);
        else if (!digest_eq(&job->out, &t->sha256))
            problem(&bad,
                "tensor '%.*s' at byte %llu of %s: sha256 is %s, the manifest "
                "says %s",
                STR_ARG(t->name), (unsigned long long)job->offset, job->path,
                job->out.hex, t->sha256.hex);
    }
    problems_end(&bad);
    if (bad.n == 0)
        findings_ok(report, "tensors",
            "%zu tensors have the digests of the manifest", n);
}
