#include "convert/convert.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/human.h"
#include "base/log.h"
#include "base/path.h"
#include "base/version.h"
#include "convert/company.h"
#include "convert/folder.h"
#include "convert/page.h"
#include "convert/pipeline.h"
#include "convert/shard.h"
#include "convert/verdict.h"
#include "formats/index.h"

/* What one conversion has open. */
struct convert {
    const struct convert_opts *o;
    struct found found;
    struct checkpoint c;
    struct renames renames;
    struct sources sources;
    struct layout layout;
    struct shards shards;
    struct layers layers; /* for a report */
    char path[PATH_MAX];  /* of the folder to make */
    bool replace;         /* what stands there */
    struct pipeline_result made;
    struct verdict verdict;
    struct manifest_file *files; /* in the new folder */
    uint64_t n_files;
};

static void convert_free(struct convert *v)
{
    layers_free(&v->layers);
    shards_free(&v->shards);
    layout_free(&v->layout);
    sources_free(&v->sources);
    checkpoint_close(&v->c);
    renames_free(&v->renames);
}

static int open_source(struct convert *v, struct err *e)
{
    struct checkpoint_opts opts = { .select = v->o->recipe.select };

    if (find_model(v->o->source, v->o->volume, &v->found, e) != 0)
        return -1;
    if (v->o->out == NULL && v->found.converted[0] == '\0') {
        err_set(e, ERR_USAGE, "%s: no place to keep the result", v->o->source);
        return err_hint(e, "name a folder for it: -o OUT");
    }
    if (v->o->out != NULL &&
        folder_check(v->o->out, v->found.path, v->o->force, e) != 0)
        return -1;
    if (checkpoint_open(&v->c, v->found.path, &opts, e) != 0 ||
        renames_apply(&v->renames, &v->c, v->o->recipe.rename, e) != 0)
        return -1;
    if (sources_list(&v->sources, &v->c, &v->found, e) != 0)
        return -1;
    if (v->o->digests != DIGESTS_ALL && v->o->out != NULL)
        sources_skip(&v->sources);
    return 0;
}

/* Its content is for mlverify to check; that it is there, is not. */
static int check_held(
    const char *folder, const struct manifest_file *f, struct err *e)
{
    char path[PATH_MAX];
    struct stat st;

    if (path_join(path, folder, f->name.p, e) != 0)
        return -1;
    if (stat(path, &st) != 0)
        return err_sys(e, "%s", path);
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != f->size)
        return err_set(
            e, ERR_CORRUPT, "%s: not the size it was made with", path);
    return 0;
}

static void note_weights(
    struct convert_result *out, const struct manifest_file *f)
{
    if (!str_ends(f->name, ".safetensors"))
        return;
    if (str_is(f->name, CONVERT_WEIGHTS))
        out->sha256 = f->sha256;
    out->size += f->size;
    out->n_files++;
}

static int read_held(
    const char *path, struct convert_result *out, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT((uint64_t)1 << 30);
    char name[PATH_MAX];
    struct manifest m;

    if (path_join(name, path, MANIFEST_NAME, e) != 0 ||
        manifest_read(&m, name, &arena, e) != 0)
        return -1;
    out->n_tensors = m.n_tensors;
    out->n_aliases = m.n_aliases;
    for (uint64_t i = 0; i < m.n_files; i++) {
        if (check_held(path, &m.files[i], e) != 0)
            return -1;
        note_weights(out, &m.files[i]);
    }
    out->held = true;
    return path_fmt(out->path, e, "%s", path);
}

/* Where the result goes; out->held when it is there already, and whole. */
static int choose_path(
    struct convert *v, struct convert_result *out, struct err *e)
{
    struct err why = ERR_INIT;
    char key[33];

    v->replace = v->o->force;
    if (v->o->out != NULL)
        return path_fmt(v->path, e, "%s", v->o->out);
    if (sources_step(&v->sources, UINT64_MAX, e) != 0 ||
        sources_key(&v->sources, &v->o->recipe, key, e) != 0 ||
        path_join(v->path, v->found.converted, key, e) != 0)
        return -1;
    if (access(v->path, F_OK) != 0)
        return 0;
    if (v->o->report != NULL) {
        v->replace = true;
        return 0;
    }
    if (read_held(v->path, out, &why) == 0)
        return 0;
    *out = (struct convert_result){ .held = false };
    if (why.kind == ERR_NOMEM)
        return err_set(e, ERR_NOMEM, "%s", why.msg);
    log_warn(
        "the conversion that is kept is damaged and made anew: %s", why.msg);
    v->replace = true;
    return 0;
}

