#include "verify/wfile.h"

#include <stdlib.h>

#include "base/human.h"
#include "base/map.h"
#include "base/path.h"
#include "formats/npz.h"
#include "formats/safetensors.h"
#include "formats/torch.h"
#include "formats/uniform.h"
#include "formats/zip.h"
#include "verify/calls.h"

void wfile_free(struct wfile *w)
{
    arena_free(&w->arena);
    *w = (struct wfile)WFILE_INIT;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(
        ((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

const struct tensor *wfile_find(const struct wfile *w, struct str name)
{
    struct tensor key = { .name = name };

    if (w->n == 0)
        return NULL;
    return bsearch(&key, w->tensors, w->n, sizeof(key), by_name);
}

/* A table of our own, so that the map of the file can be closed. */
static int keep(
    struct wfile *w, const struct tensor *tensors, uint64_t n, struct err *e)
{
    w->tensors = arena_alloc(&w->arena, n, sizeof(*w->tensors), e);
    if (w->tensors == NULL)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        w->tensors[i] = tensors[i];
        w->tensors[i].name = arena_str(&w->arena, tensors[i].name, e);
        if (w->tensors[i].name.p == NULL)
            return -1;
    }
    w->n = n;
    if (n > 1)
        qsort(w->tensors, n, sizeof(*w->tensors), by_name);
    return 0;
}

static void findings_table(
    const struct wfile *w, const char *container, struct findings *report)
{
    char size[HUMAN_MAX], count[HUMAN_MAX];

    findings_ok(report, "structure", "%.*s: %s, %s tensor%s, %s",
        STR_ARG(w->file->name), container, human_count(count, w->n),
        w->n == 1 ? "" : "s", human_size(size, w->file->size));
}

static int read_safetensors(struct wfile *w, const struct map *m,
    unsigned flags, struct findings *report, struct err *e)
{
    struct safetensors st;
    struct err why = ERR_INIT;

    if (safetensors_parse(m->p, m->len, m->len, &w->arena, &st, e) != 0 ||
        keep(w, st.tensors, st.n, e) != 0)
        return -1;
    findings_table(w, "safetensors", report);
    w->uniform = st.uniform.len > 0 || (flags & WFILE_UNIFORM);
    if (!w->uniform)
        return 0;
    if (uniform_check(&st, m->p, &why) == 0)
        findings_ok(report, "uniform",
            "%.*s: keeps every promise of version %s", STR_ARG(w->file->name),
            UNIFORM_VERSION);
    else
        findings_fail(report, "uniform", why.kind, "%.*s: %s",
            STR_ARG(w->file->name), why.msg);
    return 0;
}

/* The checksums a zip archive carries, where its writer computed them. */
static int read_sums(struct wfile *w, const struct map *m, struct err *e)
{
    struct zip zip;

    if (zip_read(m->p, m->len, &w->arena, &zip, e) != 0)
        return -1;
    w->sums = arena_alloc(&w->arena, zip.n, sizeof(*w->sums), e);
    if (w->sums == NULL)
        return -1;
    for (uint64_t i = 0; i < zip.n; i++) {
        const struct zip_entry *z = &zip.v[i];
        struct zip_sum sum = {
            .at = z->data_at, .len = z->size, .crc = z->crc
        };

        if (z->method != 0 || z->crc == 0 || z->size == 0)
            continue;
        sum.name = arena_str(&w->arena, zip_record(&zip, z), e);
        if (sum.name.p == NULL)
            return -1;
        w->sums[w->n_sums++] = sum;
    }
    return 0;
}

static int read_arrays(struct wfile *w, const struct map *m, unsigned flags,
    struct findings *report, bool *table, struct err *e)
{
    bool one = w->format == FORMAT_NPY;
    struct npz t;

    if ((one ? npy_table : npz_parse)(m->p, m->len, &w->arena, &t, e) != 0) {
        /* Beside a model, arrays of text and objects are no flaw. */
        if (e->kind != ERR_UNSUPPORTED || (flags & WFILE_ALONE))
            return -1;
        findings_note(
            report, "structure", "%.*s: %s", STR_ARG(w->file->name), e->msg);
        err_clear(e);
        *table = false;
        return 0;
    }
    if (keep(w, t.tensors, t.n, e) != 0)
        return -1;
    findings_table(w, one ? "npy" : "npz", report);
    return one ? 0 : read_sums(w, m, e);
}

/*
 * The table of all tensors where it is not clear which branch of the file is
 * the model: for a reader a question to ask, for the file no flaw.
 */
static int read_all_branches(struct wfile *w, const struct map *m,
    struct torch_file *t, struct findings *report, struct err *e)
{
    struct err why = ERR_INIT;

    if (e->kind != ERR_REFUSED || t->n_all == 0 ||
        torch_parse(m->p, m->len, "", &w->arena, t, &why) != 0)
        return -1;
    findings_note(
        report, "structure", "%.*s: %s", STR_ARG(w->file->name), e->msg);
    err_clear(e);
    return 0;
}

static int read_torch(struct wfile *w, const struct map *m,
    struct findings *report, struct err *e)
{
    struct torch_file t = { .n_tensors = 0 };
    int rc = torch_parse(m->p, m->len, NULL, &w->arena, &t, e);

    /* A broken tail does not undo what the front asks for. */
    calls_report(w->file->name, t.foreign, t.n_foreign, rc == 0, report);
    if (rc != 0 && read_all_branches(w, m, &t, report, e) != 0)
        return -1;
    if (keep(w, t.tensors, t.n_tensors, e) != 0)
        return -1;
    findings_table(w, t.container, report);
    if (strcmp(t.container, "TorchScript archive") == 0)
        findings_note(report, "structure",
            "%.*s: holds a program, whose code is not looked at",
            STR_ARG(w->file->name));
    return w->format == FORMAT_TORCH_ZIP ? read_sums(w, m, e) : 0;
}

/* Names that promise weights a Python program would load. */
static bool named_like_weights(struct str name)
{
    static const char *const tails[] = { ".safetensors", ".pt", ".pth", ".ckpt",
        ".pkl", ".pickle", ".npz", ".npy" };
    struct str base = str_of(path_base(name.p));

    for (size_t i = 0; i < ARRAY_LEN(tails); i++)
        if (str_ends(base, tails[i]))
            return true;
    return str_ends(base, ".bin") &&
           (str_starts(base, "pytorch_model") || str_starts(base, "model") ||
               str_starts(base, "adapter_model") ||
               str_starts(base, "diffusion_pytorch_model"));
}

static bool is_pointer(const struct map *m)
{
    struct str head = { (const char *)m->p, size_min(m->len, DETECT_HEAD) };

    return m->p != NULL &&
           str_starts(head, "version https://git-lfs.github.com/");
}

/* The bytes are none of the formats that are read here. */
static void not_weights(const struct wfile *w, const struct map *m,
    unsigned flags, struct findings *report, const struct err *why)
{
    if (is_pointer(m))
        findings_fail(report, "structure", ERR_CORRUPT, "%.*s: %s",
            STR_ARG(w->file->name), why->msg);
    else if ((flags & WFILE_ALONE) || named_like_weights(w->file->name))
        findings_fail(report, "structure", ERR_REFUSED, "%.*s: %s",
            STR_ARG(w->file->name), why->msg);
}

/* A pickle outside of any container: names, data, perhaps NumPy arrays. */
static int read_pickle(struct wfile *w, const struct map *m, unsigned flags,
    struct findings *report, bool *table, struct err *e)
{
    bool asked = (flags & WFILE_ALONE) || named_like_weights(w->file->name);
    struct torch_file t = { .n_tensors = 0 };
    int rc;

    /* Prose may begin like a pickle of the oldest kind. */
    if (!asked && m->p[0] != 0x80)
        return 0;
    rc = torch_parse(m->p, m->len, NULL, &w->arena, &t, e);
    if (calls_report(w->file->name, t.foreign, t.n_foreign, rc == 0, report) ==
            0 &&
        rc != 0 && !asked) {
        err_clear(e);
        return 0;
    }
    if (rc != 0 && read_all_branches(w, m, &t, report, e) != 0)
        return -1;
    *table = t.n_tensors > 0;
    if (*table && keep(w, t.tensors, t.n_tensors, e) == 0)
        findings_table(w, t.container, report);
    else if (!*table)
        findings_note(report, "structure",
            "%.*s: a bare pickle, without arrays", STR_ARG(w->file->name));
    return e->kind == ERR_NONE ? 0 : -1;
}

static int read_any(struct wfile *w, const struct map *m, unsigned flags,
    struct findings *report, bool *table, struct err *e)
{
    struct err why = ERR_INIT;

    w->format =
        detect_format(m->p, size_min(m->len, DETECT_HEAD), m->len, &why);
    *table = true;
    switch (w->format) {
    case FORMAT_SAFETENSORS:
        return read_safetensors(w, m, flags, report, e);
    case FORMAT_TORCH_ZIP:
    case FORMAT_TORCH_LEGACY:
        return read_torch(w, m, report, e);
    case FORMAT_NPZ:
    case FORMAT_NPY:
        return read_arrays(w, m, flags, report, table, e);
    case FORMAT_PICKLE:
        *table = false;
        return read_pickle(w, m, flags, report, table, e);
    case FORMAT_JSON:
        err_set(&why, ERR_REFUSED, "JSON where weights should be");
        break;
    case FORMAT_UNKNOWN:
        break;
    }
    *table = false;
    not_weights(w, m, flags, report, &why);
    return 0;
}

bool wfile_read(struct wfile *w, const struct vfile *f, unsigned flags,
    struct findings *report)
{
    struct map m AUTO(map_close) = MAP_INIT;
    struct err e = ERR_INIT;
    bool table = false;

    w->file = f;
    if (map_open(&m, f->path, &e) == 0 &&
        read_any(w, &m, flags, report, &table, &e) == 0)
        return table;
    findings_fail(
        report, "structure", e.kind, "%.*s: %s", STR_ARG(f->name), e.msg);
    w->n = 0;
    return false;
}
