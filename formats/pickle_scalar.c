/*
 * The opcodes that push one number, string or bytes from binary fields.
 * Lengths are compared with what is left before anything else happens.
 */
#include "formats/pickle_internal.h"

int pickle_op_binint(struct pickle *p)
{
    return pickle_push(p, pickle_int(p, (int32_t)rd_u32(&p->rd)));
}

int pickle_op_binint1(struct pickle *p)
{
    return pickle_push(p, pickle_int(p, rd_u8(&p->rd)));
}

int pickle_op_binint2(struct pickle *p)
{
    return pickle_push(p, pickle_int(p, rd_u16(&p->rd)));
}

static int push_long(struct pickle *p, uint64_t n)
{
    const uint8_t *bytes;

    if (n > PICKLE_INT_BYTES_MAX)
        return pickle_doubt(p,
            pickle_bad(p, "an integer of %llu bytes", (unsigned long long)n));
    bytes = rd_bytes(&p->rd, n);
    if (bytes == NULL)
        return 0; /* the cursor remembers */
    return pickle_push(p, pickle_long(p, bytes, n));
}

int pickle_op_long1(struct pickle *p)
{
    return push_long(p, rd_u8(&p->rd));
}

int pickle_op_long4(struct pickle *p)
{
    return push_long(p, rd_u32(&p->rd));
}

/* The only big-endian field of the format. */
int pickle_op_binfloat(struct pickle *p)
{
    uint64_t bits = __builtin_bswap64(rd_u64(&p->rd));
    struct node *n = pickle_node(p, NODE_FLOAT);

    if (n == NULL)
        return -1;
    memcpy(&n->f, &bits, sizeof(bits));
    return pickle_push(p, n);
}

static int push_text(struct pickle *p, enum node_kind kind, unsigned len_bytes)
{
    uint64_t n = rd_le(&p->rd, len_bytes);
    struct str s;

    if (n > rd_left(&p->rd))
        return pickle_bad(p, "a length of %llu, %llu bytes are left",
            (unsigned long long)n, (unsigned long long)rd_left(&p->rd));
    s = (struct str){ (const char *)rd_bytes(&p->rd, n), n };
    if (s.p == NULL)
        return 0;
    if (kind == NODE_STR && !pickle_is_utf8(s, true))
        return pickle_bad(p, "the string is not UTF-8");
    return pickle_push(p, pickle_text(p, kind, s));
}

int pickle_op_binunicode(struct pickle *p)
{
    return push_text(p, NODE_STR, 4);
}

int pickle_op_short_binunicode(struct pickle *p)
{
    return push_text(p, NODE_STR, 1);
}

int pickle_op_binunicode8(struct pickle *p)
{
    return push_text(p, NODE_STR, 8);
}

int pickle_op_binbytes(struct pickle *p)
{
    return push_text(p, NODE_BYTES, 4);
}

int pickle_op_short_binbytes(struct pickle *p)
{
    return push_text(p, NODE_BYTES, 1);
}

int pickle_op_binbytes8(struct pickle *p)
{
    return push_text(p, NODE_BYTES, 8);
}

static int push_str2(struct pickle *p, unsigned len_bytes)
{
    uint64_t n = rd_le(&p->rd, len_bytes);
    const uint8_t *s;

    /* Negative lengths of BINSTRING are far beyond what is left. */
    if (n > rd_left(&p->rd))
        return pickle_bad(p, "a length of %llu, %llu bytes are left",
            (unsigned long long)n, (unsigned long long)rd_left(&p->rd));
    s = rd_bytes(&p->rd, n);
    if (s == NULL)
        return 0;
    return pickle_push(p, pickle_str2(p, (struct str){ (const char *)s, n }));
}

int pickle_op_binstring(struct pickle *p)
{
    return push_str2(p, 4);
}

int pickle_op_short_binstring(struct pickle *p)
{
    return push_str2(p, 1);
}
