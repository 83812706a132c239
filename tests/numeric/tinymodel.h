/*
 * tinymodel.h - a model folder made by a test: config.json and
 * model.safetensors, with values from a generator that anybody can write
 * again in a few lines (SplitMix64 over the FNV-1a hash of the name).
 */
#ifndef TESTS_TINYMODEL_H
#define TESTS_TINYMODEL_H

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/path.h"
#include "formats/cast.h"

struct tiny_tensor {
    const char *name;
    uint32_t rank;
    uint64_t shape[2];
    enum dtype dtype; /* DTYPE_NONE: F32 */
    float poison;     /* when not 0: its first value, NAN for instance */
};

struct tiny_model {
    char folder[256];
};

static inline uint64_t tiny_hash(const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (const char *p = name; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3u;
    return h;
}

static inline bool tiny_is_norm(const char *name)
{
    char low[128];
    size_t n = 0;

    for (; name[n] != '\0' && n < sizeof(low) - 1; n++)
        low[n] = (char)tolower((unsigned char)name[n]);
    low[n] = '\0';
    return strstr(low, "norm") != NULL || strstr(low, "ln_") != NULL ||
           strstr(low, ".ln") != NULL;
}

/* Value i of a tensor: biases 0.1 v, norms 1 + 0.1 v, the rest 0.3 v. */
static inline float tiny_value(const char *name, uint64_t i)
{
    uint64_t z = tiny_hash(name) + (i + 1) * 0x9E3779B97F4A7C15u;
    double v;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    v = 2 * ((double)(z >> 40) / 16777216.0) - 1;
    if (str_ends(str_of(name), ".bias"))
        return (float)(0.1 * v);
    return (float)(tiny_is_norm(name) ? 1 + 0.1 * v : 0.3 * v);
}

static inline uint64_t tiny_count(const struct tiny_tensor *t)
{
    return t->rank == 0 ? 1 : t->shape[0] * (t->rank == 1 ? 1 : t->shape[1]);
}

static inline void tiny_data(struct buf *out, const struct tiny_tensor *t)
{
    for (uint64_t i = 0; i < tiny_count(t); i++) {
        float v = tiny_value(t->name, i);
        uint16_t half;

        if (i == 0 && t->poison != 0)
            v = t->poison;
        if (t->dtype == DTYPE_F16 || t->dtype == DTYPE_BF16) {
            half = t->dtype == DTYPE_F16 ? cast_f32_to_f16(v)
                                         : cast_f32_to_bf16(v);
            buf_put(out, &half, sizeof(half));
        } else if (t->dtype == DTYPE_F64) {
            double d = (double)v;
            buf_put(out, &d, sizeof(d));
        } else if (t->dtype == DTYPE_U8) {
            buf_putc(out, 1);
        } else {
            buf_put(out, &v, sizeof(v));
        }
    }
}

static inline void tiny_safetensors(
    struct buf *out, const struct tiny_tensor *t, size_t n)
{
    struct buf head AUTO(buf_free) = BUF_INIT(1 << 20);
    uint64_t at = 0;
    uint64_t len;

    buf_putc(&head, '{');
    for (size_t i = 0; i < n; i++) {
        enum dtype d = t[i].dtype == DTYPE_NONE ? DTYPE_F32 : t[i].dtype;
        uint64_t end = at + tiny_count(&t[i]) * dtype_bytes(d);

        buf_printf(&head, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[",
            i > 0 ? "," : "", t[i].name, dtype_name(d));
        for (uint32_t k = 0; k < t[i].rank; k++)
            buf_printf(&head, "%s%" PRIu64, k > 0 ? "," : "", t[i].shape[k]);
        buf_printf(
            &head, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", at, end);
        at = end;
    }
    buf_putc(&head, '}');
    while (head.len % 8 != 0)
        buf_putc(&head, ' ');
    len = head.len;
    buf_put(out, &len, sizeof(len));
    buf_put(out, head.p, head.len);
    for (size_t i = 0; i < n; i++)
        tiny_data(out, &t[i]);
}

static inline void tiny_put(
    const struct tiny_model *m, const char *name, const void *bytes, size_t len)
{
    char path[PATH_MAX];
    struct err e = ERR_INIT;

    if (path_join(path, m->folder, name, &e) != 0 ||
        file_put(path, bytes, len, 0644, &e) != 0) {
        printf("Bail out! %s\n", e.msg);
        _exit(1);
    }
}

/* tiny_make - the folder with both files; config may be NULL: without. */
static inline struct tiny_model tiny_make(
    const char *config, const struct tiny_tensor *t, size_t n)
{
    struct buf text AUTO(buf_free) = BUF_INIT(64 << 20);
    struct tiny_model m;
    const char *tmp = getenv("TMPDIR");

    snprintf(m.folder, sizeof(m.folder), "%s/tinymodel-XXXXXX",
        tmp != NULL && strlen(tmp) < 200 ? tmp : "/tmp");
    if (mkdtemp(m.folder) == NULL) {
        printf("Bail out! mkdtemp\n");
        _exit(1);
    }
    tiny_safetensors(&text, t, n);
    tiny_put(&m, "model.safetensors", text.p, text.len);
    if (config != NULL)
        tiny_put(&m, "config.json", config, strlen(config));
    return m;
}

static inline void tiny_remove(struct tiny_model *m)
{
    static const char *const names[] = { "config.json", "model.safetensors",
        "generation_config.json", "ml-manifest.json" };
    char path[PATH_MAX];
    struct err e = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (path_join(path, m->folder, names[i], &e) == 0)
            unlink(path);
    rmdir(m->folder);
}

#endif
