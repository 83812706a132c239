#include "verify-run/config.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/path.h"

enum {
    COUNT_MAX = 1 << 24, /* above any model; keeps products inside 64 bits */
    LAYERS_MAX = 4096,
    CONFIG_TEXT_MAX = 16 << 20
};

struct activation_name {
    const char *name;
    enum activation act;
};

static const struct activation_name activations[] = {
    { "gelu", ACT_GELU },
    { "gelu_python", ACT_GELU },
    { "gelu_new", ACT_GELU_TANH },
    { "gelu_accurate", ACT_GELU_TANH },
    { "gelu_pytorch_tanh", ACT_GELU_TANH },
    { "silu", ACT_SILU },
    { "swish", ACT_SILU },
    { "relu", ACT_RELU },
};

static bool absent(const struct json *v)
{
    return v == NULL || json_kind(v) == JSON_NULL;
}

static int bad_member(struct err *e, const char *key, const char *wanted)
{
    return err_set(e, ERR_REFUSED, "config: %s is not %s", key, wanted);
}

static int read_count(uint32_t *out, const struct json *v,
    const struct arch_key *k, struct err *e)
{
    uint64_t n = 0;

    if (absent(v)) {
        if (!isnan(k->fallback))
            *out = (uint32_t)k->fallback;
        return 0;
    }
    if (!json_u64(v, &n) || n == 0 || n > COUNT_MAX)
        return bad_member(e, k->key, "a whole number from 1 to 16777216");
    *out = (uint32_t)n;
    return 0;
}

static int read_real(
    double *out, const struct json *v, const struct arch_key *k, struct err *e)
{
    if (absent(v)) {
        if (!isnan(k->fallback))
            *out = k->fallback;
        return 0;
    }
    if (!json_double(v, out) || !isfinite(*out) || *out <= 0)
        return bad_member(e, k->key, "a number above 0");
    return 0;
}

static int read_key(struct model_config *c, const struct json *root,
    const struct arch_key *k, struct err *e)
{
    const struct json *v = k->key == NULL ? NULL : json_get(root, k->key);
    char *at = (char *)c + k->at;

    switch (k->kind) {
    case KEY_COUNT:
        return read_count((uint32_t *)(void *)at, v, k, e);
    case KEY_REAL:
        return read_real((double *)(void *)at, v, k, e);
    case KEY_FLAG:
        if (absent(v))
            *(bool *)at = k->fallback != 0;
        else if (!json_bool(v, (bool *)at))
            return bad_member(e, k->key, "true or false");
        return 0;
    }
    return 0;
}

static int read_activation(
    struct model_config *c, const struct json *root, struct err *e)
{
    const char *name = c->arch->activation;
    const struct json *v = json_get(root, "hidden_act");

    if (!absent(v) && !json_str(v, &name))
        return bad_member(e, "hidden_act", "a name");
    for (size_t i = 0; i < ARRAY_LEN(activations); i++) {
        if (strcmp(activations[i].name, name) == 0) {
            c->act = activations[i].act;
            return 0;
        }
    }
    return err_set(
        e, ERR_UNSUPPORTED, "config: hidden_act '%s' is not supported", name);
}

static int positive(
    const struct json *obj, const char *key, double *out, struct err *e)
{
    if (json_double(json_get(obj, key), out) && isfinite(*out) && *out > 0)
        return 0;
    return err_set(e, ERR_REFUSED,
        "config: rope_scaling: %s is not a number above 0", key);
}

static int read_llama3(struct rope *r, const struct json *v, struct err *e)
{
    if (positive(v, "factor", &r->factor, e) != 0 ||
        positive(v, "low_freq_factor", &r->low_freq_factor, e) != 0 ||
        positive(v, "high_freq_factor", &r->high_freq_factor, e) != 0 ||
        positive(v, "original_max_position_embeddings", &r->original_context,
            e) != 0)
        return -1;
    if (r->high_freq_factor <= r->low_freq_factor)
        return err_set(e, ERR_REFUSED,
            "config: rope_scaling: high_freq_factor is not above "
            "low_freq_factor");
    r->scaling = ROPE_LLAMA3;
    return 0;
}

