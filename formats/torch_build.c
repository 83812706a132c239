/*
 * The callables of torch whose meaning is a view into a storage. Arity and
 * kinds are checked strictly: what does not fit stays opaque. Numbers that do
 * fit but lead outside the storage are refused.
 */
#include "formats/torch_internal.h"

/* The arguments of a tensor builder that say where its elements lie. */
struct view_args {
    struct torch_storage *storage; /* or NULL: no data */
    enum dtype dtype;
    const struct node *offset; /* or NULL: 0 */
    const struct node *size;
    const struct node *stride;
};

static bool is_ints(const struct node *tuple)
{
    if (tuple->kind != NODE_TUPLE)
        return false;
    for (uint64_t i = 0; i < tuple->list.n; i++) {
        if (tuple->list.v[i]->kind != NODE_INT &&
            tuple->list.v[i]->kind != NODE_BIGINT)
            return false;
    }
    return true;
}

static const uint64_t *int_array(
    struct pickle *p, const struct node *tuple, const char *what)
{
    uint64_t *v = arena_alloc(p->env->arena, tuple->list.n, sizeof(*v), p->e);

    for (uint64_t i = 0; v != NULL && i < tuple->list.n; i++) {
        if (!node_u64(tuple->list.v[i], &v[i])) {
            pickle_bad(p, "a tensor whose %s is negative or huge", what);
            return NULL;
        }
    }
    return v;
}

static bool is_dense(const struct torch_view *v, const uint64_t *stride)
{
    uint64_t step = 1;

    for (uint32_t i = v->rank; i > 0; i--) {
        if (v->shape[i - 1] != 1 && stride[i - 1] != step)
            return false;
        step *= v->shape[i - 1];
    }
    return true;
}

/* The element behind the last one the view reaches; false: overflow. */
static bool view_end(const struct torch_view *v, const uint64_t *stride,
    uint64_t first, uint64_t *out)
{
    uint64_t last = first, step;

    for (uint32_t i = 0; i < v->rank; i++) {
        if (!size_mul(v->shape[i] - 1, stride[i], &step) ||
            !size_add(last, step, &last))
            return false;
    }
    return size_add(last, 1, out);
}

static int view_bounds(struct pickle *p, const struct view_args *a,
    const uint64_t *stride, struct torch_view *v)
{
    const struct torch_reader *r = p->env->ctx;
    unsigned element = dtype_bytes(v->dtype);
    uint64_t first = 0, end;

    if (a->offset != NULL && !node_u64(a->offset, &first))
        return pickle_bad(p, "a tensor whose offset is negative or huge");
    if (v->n == 0)
        return 0;
    /* A stride of 0 lets one element claim any size. */
    if (!size_mul(v->n, element, &end) ||
        end / TORCH_GROWTH_MAX > size_max(r->len, TORCH_GROWTH_FREE))
        return pickle_bad(p,
            "a tensor of %llu elements in a file of %llu bytes: expanded "
            "beyond reason",
            (unsigned long long)v->n, (unsigned long long)r->len);
    if (!view_end(v, stride, first, &end) || !size_mul(end, element, &end) ||
        end > v->storage->bytes)
        return pickle_bad(p,
            "a tensor that reaches past the end of its storage '%.*s' of "
            "%llu bytes",
            STR_ARG(v->storage->key), (unsigned long long)v->storage->bytes);
    v->offset = first * element;
    return 0;
}

bool torch_dims(const struct node *tuple, uint64_t *out)
{
    if (tuple->kind != NODE_TUPLE || tuple->list.n > TENSOR_RANK_MAX)
        return false;
    for (uint64_t i = 0; i < tuple->list.n; i++) {
        uint64_t v;

        if (!node_u64(tuple->list.v[i], &v))
            return false;
        if (out != NULL)
            out[i] = v;
    }
    return true;
}

static int build_view(
    struct pickle *p, const struct view_args *a, struct node **out)
{
    struct torch_reader *r = p->env->ctx;
    struct torch_view *v = arena_alloc(p->env->arena, 1, sizeof(*v), p->e);
    const uint64_t *stride;

