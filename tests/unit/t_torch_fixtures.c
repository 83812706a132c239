/*
 * The files of tests/fixtures/torch, as torch and others wrote them: every
 * tensor under its path, with dtype, shape and bytes (gathered here element
 * by element, in the plainest way) as expected.json says. Then the same
 * files cut short and with wrong bits.
 */
#include "formats/torch.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "tap.h"

#define FOLDER "tests/fixtures/torch"
enum { LIMIT = 64 << 20, SMALL = 20000 };

struct file {
    struct map map;
    struct arena arena;
    struct torch_file t;
    struct err e;
    int rc;
};

static void parse(struct file *f, const uint8_t *p, uint64_t len)
{
    f->arena = (struct arena)ARENA_INIT(LIMIT);
    err_clear(&f->e);
    f->rc = torch_parse(p, len, NULL, &f->arena, &f->t, &f->e);
}

/* The dense bytes of a tensor; false when an element is outside the file. */
static bool gather(const struct map *m, const struct tensor *t, struct buf *out)
{
    unsigned size = dtype_bytes(t->dtype);
    /* Complex elements are swapped by component. */
    unsigned part =
        t->dtype == DTYPE_C64 || t->dtype == DTYPE_C128 ? size / 2 : size;

    for (uint64_t i = 0; i < t->n; i++) {
        uint64_t rest = i, at = 0, step = 1;

        for (uint32_t k = t->rank; k > 0; k--) {
            uint64_t index = rest % t->shape[k - 1];

            at += index * (t->stride ? t->stride[k - 1] : step);
            rest /= t->shape[k - 1];
            step *= t->shape[k - 1];
        }
        at = t->offset + at * size;
        if (at + size > m->len)
            return false;
        for (unsigned b = 0; b < size; b++)
            buf_putc(
                out, (char)m->p[at + (t->big_endian ? b ^ (part - 1) : b)]);
    }
    return true;
}

static double channel_of(
    const struct map *m, const struct tensor *t, uint64_t i, bool whole)
{
    const uint8_t *p = m->p + t->offset + i * dtype_bytes(t->dtype);
    double wide;
    float narrow;
    int64_t count;

    memcpy(&narrow, p, sizeof(narrow));
    if (t->dtype == DTYPE_F32)
        return (double)narrow;
    memcpy(&wide, p, sizeof(wide));
    memcpy(&count, p, sizeof(count));
    return whole ? (double)(float)count : wide;
}

/* The numbers behind the integers in b, as torch's dequantize() has them. */
static void dequantise(const struct map *m, const struct tensor *t,
    const struct buf *b, struct buf *out)
{
    const struct tensor_quant *q = t->quant;
    unsigned size = dtype_bytes(q->stored);
    uint64_t inner = 1;

    for (uint32_t k = q->axis + 1; q->per_channel && k < t->rank; k++)
        inner *= t->shape[k];
    for (uint64_t i = 0; i < t->n; i++) {
        int32_t v = 0;
        float is;

        memcpy(&v, b->p + i * size, size);
        if (q->stored == DTYPE_I8)
            v = (int8_t)v;
        if (!q->per_channel) {
            is = (float)q->scale *
                 (float)(int32_t)((uint32_t)v - (uint32_t)q->zero);
        } else {
            uint64_t k = i / inner % t->shape[q->axis];
            double zero = channel_of(m, &q->zeros, k, true);
            double scale = channel_of(m, &q->scales, k, false);
            float difference = (float)v - (float)zero;

            is = q->zeros.dtype == DTYPE_F32
                     ? difference * (float)scale
                     : (float)((double)difference * scale);
        }
        buf_put(out, (const char *)&is, sizeof(is));
    }
}

static bool numbers(
    const struct map *m, const struct tensor *t, struct buf *out)
{
    struct buf ints AUTO(buf_free) = BUF_INIT(LIMIT);
    struct tensor stored = *t;

    if (t->quant == NULL)
        return gather(m, t, out);
    stored.dtype = t->quant->stored;
    if (!gather(m, &stored, &ints))
        return false;
    dequantise(m, t, &ints, out);
    return true;
}

static bool same_shape(const struct tensor *t, const struct json *shape)
{
    const struct json *v = json_first(shape);

    for (uint32_t i = 0; i < t->rank; i++, v = v ? json_next(v) : NULL) {
        uint64_t n = 0;

        if (v == NULL || !json_u64(v, &n) || n != t->shape[i])
            return false;
    }
    return v == NULL;
}

static bool same_bytes(
    const struct map *m, const struct tensor *t, const char *want)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    struct err e = ERR_INIT;
    struct digest d;

    /* Of what cannot be read, there is no digest. */
    if (t->alien != NULL)
        return want[0] == '\0';
    return numbers(m, t, &b) &&
           hash_bytes(HASH_SHA256, b.p, b.len, &d, &e) == 0 &&
           strcmp(d.hex, want) == 0;
}

