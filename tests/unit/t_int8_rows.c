/*
 * t_int8_rows.c - conversion to int8 against the formulas written out once
 * more, for rows shorter and longer than every piece they are read in, with
 * any number of threads, in one file and in shards.
 */
#include "convert/int8_rows.h"

#include <math.h>

#include "convert/convert.h"
#include "formats/cast.h"
#include "formats/quant_int8.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

enum { SEVERAL = 8 };

struct matrix {
    const char *name;
    enum dtype dtype;
    uint64_t rows, cols;
};

/* Values of many sizes; the first row is zero, the second ends in +-1. */
static float value(uint64_t r, uint64_t k, uint64_t cols)
{
    uint64_t z = (r * cols + k + 1) * 0x9E3779B97F4A7C15u;
    float v;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z ^= z >> 27;
    v = (float)((double)(z >> 40) / 8388608.0 - 1);
    if (r == 0)
        return 0;
    if (r == 1 && k >= cols - 1)
        return cols % 2 == 0 ? -1 : 1;
    return v * ldexpf(1, (int)(r % 20) - 10);
}

/* All of a matrix, as they are in a file of float32. */
static float *values_of(const struct matrix *m)
{
    float *v = calloc(m->rows * m->cols, sizeof(*v));

    for (uint64_t r = 0; r < m->rows; r++)
        for (uint64_t k = 0; k < m->cols; k++)
            v[r * m->cols + k] = value(r, k, m->cols);
    return v;
}

static void put_model(const char *path, const struct matrix *m, size_t n)
{
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 28);
    struct buf head AUTO(buf_free) = BUF_INIT(1 << 20);
    uint64_t at = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t end = at + m[i].rows * m[i].cols * dtype_bytes(m[i].dtype);

        buf_printf(&head,
            "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%llu,%llu],"
            "\"data_offsets\":[%llu,%llu]}",
            i > 0 ? "," : "{", m[i].name, dtype_name(m[i].dtype),
            (unsigned long long)m[i].rows, (unsigned long long)m[i].cols,
            (unsigned long long)at, (unsigned long long)end);
        at = end;
    }
    buf_putc(&head, '}');
    buf_put(&b, &(uint64_t){ head.len }, 8);
    buf_put(&b, head.p, head.len);
    for (size_t i = 0; i < n; i++) {
        float *v = values_of(&m[i]);
        size_t len = m[i].rows * m[i].cols * dtype_bytes(m[i].dtype);

        cast_array(
            buf_room(&b, len), m[i].dtype, v, DTYPE_F32, m[i].rows * m[i].cols);
        b.len += len;
        free(v);
    }
    write_file(path, b.p, b.len);
}

static int convert(const char *from, const char *to, unsigned threads,
    uint64_t shard, enum overflow_policy policy, struct err *e)
{
    struct convert_opts o = { .source = from,
        .out = to,
        .threads = threads,
        .recipe = { .dtype = DTYPE_BF16,
            .int8 = true,
            .on_overflow = policy,
            .shard_size = shard },
        .progress = PROGRESS_NONE };
    struct convert_result r;

    *e = (struct err)ERR_INIT;
    return convert_run(&o, &r, e);
}

/* One row by the formulas; how many of its bytes are others. */
static uint64_t wrong_in_row(
    const float *v, uint64_t cols, const int8_t *q, const uint8_t *scale)
{
    float most = 0, s;
    uint64_t wrong = 0;
    uint16_t kept;

    for (uint64_t k = 0; k < cols; k++)
        most = fmaxf(most, fabsf(v[k]));
    s = fmaxf(most / 127.5F, 1.1920929e-7F);
    kept = cast_f32_to_bf16(s);
    for (uint64_t k = 0; k < cols; k++)
        wrong += q[k] != (int8_t)fmaxf(-128, fminf(127, rintf(v[k] / s)));
    return wrong + (memcmp(&kept, scale, sizeof(kept)) != 0);
}