static int check_space(const struct convert *v, struct err *e)
{
    uint64_t need = v->shards.file_size, room;
    char want[HUMAN_MAX], have[HUMAN_MAX];

    for (uint64_t i = 0; i < v->sources.n; i++)
        if (i >= v->c.n_files)
            need += v->sources.v[i].file.size;
    if (dir_free_space(v->path, &room, e) != 0)
        return -1;
    if (need <= room)
        return 0;
    return err_set(e, ERR_NOSPACE, "%s: needs %s, the disk has %s left",
        v->path, human_size(want, need), human_size(have, room));
}

/* What became of the values; a failure when they may not overflow. */
static int judge(struct convert *v, struct err *e)
{
    const struct recipe *r = &v->o->recipe;

    verdict_make(&v->verdict, &v->layout, r, v->made.audits);
    verdict_log(&v->verdict, &v->layout, r, v->made.audits);
    if (!v->made.refused)
        return 0;
    return verdict_refuse(
        &v->verdict, v->made.audits, &v->layout, r, v->found.path, e);
}

static struct manifest_file *new_file(struct convert *v, const char *name)
{
    struct manifest_file *f = &v->files[v->n_files++];

    f->name = str_of(name);
    return f;
}

static int write_shard(struct convert *v, const struct shard *s,
    const struct folder *folder, struct pool *pool, uint64_t rest,
    struct progress_item *item, struct err *e)
{
    struct file_new f AUTO(file_new_abandon) = FILE_NEW_INIT;
    bool none = v->o->digests == DIGESTS_NONE;
    struct pipeline_result made = { .unhashed = none,
        .tensors = none ? NULL : v->made.tensors + s->first,
        .audits = v->made.audits + s->first,
        .spectra = v->layers.n > 0 ? v->layers.spectra + s->first : NULL,
        .refused = v->made.refused };
    struct manifest_file *file;
    char path[PATH_MAX];

    if (path_join(path, folder->tmp, s->name, e) != 0 ||
        file_new_begin(&f, path, e) != 0 ||
        pipeline_run(&v->c, &s->part, &v->o->recipe, &v->sources, pool, f.fd,
            path, rest, item, &made, e) != 0)
        return -1;
    v->made.refused = made.refused;
    if (made.refused)
        return 0;
    file = new_file(v, s->name);
    file->size = s->part.file_size;
    file->sha256 = made.file;
    return file_new_commit(&f, 0644, e);
}

static int write_weights(struct convert *v, const struct folder *folder,
    struct pool *pool, struct err *e)
{
    struct progress *display AUTO(progress_close_auto) =
        progress_open(v->o->progress, "converting", v->shards.file_size, e);
    uint64_t rest = v->shards.file_size;

    if (display == NULL)
        return -1;
    for (uint64_t i = 0; i < v->shards.n; i++) {
        const struct shard *s = &v->shards.v[i];
        struct progress_item *item =
            progress_item(display, s->name, s->part.file_size);

        if (write_shard(v, s, folder, pool, rest, item, e) != 0)
            return -1;
        progress_done(item);
        rest -= s->part.file_size;
    }
    return judge(v, e);
}

static int write_index(
    struct convert *v, const struct folder *folder, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(INDEX_BYTES_MAX);
    struct manifest_file *f;
    char path[PATH_MAX];

    if (v->shards.n == 1)
        return 0;
    f = new_file(v, SHARD_INDEX);
    if (shards_index(&v->shards, &text, e) != 0 ||
        hash_bytes(HASH_SHA256, text.p, text.len, &f->sha256, e) != 0 ||
        path_join(path, folder->tmp, SHARD_INDEX, e) != 0)
        return -1;
    f->size = text.len;
    return file_put(path, text.p, text.len, 0644, e);
}

static struct manifest_file *source_files(struct convert *v, struct err *e)
{
    struct manifest_file *files =
        arena_alloc(&v->layout.arena, v->sources.n, sizeof(*files), e);

    for (uint64_t i = 0; files != NULL && i < v->sources.n; i++)
        files[i] = v->sources.v[i].file;
    return files;
}