/* In the order of the file, but where torch lists them in another. */
static const struct tensor *find(
    const struct torch_file *t, uint64_t i, const char *name)
{
    if (i < t->n_all && str_is(t->all[i].name, name))
        return &t->all[i];
    for (i = 0; i < t->n_all; i++)
        if (str_is(t->all[i].name, name))
            return &t->all[i];
    return NULL;
}

static void check_tensors(
    const struct file *f, const char *name, const struct json *rows, bool lone)
{
    uint64_t i = 0, good = 0;

    for (const struct json *r = json_first(rows); r != NULL;
         r = json_next(r), i++) {
        const char *path = "", *dtype = "", *sha = "";
        const struct tensor *t;
        bool aside = false;

        json_str(json_get(r, "path"), &path);
        json_str(json_get(r, "dtype"), &dtype);
        json_str(json_get(r, "sha256"), &sha);
        json_bool(json_get(r, "aside"), &aside);
        t = find(&f->t, i, lone ? "tensor" : path);
        if (t == NULL || t->aside != aside ||
            t->dtype != dtype_parse(str_of(dtype)) ||
            !same_shape(t, json_get(r, "shape")) ||
            !same_bytes(&f->map, t, sha))
            printf("#   %s differs\n", path);
        else
            good++;
    }
    ok(good == i && f->t.n_all == i, "%s: all %llu tensors", name,
        (unsigned long long)i);
}

static void check_file(const struct json *row)
{
    struct file f = { .map = MAP_INIT };
    const char *name = "", *branch = NULL;
    char path[300];
    bool lone = false, alien = false;

    json_str(json_get(row, "file"), &name);
    json_str(json_get(row, "branch"), &branch);
    json_bool(json_get(row, "alien"), &alien);
    json_bool(json_get(row, "lone"), &lone);
    snprintf(path, sizeof(path), FOLDER "/%s", name);
    if (map_open(&f.map, path, &f.e) != 0) {
        ok(false, "%s: %s", path, f.e.msg);
        return;
    }
    parse(&f, f.map.p, f.map.len);
    check_tensors(&f, name, json_get(row, "tensors"), lone);
    if (branch == NULL)
        ok(f.rc == -1 && f.e.kind == ERR_REFUSED, "%s: no choice: %s", name,
            f.e.msg);
    else if (alien)
        ok(f.rc == -1 && f.e.kind == ERR_UNSUPPORTED && f.t.alien,
            "%s: shown, not taken: %s", name, f.e.msg);
    else
        ok(f.rc == 0 && str_is(f.t.branch, branch), "%s: branch '%s' %s", name,
            branch, f.e.msg);
    arena_free(&f.arena);
    map_close(&f.map);
}

/* Every prefix of a small file is refused; every bit may be wrong. */
static void damage(const struct json *row)
{
    struct file f = { .map = MAP_INIT };
    const char *name = "";
    char path[300];
    uint64_t parsed = 0;
    uint8_t *copy;

    json_str(json_get(row, "file"), &name);
    snprintf(path, sizeof(path), FOLDER "/%s", name);
    if (map_open(&f.map, path, &f.e) != 0 || f.map.len > SMALL) {
        map_close(&f.map);
        return;
    }
    for (uint64_t n = 0; n < f.map.len; n++) {
        copy = malloc(n ? n : 1);
        if (copy == NULL)
            break;
        memcpy(copy, f.map.p, n);
        parse(&f, copy, n);
        parsed += f.rc == 0;
        arena_free(&f.arena);
        free(copy);
    }
    is_int((long long)parsed, 0, name);
    copy = malloc(f.map.len);
    for (uint64_t i = 0; copy != NULL && i < f.map.len; i++) {
        memcpy(copy, f.map.p, f.map.len);
        copy[i] ^= (uint8_t)(1 << i % 8);
        parse(&f, copy, f.map.len);
        arena_free(&f.arena);
        memcpy(copy, f.map.p, f.map.len);
        copy[i] = (uint8_t)(copy[i] * 5 + 1);
        parse(&f, copy, f.map.len);
        arena_free(&f.arena);
    }
    free(copy);
    ok(true, "%s with wrong bytes", name);
    map_close(&f.map);
}

int main(void)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct err e = ERR_INIT;

    if (json_read(&doc, FOLDER "/expected.json", 8 << 20, &e) != 0) {
        ok(false, "%s", e.msg);
        return done();
    }
    for (const struct json *r = json_first(doc.root); r != NULL;
         r = json_next(r))
        check_file(r);
    log_set_level(LOG_ERROR);
    for (const struct json *r = json_first(doc.root); r != NULL;
         r = json_next(r))
        damage(r);
    return done();
}