    if (v == NULL)
        return -1;
    if (a->size->list.n != a->stride->list.n ||
        a->size->list.n > TENSOR_RANK_MAX)
        return pickle_bad(p, "a tensor with %llu sizes and %llu strides",
            (unsigned long long)a->size->list.n,
            (unsigned long long)a->stride->list.n);
    if (++r->n_views > TORCH_TENSORS_MAX)
        return pickle_bad(p, "more than %d tensors", TORCH_TENSORS_MAX);
    *v = (struct torch_view){ .storage = a->storage,
        .dtype = a->dtype,
        .rank = (uint32_t)a->size->list.n };
    v->shape = int_array(p, a->size, "size");
    stride = int_array(p, a->stride, "stride");
    if (v->shape == NULL || stride == NULL)
        return -1;
    if (!tensor_count(v->shape, v->rank, &v->n))
        return pickle_bad(p, "a tensor of too many elements");
    if (v->storage != NULL && view_bounds(p, a, stride, v) != 0)
        return -1;
    v->stride = v->n == 0 || is_dense(v, stride) ? NULL : stride;
    *out = pickle_node(p, NODE_TENSOR);
    if (*out == NULL)
        return -1;
    (*out)->view = v;
    return 0;
}

/* storage, offset, size, stride: the front of all the builders. */
static bool take_view(const struct node *args, struct view_args *a)
{
    struct node *const *v = args->list.v;

    if (v[0]->kind != NODE_STORAGE || v[1]->kind == NODE_BOOL ||
        (v[1]->kind != NODE_INT && v[1]->kind != NODE_BIGINT) ||
        !is_ints(v[2]) || !is_ints(v[3]))
        return false;
    *a = (struct view_args){ v[0]->storage, v[0]->storage->dtype, v[1], v[2],
        v[3] };
    return true;
}

const char *torch_mark(const struct node *meta)
{
    static const char *const marks[] = { "conj", "neg" };

    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        const struct node *v = node_get(meta, marks[i]);

        if (v != NULL && (v->kind != NODE_BOOL || v->truth))
            return marks[i];
    }
    return NULL;
}

/* Its elements are numbers as they stand. */
static bool is_plain(const struct view_args *a)
{
    return a->dtype != DTYPE_NONE && a->storage->quant == NULL;
}

static int call_tensor(
    struct pickle *p, const struct node *args, struct node **out)
{
    struct view_args a;

    if (args->list.n != 4 || !take_view(args, &a) || !is_plain(&a))
        return 0;
    return build_view(p, &a, out);
}

static int call_tensor_v2(
    struct pickle *p, const struct node *args, struct node **out)
{
    struct view_args a;

    if (args->list.n < 6 || args->list.n > 7 || !take_view(args, &a) ||
        !is_plain(&a) ||
        (args->list.n == 7 && torch_mark(args->list.v[6]) != NULL))
        return 0;
    return build_view(p, &a, out);
}

static enum dtype dtype_of(const struct node *n)
{
    static const struct {
        const char *name;
        enum dtype dtype;
    } names[] = { { "float64", DTYPE_F64 }, { "float32", DTYPE_F32 },
        { "float16", DTYPE_F16 }, { "bfloat16", DTYPE_BF16 },
        { "int64", DTYPE_I64 }, { "int32", DTYPE_I32 }, { "int16", DTYPE_I16 },
        { "int8", DTYPE_I8 }, { "uint8", DTYPE_U8 }, { "uint16", DTYPE_U16 },
        { "uint32", DTYPE_U32 }, { "uint64", DTYPE_U64 },
        { "bool", DTYPE_BOOL }, { "complex64", DTYPE_C64 },
        { "complex128", DTYPE_C128 }, { "float8_e4m3fn", DTYPE_F8_E4M3 },
        { "float8_e5m2", DTYPE_F8_E5M2 },
        { "float8_e4m3fnuz", DTYPE_F8_E4M3FNUZ },
        { "float8_e5m2fnuz", DTYPE_F8_E5M2FNUZ },
        { "float8_e8m0fnu", DTYPE_F8_E8M0 } };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (node_is_global(n, "torch", names[i].name))
            return names[i].dtype;
    }
    return DTYPE_NONE;
}