/* rope_scaling, or the rope_parameters of newer files. */
static int read_rope(
    struct model_config *c, const struct json *root, struct err *e)
{
    const struct json *v = json_get(root, "rope_scaling");
    const char *type = "default";

    if (absent(v))
        v = json_get(root, "rope_parameters");
    if (absent(v))
        return 0;
    if (json_kind(v) != JSON_OBJECT)
        return bad_member(e, "rope_scaling", "an object");
    json_double(json_get(v, "rope_theta"), &c->rope.base);
    json_double(json_get(v, "partial_rotary_factor"), &c->rope.fraction);
    if (!json_str(json_get(v, "rope_type"), &type))
        json_str(json_get(v, "type"), &type);
    if (strcmp(type, "default") == 0)
        return 0;
    if (strcmp(type, "llama3") == 0)
        return read_llama3(&c->rope, v, e);
    if (strcmp(type, "linear") == 0) {
        c->rope.scaling = ROPE_LINEAR;
        return positive(v, "factor", &c->rope.factor, e);
    }
    return err_set(e, ERR_UNSUPPORTED,
        "config: rotary scaling '%s' is not supported (supported: default, "
        "linear, llama3)",
        type);
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

static int derive(struct model_config *c, struct err *e)
{
    struct rope *r = &c->rope;

    if (c->layers > LAYERS_MAX)
        return err_set(e, ERR_REFUSED, "config: %u layers: the most is %d",
            c->layers, LAYERS_MAX);
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
    if ((uint64_t)c->heads * c->head_dim > COUNT_MAX)
        return err_set(e, ERR_REFUSED,
            "config: %u heads of %u: more than 16777216", c->heads,
            c->head_dim);
    if (!(r->fraction > 0 && r->fraction <= 1) || !(r->base > 0) ||
        !isfinite(r->base))
        return err_set(e, ERR_REFUSED,
            "config: the rotary fraction %g or base %g makes no sense",
            r->fraction, r->base);
    r->dims = (uint32_t)(c->head_dim * r->fraction);
    if (r->dims % 2 != 0)
        return err_set(e, ERR_REFUSED,
            "config: %u rotary dimensions: the number must be even", r->dims);
    c->residual =
        c->parallel_residual ? c->arch->parallel : RESIDUAL_SEQUENTIAL;
    return 0;
}

static int find_arch(struct model_config *c, const struct json *root,
    const struct arch *guess, struct err *e)
{
    const char *type = NULL;
    char list[256];

    c->arch = guess;
    if (json_str(json_get(root, "model_type"), &type))
        c->arch = arch_find(type);
    if (c->arch != NULL)
        return 0;
    arch_supported(list, sizeof(list));
    if (type != NULL)
        return err_set(e, ERR_UNSUPPORTED,
            "config: model_type '%s' is not supported (supported: %s)", type,
            list);
    return err_set(e, ERR_UNSUPPORTED,
        "config: no model_type, and no tensor that tells the family "
        "(supported: %s)",
        list);
}

int config_parse(struct model_config *out, const struct json *root,
    const struct arch *guess, struct err *e)
{
    int64_t bos = -1;

    memset(out, 0, sizeof(*out));
    if (json_kind(root) != JSON_OBJECT)
        return err_set(e, ERR_REFUSED, "config: not a JSON object");
    if (find_arch(out, root, guess, e) != 0)
        return -1;
    for (const struct arch_key *k = out->arch->keys; k->at || k->key; k++)
        if (read_key(out, root, k, e) != 0)
            return -1;
    if (read_activation(out, root, e) != 0 || read_rope(out, root, e) != 0 ||
        derive(out, e) != 0)
        return -1;
    json_i64(json_get(root, "bos_token_id"), &bos);
    out->bos = bos >= 0 && bos < out->vocab ? bos : -1;
    read_eos(out, root);
    return 0;
}

/* Best effort: a model without generation_config.json is complete. */
static void add_generation(struct model_config *c, const char *folder)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    char path[PATH_MAX];
    struct err e = ERR_INIT;

