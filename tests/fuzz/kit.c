#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "formats/audit.h"
#include "formats/cast.h"

enum {
    SLOTS = 4,
    ELEMENTS_MAX = 4096, /* read of one checkpoint */
    ELEMENT_MAX = 16     /* bytes */
};

static const uint64_t arena_max = (uint64_t)256 << 20;

_Noreturn void kit_broken(const char *promise, const char *file, int line)
{
    fprintf(stderr, "%s:%d: broken: %s\n", file, line, promise);
    abort();
}

void kit_failed(const struct err *e)
{
    must(e->kind != ERR_NONE && e->kind != ERR_BUG && e->msg[0] != '\0');
}

const char *kit_path(unsigned slot, const void *bytes, size_t len)
{
    static int fds[SLOTS];
    static char paths[SLOTS][32];

    must(slot < SLOTS);
    if (fds[slot] == 0) {
        fds[slot] = memfd_create("input", MFD_CLOEXEC);
        must(fds[slot] > 0);
        snprintf(
            paths[slot], sizeof(paths[slot]), "/proc/self/fd/%d", fds[slot]);
    }
    must(ftruncate(fds[slot], 0) == 0);
    must(len == 0 || pwrite(fds[slot], bytes, len, 0) == (ssize_t)len);
    return paths[slot];
}

/* ---- torch files ---- */

bool kit_tensor_inside(const struct tensor *t, uint64_t size)
{
    uint64_t end = 0, step = 1;
    enum dtype stored;

    if (t->no_data || t->n == 0)
        return true;
    if (t->quant != NULL && t->quant->per_channel &&
        (!kit_tensor_inside(&t->quant->scales, size) ||
            !kit_tensor_inside(&t->quant->zeros, size)))
        return false;
    if (t->held != NULL) /* decoded: in memory, whatever the file's size */
        size = t->storage_at + t->storage_len;
    for (uint32_t i = t->rank; i > 0; i--) {
        end += (t->shape[i - 1] - 1) * (t->stride ? t->stride[i - 1] : step);
        step *= t->shape[i - 1];
    }
    stored = t->quant != NULL ? t->quant->stored : t->dtype;
    end = t->offset + (end + 1) * dtype_bytes(stored);
    return t->storage_at <= t->offset && t->storage_at <= size &&
           t->storage_len <= size - t->storage_at &&
           end <= t->storage_at + t->storage_len && end > t->offset;
}

static int parse_torch(const uint8_t *bytes, size_t len, const char *select)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(arena_max);
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct torch_file f;
    struct err e = ERR_INIT;
    int rc = torch_parse(bytes, len, select, &arena, &f, &e);

    must((rc == 0) == (e.kind == ERR_NONE));
    if (rc != 0)
        kit_failed(&e);
    for (uint64_t i = 0; i < f.n_all; i++)
        must(kit_tensor_inside(&f.all[i], len));
    for (uint64_t i = 0; rc == 0 && i < f.n_tensors; i++)
        must(
            kit_tensor_inside(&f.tensors[i], len) && f.tensors[i].name.len > 0);
    if (rc == 0 && f.config.len > 0)
        must(json_parse(&doc, f.config, 0, &e) == 0);
    return rc;
}

void kit_torch(const uint8_t *bytes, size_t len)
{
    log_set_level(LOG_ERROR);
    /* Two branches, or two names: then the root may still do. */
    if (parse_torch(bytes, len, NULL) != 0)
        parse_torch(bytes, len, "");
}

/* ---- tensors ---- */

/* Element i of the dense form, one step at a time. */
static void element(const uint8_t *file, const struct tensor *t, uint64_t i,
    uint8_t out[static ELEMENT_MAX])
{
    unsigned size = dtype_bytes(t->dtype), half = size;
    uint64_t at = 0, step = 1;

    for (uint32_t d = t->rank; d > 0; d--) {
        uint64_t k = i % t->shape[d - 1];

        at += k * (t->stride ? t->stride[d - 1] : step);
        step *= t->shape[d - 1];
        i /= t->shape[d - 1];
    }
    memcpy(out, file + t->offset + at * size, size);
    if (!t->big_endian)
        return;
    if (t->dtype == DTYPE_C64 || t->dtype == DTYPE_C128)
        half = size / 2;
    for (unsigned k = 0; k < size; k += half)
        for (unsigned a = k, b = k + half - 1; a < b; a++, b--) {
            uint8_t swap = out[a];
            out[a] = out[b];
            out[b] = swap;
        }
}

static void check_casts(const struct tensor *t, const uint8_t *in, uint64_t n)
{
    static const enum dtype to[] = { DTYPE_F64, DTYPE_F32, DTYPE_F16,
        DTYPE_BF16 };

    for (size_t k = 0; k < ARRAY_LEN(to); k++) {
        uint8_t out[8 * 64];
        uint64_t now = size_min(n, 64);
        struct audit a = { .n = 0 };

        cast_array(out, to[k], in, t->dtype, now);
        audit_cast(&a, out, to[k], in, t->dtype, now);
        must(a.n == now && a.nan + a.inf <= now);
        must(a.overflow == cast_overflows(to[k], in, t->dtype, now, NULL));
    }
}

/* What is computed has no bytes to compare: parts against the whole. */
static void check_parts(const struct checkpoint *c, const struct tensor *t,
    uint64_t first, uint64_t n, const uint8_t *whole)
{
    static uint8_t part[ELEMENTS_MAX * ELEMENT_MAX];
    uint64_t skip = n / 3;
    struct err e = ERR_INIT;

    must(checkpoint_read(c, t, first + skip, n - skip, part, &e) == 0);
    must(memcmp(part, whole + skip * dtype_bytes(t->dtype),
             (n - skip) * dtype_bytes(t->dtype)) == 0);
}

static void read_tensor(
    const struct checkpoint *c, const struct tensor *t, uint64_t n)
{
    static uint8_t got[ELEMENTS_MAX * ELEMENT_MAX];
    const uint8_t *file =
        t->held != NULL ? t->held - t->storage_at : c->files[t->file].map.p;
    unsigned size = dtype_bytes(t->dtype);
    uint64_t first = (t->n - n) / 2;
    struct err e = ERR_INIT;

    if (size == 0) /* some bits: an even number of whole bytes */
        first = first / 8 * 8;
    if (checkpoint_read(c, t, first, n, got, &e) != 0) {
        kit_failed(&e);
        return;
    }
    checkpoint_data(c, t);
    if (t->quant != NULL)
        check_parts(c, t, first, n, got);
    for (uint64_t i = 0; t->quant == NULL && size > 0 && i < n; i++) {
        uint8_t one[ELEMENT_MAX];

        element(file, t, first + i, one);
        must(memcmp(one, got + i * size, size) == 0);
    }
    if (dtype_is_float(t->dtype))
        check_casts(t, got, n);
}

void kit_checkpoint(const uint8_t *bytes, size_t len)
{
    struct checkpoint c AUTO(checkpoint_close) = CHECKPOINT_INIT;
    uint64_t left = ELEMENTS_MAX;
    struct err e = ERR_INIT;

    log_set_level(LOG_ERROR);
    if (checkpoint_open(&c, kit_path(0, bytes, len), NULL, &e) != 0) {
        kit_failed(&e);
        return;
    }
    for (uint64_t i = 0; i < c.n_tensors && left > 0; i++) {
        uint64_t n = size_min(c.tensors[i].n, left);

        read_tensor(&c, &c.tensors[i], n);
        left -= n;
    }
}
