#include "formats/quant_int8.h"

#include <math.h>
#include <stdlib.h>

#include "formats/alias.h"
#include "formats/cast.h"

#define WEIGHT ".weight"

_Static_assert(sizeof(WEIGHT) == sizeof(INT8_SCALES), "partners are as long");

enum { READ_BYTES = 16 << 10, READ_ROWS = 512 };

/* Embeddings whose names do not say so. */
static const char *const lookups[] = { "shared", "wte", "wpe",
    "relative_attention_bias" };

static bool contains(struct str s, const char *part)
{
    size_t n = strlen(part);

    for (size_t i = 0; i + n <= s.len; i++)
        if (memcmp(s.p + i, part, n) == 0)
            return true;
    return false;
}

bool int8_is_linear(struct str name)
{
    struct str part;
    size_t at;

    if (!str_ends(name, WEIGHT) || name.len == strlen(WEIGHT))
        return false;
    if (alias_is_head(name))
        return true;
    at = name.len -= strlen(WEIGHT);
    while (at > 0 && name.p[at - 1] != '.')
        at--;
    part = (struct str){ name.p + at, name.len - at };
    for (size_t i = 0; i < ARRAY_LEN(lookups); i++)
        if (str_is(part, lookups[i]))
            return false;
    return !contains(part, "emb");
}

static bool is_matrix(const struct tensor *t)
{
    return t->rank == 2 && t->n > 0 && int8_is_linear(t->name);
}

bool int8_takes(const struct tensor *t)
{
    return dtype_is_float(t->dtype) && is_matrix(t);
}

bool int8_is_made(const struct tensor *t)
{
    return t->dtype == DTYPE_I8 && is_matrix(t);
}

struct str int8_partner(char out[TENSOR_NAME_MAX + 1], struct str name)
{
    bool weight = str_ends(name, WEIGHT);

    if (name.len > TENSOR_NAME_MAX || (!weight && !str_ends(name, INT8_SCALES)))
        return (struct str){ NULL, 0 };
    memcpy(out, name.p, name.len);
    memcpy(out + name.len - strlen(WEIGHT), weight ? INT8_SCALES : WEIGHT,
        sizeof(WEIGHT));
    return (struct str){ out, name.len };
}

const struct tensor *int8_scales_of(
    const struct checkpoint *c, const struct tensor *t)
{
    char name[TENSOR_NAME_MAX + 1];
    const struct tensor *s;

    if (t->dtype != DTYPE_I8 || t->rank != 2 || !str_ends(t->name, WEIGHT) ||
        int8_partner(name, t->name).p == NULL)
        return NULL;
    s = checkpoint_find(c, name);
    if (s == NULL || s->rank != 1 || s->shape[0] != t->shape[0] ||
        !dtype_is_float(s->dtype) || s->no_data)
        return NULL;
    return s;
}

float int8_most(float most, const float *in, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        float v = fabsf(in[i]);

        most = v > most && v < INFINITY ? v : most;
    }
    return most;
}

float int8_scale(float most)
{
    const float least = 0x1p-23F;
    float scale = most / 127.5F;

    return scale > least ? scale : least;
}

float int8_kept(float scale)
{
    return cast_bf16_to_f32(cast_f32_to_bf16(scale));
}

void int8_encode(int8_t *out, const float *in, uint64_t n, float scale)
{
    /* Added to a small number it leaves no room for a fraction. */
    const float whole = 0x1.8p23F;
    const float least = isinf(-128 * int8_kept(scale)) ? -127.0F : -128.0F;

    for (uint64_t i = 0; i < n; i++) {
        float v = in[i] / scale;

        v = v > least ? v : least;
        v = v < 127.0F ? v : 127.0F;
        v = (v + whole) - whole;
        out[i] = (int8_t)v;
    }
}

void int8_decode(float *out, const int8_t *in, uint64_t n, float kept)
{
    for (uint64_t i = 0; i < n; i++)
        out[i] = (float)in[i] * kept;
}

/* What a piece of a matrix is made from. */
struct piece {
    int8_t q[READ_BYTES];
    double raw[READ_ROWS]; /* scales as they lie there, of any type */
    float scales[READ_ROWS];
};

/* At most a piece of elements, of at most READ_ROWS rows. */
static int read_piece(const struct checkpoint *c, const struct tensor *t,
    const struct tensor *scales, uint64_t first, uint64_t n, float *out,
    struct piece *p, struct err *e)
{
    uint64_t cols = t->shape[1], row = first / cols;
    uint64_t rows = (first + n - 1) / cols - row + 1;

    if (checkpoint_read(c, t, first, n, p->q, e) != 0 ||
        checkpoint_read(c, scales, row, rows, p->raw, e) != 0)
        return -1;
    cast_array(p->scales, DTYPE_F32, p->raw, scales->dtype, rows);
    for (uint64_t at = 0; at < n;) {
        uint64_t now = size_min(cols - (first + at) % cols, n - at);
        uint64_t i = (first + at) / cols - row;

        int8_decode(out + at, p->q + at, now, p->scales[i]);
        at += now;
    }
    return 0;
}

int int8_read(const struct checkpoint *c, const struct tensor *t,
    const struct tensor *scales, uint64_t first, uint64_t n, float *out,
    struct err *e)
{
    uint64_t most = READ_BYTES;
    struct piece *p;
    int rc = 0;

    if (n == 0)
        return 0;
    if (t->shape[1] < READ_BYTES)
        most = size_min(most, t->shape[1] * (READ_ROWS - 1));
    p = malloc(sizeof(*p));
    if (p == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (uint64_t at = 0; at < n && rc == 0; at += most)
        rc = read_piece(
            c, t, scales, first + at, size_min(most, n - at), out + at, p, e);
    free(p);
    return rc;
}
