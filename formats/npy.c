/*
 * The header is Python's repr of {'descr': ..., 'fortran_order': ...,
 * 'shape': ...}. Only what such a repr can hold is taken: strings without
 * escapes, True and False, a tuple of decimal numbers; nothing nests.
 */
#include "formats/npy.h"

#include "base/rd.h"

static const char magic[] = "\x93NUMPY";

enum { MAGIC_BYTES = 6 };

/* The header while it is read. */
struct text {
    struct str s;
    uint64_t at; /* of the header in the file, for messages [bytes] */
    size_t pos;
    struct err *e;
};

/* What stands in the three keys. */
struct header {
    struct str descr;
    bool has_descr, has_order, has_shape;
    bool fortran;
    uint64_t shape[TENSOR_RANK_MAX];
    uint32_t rank;
};

bool npy_is(const void *bytes, uint64_t len)
{
    return len >= MAGIC_BYTES && memcmp(bytes, magic, MAGIC_BYTES) == 0;
}

/* ---- dtypes ---- */

static enum dtype number_type(char kind, struct str size)
{
    static const struct {
        const char *code;
        enum dtype dtype;
    } types[] = { { "f2", DTYPE_F16 }, { "f4", DTYPE_F32 }, { "f8", DTYPE_F64 },
        { "i1", DTYPE_I8 }, { "i2", DTYPE_I16 }, { "i4", DTYPE_I32 },
        { "i8", DTYPE_I64 }, { "u1", DTYPE_U8 }, { "u2", DTYPE_U16 },
        { "u4", DTYPE_U32 }, { "u8", DTYPE_U64 }, { "b1", DTYPE_BOOL },
        { "c8", DTYPE_C64 }, { "c16", DTYPE_C128 } };

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (kind == types[i].code[0] && str_is(size, types[i].code + 1))
            return types[i].dtype;
    }
    return DTYPE_NONE;
}

struct npy_dtype npy_dtype_of(struct str descr)
{
    struct npy_dtype t = { .dtype = DTYPE_NONE };

    if (descr.len > 0 && memchr("<>=|", descr.p[0], 4) != NULL) {
        t.big_endian = descr.p[0] == '>';
        descr = (struct str){ descr.p + 1, descr.len - 1 };
    }
    if (descr.len == 0)
        return t;
    t.objects = descr.p[0] == 'O';
    t.dtype =
        number_type(descr.p[0], (struct str){ descr.p + 1, descr.len - 1 });
    t.big_endian = t.big_endian && dtype_bytes(t.dtype) > 1;
    return t;
}

static int refuse_type(
    struct err *e, struct str descr, const struct npy_dtype *t)
{
    if (t->objects) {
        err_set(e, ERR_UNSUPPORTED,
            "an array of Python objects ('%.*s'), which is a pickle and "
            "holds no numbers",
            STR_ARG(descr));
        return err_hint(e, "save the arrays one by one, as numbers: "
                           "np.savez(file, name=array, ...)");
    }
    err_set(e, ERR_UNSUPPORTED, "an array of dtype '%.*s', which is not read",
        STR_ARG(descr));
    if (str_ends(descr, "V2"))
        return err_hint(e,
            "if it is bfloat16, save it as float32, which holds every value: "
            "array.astype('float32')");
    return -1;
}

/* ---- the text ---- */

static int text_bad(struct text *t, const char *what)
{
    return err_set(t->e, ERR_REFUSED,
        "a malformed .npy header: %s, at byte %llu", what,
        (unsigned long long)(t->at + t->pos));
}

static void skip_blanks(struct text *t)
{
    while (t->pos < t->s.len && memchr(" \t\r\n", t->s.p[t->pos], 4) != NULL)
        t->pos++;
}

/* The next character that is not blank is c, and taken. */
static bool take(struct text *t, char c)
{
    skip_blanks(t);
    if (t->pos >= t->s.len || t->s.p[t->pos] != c)
        return false;
    t->pos++;
    return true;
}

static bool take_word(struct text *t, const char *word)
{
    struct str rest;

    skip_blanks(t);
    rest = (struct str){ t->s.p + t->pos, t->s.len - t->pos };
    if (!str_starts(rest, word))
        return false;
    t->pos += strlen(word);
    return true;
}

