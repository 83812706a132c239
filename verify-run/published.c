#include "verify-run/published.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "verify-run/infer.h"

const struct project published_projects[] = {
    { "gpt_fast", "gpt-fast",
        { "tok_embeddings.weight", "layers.0.attention.wqkv.weight" }, 0, 2048,
        1e-5, 10000, true },
    { "gpt_fast", "Meta's layout",
        { "tok_embeddings.weight", "layers.0.attention.wq.weight" }, 0, 2048,
        1e-5, 10000, true },
    { "quantum_llm", "QuantumLLM",
        { "tok_emb.weight", "blocks.0.ff.w1.weight" }, 64, 1024, 1e-6, 10000,
        false },
    { "smalllm", "SmallLM", { "wte.weight", "blocks.0.attn.q_proj.bias" }, 64,
        512, 1e-5, 10000, false },
    { .family = NULL },
};

const char *const published_rotary[] = { "blocks.0.attn.rotary.inv_freq",
    "model.layers.0.self_attn.rotary_emb.inv_freq", NULL };

const char published_llama31_rope[] =
    "{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,"
    "\"high_freq_factor\":4,\"original_max_position_embeddings\":8192}";

const struct published published_models[] = {
    { "7B", 32, 32, 32, 4096, 11008, 32000, 2048, 1e4, false },
    { "13B", 40, 40, 40, 5120, 13824, 32000, 2048, 1e4, false },
    { "30B", 60, 52, 52, 6656, 17920, 32000, 2048, 1e4, false },
    { "34B", 48, 64, 8, 8192, 22016, 32000, 2048, 1e6, false },
    { "70B", 80, 64, 8, 8192, 28672, 32000, 2048, 1e4, false },
    { "CodeLlama-7b-Python-hf", 32, 32, 32, 4096, 11008, 32000, 16384, 1e6,
        false },
    { "Mistral-7B", 32, 32, 8, 4096, 14336, 32000, 2048, 1e4, false },
    { "stories15M", 6, 6, 6, 288, 768, 32000, 2048, 1e4, false },
    { "stories110M", 12, 12, 12, 768, 2048, 32000, 2048, 1e4, false },
    { "llama-3-8b", 32, 32, 8, 4096, 14336, 128256, 8192, 5e5, false },
    { "llama-3-70b", 80, 64, 8, 8192, 28672, 128256, 8192, 5e5, false },
    { "llama-3.1-8b", 32, 32, 8, 4096, 14336, 128256, 131072, 5e5, true },
    { "llama-3.1-70b", 80, 64, 8, 8192, 28672, 128256, 131072, 5e5, true },
    { "llama-3.1-405b", 126, 128, 8, 16384, 53248, 128256, 131072, 5e5, true },
    { .name = NULL },
};

const struct published *published_find(const char *name)
{
    for (const struct published *m = published_models; m->name != NULL; m++)
        if (strcasecmp(m->name, name) == 0)
            return m;
    return NULL;
}

/* "7B" is in "Llama-2-7b" and "vicuna7b", not in "27b" and "1.7b". */
static bool is_in(const char *text, const char *name)
{
    const char *at = text;

    while ((at = strcasestr(at, name)) != NULL) {
        if (at == text || name[0] < '0' || name[0] > '9' ||
            strchr("0123456789.", at[-1]) == NULL)
            return true;
        at++;
    }
    return false;
}

const struct published *published_in(const char *text)
{
    const struct published *best = NULL;

    for (const struct published *m = published_models; m->name != NULL; m++)
        if (is_in(text, m->name) &&
            (best == NULL || strlen(m->name) > strlen(best->name)))
            best = m;
    return best;
}

bool published_fits(
    const struct published *m, const double *v, uint64_t kv, uint64_t q)
{
    uint64_t size = m->dim / m->heads;

    return v[INFER_LAYERS] == m->layers && v[INFER_DIM] == m->dim &&
           v[INFER_INNER] == m->inner && v[INFER_VOCAB] == m->vocab &&
           q == m->dim && kv == size * m->kv_heads;
}

const struct published *published_only(const double *v, uint64_t kv, uint64_t q)
{
    const struct published *found = NULL;

    for (const struct published *m = published_models; m->name != NULL; m++) {
        if (!published_fits(m, v, kv, q))
            continue;
        if (found != NULL)
            return NULL;
        found = m;
    }
    return found;
}

void published_alike(
    char *out, size_t len, const double *v, uint64_t kv, uint64_t q)
{
    size_t at = 0;

    out[0] = '\0';
    for (const struct published *m = published_models; m->name != NULL; m++)
        if (published_fits(m, v, kv, q) && at < len)
            at += (size_t)snprintf(
                out + at, len - at, "%s%s", at > 0 ? ", " : "", m->name);
}

const char *published_text(const struct published *m, char *out, size_t len)
{
    snprintf(out, len,
        "%u layers of %u, inner size %u, vocabulary %u, %u rows of keys",
        m->layers, m->dim, m->inner, m->vocab, m->dim / m->heads * m->kv_heads);
    return out;
}