static int fill_manifest(struct manifest *m, struct convert *v, struct err *e)
{
    struct arena *a = &v->layout.arena;
    const struct recipe *r = &v->o->recipe;

    *m = (struct manifest){ .tool = str_of("mlconvert " ML_VERSION),
        .repository = str_of(v->found.repository),
        .commit = str_of(v->found.commit),
        .dtype = str_of(recipe_dtype(r)),
        .on_overflow =
            str_of(r->on_overflow == OVERFLOW_ERROR ? "" : recipe_policy(r)),
        .select = str_of(r->select != NULL ? r->select : ""),
        .rename = str_of(recipe_rename(r)),
        .shard_size = r->shard_size,
        .files = v->files,
        .n_files = v->n_files,
        .aliases = v->layout.aliases,
        .n_aliases = v->layout.n_aliases,
        .renames = v->renames.v,
        .n_renames = v->renames.n };
    m->sources = source_files(v, e);
    m->n_sources = v->sources.n;
    m->tensors = arena_alloc(a, v->layout.n, sizeof(*m->tensors), e);
    if (m->sources == NULL || m->tensors == NULL)
        return -1;
    for (; m->n_tensors < v->layout.n; m->n_tensors++) {
        const struct tensor *t = &v->layout.out[m->n_tensors];
        m->tensors[m->n_tensors] = (struct manifest_tensor){ .name = t->name,
            .dtype = t->dtype,
            .rank = t->rank,
            .shape = t->shape,
            .sha256 = v->made.tensors[m->n_tensors] };
    }
    return 0;
}

/*
 * Whether there can be a manifest is known before any digest is: all are of
 * one length. The few files that are not listed yet are asked at the end.
 */
static int check_manifest(struct convert *v, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(MANIFEST_BYTES_MAX);
    struct digest any = { .kind = HASH_SHA256 };
    struct manifest m;

    if (v->o->digests == DIGESTS_NONE)
        return 0;
    memset(any.hex, '0', 64);
    v->made.tensors =
        arena_alloc(&v->layout.arena, v->layout.n, sizeof(*v->made.tensors), e);
    if (v->made.tensors == NULL)
        return -1;
    for (uint64_t i = 0; i < v->layout.n; i++)
        v->made.tensors[i] = any;
    if (fill_manifest(&m, v, e) != 0 || manifest_write(&text, &m, e) != 0) {
        err_ctx(e, "%s: too many tensors", v->found.path);
        return -1;
    }
    return 0;
}

static int put_manifest(
    struct convert *v, const struct folder *folder, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(MANIFEST_BYTES_MAX);
    struct manifest m;
    char path[PATH_MAX];

    if (fill_manifest(&m, v, e) != 0 || manifest_write(&text, &m, e) != 0 ||
        path_join(path, folder->tmp, MANIFEST_NAME, e) != 0)
        return -1;
    return file_put(path, text.p, text.len, 0644, e);
}

static int build(struct convert *v, struct pool *pool, struct err *e)
{
    struct folder folder AUTO(folder_abandon) = FOLDER_INIT;
    struct arena *a = &v->layout.arena;
    uint64_t n;

    v->made.audits = arena_alloc(a, v->layout.n, sizeof(*v->made.audits), e);
    v->files =
        arena_alloc(a, v->shards.n + 1 + COMPANY_MAX, sizeof(*v->files), e);
    if (e->kind != ERR_NONE || folder_begin(&folder, v->path, e) != 0 ||
        write_weights(v, &folder, pool, e) != 0 ||
        write_index(v, &folder, e) != 0)
        return -1;
    if (company_carry(&v->c, &v->o->recipe, folder.tmp, v->files + v->n_files,
            &n, e) != 0)
        return -1;
    v->n_files += n;
    if (sources_check(&v->sources, e) != 0)
        return -1;
    if (v->o->digests != DIGESTS_NONE && put_manifest(v, &folder, e) != 0)
        return -1;
    if (folder_commit(&folder, v->replace, e) == 0)
        return 0;
    /* Under a key, whoever was first has made the very same. */
    if (e->kind != ERR_BUSY || v->o->out != NULL)
        return -1;
    err_clear(e);
    return 0;
}

