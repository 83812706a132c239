#include "verify-run/config.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/path.h"
#include "formats/cast.h"
#include "verify-run/shape.h"

struct activation_name {
    const char *name;
    enum activation act;
};

static const struct activation_name activations[] = {
    { "gelu", ACT_GELU },
    { "gelu_python", ACT_GELU },
    { "gelu_new", ACT_GELU_TANH },
    { "gelu_accurate", ACT_GELU_TANH },
    { "gelu_fast", ACT_GELU_TANH }, /* its constant is the same float */
    { "gelu_pytorch_tanh", ACT_GELU_TANH },
    { "gelu_python_tanh", ACT_GELU_TANH },
    { "gelu_10", ACT_GELU_CLIP10 },
    { "quick_gelu", ACT_GELU_QUICK },
    { "silu", ACT_SILU },
    { "swish", ACT_SILU },
    { "relu", ACT_RELU },
    { "relu2", ACT_RELU2 },
    { "relu6", ACT_RELU6 },
    { "tanh", ACT_TANH },
    { "sigmoid", ACT_SIGMOID },
    { "linear", ACT_LINEAR },
    { "leaky_relu", ACT_LEAKY_RELU },
    { "mish", ACT_MISH },
};

/* ---- members ---- */

static bool absent(const struct json *v)
{
    return v == NULL || json_kind(v) == JSON_NULL;
}

static int bad_member(struct err *e, const char *key, const char *wanted)
{
    return err_set(e, ERR_REFUSED, "config: %s is not %s", key, wanted);
}

/* A number left out or null; of a MAYBE, null says 0. */
static bool take_default(
    double *out, const struct json *v, const struct arch_key *k, bool maybe)
{
    if (!absent(v))
        return false;
    if (v != NULL && maybe)
        *out = 0;
    else if (!isnan(k->fallback))
        *out = k->fallback;
    return true;
}

static int read_count(uint32_t *out, const struct json *v,
    const struct arch_key *k, struct err *e)
{
    bool maybe = k->kind == KEY_MAYBE;
    double standing = *out;
    uint64_t n = 0;

    if (take_default(&standing, v, k, maybe)) {
        *out = (uint32_t)standing;
        return 0;
    }
    if (!json_u64(v, &n) || (n == 0 && !maybe) || n > CONFIG_COUNT_MAX)
        return bad_member(e, k->key, "a whole number from 1 to 16777216");
    *out = (uint32_t)n;
    return 0;
}

static int read_real(
    double *out, const struct json *v, const struct arch_key *k, struct err *e)
{
    bool maybe = k->kind == KEY_REAL_MAYBE;
    double d = NAN;

    if (take_default(out, v, k, maybe))
        return 0;
    if (!json_double(v, &d) || !(config_sane(d) || (maybe && d == 0)))
        return bad_member(e, k->key, "a number above 0");
    if (k->kind == KEY_INVERSE)
        d = 1 / d;
    else if (k->kind == KEY_RSQRT)
        d = 1 / sqrt(d);
    *out = d;
    return 0;
}

/* A flag, which some members have as a number, null or not at all. */
static int read_flag(
    bool *out, const struct json *v, const struct arch_key *k, struct err *e)
{
    if (absent(v)) {
        if (!isnan(k->fallback))
            *out = k->fallback != 0;
        return 0;
    }
    if (!json_bool(v, out))
        return bad_member(e, k->key, "true or false");
    return 0;
}

static int read_must(
    const struct json *v, const struct arch_key *k, struct err *e)
{
    double d = NAN;
    bool flag = false;

    if (absent(v))
        return 0;
    if (json_bool(v, &flag))
        d = flag;
    else
        json_double(v, &d);
    if (d == k->fallback)
        return 0;
    return err_set(e, ERR_UNSUPPORTED,
        "config: %s: only %g is supported (for a flag, 1 is true)", k->key,
        k->fallback);
}

