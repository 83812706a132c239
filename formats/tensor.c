#include "formats/tensor.h"

#include <stdio.h>

uint64_t tensor_bytes(const struct tensor *t)
{
    uint64_t whole = t->n / 8, rest = t->n % 8, out;
    unsigned bits = dtype_bits(t->dtype);

    /* Eight elements are as many bytes as one has bits. */
    if (!size_mul(whole, bits, &out) ||
        !size_add(out, (rest * bits + 7) / 8, &out))
        return UINT64_MAX;
    return out;
}

bool tensor_count(const uint64_t *shape, uint32_t rank, uint64_t *out)
{
    uint64_t n = 1;

    for (uint32_t i = 0; i < rank; i++)
        if (!size_mul(n, shape[i], &n))
            return false;
    *out = n;
    return n <= (uint64_t)1 << 62;
}

bool tensor_dense(const struct tensor *t)
{
    uint64_t step = 1;

    if (t->stride == NULL || t->n == 0)
        return true;
    for (uint32_t i = t->rank; i-- > 0;) {
        if (t->shape[i] != 1 && t->stride[i] != step)
            return false;
        step *= t->shape[i];
    }
    return true;
}

/* The step of dimension i; dense tensors need not carry their strides. */
static uint64_t stride_at(const struct tensor *t, uint32_t i)
{
    uint64_t step = 1;

    if (t->stride != NULL)
        return t->stride[i];
    for (uint32_t k = i + 1; k < t->rank; k++)
        step *= t->shape[k];
    return step;
}

/* They make the same numbers of the same integers. */
static bool same_quant(
    const struct tensor_quant *a, const struct tensor_quant *b)
{
    if (a == NULL || b == NULL || a == b)
        return a == b;
    if (a->stored != b->stored || a->per_channel != b->per_channel)
        return false;
    if (!a->per_channel)
        return a->scale == b->scale && a->zero == b->zero;
    return a->axis == b->axis && tensor_same_bytes(&a->scales, &b->scales) &&
           tensor_same_bytes(&a->zeros, &b->zeros);
}

bool tensor_same_bytes(const struct tensor *a, const struct tensor *b)
{
    if (a->n == 0 || a->no_data || b->no_data)
        return false;
    if (a->file != b->file || a->offset != b->offset ||
        a->storage_at != b->storage_at || a->storage_len != b->storage_len ||
        a->dtype != b->dtype || !same_quant(a->quant, b->quant) ||
        a->held != b->held || a->rank != b->rank ||
        a->big_endian != b->big_endian)
        return false;
    for (uint32_t i = 0; i < a->rank; i++) {
        if (a->shape[i] != b->shape[i])
            return false;
        if (a->shape[i] != 1 && stride_at(a, i) != stride_at(b, i))
            return false;
    }
    return true;
}

char *tensor_shape_text(char *out, size_t out_len, const struct tensor *t)
{
    size_t at = (size_t)snprintf(out, out_len, "[");

    for (uint32_t i = 0; i < t->rank && at < out_len; i++)
        at += (size_t)snprintf(out + at, out_len - at, "%s%llu",
            i > 0 ? ", " : "", (unsigned long long)t->shape[i]);
    if (at < out_len)
        snprintf(out + at, out_len - at, "]");
    return out;
}