/* What the file holds of the values, as floats. */
static float *stored_values(const struct matrix *m)
{
    float *v = values_of(m);
    uint64_t n = m->rows * m->cols;
    void *stored = calloc(n, dtype_bytes(m->dtype));

    cast_array(stored, m->dtype, v, DTYPE_F32, n);
    cast_array(v, DTYPE_F32, stored, m->dtype, n);
    free(stored);
    return v;
}

static void check_matrix(const struct checkpoint *c, const struct matrix *m)
{
    const struct tensor *t = checkpoint_find(c, m->name), *s;
    int8_t *q = calloc(m->rows * m->cols, 1);
    uint8_t *scales = calloc(m->rows, 2);
    float *v = stored_values(m);
    struct err e = ERR_INIT;
    uint64_t wrong = 0;

    s = t == NULL ? NULL : int8_scales_of(c, t);
    if (ok(s != NULL && s->dtype == DTYPE_BF16, "%s has scales", m->name)) {
        checkpoint_read(c, t, 0, t->n, q, &e);
        checkpoint_read(c, s, 0, s->n, scales, &e);
        for (uint64_t r = 0; r < m->rows; r++)
            wrong += wrong_in_row(
                v + r * m->cols, m->cols, q + r * m->cols, scales + 2 * r);
        ok(e.kind == ERR_NONE && wrong == 0,
            "%s, %s [%llu, %llu]: as the formulas give it", m->name,
            dtype_name(m->dtype), (unsigned long long)m->rows,
            (unsigned long long)m->cols);
    }
    free(v);
    free(q);
    free(scales);
}

static bool same_files(const char *a, const char *b)
{
    struct buf x AUTO(buf_free) = BUF_INIT(1 << 28);
    struct buf y AUTO(buf_free) = BUF_INIT(1 << 28);
    struct err e = ERR_INIT;

    return file_slurp(a, &x, &e) == 0 && file_slurp(b, &y, &e) == 0 &&
           str_eq(buf_str(&x), buf_str(&y));
}

static void rows_of_all_lengths(void)
{
    static const struct matrix m[SEVERAL] = {
        { "a.weight", DTYPE_F32, 5000, 1 },
        { "b.weight", DTYPE_F16, 300, 31 },
        { "c.weight", DTYPE_BF16, 64, 4096 },
        { "d.weight", DTYPE_F64, 3, INT8_PIECE },
        { "e.weight", DTYPE_F32, 5, INT8_PIECE + 1 },
        { "f.weight", DTYPE_F16, 3, BLOCK_BYTES + 7 },
        { "g.weight", DTYPE_F32, 2, 3 * BLOCK_BYTES },
        { "lm_head.weight", DTYPE_F32, 700, 129 },
    };
    struct checkpoint c AUTO(checkpoint_close) = CHECKPOINT_INIT;
    struct err e;

    put_model(at("all/model.safetensors"), m, SEVERAL);
    ok(convert(at("all"), at("one"), 1, 0, OVERFLOW_ERROR, &e) == 0,
        "converts %s", e.msg);
    ok(checkpoint_open(&c, at("one"), NULL, &e) == 0, "opens %s", e.msg);
    for (size_t i = 0; i < SEVERAL; i++)
        check_matrix(&c, &m[i]);
    checkpoint_close(&c);
    for (unsigned threads = 2; threads <= 5; threads += 3) {
        ok(convert(at("all"), at("%u", threads), threads, 0, OVERFLOW_ERROR,
               &e) == 0 &&
                same_files(at("one/model.safetensors"),
                    at("%u/model.safetensors", threads)),
            "the same bytes with %u threads", threads);
    }
    ok(convert(at("all"), at("cut"), 3, 100000, OVERFLOW_ERROR, &e) == 0,
        "in shards %s", e.msg);
    ok(checkpoint_open(&c, at("cut"), NULL, &e) == 0 && c.n_files > 5,
        "several %s", e.msg);
    for (size_t i = 0; i < SEVERAL; i++)
        check_matrix(&c, &m[i]);
}