static int read_key(struct model_config *c, const struct json *root,
    const struct arch_key *k, struct err *e)
{
    const struct json *v = k->key == NULL ? NULL : arch_member(root, k->key);
    void *at = (char *)c + k->at;
    bool flag = false;

    switch (k->kind) {
    case KEY_COUNT:
    case KEY_MAYBE:
        return read_count(at, v, k, e);
    case KEY_REAL:
    case KEY_REAL_MAYBE:
    case KEY_INVERSE:
    case KEY_RSQRT:
        return read_real(at, v, k, e);
    case KEY_FLAG:
        return read_flag(at, v, k, e);
    case KEY_CHOICE:
        if (read_flag(&flag, v, k, e) != 0)
            return -1;
        if (v != NULL || !isnan(k->fallback))
            *(uint32_t *)at = flag ? k->yes : k->no;
        return 0;
    case KEY_UNLESS:
        if (read_flag(&flag, v, k, e) != 0)
            return -1;
        if (!flag)
            *(uint32_t *)at = 0;
        return 0;
    case KEY_MUST:
        return read_must(v, k, e);
    }
    return 0;
}

static int read_keys(
    struct model_config *c, const struct json *root, struct err *e)
{
    for (const struct arch_key *k = c->arch->keys; k->at || k->key; k++)
        if (read_key(c, root, k, e) != 0)
            return -1;
    return 0;
}

static int read_activation(
    struct model_config *c, const struct json *root, struct err *e)
{
    const char *key = c->arch->act_key;
    const char *name = c->arch->activation;
    const struct json *v = key == NULL ? NULL : arch_member(root, key);

    if (!absent(v) && !json_str(v, &name))
        return bad_member(e, key, "a name");
    for (size_t i = 0; i < ARRAY_LEN(activations); i++) {
        if (strcmp(activations[i].name, name) == 0) {
            c->act = activations[i].act;
            return 0;
        }
    }
    return err_set(
        e, ERR_UNSUPPORTED, "config: %s '%s' is not supported", key, name);
}

static void set_window(struct model_config *c, uint32_t layer, bool on)
{
    uint8_t bit = (uint8_t)(1u << layer % 8);

    if (on)
        c->windowed[layer / 8] |= bit;
    else
        c->windowed[layer / 8] &= (uint8_t)~bit;
}

uint32_t config_window(const struct model_config *c, uint32_t layer)
{
    return c->windowed[layer / 8] >> layer % 8 & 1 ? c->window : 0;
}

/* Newer files name the kind of every layer; that is heeded before a rule. */
static int read_layer_types(
    struct model_config *c, const struct json *root, struct err *e)
{
    const struct json *v = arch_member(root, "layer_types");
    uint32_t layer = 0;

    if (absent(v))
        return 0;
    if (json_kind(v) != JSON_ARRAY || json_count(v) != c->layers)
        return bad_member(e, "layer_types", "a list of all layers");
    for (v = json_first(v); v != NULL; v = json_next(v), layer++) {
        const char *type = "?";

        json_str(v, &type);
        if (strcmp(type, "sliding_attention") != 0 &&
            strcmp(type, "full_attention") != 0)
            return err_set(e, ERR_UNSUPPORTED,
                "config: layer_types: '%s' is not supported", type);
        set_window(c, layer, type[0] == 's');
    }
    return 0;
}

/* rope_scaling, or the rope_parameters of newer files, some by layer type. */
static int read_rope(
    struct model_config *c, const struct json *root, struct err *e)
{
    const struct json *v = arch_member(root, "rope_scaling");
    const struct json *full, *sliding;

    if (absent(v))
        v = arch_member(root, "rope_parameters");
    full = json_get(v, "full_attention");
    sliding = json_get(v, "sliding_attention");
    if (sliding != NULL && c->has_local &&
        rope_read(&c->local, sliding, e) != 0)
        return -1;
    return rope_read(&c->rope, full != NULL ? full : v, e);
}

static void add_eos(struct model_config *c, const struct json *v)
{
    uint64_t id = 0;

    if (!json_u64(v, &id) || id >= c->vocab || c->n_eos == CONFIG_EOS_MAX ||
        config_is_eos(c, (uint32_t)id))
        return;
    c->eos[c->n_eos++] = (uint32_t)id;
}

/* eos_token_id is a number, a list of them, or null. */
static void read_eos(struct model_config *c, const struct json *root)
{
    const struct json *v = json_get(root, "eos_token_id");

    if (absent(v))
        return;
    if (json_kind(v) != JSON_ARRAY) {
        add_eos(c, v);
        return;
    }
    for (v = json_first(v); v != NULL; v = json_next(v))
        add_eos(c, v);
}

/* ---- derived numbers ---- */