static int take_string(struct text *t, struct str *out)
{
    char quote = take(t, '\'') ? '\'' : take(t, '"') ? '"' : '\0';
    size_t from = t->pos;

    if (quote == '\0')
        return text_bad(t, "no string where one should be");
    while (t->pos < t->s.len && t->s.p[t->pos] != quote) {
        unsigned char c = (unsigned char)t->s.p[t->pos];

        if (c < ' ' || c >= 0x7f || c == '\\')
            return text_bad(t, "a string with an odd character");
        if (t->pos++ - from > NPY_DESCR_MAX)
            return text_bad(t, "a string that is too long");
    }
    if (t->pos == t->s.len)
        return text_bad(t, "a string without an end");
    *out = (struct str){ t->s.p + from, t->pos - from };
    t->pos++;
    return 0;
}

static bool is_digit(const struct text *t)
{
    return t->pos < t->s.len && t->s.p[t->pos] >= '0' && t->s.p[t->pos] <= '9';
}

/* Python 2 wrote an L behind its long integers. */
static int take_number(struct text *t, uint64_t *out)
{
    bool zero;

    *out = 0;
    skip_blanks(t);
    if (!is_digit(t))
        return text_bad(t, "no size where one should be");
    zero = t->s.p[t->pos] == '0';
    for (size_t digits = 0; is_digit(t); digits++, t->pos++) {
        if (zero && digits > 0)
            return text_bad(t, "a size with leading zeros");
        if (!size_mul(*out, 10, out) ||
            !size_add(*out, (uint64_t)(t->s.p[t->pos] - '0'), out))
            return text_bad(t, "a size beyond 64 bits");
    }
    if (t->pos < t->s.len && t->s.p[t->pos] == 'L')
        t->pos++;
    return 0;
}

/* (), (3,), (2, 3), (2, 3,); in Python (3) is no tuple. */
static int take_shape(struct text *t, struct header *h)
{
    bool comma = true;

    if (!take(t, '('))
        return text_bad(t, "the shape is not a tuple");
    while (!take(t, ')')) {
        if (!comma)
            return text_bad(t, "a shape without a comma or an end");
        if (h->rank == TENSOR_RANK_MAX)
            return text_bad(t, "a shape of too many dimensions");
        if (take_number(t, &h->shape[h->rank++]) != 0)
            return -1;
        comma = take(t, ',');
    }
    if (h->rank == 1 && !comma)
        return text_bad(t, "the shape is not a tuple");
    return 0;
}

static int take_descr(struct text *t, struct header *h)
{
    skip_blanks(t);
    if (t->pos < t->s.len && (t->s.p[t->pos] == '[' || t->s.p[t->pos] == '('))
        return err_set(t->e, ERR_UNSUPPORTED,
            "an array of records (a structured dtype), which is not read");
    return take_string(t, &h->descr);
}

static int take_order(struct text *t, struct header *h)
{
    h->fortran = take_word(t, "True");
    if (!h->fortran && !take_word(t, "False"))
        return text_bad(t, "fortran_order is neither True nor False");
    return 0;
}

static int take_pair(struct text *t, struct header *h)
{
    struct str key;
    bool *seen;

    if (take_string(t, &key) != 0)
        return -1;
    seen = str_is(key, "descr")           ? &h->has_descr
           : str_is(key, "fortran_order") ? &h->has_order
           : str_is(key, "shape")         ? &h->has_shape
                                          : NULL;
    if (seen == NULL)
        return text_bad(t, "a key that is none of the three");
    if (*seen)
        return text_bad(t, "a key stands twice");
    *seen = true;
    if (!take(t, ':'))
        return text_bad(t, "no ':' behind a key");
    if (seen == &h->has_descr)
        return take_descr(t, h);
    return seen == &h->has_order ? take_order(t, h) : take_shape(t, h);
}

static int take_header(struct text *t, struct header *h)
{
    bool comma = true;

    if (!take(t, '{'))
        return text_bad(t, "it is not a dict");
    while (!take(t, '}')) {
        if (!comma)
            return text_bad(t, "no ',' or '}' behind a value");
        if (take_pair(t, h) != 0)
            return -1;
        comma = take(t, ',');
    }
    skip_blanks(t);
    if (t->pos != t->s.len)
        return text_bad(t, "something follows the dict");
    if (!h->has_descr || !h->has_order || !h->has_shape)
        return text_bad(t, "descr, fortran_order or shape is missing");
    return 0;
}