/* More rows than are remembered: they are found again, to the same bytes. */
static void more_than_remembered(void)
{
    static const struct matrix m[] = {
        { "a.weight", DTYPE_F32, INT8_ROWS_KEPT - 1, 1 },
        { "b.weight", DTYPE_F16, 5001, 77 },
    };
    struct checkpoint c AUTO(checkpoint_close) = CHECKPOINT_INIT;
    struct err e;

    put_model(at("many/model.safetensors"), m, ARRAY_LEN(m));
    ok(convert(at("many"), at("rows"), 2, 0, OVERFLOW_ERROR, &e) == 0 &&
            checkpoint_open(&c, at("rows"), NULL, &e) == 0,
        "more rows than are remembered %s", e.msg);
    for (size_t i = 0; i < ARRAY_LEN(m); i++)
        check_matrix(&c, &m[i]);
}

/* ---- what there is no byte for ---- */

static void put_row(
    const char *folder, const char *type, const void *bytes, size_t len)
{
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);
    struct buf head AUTO(buf_free) = BUF_INIT(1 << 20);
    size_t size = strcmp(type, "F64") == 0 ? 8 : 4;

    buf_printf(&head,
        "{\"x.weight\":{\"dtype\":\"%s\",\"shape\":[1,%zu],"
        "\"data_offsets\":[0,%zu]}}",
        type, len / size, len);
    buf_put(&b, &(uint64_t){ head.len }, 8);
    buf_put(&b, head.p, head.len);
    buf_put(&b, bytes, len);
    write_file(at("%s/model.safetensors", folder), b.p, b.len);
}

static void read_row(const char *folder, int8_t *q, uint16_t *scale)
{
    struct checkpoint c AUTO(checkpoint_close) = CHECKPOINT_INIT;
    struct err e = ERR_INIT;

    if (checkpoint_open(&c, folder, NULL, &e) == 0) {
        checkpoint_read(&c, checkpoint_find(&c, "x.weight"), 0, 4, q, &e);
        checkpoint_read(&c, checkpoint_find(&c, "x.scales"), 0, 1, scale, &e);
    }
}

static void not_finite(void)
{
    static const float inf[4] = { 1, -INFINITY, 0.5F, INFINITY };
    static const float nan[4] = { 1, NAN, 0.5F, 2 };
    static const double huge[4] = { 1e300, 1, -0.5, -1e300 };
    int8_t q[4] = { 0 };
    uint16_t scale = 0;
    struct err e;

    put_row("inf", "F32", inf, sizeof(inf));
    ok(convert(at("inf"), at("x"), 1, 0, OVERFLOW_ERROR, &e) == -1 &&
            e.kind == ERR_VERDICT && strstr(e.msg, "x.weight") != NULL,
        "an infinity is refused: %s", e.msg);
    ok(access(at("x"), F_OK) != 0, "nothing is left");
    ok(convert(at("inf"), at("x"), 1, 0, OVERFLOW_CLAMP, &e) == 0,
        "or clamped %s", e.msg);
    read_row(at("x"), q, &scale);
    ok(q[0] == 127 && q[1] == -128 && q[2] == 64 && q[3] == 127 &&
            scale == cast_f32_to_bf16(1 / 127.5F),
        "to the end of its row's range");
    put_row("nan", "F32", nan, sizeof(nan));
    ok(convert(at("nan"), at("y"), 1, 0, OVERFLOW_ERROR, &e) == -1 &&
            e.kind == ERR_VERDICT && strstr(e.msg, "1 NaN") != NULL,
        "a NaN is refused: %s", e.msg);
    ok(convert(at("nan"), at("y"), 1, 0, OVERFLOW_CLAMP, &e) == -1 &&
            e.kind == ERR_VERDICT,
        "whatever the policy");
    put_row("huge", "F64", huge, sizeof(huge));
    ok(convert(at("huge"), at("z"), 1, 0, OVERFLOW_ERROR, &e) == -1 &&
            e.kind == ERR_VERDICT,
        "what float32 does not hold is refused: %s", e.msg);
    ok(convert(at("huge"), at("z"), 1, 0, OVERFLOW_CLAMP, &e) == 0,
        "or clamped %s", e.msg);
    read_row(at("z"), q, &scale);
    ok(q[0] == 127 && q[1] == 127 && q[2] == -64 && q[3] == -128,
        "as an infinity is");
}