static int finish_heads(struct model_config *c, struct err *e)
{
    if (c->kv_heads == 0)
        c->kv_heads = c->heads;
    if (c->heads % c->kv_heads != 0)
        return err_set(e, ERR_REFUSED,
            "config: %u heads cannot share %u key and value heads evenly",
            c->heads, c->kv_heads);
    if (c->head_dim == 0 && c->dim % c->heads != 0)
        return err_set(e, ERR_REFUSED,
            "config: hidden_size %u is not a multiple of %u heads", c->dim,
            c->heads);
    if (c->head_dim == 0)
        c->head_dim = c->dim / c->heads;
    if ((uint64_t)c->heads * c->head_dim > CONFIG_COUNT_MAX)
        return err_set(e, ERR_REFUSED,
            "config: %u heads of %u: more than 16777216", c->heads,
            c->head_dim);
    if (c->attention_scale == 0)
        c->attention_scale = (double)(1.0f / sqrtf((float)c->head_dim));
    return 0;
}

static int finish_mlp(struct model_config *c, struct err *e)
{
    uint64_t inner = c->inner;
    uint32_t step = c->inner_multiple;

    if (inner == 0 && c->inner_ratio > 0)
        inner = (uint64_t)c->dim * c->inner_ratio;
    else if (inner == 0 && step > 0)
        inner = ((uint64_t)c->dim * 8 / 3 + step - 1) / step * step;
    if (inner == 0 || inner > CONFIG_COUNT_MAX)
        return err_set(e, ERR_REFUSED,
            "config: the MLP's inner size is 0, or more than 16777216");
    c->inner = (uint32_t)inner;
    if (c->kinds.mlp != MLP_MOE)
        c->experts = c->experts_used = 0;
    else if (c->experts == 0 || c->experts > CONFIG_EXPERTS_MAX ||
             c->experts_used == 0 || c->experts_used > c->experts)
        return err_set(e, ERR_REFUSED,
            "config: %u of %u experts: at least 1 of at most %d",
            c->experts_used, c->experts, CONFIG_EXPERTS_MAX);
    return 0;
}

static int finish_positions(struct model_config *c, struct err *e)
{
    uint32_t local = c->context;

    if (c->kinds.position != POSITION_ROPE_HALF &&
        c->kinds.position != POSITION_ROPE_ADJACENT) {
        c->rope.dims = 0;
        c->has_local = false;
        return 0;
    }
    if (c->has_local && c->local.fraction == 0)
        c->local.fraction = c->rope.fraction;
    /* Each may make it longer, from what the config says. */
    if (c->has_local && rope_finish(&c->local, c->head_dim, &local, e) != 0)
        return -1;
    if (rope_finish(&c->rope, c->head_dim, &c->context, e) != 0)
        return -1;
    if (c->has_local)
        c->context = (uint32_t)size_max(c->context, local);
    if (c->has_local && c->local.dims != c->rope.dims)
        return err_set(e, ERR_REFUSED,
            "config: layers that turn %u and %u dimensions of a head",
            c->local.dims, c->rope.dims);
    return 0;
}

static int finish_layers(struct model_config *c, struct err *e)
{
    uint64_t parts = 0;

    if (c->layers > CONFIG_LAYERS_MAX)
        return err_set(e, ERR_REFUSED, "config: %u layers: the most is %d",
            c->layers, CONFIG_LAYERS_MAX);
    for (int r = ROLE_NORM1; r < ROLE_COUNT; r++)
        parts += shape_items(c, r);
    if (parts * c->layers > CONFIG_PARTS_MAX)
        return err_set(e, ERR_REFUSED,
            "config: %u layers of %u heads and %u experts: too many parts",
            c->layers, c->heads, c->experts);
    for (uint32_t i = 0; i < c->layers; i++) {
        bool global = c->window_period > 0 && (i + 1) % c->window_period == 0;

        set_window(c, i, i >= c->window_from && !global);
    }
    return 0;
}

int config_finish(struct model_config *c, struct err *e)
{
    if (c->vocab == 0 || c->dim == 0 || c->layers == 0 || c->heads == 0 ||
        c->context == 0)
        return err_set(e, ERR_REFUSED,
            "config: a size is not given: %u rows of the vocabulary, %u wide, "
            "%u layers, %u heads, %u positions",
            c->vocab, c->dim, c->layers, c->heads, c->context);
    if (c->arch->embed_by_root)
        c->embed_scale = (double)sqrtf((float)c->dim);
    if (finish_heads(c, e) != 0 || finish_mlp(c, e) != 0)
        return -1;
    if (finish_positions(c, e) != 0)
        return -1;
    return finish_layers(c, e);
}

