#include "convert/gguf_model.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

enum { COUNT_MAX = 1 << 26, LAYERS_MAX = 1 << 16 };

static int find_family(
    struct gguf_model *m, const struct json *root, struct err *e)
{
    const char *type;

    if (!json_str(json_get(root, "model_type"), &type))
        return err_set(e, ERR_REFUSED, "no 'model_type'");
    m->family = gguf_family_find(type);
    if (m->family != NULL)
        return 0;
    err_set(e, ERR_UNSUPPORTED, "model_type '%s' cannot become GGUF", type);
    return err_hint(e, "llama, gpt_neox and stablelm can");
}

static bool absent(const struct json *v)
{
    return v == NULL || json_kind(v) == JSON_NULL;
}

static int count(
    const struct json *root, const char *key, uint32_t *out, struct err *e)
{
    const struct json *v = json_get(root, key);
    uint64_t n = 0;

    if (absent(v))
        return err_set(e, ERR_REFUSED, "no '%s'", key);
    if (!json_u64(v, &n) || n == 0 || n > COUNT_MAX)
        return err_set(e, ERR_REFUSED, "'%s' is no count", key);
    *out = (uint32_t)n;
    return 0;
}

/* These leave *out alone when the member is absent or null. */
static int count_or(
    const struct json *root, const char *key, uint32_t *out, struct err *e)
{
    return absent(json_get(root, key)) ? 0 : count(root, key, out, e);
}

static int real_or(
    const struct json *root, const char *key, double *out, struct err *e)
{
    const struct json *v = json_get(root, key);
    double n = 0;

    if (absent(v))
        return 0;
    if (!json_double(v, &n) || !(n > 0) || n > (double)FLT_MAX)
        return err_set(e, ERR_REFUSED, "'%s' is no positive number", key);
    *out = n;
    return 0;
}

static int flag_or(
    const struct json *root, const char *key, bool *out, struct err *e)
{
    const struct json *v = json_get(root, key);

    if (absent(v) || json_bool(v, out))
        return 0;
    return err_set(e, ERR_REFUSED, "'%s' is neither true nor false", key);
}

static int text_or(
    const struct json *root, const char *key, const char **out, struct err *e)
{
    const struct json *v = json_get(root, key);

    if (absent(v) || json_str(v, out))
        return 0;
    return err_set(e, ERR_REFUSED, "'%s' is no text", key);
}

/* *out is NULL when the member is absent or null. */
static int object_or(const struct json *root, const char *key,
    const struct json **out, struct err *e)
{
    const struct json *v = json_get(root, key);

    *out = absent(v) ? NULL : v;
    if (*out == NULL || json_kind(v) == JSON_OBJECT)
        return 0;
    return err_set(e, ERR_REFUSED, "'%s' is no object", key);
}

static int check_heads(const struct gguf_model *m, bool given, struct err *e)
{
    if (!given && m->dim % m->heads != 0)
        return err_set(e, ERR_REFUSED,
            "'hidden_size' is no multiple of 'num_attention_heads'");
    if (m->heads % m->kv_heads != 0)
        return err_set(e, ERR_REFUSED,
            "'num_attention_heads' is no multiple of 'num_key_value_heads'");
    if (m->head_dim == 0 || m->head_dim % 2 != 0)
        return err_set(
            e, ERR_UNSUPPORTED, "heads of %u dimensions", m->head_dim);
    return 0;
}

static int read_sizes(
    struct gguf_model *m, const struct json *root, struct err *e)
{
    bool given = !absent(json_get(root, "head_dim"));

    if (count(root, "num_hidden_layers", &m->layers, e) != 0 ||
        count(root, "hidden_size", &m->dim, e) != 0 ||
        count(root, "intermediate_size", &m->inner, e) != 0 ||
        count(root, "num_attention_heads", &m->heads, e) != 0 ||
        count(root, "max_position_embeddings", &m->context, e) != 0 ||
        count(root, "vocab_size", &m->vocab, e) != 0)
        return -1;
    m->kv_heads = m->heads;
    m->head_dim = m->dim / m->heads;
    if (m->layers > LAYERS_MAX)
        return err_set(e, ERR_REFUSED, "%u layers", m->layers);
    if (m->family->has_kv &&
        count_or(root, "num_key_value_heads", &m->kv_heads, e) != 0)
        return -1;
    if (m->family->has_head_dim &&
        count_or(root, "head_dim", &m->head_dim, e) != 0)
        return -1;
    return check_heads(m, m->family->has_head_dim && given, e);
}