/* ---- what is a matrix of a linear layer ---- */

static void names(void)
{
    static const struct {
        const char *name;
        bool linear;
    } t[] = {
        { "lm_head.weight", true },
        { "embed_out.weight", true },
        { "output.weight", true },
        { "model.layers.0.self_attn.q_proj.weight", true },
        { "layers.3.attention.wqkv.weight", true },
        { "gpt_neox.layers.0.mlp.dense_h_to_4h.weight", true },
        { "patch_embed.proj.weight", true },
        { "model.embed_tokens.weight", false },
        { "gpt_neox.embed_in.weight", false },
        { "tok_embeddings.weight", false },
        { "transformer.wte.weight", false },
        { "wpe.weight", false },
        { "shared.weight", false },
        { "bert.embeddings.word_embeddings.weight", false },
        { "encoder.block.0.relative_attention_bias.weight", false },
        { "x.bias", false },
        { ".weight", false },
        { "weight", false },
        { "weights", false },
    };

    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        ok(int8_is_linear(str_of(t[i].name)) == t[i].linear, "%s: %s",
            t[i].name, t[i].linear ? "a matrix" : "none");
}

/* ---- pieces of a matrix, read back ---- */

static void read_back(void)
{
    static const struct matrix m[] = { { "a.weight", DTYPE_F32, 3000, 7 },
        { "b.weight", DTYPE_F32, 3, 40000 } };
    struct checkpoint c AUTO(checkpoint_close) = CHECKPOINT_INIT;
    struct err e;
    bool same = true;

    put_model(at("back/model.safetensors"), m, ARRAY_LEN(m));
    ok(convert(at("back"), at("b8"), 2, 0, OVERFLOW_ERROR, &e) == 0 &&
            checkpoint_open(&c, at("b8"), NULL, &e) == 0,
        "converts %s", e.msg);
    for (size_t i = 0; i < ARRAY_LEN(m) && c.n_tensors > 0; i++) {
        const struct tensor *t = checkpoint_find(&c, m[i].name);
        const struct tensor *s = int8_scales_of(&c, t);
        float *all = calloc(t->n, sizeof(*all)), some[100];
        int8_t *q = calloc(t->n, 1);
        uint16_t *scales = calloc(s->n, 2);

        checkpoint_read(&c, t, 0, t->n, q, &e);
        checkpoint_read(&c, s, 0, s->n, scales, &e);
        same = same && int8_read(&c, t, s, 0, t->n, all, &e) == 0;
        for (uint64_t k = 0; k < t->n; k++)
            same = same && all[k] == (float)q[k] * cast_bf16_to_f32(
                                                       scales[k / m[i].cols]);
        for (uint64_t k = 0; k + 100 < t->n; k += 997)
            same = same && int8_read(&c, t, s, k, 100, some, &e) == 0 &&
                   memcmp(some, all + k, sizeof(some)) == 0;
        free(all);
        free(q);
        free(scales);
    }
    ok(same, "values are bytes times scales, wherever one begins");
}

int main(void)
{
    scratch_open();
    names();
    rows_of_all_lengths();
    more_than_remembered();
    not_finite();
    read_back();
    scratch_close();
    return done();
}
