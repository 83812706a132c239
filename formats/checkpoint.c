#include "formats/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "formats/absence.h"
#include "formats/index.h"
#include "formats/npz.h"
#include "formats/panel.h"
#include "formats/safetensors.h"
#include "formats/torch.h"

/* Tables of the largest models need tens of megabytes. */
static const uint64_t ARENA_LIMIT = (uint64_t)2 << 30;

/* What one file gave, before all are put together. */
struct part {
    struct tensor *tensors;
    uint64_t n_tensors;
    struct tensor *all;
    uint64_t n_all;
};

static enum file_format format_of(const struct map *m, struct err *e)
{
    return detect_format(m->p, size_min(m->len, DETECT_HEAD), m->len, e);
}

static int read_safetensors(
    struct checkpoint *c, struct ckpt_file *f, struct part *part, struct err *e)
{
    struct safetensors st;

    if (safetensors_parse(
            f->map.p, f->map.len, f->map.len, &c->arena, &st, e) != 0)
        return -1;
    f->container = "safetensors";
    f->data_at = st.data_at;
    f->uniform = st.uniform;
    *part = (struct part){ st.tensors, st.n, st.tensors, st.n };
    return 0;
}

static int read_torch(struct checkpoint *c, struct ckpt_file *f,
    const struct checkpoint_opts *opts, struct part *part, struct err *e)
{
    struct torch_file t;

    if (torch_parse(f->map.p, f->map.len, opts != NULL ? opts->select : NULL,
            &c->arena, &t, e) != 0) {
        if (!t.alien || opts == NULL || !opts->any)
            return -1;
        err_clear(e);
    }
    f->container = t.container;
    if (c->branch.len == 0)
        c->branch = t.branch;
    if (c->config.len == 0) {
        c->config = t.config;
        c->config_from = t.config_from;
        c->config_rest = t.config_rest;
    }
    *part = (struct part){ t.tensors, t.n_tensors, t.all, t.n_all };
    return 0;
}

static int read_arrays(
    struct checkpoint *c, struct ckpt_file *f, struct part *part, struct err *e)
{
    bool one = f->format == FORMAT_NPY;
    struct npz t;
    int rc = one ? npy_table(f->map.p, f->map.len, &c->arena, &t, e)
                 : npz_parse(f->map.p, f->map.len, &c->arena, &t, e);

    f->container = one ? "npy" : "npz";
    *part = (struct part){ t.tensors, t.n, t.tensors, t.n };
    return rc;
}

/* Only what was a tree of Python objects has branches to choose from. */
static int no_branch(
    const char *what, const struct checkpoint_opts *opts, struct err *e)
{
    if (opts == NULL || opts->select == NULL || opts->select[0] == '\0')
        return 0;
    return err_set(
        e, ERR_MISSING, "%s has no branches, so no '%s'", what, opts->select);
}

static int read_part(struct checkpoint *c, struct ckpt_file *f,
    const struct checkpoint_opts *opts, struct part *part, struct err *e)
{
    f->format = format_of(&f->map, e);
    switch (f->format) {
    case FORMAT_SAFETENSORS:
        if (no_branch("a safetensors file", opts, e) != 0)
            return -1;
        return read_safetensors(c, f, part, e);
    case FORMAT_NPZ:
    case FORMAT_NPY:
        if (no_branch("a file of NumPy arrays", opts, e) != 0)
            return -1;
        return read_arrays(c, f, part, e);
    case FORMAT_TORCH_ZIP:
    case FORMAT_TORCH_LEGACY:
        return read_torch(c, f, opts, part, e);
    case FORMAT_PICKLE:
        if (read_torch(c, f, opts, part, e) != 0)
            return -1;
        if (part->n_all > 0)
            return 0;
        return err_set(e, ERR_UNSUPPORTED,
            "a bare pickle that holds no NumPy arrays, so no weights");
    case FORMAT_JSON:
        return err_set(e, ERR_REFUSED, "JSON where weights should be");
    case FORMAT_UNKNOWN:
        break;
    }
    return -1;
}