/* An untyped storage and a dtype; the offset counts elements of that. */
static int call_tensor_v3(
    struct pickle *p, const struct node *args, struct node **out)
{
    struct view_args a;

    if (args->list.n < 7 || args->list.n > 8 || !take_view(args, &a))
        return 0;
    a.dtype = dtype_of(args->list.v[6]);
    if (a.dtype == DTYPE_NONE)
        return 0;
    if (a.storage->quant != NULL)
        return 0;
    if (!a.storage->untyped && a.storage->dtype != a.dtype)
        return pickle_bad(p, "a tensor of %s in a %.*s", dtype_name(a.dtype),
            STR_ARG(a.storage->class_name));
    if (args->list.n == 8 && torch_mark(args->list.v[7]) != NULL)
        return 0;
    return build_view(p, &a, out);
}

/* The view of a tensor of numbers that is one for each channel, or NULL. */
static const struct torch_view *channel_view(
    const struct node *n, enum dtype wide)
{
    const struct torch_view *v = n->kind == NODE_TENSOR ? n->view : NULL;

    if (v == NULL || v->rank != 1 || v->stride != NULL || v->quant != NULL ||
        v->storage == NULL || v->dtype != wide)
        return NULL;
    return v;
}

/*
 * (torch.per_channel_affine, scales, zero_points, axis)
 * torch gives that name to float parameters as well; their types decide.
 */
static int channel_qparams(struct pickle *p, const struct node *n,
    const struct node *size, struct torch_qparams *out)
{
    struct node *const *v = n->list.v;
    uint64_t axis, channels;
    bool floats;

    if (n->list.n != 4 ||
        !(node_is_global(v[0], "torch", "per_channel_affine") ||
            node_is_global(v[0], "torch", "per_channel_affine_float_qparams")))
        return 0;
    floats = channel_view(v[2], DTYPE_F32) != NULL;
    out->scales = channel_view(v[1], floats ? DTYPE_F32 : DTYPE_F64);
    out->zeros = channel_view(v[2], floats ? DTYPE_F32 : DTYPE_I64);
    if (out->scales == NULL || out->zeros == NULL)
        return 0;
    if (!node_u64(v[3], &axis) || axis >= size->list.n)
        return pickle_bad(p, "a quantised tensor whose channels are along "
                             "no dimension of its");
    if (!node_u64(size->list.v[axis], &channels) ||
        out->scales->n != channels || out->zeros->n != channels)
        return pickle_bad(p,
            "a quantised tensor with %llu scales and %llu zero points for "
            "dimension %llu",
            (unsigned long long)out->scales->n,
            (unsigned long long)out->zeros->n, (unsigned long long)axis);
    out->axis = (uint32_t)axis;
    return 1;
}

/* 1 with *out filled, 0 when the arguments are not the expected ones, -1. */
static int take_qparams(struct pickle *p, const struct node *n,
    const struct node *size, struct torch_qparams *out)
{
    struct node *const *v = n->list.v;

    *out = (struct torch_qparams){ .scales = NULL };
    if (n->kind != NODE_TUPLE || n->list.n < 3)
        return 0;
    if (!node_is_global(v[0], "torch", "per_tensor_affine"))
        return channel_qparams(p, n, size, out);
    if (n->list.n != 3 || v[1]->kind != NODE_FLOAT || v[2]->kind != NODE_INT)
        return 0;
    if (v[2]->i < INT32_MIN || v[2]->i > INT32_MAX)
        return pickle_bad(p, "a quantised tensor with a huge zero point");
    out->scale = v[1]->f;
    out->zero = (int32_t)v[2]->i;
    return 1;
}

/* storage, offset, size, stride, qparams, requires_grad, hooks */
static int call_qtensor(
    struct pickle *p, const struct node *args, struct node **out)
{
    struct torch_qparams found, *kept;
    struct view_args a;
    int rc;