/* ---- whole configs ---- */

void config_begin(struct model_config *c, const struct arch *a)
{
    struct err none = ERR_INIT;

    memset(c, 0, sizeof(*c));
    c->arch = a;
    c->kinds = a->kinds;
    c->rope.fraction = 1;
    c->embed_scale = c->residual_scale = c->logit_scale = 1;
    c->bos = -1;
    read_keys(c, NULL, &none);
    read_activation(c, NULL, &none);
}

int config_read(struct model_config *c, const struct arch *a,
    const struct json *root, struct err *e)
{
    int64_t bos = -1;

    config_begin(c, a);
    if (read_keys(c, root, e) != 0 || read_activation(c, root, e) != 0 ||
        read_rope(c, root, e) != 0 || config_finish(c, e) != 0 ||
        read_layer_types(c, root, e) != 0)
        return -1;
    json_i64(json_get(root, "bos_token_id"), &bos);
    c->bos = bos >= 0 && bos < c->vocab ? bos : -1;
    read_eos(c, root);
    return 0;
}

static int no_arch(const char *type, struct err *e)
{
    const char *lacks = type == NULL ? NULL : arch_lacks(type);
    char list[300];

    if (lacks != NULL)
        err_set(e, ERR_UNSUPPORTED,
            "config: model_type '%s' is not supported: it needs %s", type,
            lacks);
    else if (type != NULL)
        err_set(e, ERR_UNSUPPORTED, "config: model_type '%s' is not supported",
            type);
    else
        err_set(e, ERR_UNSUPPORTED,
            "config: no model_type, and no tensor that tells the family");
    return err_hint(e, "supported: %s", arch_supported(list, sizeof(list)));
}

int config_parse(struct model_config *out, const struct json *root,
    const struct checkpoint *c, struct err *e)
{
    const char *type = NULL;
    const struct arch *a;

    if (json_kind(root) != JSON_OBJECT)
        return err_set(e, ERR_REFUSED, "config: not a JSON object");
    json_str(json_get(root, "model_type"), &type);
    a = arch_choose(type, root, c);
    if (a == NULL)
        return no_arch(type, e);
    return config_read(out, a, root, e);
}

void config_add_generation(struct model_config *c, const char *folder)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    char path[PATH_MAX];
    struct err e = ERR_INIT;

    if (path_join(path, folder, "generation_config.json", &e) == 0 &&
        json_read(&doc, path, CONFIG_TEXT_MAX, &e) == 0)
        read_eos(c, doc.root);
}

void config_adapt(struct model_config *c, const struct checkpoint *ckpt)
{
    struct arch_part p = { .role = ROLE_NORM_OUT, .bias = true };
    struct arch_wrap wrap = arch_wrap_of(c->arch, ckpt);
    char name[ARCH_NAME_MAX];
    char full[ARCH_WRAPPED_MAX];

    if (!c->arch->bias_may_lack || c->kinds.norm != NORM_LAYER)
        return;
    arch_tensor(c->arch, p, name);
    if (checkpoint_find(ckpt, arch_outer(&wrap, name, full)) == NULL)
        c->kinds.norm = NORM_LAYER_NO_BIAS;
}

int config_load(
    struct model_config *out, const struct checkpoint *c, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    char path[PATH_MAX];

    if (path_join(path, c->folder, "config.json", e) != 0)
        return -1;
    if (access(path, F_OK) != 0) {
        err_set(e, ERR_MISSING, "%s: not there", path);
        return err_hint(e, "put the model's config.json beside its weights");
    }
    if (json_read(&doc, path, CONFIG_TEXT_MAX, e) != 0)
        return -1;
    if (config_parse(out, doc.root, c, e) != 0)
        return err_ctx(e, "%s", path);
    config_add_generation(out, c->folder);
    config_adapt(out, c);
    return 0;
}

bool config_is_eos(const struct model_config *c, uint32_t id)
{
    for (uint32_t i = 0; i < c->n_eos; i++)
        if (c->eos[i] == id)
            return true;
    return false;
}

float config_embed_scale(const struct model_config *c, enum dtype dtype)
{
    float f = (float)c->embed_scale;

    if (!c->arch->embed_by_root)
        return f;
    if (dtype == DTYPE_F16)
        return cast_f16_to_f32(cast_f32_to_f16(f));
    if (dtype == DTYPE_BF16)
        return cast_bf16_to_f32(cast_f32_to_bf16(f));
    return f;
}