    if (path_join(path, folder, "generation_config.json", &e) == 0 &&
        json_read(&doc, path, CONFIG_TEXT_MAX, &e) == 0)
        read_eos(c, doc.root);
}

int config_load(
    struct model_config *out, const struct checkpoint *c, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    const struct arch *guess = arch_guess(c);
    char path[PATH_MAX];

    if (path_join(path, c->folder, "config.json", e) != 0)
        return -1;
    if (access(path, F_OK) == 0) {
        if (json_read(&doc, path, CONFIG_TEXT_MAX, e) != 0)
            return -1;
        if (config_parse(out, doc.root, guess, e) != 0)
            return err_ctx(e, "%s", path);
        add_generation(out, c->folder);
        return 0;
    }
    if (c->config.len > 0) {
        if (json_parse(&doc, c->config, 0, e) != 0 ||
            config_parse(out, doc.root, guess, e) != 0)
            return err_ctx(e, "the config inside %s", c->files[0].path);
        return 0;
    }
    err_set(
        e, ERR_MISSING, "%s: not there, and no config in the weights", path);
    return err_hint(e, "put the model's config.json beside its weights");
}

bool config_is_eos(const struct model_config *c, uint32_t id)
{
    for (uint32_t i = 0; i < c->n_eos; i++)
        if (c->eos[i] == id)
            return true;
    return false;
}

static bool has_bias(const struct model_config *c, enum role r)
{
    switch (r) {
    case ROLE_NORM_OUT:
    case ROLE_NORM1:
    case ROLE_NORM2:
        return c->arch->norm == NORM_LAYER;
    case ROLE_QKV:
    case ROLE_Q:
    case ROLE_K:
    case ROLE_V:
        return c->qkv_bias;
    case ROLE_O:
        return c->o_bias;
    case ROLE_GATE:
    case ROLE_UP:
    case ROLE_DOWN:
        return c->mlp_bias;
    default:
        return false;
    }
}

static void matrix_shape(
    const struct model_config *c, enum role r, uint64_t shape[2])
{
    uint64_t q = (uint64_t)c->heads * c->head_dim;
    uint64_t kv = (uint64_t)c->kv_heads * c->head_dim;

    shape[0] = c->dim;
    shape[1] = c->dim;
    if (r == ROLE_EMBED || r == ROLE_HEAD)
        shape[0] = c->vocab;
    else if (r == ROLE_QKV)
        shape[0] = q + 2 * kv;
    else if (r == ROLE_Q)
        shape[0] = q;
    else if (r == ROLE_K || r == ROLE_V)
        shape[0] = kv;
    else if (r == ROLE_O)
        shape[1] = q;
    else if (r == ROLE_GATE || r == ROLE_UP)
        shape[0] = c->inner;
    else if (r == ROLE_DOWN)
        shape[1] = c->inner;
}

uint32_t config_shape(
    const struct model_config *c, enum role r, bool bias, uint64_t shape[2])
{
    if (c->arch->names[r] == NULL || (bias && !has_bias(c, r)) ||
        (r == ROLE_HEAD && c->tied))
        return 0;
    matrix_shape(c, r, shape);
    return bias || role_is_norm(r) ? 1 : 2;
}

/* Wavelengths beyond the original context are stretched, short ones kept. */
static float llama3_scale(const struct rope *r, float f)
{
    float wave = 2 * (float)M_PI / f;
    float factor = (float)r->factor;
    float low = (float)r->low_freq_factor;
    float high = (float)r->high_freq_factor;
    float context = (float)r->original_context;
    float blend;

    if (wave < context / high)
        return f;
    if (wave > context / low)
        return f / factor;
    blend = (context / wave - low) / (high - low);
    return (1 - blend) * f / factor + blend * f;
}

void rope_inv_freq(const struct rope *r, float *out)
{
    for (uint32_t i = 0; i < r->dims / 2; i++) {
        float power = (float)(2 * i) / (float)r->dims;
        float f = 1.0f / powf((float)r->base, power);

        if (r->scaling == ROPE_LINEAR)
            f /= (float)r->factor;
        else if (r->scaling == ROPE_LLAMA3)
            f = llama3_scale(r, f);
        out[i] = f;
    }
}