    if (args->list.n != 7 || !take_view(args, &a) || a.storage->quant == NULL ||
        a.dtype == DTYPE_NONE)
        return 0;
    rc = take_qparams(p, args->list.v[4], a.size, &found);
    if (rc <= 0)
        return rc;
    kept = arena_alloc(p->env->arena, 1, sizeof(*kept), p->e);
    if (kept == NULL || build_view(p, &a, out) != 0)
        return -1;
    *kept = found;
    (*out)->view->quant = kept;
    return 0;
}

/* The first of the arguments, which is what all is about. */
static int call_first(
    struct pickle *p, const struct node *args, struct node **out)
{
    (void)p;
    if (args->list.n >= 1 && args->list.n <= 2)
        *out = args->list.v[0];
    return 0;
}

/* dtype, size, stride, requires_grad: a shape, no data anywhere. */
static int call_meta_tensor(
    struct pickle *p, const struct node *args, struct node **out)
{
    struct node *const *v = args->list.v;
    struct view_args a = { NULL, DTYPE_NONE, NULL, NULL, NULL };

    if (args->list.n != 4 || !is_ints(v[1]) || !is_ints(v[2]))
        return 0;
    a.dtype = dtype_of(v[0]);
    a.size = v[1];
    a.stride = v[2];
    return a.dtype == DTYPE_NONE ? 0 : build_view(p, &a, out);
}

/* tensor, requires_grad, hooks[, state] */
static int call_parameter(
    struct pickle *p, const struct node *args, struct node **out)
{
    (void)p;
    if (args->list.n >= 3 && args->list.n <= 4 &&
        args->list.v[0]->kind == NODE_TENSOR)
        *out = args->list.v[0];
    return 0;
}

/* func, type, args, state: a subclass of Tensor around func(*args). */
static int call_from_type(
    struct pickle *p, const struct node *args, struct node **out)
{
    struct node *const *v = args->list.v;
    pickle_fn *call;

    if (args->list.n != 4 || v[0]->kind != NODE_GLOBAL ||
        v[2]->kind != NODE_TUPLE || v[0]->global->known == NULL)
        return 0;
    call = v[0]->global->known->call;
    /* Never itself: the nesting is the file's to choose. */
    if (call == NULL || call == call_from_type)
        return 0;
    if (call(p, v[2], out) != 0)
        return -1;
    if (*out != NULL && (*out)->kind != NODE_TENSOR)
        *out = NULL;
    return 0;
}

/* torch.Size((2, 3)) */
static int call_size(
    struct pickle *p, const struct node *args, struct node **out)
{
    (void)p;
    if (args->list.n == 1 && args->list.v[0]->kind == NODE_TUPLE)
        *out = args->list.v[0];
    return 0;
}

/* torch.device('cuda', 0): the text "cuda:0" */
static int call_device(
    struct pickle *p, const struct node *args, struct node **out)
{
    struct buf text AUTO(buf_free) = BUF_INIT(TORCH_KEY_MAX);
    struct node *const *v = args->list.v;
    struct str s;

    if (args->list.n < 1 || args->list.n > 2 || v[0]->kind != NODE_STR ||
        v[0]->s.len > TORCH_KEY_MAX / 2 ||
        (args->list.n == 2 && v[1]->kind != NODE_INT))
        return 0;
    buf_put(&text, v[0]->s.p, v[0]->s.len);
    if (args->list.n == 2)
        buf_printf(&text, ":%lld", (long long)v[1]->i);
    if (buf_check(&text, p->e) != 0)
        return -1;
    s = arena_str(p->env->arena, buf_str(&text), p->e);
    *out = s.p == NULL ? NULL : pickle_text(p, NODE_STR, s);
    return *out == NULL ? -1 : 0;
}