/* ---- the whole ---- */

/* Leaves the cursor at the header's text; false: not whole, or unknown. */
static bool find_text(struct rd *r, uint64_t *len, unsigned *version)
{
    unsigned minor;

    rd_bytes(r, MAGIC_BYTES);
    *version = rd_u8(r);
    minor = rd_u8(r);
    *len = *version == 1 ? rd_u16(r) : rd_u32(r);
    return !r->bad && *version >= 1 && *version <= 3 && minor == 0;
}

bool npy_body(const void *bytes, uint64_t len, uint64_t *at)
{
    struct rd r = rd_of(bytes, len);
    unsigned version;
    uint64_t n;

    if (!npy_is(bytes, len) || !find_text(&r, &n, &version) || n > rd_left(&r))
        return false;
    *at = r.pos + n;
    return true;
}

int npy_strides(const uint64_t *shape, uint32_t rank, uint64_t n,
    struct arena *arena, const uint64_t **out, struct err *e)
{
    uint64_t *stride, step = 1;

    *out = NULL;
    if (rank < 2 || n == 0)
        return 0;
    stride = arena_alloc(arena, rank, sizeof(*stride), e);
    if (stride == NULL)
        return -1;
    for (uint32_t i = 0; i < rank; i++) {
        stride[i] = step;
        step *= shape[i];
    }
    *out = stride;
    return 0;
}

static int fill(const struct header *h, uint64_t len, struct arena *arena,
    struct npy *out, struct err *e)
{
    uint64_t *shape;

    out->type = npy_dtype_of(h->descr);
    if (out->type.dtype == DTYPE_NONE)
        return refuse_type(e, h->descr, &out->type);
    out->rank = h->rank;
    if (!tensor_count(h->shape, h->rank, &out->n) ||
        !size_mul(out->n, dtype_bytes(out->type.dtype), &out->data_len))
        return err_set(e, ERR_REFUSED, "an array of too many elements");
    if (out->data_len > len - out->data_at)
        return err_set(e, ERR_CORRUPT,
            "cut short: its shape asks for %llu bytes, %llu are there",
            (unsigned long long)out->data_len,
            (unsigned long long)(len - out->data_at));
    if (out->data_len < len - out->data_at)
        return err_set(e, ERR_REFUSED, "%llu bytes follow the array",
            (unsigned long long)(len - out->data_at - out->data_len));
    shape = arena_alloc(arena, h->rank, sizeof(*shape), e);
    if (shape == NULL)
        return -1;
    memcpy(shape, h->shape, h->rank * sizeof(*shape));
    out->shape = shape;
    if (!h->fortran)
        return 0;
    return npy_strides(shape, h->rank, out->n, arena, &out->stride, e);
}

int npy_parse(const void *bytes, uint64_t len, struct arena *arena,
    struct npy *out, struct err *e)
{
    struct rd r = rd_of(bytes, len);
    struct header h = { .rank = 0 };
    struct text t = { .e = e };
    unsigned version;
    uint64_t n;

    *out = (struct npy){ .rank = 0 };
    if (!npy_is(bytes, len))
        return err_set(e, ERR_REFUSED, "not a NumPy array");
    if (!find_text(&r, &n, &version)) {
        if (r.bad)
            return err_set(e, ERR_CORRUPT, "the .npy header is cut short");
        return err_set(e, ERR_REFUSED,
            "a .npy header of version %u, 1 to 3 are known", version);
    }
    if (n > NPY_HEADER_MAX)
        return err_set(e, ERR_REFUSED, "a .npy header of %llu bytes",
            (unsigned long long)n);
    t.at = r.pos;
    t.s = (struct str){ (const char *)rd_bytes(&r, n), n };
    if (r.bad)
        return err_set(e, ERR_CORRUPT, "the .npy header is cut short");
    out->data_at = r.pos;
    if (take_header(&t, &h) != 0)
        return -1;
    return fill(&h, len, arena, out, e);
}