static int read_llama3(
    struct gguf_model *m, const struct json *rope, struct err *e)
{
    m->scaling = SCALING_LLAMA3;
    m->low = m->high = m->original = 0;
    if (real_or(rope, "low_freq_factor", &m->low, e) != 0 ||
        real_or(rope, "high_freq_factor", &m->high, e) != 0 ||
        real_or(rope, "original_max_position_embeddings", &m->original, e) != 0)
        return -1;
    if (m->low == 0 || m->high <= m->low || m->original == 0)
        return err_set(e, ERR_REFUSED, "the llama3 rope scaling lacks numbers");
    return 0;
}

static int read_scaling(
    struct gguf_model *m, const struct json *rope, struct err *e)
{
    const char *type = "default";

    if (text_or(rope, "type", &type, e) != 0 ||
        text_or(rope, "rope_type", &type, e) != 0)
        return -1;
    if (strcmp(type, "default") == 0)
        return 0;
    if (real_or(rope, "factor", &m->factor, e) != 0)
        return -1;
    if (m->factor == 0)
        return err_set(e, ERR_REFUSED, "the rope scaling has no 'factor'");
    if (m->family->scales && strcmp(type, "linear") == 0) {
        m->scaling = SCALING_LINEAR;
        return 0;
    }
    if (m->family->scales && strcmp(type, "llama3") == 0)
        return read_llama3(m, rope, e);
    return err_set(e, ERR_UNSUPPORTED, "rope scaling '%s' of %s", type,
        m->family->model_type);
}

/* Older and newer spellings; a later one wins, but for the scaling. */
static int read_rope(
    struct gguf_model *m, const struct json *root, struct err *e)
{
    const struct json *newer, *scaling;
    double part = m->family->rotary_default;

    m->rope_base = 10000;
    if (object_or(root, "rope_parameters", &newer, e) != 0 ||
        object_or(root, "rope_scaling", &scaling, e) != 0 ||
        real_or(root, "rotary_emb_base", &m->rope_base, e) != 0 ||
        real_or(root, "rope_theta", &m->rope_base, e) != 0 ||
        real_or(newer, "rope_theta", &m->rope_base, e) != 0)
        return -1;
    if (part < 1 && (real_or(root, "rotary_pct", &part, e) != 0 ||
                        real_or(root, "rope_pct", &part, e) != 0 ||
                        real_or(root, "partial_rotary_factor", &part, e) != 0 ||
                        real_or(newer, "partial_rotary_factor", &part, e) != 0))
        return -1;
    if (part > 1)
        return err_set(e, ERR_REFUSED, "more than a whole head is rotated");
    m->rotated = (uint32_t)(m->head_dim * part);
    if (m->rotated == 0 || m->rotated % 2 != 0)
        return err_set(e, ERR_UNSUPPORTED, "%u of a head's dimensions rotated",
            m->rotated);
    if (newer == NULL && scaling == NULL)
        return 0;
    return read_scaling(m, scaling != NULL ? scaling : newer, e);
}

static int check_act(
    const struct gguf_model *m, const struct json *root, struct err *e)
{
    const char *act = m->family->acts[0];

    if (text_or(root, "hidden_act", &act, e) != 0)
        return -1;
    for (size_t i = 0; m->family->acts[i] != NULL; i++)
        if (strcmp(m->family->acts[i], act) == 0)
            return 0;
    return err_set(e, ERR_UNSUPPORTED,
        "activation '%s': readers of GGUF take %s for %s", act,
        m->family->acts[0], m->family->model_type);
}