static int open_file(struct checkpoint *c, struct ckpt_file *f,
    const struct checkpoint_opts *opts, struct part *part, struct err *e)
{
    f->name = path_base(f->path);
    f->uniform = (struct str){ "", 0 };
    if (map_open(&f->map, f->path, e) != 0)
        return -1;
    if (read_part(c, f, opts, part, e) != 0) {
        if (f->map.len == 0)
            err_hint(e, "fetch the file again");
        return err_ctx(e, "%s", f->path);
    }
    map_forget(f->map.p);
    return 0;
}

static int cmp_name(const void *a, const void *b)
{
    return str_cmp(
        ((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static int check_unique(const struct checkpoint *c, struct err *e)
{
    for (uint64_t i = 1; i < c->n_tensors; i++) {
        const struct tensor *a = &c->tensors[i - 1], *b = &c->tensors[i];
        if (str_eq(a->name, b->name))
            return err_set(e, ERR_REFUSED,
                "%s: tensor '%.*s' stands twice: in %s and in %s",
                c->index[0] != '\0' ? c->index : c->files[a->file].path,
                STR_ARG(a->name), c->files[a->file].name,
                c->files[b->file].name);
    }
    return 0;
}

static void append(
    struct tensor *to, const struct tensor *from, uint64_t n, uint32_t file)
{
    for (uint64_t i = 0; i < n; i++) {
        to[i] = from[i];
        to[i].file = file;
    }
}

static int join(struct checkpoint *c, const struct part *parts, struct err *e)
{
    uint64_t n = 0, n_all = 0;

    for (uint32_t i = 0; i < c->n_files; i++) {
        n += parts[i].n_tensors;
        n_all += parts[i].n_all;
    }
    c->tensors = arena_alloc(&c->arena, n, sizeof(*c->tensors), e);
    c->all = arena_alloc(&c->arena, n_all, sizeof(*c->all), e);
    if (c->tensors == NULL || c->all == NULL)
        return -1;
    for (uint32_t i = 0; i < c->n_files; i++) {
        const struct part *p = &parts[i];
        append(c->tensors + c->n_tensors, p->tensors, p->n_tensors, i);
        append(c->all + c->n_all, p->all, p->n_all, i);
        c->n_tensors += p->n_tensors;
        c->n_all += p->n_all;
    }
    if (n > 1)
        qsort(c->tensors, n, sizeof(*c->tensors), cmp_name);
    return check_unique(c, e);
}

/* names: n plain file names below c->folder, in order. */
static int open_files(struct checkpoint *c, const struct str *names, uint32_t n,
    const struct checkpoint_opts *opts, struct err *e)
{
    struct part *parts = arena_alloc(&c->arena, n, sizeof(*parts), e);

    c->files = arena_alloc(&c->arena, n, sizeof(*c->files), e);
    if (parts == NULL || c->files == NULL)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        c->files[i].map = (struct map)MAP_INIT;
    c->n_files = n;
    for (uint32_t i = 0; i < n; i++)
        if (path_fmt(c->files[i].path, e, "%s/%.*s", c->folder,
                STR_ARG(names[i])) != 0 ||
            open_file(c, &c->files[i], opts, &parts[i], e) != 0)
            return -1;
    return join(c, parts, e);
}

static void report_unlisted(
    const struct checkpoint *c, const struct weight_index *index)
{
    uint64_t n = 0, k = 0;
    const struct tensor *first = NULL;

    for (uint64_t i = 0; i < c->n_tensors; i++) {
        while (k < index->n &&
               str_cmp(index->entries[k].tensor, c->tensors[i].name) < 0)
            k++;
        if (k < index->n &&
            str_eq(index->entries[k].tensor, c->tensors[i].name))
            continue;
        if (n++ == 0)
            first = &c->tensors[i];
    }
    if (n > 0)
        log_warn("%s: %llu tensors in its shards are not listed, such as "
                 "'%.*s'; they are kept",
            c->index, (unsigned long long)n, STR_ARG(first->name));
}

static int check_index(
    const struct checkpoint *c, const struct weight_index *index, struct err *e)
{
    for (uint64_t i = 0; i < index->n; i++) {
        const struct index_entry *x = &index->entries[i];
        const struct str shard = index->shards[x->shard];
        const struct tensor *t = checkpoint_find(c, x->tensor.p);

        if (t == NULL || t->file != x->shard) {
            err_set(e, ERR_CORRUPT, "%s: tensor '%.*s' is not in %.*s",
                c->index, STR_ARG(x->tensor), STR_ARG(shard));
            return err_hint(e, "index and shards do not belong together; "
                               "fetch them again");
        }
    }
    report_unlisted(c, index);
    return 0;
}

/* c->folder and c->index are set. */
static int open_index(
    struct checkpoint *c, const struct checkpoint_opts *opts, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(INDEX_BYTES_MAX);
    struct weight_index index;

    if (file_slurp(c->index, &text, e) != 0)
        return -1;
    if (index_parse(&index, buf_str(&text), &c->arena, e) != 0)
        return err_ctx(e, "%s", c->index);
    if (open_files(c, index.shards, index.n_shards, opts, e) != 0) {
        if (e->kind == ERR_MISSING)
            err_hint(e, "%s lists it; fetch the model again", c->index);
        return -1;
    }
    return check_index(c, &index, e);
}

static int peek(const char *path, enum file_format *out, struct err *e)
{
    uint8_t head[DETECT_HEAD];
    uint64_t size;
    int fd AUTO(fd_close) = file_open(path, &size, e);

    if (fd < 0 ||
        file_read_at(fd, head, size_min(size, DETECT_HEAD), 0, path, e) != 0)
        return -1;
    *out = detect_format(head, size_min(size, DETECT_HEAD), size, e);
    return *out == FORMAT_UNKNOWN ? err_ctx(e, "%s", path) : 0;
}

static int open_single(struct checkpoint *c, const char *path,
    const struct checkpoint_opts *opts, struct err *e)
{
    struct str name = str_of(path_base(path));
    enum file_format format;

    path_dir(c->folder, sizeof(c->folder), path);
    if (peek(path, &format, e) != 0)
        return -1;
    if (format != FORMAT_JSON)
        return open_files(c, &name, 1, opts, e);
    if (path_fmt(c->index, e, "%s", path) != 0)
        return -1;
    return open_index(c, opts, e);
}

/*
 * Statistics and vocabularies lie beside weights as pickles and arrays: those
 * are taken for weights only when they are named themselves.
 */
static bool is_weights(enum file_format format)
{
    return format == FORMAT_SAFETENSORS || format == FORMAT_TORCH_ZIP ||
           format == FORMAT_TORCH_LEGACY;
}

/* The only file of the folder that is a checkpoint by its bytes. */
static int scan_folder(const char *folder, char *out, struct err *e)
{
    DIR *d = opendir(folder);
    struct dirent *entry;
    struct err mend = ERR_INIT;       /* a file that could be one */
    char array[NAME_MAX + 1] = { 0 }; /* a file of arrays: the first name */
    unsigned found = 0;
    int rc = 0;

    if (d == NULL)
        return err_sys(e, "%s", folder);
    while (rc == 0 && (entry = readdir(d)) != NULL) {
        char path[PATH_MAX];
        struct err why = ERR_INIT;
        enum file_format format;

        if (entry->d_name[0] == '.' ||
            path_join(path, folder, entry->d_name, &why) != 0)
            continue;
        if (peek(path, &format, &why) != 0) {
            if (why.hint[0] != '\0' &&
                (mend.kind == ERR_NONE || strcmp(why.msg, mend.msg) < 0))
                mend = why;
            continue;
        }
        if ((format == FORMAT_NPZ || format == FORMAT_NPY) &&
            (array[0] == '\0' || strcmp(entry->d_name, array) < 0))
            snprintf(array, sizeof(array), "%s", entry->d_name);
        if (!is_weights(format))
            continue;
        if (found++ == 0)
            rc = path_fmt(out, e, "%s", path);
        else
            rc = err_set(e, ERR_REFUSED,
                "%s holds more than one checkpoint, such as %s and %s", folder,
                path_base(out), entry->d_name);
    }
    closedir(d);
    if (rc != 0)
        return err_hint(e, "name the file itself");
    if (found == 0 && mend.kind != ERR_NONE) {
        err_set(e, ERR_MISSING, "%s holds no weights; %s", folder, mend.msg);
        return err_hint(e, "%s", mend.hint);
    }
    if (found == 0 && array[0] != '\0') {
        err_set(e, ERR_MISSING, "%s holds no weights", folder);
        return err_hint(e,
            "arrays are taken when their file is named itself, such as %s",
            array);
    }
    if (found == 0)
        return absence_explain(folder, e);
    return 0;
}

static int open_folder(struct checkpoint *c, const char *folder,
    const struct checkpoint_opts *opts, struct err *e)
{
    static const char *const names[] = { "model.safetensors.index.json",
        "model.safetensors", "pytorch_model.bin.index.json",
        "pytorch_model.bin" };
    char path[PATH_MAX];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct str name = str_of(names[i]);
        struct stat st;

        if (path_join(path, folder, names[i], e) != 0)
            return -1;
        /* lstat: a dangling link must be named, not passed over. */
        if (lstat(path, &st) != 0)
            continue;
        path_dir(c->folder, sizeof(c->folder), path);
        if (!str_ends(name, ".json"))
            return open_files(c, &name, 1, opts, e);
        if (path_fmt(c->index, e, "%s", path) != 0)
            return -1;
        return open_index(c, opts, e);
    }
    if (scan_folder(folder, path, e) != 0)
        return -1;
    return open_single(c, path, opts, e);
}

static bool has_strided(const struct checkpoint *c)
{
    for (uint64_t i = 0; i < c->n_all; i++)
        if (!tensor_dense(&c->all[i]))
            return true;
    return false;
}

int checkpoint_open(struct checkpoint *c, const char *path,
    const struct checkpoint_opts *opts, struct err *e)
{
    struct stat st;
    int rc;

    *c = (struct checkpoint)CHECKPOINT_INIT;
    c->arena = (struct arena)ARENA_INIT(ARENA_LIMIT);
    c->branch = c->config = (struct str){ "", 0 };
    c->config_from = c->config_rest = (struct str){ "", 0 };
    if (stat(path, &st) != 0)
        return err_sys(e, "%s", path);
    rc = S_ISDIR(st.st_mode) ? open_folder(c, path, opts, e)
                             : open_single(c, path, opts, e);
    if (rc == 0 && has_strided(c)) {
        c->panels = panels_new(e);
        rc = c->panels == NULL ? -1 : 0;
    }
    if (rc != 0)
        checkpoint_close(c);
    return rc;
}

void checkpoint_close(struct checkpoint *c)
{
    for (uint32_t i = 0; i < c->n_files; i++)
        map_close(&c->files[i].map);
    panels_free(c->panels);
    arena_free(&c->arena);
    *c = (struct checkpoint)CHECKPOINT_INIT;
}

const struct tensor *checkpoint_find(
    const struct checkpoint *c, const char *name)
{
    struct tensor key = { .name = str_of(name) };

    if (c->n_tensors == 0)
        return NULL;
    return bsearch(&key, c->tensors, c->n_tensors, sizeof(key), cmp_name);
}