const struct pickle_known torch_known[] = {
    { "torch._utils", "_rebuild_tensor", call_tensor },
    { "torch._utils", "_rebuild_tensor_v2", call_tensor_v2 },
    { "torch._utils", "_rebuild_tensor_v3", call_tensor_v3 },
    { "torch._utils", "_rebuild_qtensor", call_qtensor },
    { "torch._utils", "_rebuild_parameter", call_parameter },
    { "torch._utils", "_rebuild_parameter_with_state", call_parameter },
    { "torch._utils", "_rebuild_meta_tensor_no_storage", call_meta_tensor },
    { "torch._tensor", "_rebuild_from_type_v2", call_from_type },
    { "torch.tensor", "_rebuild_from_type_v2", call_from_type },
    { "torch.jit._pickle", "restore_type_tag", call_first },
    { "torch.jit._pickle", "build_intlist", call_first },
    { "torch.jit._pickle", "build_doublelist", call_first },
    { "torch.jit._pickle", "build_boollist", call_first },
    { "torch.jit._pickle", "build_tensorlist", call_first },
    { "torch", "Size", call_size },
    { "torch", "device", call_device },
    { "torch.nn.parameter", "Parameter", NULL },
    { "torch.nn.parameter", "Buffer", NULL },
    { "torch", "Tensor", NULL },
    { "torch", "strided", NULL },
    { "torch", "per_tensor_affine", NULL },
    { "torch", "per_channel_affine", NULL },
    { "torch", "per_channel_affine_float_qparams", NULL },
    { "torch.serialization", "_get_layout", NULL },
    { "torch", "float64", NULL },
    { "torch", "float32", NULL },
    { "torch", "float16", NULL },
    { "torch", "bfloat16", NULL },
    { "torch", "int64", NULL },
    { "torch", "int32", NULL },
    { "torch", "int16", NULL },
    { "torch", "int8", NULL },
    { "torch", "uint8", NULL },
    { "torch", "uint16", NULL },
    { "torch", "uint32", NULL },
    { "torch", "uint64", NULL },
    { "torch", "bool", NULL },
    { "torch", "qint8", NULL },
    { "torch", "quint8", NULL },
    { "torch", "qint32", NULL },
    { "torch", "quint4x2", NULL },
    { "torch", "quint2x4", NULL },
    { "torch", "complex32", NULL },
    { "torch", "complex64", NULL },
    { "torch", "complex128", NULL },
    { "torch", "float8_e4m3fn", NULL },
    { "torch", "float8_e5m2", NULL },
    { "torch", "float8_e4m3fnuz", NULL },
    { "torch", "float8_e5m2fnuz", NULL },
    { "torch", "float8_e8m0fnu", NULL },
    { "torch", "float4_e2m1fn_x2", NULL },
    { "torch", "bits1x8", NULL },
    { "torch", "bits2x4", NULL },
    { "torch", "bits4x2", NULL },
    { "torch", "bits8", NULL },
    { "torch", "bits16", NULL },
    { "torch", "DoubleStorage", NULL },
    { "torch", "FloatStorage", NULL },
    { "torch", "HalfStorage", NULL },
    { "torch", "BFloat16Storage", NULL },
    { "torch", "LongStorage", NULL },
    { "torch", "IntStorage", NULL },
    { "torch", "ShortStorage", NULL },
    { "torch", "CharStorage", NULL },
    { "torch", "ByteStorage", NULL },
    { "torch", "BoolStorage", NULL },
    { "torch", "ComplexFloatStorage", NULL },
    { "torch", "ComplexDoubleStorage", NULL },
    { "torch", "QInt8Storage", NULL },
    { "torch", "QUInt8Storage", NULL },
    { "torch", "QInt32Storage", NULL },
    { "torch", "QUInt4x2Storage", NULL },
    { "torch", "QUInt2x4Storage", NULL },
    { "torch", "UntypedStorage", NULL },
    { "torch.storage", "UntypedStorage", NULL },
    { "torch.cuda", "DoubleStorage", NULL },
    { "torch.cuda", "FloatStorage", NULL },
    { "torch.cuda", "HalfStorage", NULL },
    { "torch.cuda", "BFloat16Storage", NULL },
    { "torch.cuda", "LongStorage", NULL },
    { "torch.cuda", "IntStorage", NULL },
    { "torch.cuda", "ShortStorage", NULL },
    { "torch.cuda", "CharStorage", NULL },
    { "torch.cuda", "ByteStorage", NULL },
    { "torch.cuda", "BoolStorage", NULL },
};

const size_t torch_n_known = ARRAY_LEN(torch_known);