int gguf_model_parse(
    struct gguf_model *out, const struct json *root, struct err *e)
{
    *out = (struct gguf_model){ .tied = false };
    if (find_family(out, root, e) != 0 || read_sizes(out, root, e) != 0 ||
        read_rope(out, root, e) != 0 || check_act(out, root, e) != 0)
        return -1;
    out->eps = out->family->eps_default;
    out->parallel = out->family->parallel_default;
    if (real_or(root, out->family->eps, &out->eps, e) != 0 ||
        flag_or(root, "use_parallel_residual", &out->parallel, e) != 0 ||
        flag_or(root, "qk_layernorm", &out->head_norms, e) != 0)
        return -1;
    if (out->family->attn_bias != NULL &&
        flag_or(root, out->family->attn_bias, &out->attn_bias, e) != 0)
        return -1;
    if (out->family->mlp_bias != NULL &&
        flag_or(root, out->family->mlp_bias, &out->mlp_bias, e) != 0)
        return -1;
    return flag_or(root, "tie_word_embeddings", &out->tied, e);
}

uint64_t gguf_model_size(const struct gguf_model *m, enum gguf_size s)
{
    const uint64_t sizes[SIZE_COUNT] = { [SIZE_ONE] = 1,
        [SIZE_VOCAB] = m->vocab,
        [SIZE_DIM] = m->dim,
        [SIZE_INNER] = m->inner,
        [SIZE_Q] = (uint64_t)m->heads * m->head_dim,
        [SIZE_KV] = (uint64_t)m->kv_heads * m->head_dim,
        [SIZE_QKV] = (uint64_t)3 * m->heads * m->head_dim };

    return sizes[s];
}

/* A key in the family's name: "llama.block_count". */
enum { KEY_MAX = 96 };

static const char *key_of(
    char out[KEY_MAX], const struct gguf_model *m, const char *name)
{
    snprintf(out, KEY_MAX, "%s.%s", m->family->arch, name);
    return out;
}

static void put_count(const struct gguf_model *m, struct gguf_writer *w,
    const char *name, uint32_t v)
{
    char key[KEY_MAX];

    gguf_put_u32(w, key_of(key, m, name), v);
}

static void put_real(const struct gguf_model *m, struct gguf_writer *w,
    const char *name, double v)
{
    char key[KEY_MAX];

    gguf_put_f32(w, key_of(key, m, name), (float)v);
}

static void put_attention(const struct gguf_model *m, struct gguf_writer *w)
{
    put_count(m, w, "attention.head_count", m->heads);
    if (m->family->has_kv)
        put_count(m, w, "attention.head_count_kv", m->kv_heads);
    put_real(m, w,
        m->family->rms ? "attention.layer_norm_rms_epsilon"
                       : "attention.layer_norm_epsilon",
        m->eps);
    if ((uint64_t)m->head_dim * m->heads == m->dim)
        return;
    put_count(m, w, "attention.key_length", m->head_dim);
    put_count(m, w, "attention.value_length", m->head_dim);
}

void gguf_model_put(const struct gguf_model *m, struct gguf_writer *w)
{
    char key[KEY_MAX];

    put_count(m, w, "context_length", m->context);
    put_count(m, w, "embedding_length", m->dim);
    put_count(m, w, "block_count", m->layers);
    put_count(m, w, "feed_forward_length", m->inner);
    put_count(m, w, "vocab_size", m->vocab);
    put_attention(m, w);
    if (m->family->has_parallel)
        gguf_put_bool(w, key_of(key, m, "use_parallel_residual"), m->parallel);
    put_count(m, w, "rope.dimension_count", m->rotated);
    put_real(m, w, "rope.freq_base", m->rope_base);
    if (m->scaling != SCALING_LINEAR)
        return;
    gguf_put_str(w, key_of(key, m, "rope.scaling.type"), str_of("linear"));
    put_real(m, w, "rope.scaling.factor", m->factor);
}

float gguf_model_rope(const struct gguf_model *m, uint32_t i)
{
    double wave = 2 * M_PI * pow(m->rope_base, (double)(2 * i) / m->head_dim),
           smooth;

    if (wave < m->original / m->high)
        return 1;
    if (wave > m->original / m->low)
        return (float)m->factor;
    smooth = (m->original / wave - m->low) / (m->high - m->low);
    return (float)(1 / ((1 - smooth) / m->factor + smooth));
}
