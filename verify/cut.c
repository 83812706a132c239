#include "verify/cut.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "formats/index.h"
#include "formats/uniform.h"

#define INDEX_NAME "model.safetensors.index.json"

enum { NAME_MAX_LEN = 48 };

/* A tensor and the file it is in. */
struct row {
    const struct tensor *t;
    size_t file;
};

struct rows {
    struct row *v;
    size_t n;
};

static void rows_free(struct rows *r)
{
    free(r->v);
    r->v = NULL;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(
        ((const struct row *)a)->t->name, ((const struct row *)b)->t->name);
}

/* The order in which one file would hold them. */
static int by_place(const void *a, const void *b)
{
    const struct tensor *x = ((const struct row *)a)->t;
    const struct tensor *y = ((const struct row *)b)->t;
    bool x_page = tensor_bytes(x) % UNIFORM_ALIGN == 0;
    bool y_page = tensor_bytes(y) % UNIFORM_ALIGN == 0;
    unsigned x_bits = dtype_bits(x->dtype), y_bits = dtype_bits(y->dtype);

    if (x_page != y_page)
        return x_page ? -1 : 1;
    if (!x_page && x_bits != y_bits)
        return x_bits > y_bits ? -1 : 1;
    return str_cmp(x->name, y->name);
}

static int gather(
    struct rows *out, const struct wfile *weights, size_t n, struct err *e)
{
    size_t total = 0;

    for (size_t i = 0; i < n; i++)
        total += weights[i].n;
    out->v = calloc(total + 1, sizeof(*out->v));
    if (out->v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        for (uint64_t k = 0; k < weights[i].n; k++)
            out->v[out->n++] = (struct row){ &weights[i].tensors[k], i };
    return 0;
}

static void file_name(char out[NAME_MAX_LEN], size_t i, size_t n)
{
    if (n == 1)
        snprintf(out, NAME_MAX_LEN, "model.safetensors");
    else
        snprintf(
            out, NAME_MAX_LEN, "model-%05zu-of-%05zu.safetensors", i + 1, n);
}

static void check_names(
    const struct wfile *weights, size_t n, struct problems *bad)
{
    char want[NAME_MAX_LEN];

    for (size_t i = 0; i < n; i++) {
        file_name(want, i, n);
        if (!str_is(weights[i].file->name, want))
            problem(bad, "%.*s: should be called %s",
                STR_ARG(weights[i].file->name), want);
    }
}

/* The first tensor that is not in the file it belongs to is told. */
static void check_places(const struct rows *r, uint64_t most,
    const struct wfile *weights, size_t n, struct problems *bad)
{
    uint64_t used = 0;
    size_t file = 0;

    for (size_t i = 0; i < r->n; i++) {
        uint64_t bytes = tensor_bytes(r->v[i].t);

        if (most > 0 && i > 0 && bytes > 0 &&
            (used > most || bytes > most - used)) {
            file++;
            used = 0;
        }
        used += bytes;
        if (r->v[i].file != file) {
            problem(bad, "%.*s: tensor '%.*s' belongs to file %zu of them",
                STR_ARG(weights[r->v[i].file].file->name),
                STR_ARG(r->v[i].t->name), file + 1);
            return;
        }
    }
    if (n > 0 && file + 1 < n)
        problem(bad, "%.*s: is a file too many",
            STR_ARG(weights[n - 1].file->name));
}

static void check_listed(
    const struct rows *r, const struct manifest *m, struct problems *bad)
{
    for (size_t i = 0; i < r->n && r->n == m->n_tensors; i++)
        if (!str_eq(r->v[i].t->name, m->tensors[i].name)) {
            problem(bad, "%s: tensor '%.*s' is not in the order of the data",
                MANIFEST_NAME, STR_ARG(m->tensors[i].name));
            return;
        }
}

/* Sorts r by name. */
static void put_index(struct buf *out, struct rows *r, size_t n_files)
{
    char name[NAME_MAX_LEN];
    uint64_t total = 0;

    if (r->n > 1)
        qsort(r->v, r->n, sizeof(*r->v), by_name);
    for (size_t i = 0; i < r->n; i++)
        total += tensor_bytes(r->v[i].t);
    buf_printf(out,
        "{\n  \"metadata\": {\n    \"total_size\": %llu\n  },\n"
        "  \"weight_map\": {",
        (unsigned long long)total);
    for (size_t i = 0; i < r->n; i++) {
        file_name(name, r->v[i].file, n_files);
        buf_puts(out, i > 0 ? ",\n    " : "\n    ");
        json_quote(out, r->v[i].t->name);
        buf_printf(out, ": \"%s\"", name);
    }
    buf_puts(out, "\n  }\n}\n");
}

static void check_index(
    const struct vfile *f, struct rows *r, size_t n, struct problems *bad)
{
    struct buf found AUTO(buf_free) = BUF_INIT(INDEX_BYTES_MAX);
    struct buf want AUTO(buf_free) = BUF_INIT(INDEX_BYTES_MAX);
    struct err why = ERR_INIT;

    if (n < 2) {
        if (f != NULL)
            problem(bad, "%s: is an index of one file", INDEX_NAME);
        return;
    }
    if (f == NULL) {
        problem(bad, "%s: is not there", INDEX_NAME);
        return;
    }
    put_index(&want, r, n);
    if (buf_check(&want, &why) != 0 || file_slurp(f->path, &found, &why) != 0) {
        problem(bad, "%s: %s", INDEX_NAME, why.msg);
        err_clear(&why);
    } else if (!str_eq(buf_str(&want), buf_str(&found))) {
        problem(bad, "%s: is not written as the form says", INDEX_NAME);
    }
}

int cut_check(const struct manifest *m, const struct filelist *l,
    const struct wfile *weights, size_t n, struct findings *report,
    struct err *e)
{
    struct problems bad = PROBLEMS_INIT(report, "shards", ERR_VERDICT);
    struct rows rows AUTO(rows_free) = { .n = 0 };

    if (gather(&rows, weights, n, e) != 0)
        return -1;
    if (rows.n > 1)
        qsort(rows.v, rows.n, sizeof(*rows.v), by_place);
    check_names(weights, n, &bad);
    check_places(&rows, m->shard_size, weights, n, &bad);
    check_listed(&rows, m, &bad);
    check_index(filelist_find(l, str_of(INDEX_NAME)), &rows, n, &bad);
    problems_end(&bad);
    if (bad.n == 0 && n > 1)
        findings_ok(report, "shards",
            "%zu files, cut where the form says, and their index", n);
    return 0;
}