/* A report must not spoil what it is about. */
static int check_report(const struct convert *v, struct err *e)
{
    const char *path = v->o->report;
    char folder[PATH_MAX];
    struct stat st;

    if (path == NULL)
        return 0;
    if (*path_base(path) == '\0')
        return err_set(e, ERR_USAGE, "'%s': no name for a report", path);
    path_dir(folder, sizeof(folder), path);
    if (stat(folder, &st) != 0)
        return err_sys(e, "%s", folder);
    if (folder_holds(v->path, path))
        return err_set(e, ERR_USAGE,
            "%s: a report cannot be part of the folder it is about", path);
    if (access(folder, W_OK) != 0)
        return err_sys(e, "%s", folder);
    if (stat(path, &st) != 0)
        return 0;
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_USAGE, "%s: is there, and no file", path);
    for (uint64_t i = 0; i < v->sources.n; i++)
        if (st.st_dev == v->sources.v[i].seen.st_dev &&
            st.st_ino == v->sources.v[i].seen.st_ino)
            return err_set(
                e, ERR_USAGE, "%s: is a source of this conversion", path);
    return 0;
}

static int put_report(struct convert *v, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT((size_t)64 << 20);
    struct page r = { .source = v->o->source,
        .repository = v->found.repository,
        .commit = v->found.commit,
        .recipe = &v->o->recipe,
        .layout = &v->layout,
        .layers = &v->layers,
        .audits = v->made.audits,
        .verdict = &v->verdict,
        .renames = &v->renames,
        .n_sources = v->sources.n,
        .files = v->files,
        .n_files = v->n_files,
        .refused = v->made.refused };

    if (v->o->report == NULL)
        return 0;
    r.sources = source_files(v, e);
    if (r.sources == NULL || page_write(&text, &r, e) != 0)
        return -1;
    return file_put(v->o->report, text.p, text.len, 0644, e);
}

static uint64_t shard_size(const struct recipe *r)
{
    return r->shard_size > 0 ? r->shard_size : UINT64_MAX;
}

static void report_names(const struct convert *v)
{
    const struct layout *p = &v->layout;
    const struct renames *r = &v->renames;

    company_report(&v->c);
    if (r->n > 0)
        log_info("%llu tensors renamed, such as '%.*s', now '%.*s'",
            (unsigned long long)r->n, STR_ARG(r->v[0].was),
            STR_ARG(r->v[0].name));
    else if (v->o->recipe.rename != RENAME_NONE)
        log_info("no prefix to strip: every name is kept");
    for (uint64_t i = 0; i < p->n_aliases; i++)
        log_info("'%.*s' has the values of '%.*s' and is kept under that name",
            STR_ARG(p->aliases[i].name), STR_ARG(p->aliases[i].of));
}

static int run(struct convert *v, struct convert_result *out, struct err *e)
{
    struct pool *pool AUTO(pool_close_auto) = NULL;
    enum tie tie;

    if (open_source(v, e) != 0 || choose_path(v, out, e) != 0)
        return -1;
    if (out->held)
        return 0;
    folder_sweep(v->path);
    if (company_check(&v->c, &v->o->recipe, e) != 0 ||
        company_tied(&v->c, &tie, e) != 0 ||
        layout_make(&v->layout, &v->c, &v->o->recipe, tie, e) != 0 ||
        shards_cut(&v->shards, &v->layout, shard_size(&v->o->recipe), e) != 0 ||
        check_manifest(v, e) != 0 || check_space(v, e) != 0 ||
        check_report(v, e) != 0)
        return -1;
    if (v->o->report != NULL && layers_make(&v->layers, &v->layout, e) != 0)
        return -1;
    report_names(v);
    pool = pipeline_pool(v->o->threads, e);
    if (pool == NULL)
        return -1;
    if (build(v, pool, e) != 0) {
        struct err why = ERR_INIT;

        /* Of what was refused one wants to see why. */
        if (e->kind == ERR_VERDICT && put_report(v, &why) != 0)
            log_warn("no report: %s", why.msg);
        return -1;
    }
    if (put_report(v, e) != 0)
        return -1;
    *out = (struct convert_result){ .audit = v->verdict.all,
        .n_tensors = v->layout.n,
        .n_aliases = v->layout.n_aliases };
    for (uint64_t i = 0; i < v->n_files; i++)
        note_weights(out, &v->files[i]);
    return path_fmt(out->path, e, "%s", v->path);
}

int convert_run(
    const struct convert_opts *o, struct convert_result *out, struct err *e)
{
    struct convert v AUTO(convert_free) = { .o = o,
        .c = CHECKPOINT_INIT,
        .renames = RENAMES_INIT,
        .sources = SOURCES_INIT,
        .layout = LAYOUT_INIT,
        .shards = SHARDS_INIT,
        .layers = LAYERS_INIT };

    *out = (struct convert_result){ .held = false };
    return run(&v, out, e);
}
