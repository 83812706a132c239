#include "verify/int8form.h"

#include "base/file.h"
#include "formats/quant_int8.h"

enum { PIECE = 4096 }; /* scales looked at together */

struct place {
    const struct wfile *file;
    const struct tensor *t;
};

static struct place find(const struct wfile *weights, size_t n, struct str name)
{
    struct place at = { NULL, NULL };

    for (size_t i = 0; i < n && at.t == NULL; i++)
        at = (struct place){ &weights[i], wfile_find(&weights[i], name) };
    return at;
}

/* The index of the first scale that is no scale, or n. */
static int first_wrong(const struct place *s, uint64_t *at, struct err *e)
{
    int fd AUTO(fd_close) = file_open(s->file->file->path, NULL, e);
    uint8_t bytes[2 * PIECE];

    if (fd < 0)
        return -1;
    for (*at = 0; *at < s->t->n;) {
        uint64_t n = size_min(PIECE, s->t->n - *at);

        if (file_read_at(fd, bytes, 2 * n, s->t->offset + 2 * *at,
                s->file->file->path, e) != 0)
            return -1;
        for (uint64_t i = 0; i < n; i++, ++*at) {
            unsigned bits = bytes[2 * i] | (unsigned)bytes[2 * i + 1] << 8;

            if (bits < INT8_SCALE_LEAST || bits > INT8_SCALE_MOST)
                return 0;
        }
    }
    return 0;
}

static void check_scales(const struct wfile *weights, size_t n,
    const struct place *of, struct problems *bad)
{
    char text[TENSOR_NAME_MAX + 1];
    struct str name = int8_partner(text, of->t->name);
    struct place s = find(weights, n, name);
    struct err why = ERR_INIT;
    uint64_t at = 0;

    if (s.t == NULL || s.t->dtype != DTYPE_BF16 || s.t->rank != 1 ||
        s.t->shape[0] != of->t->shape[0])
        problem(bad, "%.*s: int8 tensor '%.*s' has no %s, BF16 [%llu]",
            STR_ARG(of->file->file->name), STR_ARG(of->t->name), INT8_SCALES,
            (unsigned long long)of->t->shape[0]);
    else if (first_wrong(&s, &at, &why) != 0)
        problem(bad, "%s", why.msg);
    else if (at < s.t->n)
        problem(bad, "%.*s: tensor '%.*s': element %llu is no scale",
            STR_ARG(s.file->file->name), STR_ARG(name), (unsigned long long)at);
}

static void check_tensor(const struct wfile *weights, size_t n,
    const struct place *at, struct problems *bad)
{
    const struct tensor *t = at->t;

    if (int8_takes(t))
        problem(bad, "%.*s: tensor '%.*s' is %s, in the int8 form it is I8",
            STR_ARG(at->file->file->name), STR_ARG(t->name),
            dtype_name(t->dtype));
    else if (int8_is_made(t))
        check_scales(weights, n, at, bad);
    else if (dtype_is_float(t->dtype) && t->dtype != DTYPE_BF16)
        problem(bad, "%.*s: tensor '%.*s' is %s, in the int8 form it is BF16",
            STR_ARG(at->file->file->name), STR_ARG(t->name),
            dtype_name(t->dtype));
}

void int8form_check(
    const struct wfile *weights, size_t n, struct findings *report)
{
    struct problems bad = PROBLEMS_INIT(report, "int8", ERR_VERDICT);
    uint64_t matrices = 0;

    for (size_t i = 0; i < n; i++)
        for (uint64_t k = 0; k < weights[i].n; k++) {
            struct place at = { &weights[i], &weights[i].tensors[k] };

            check_tensor(weights, n, &at, &bad);
            matrices += int8_is_made(at.t);
        }
    problems_end(&bad);
    if (bad.n == 0)
        findings_ok(report, "int8", "%llu matrices and their scales",
            (unsigned long long)matrices);
}
