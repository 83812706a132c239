#include "verify-run/arch.h"

#include <ctype.h>
#include <stdio.h>

#include "verify-run/families.h"

static const struct arch *const groups[] = {
    families_seed,
    families_llama,
    families_gpt,
};

const struct arch *arch_nth(size_t i)
{
    for (size_t g = 0; g < ARRAY_LEN(groups); g++)
        for (const struct arch *a = groups[g]; a->model_type != NULL; a++)
            if (i-- == 0)
                return a;
    return NULL;
}

/* ---- roles ---- */

const char *role_name(enum role r)
{
    static const char *const names[ROLE_COUNT] = {
        [ROLE_EMBED] = "embedding",
        [ROLE_POSITION] = "position table",
        [ROLE_EMBED_NORM] = "embedding norm",
        [ROLE_NORM_OUT] = "final norm",
        [ROLE_HEAD] = "output head",
        [ROLE_NORM1] = "attention norm",
        [ROLE_QKV] = "query, key, value",
        [ROLE_Q] = "query",
        [ROLE_K] = "key",
        [ROLE_V] = "value",
        [ROLE_Q_NORM] = "query norm",
        [ROLE_K_NORM] = "key norm",
        [ROLE_O] = "attention output",
        [ROLE_NORM1_POST] = "norm after attention",
        [ROLE_NORM2] = "MLP norm",
        [ROLE_ROUTER] = "router of experts",
        [ROLE_GATE_UP] = "MLP gate and up",
        [ROLE_GATE] = "MLP gate",
        [ROLE_UP] = "MLP up",
        [ROLE_DOWN] = "MLP down",
        [ROLE_NORM2_POST] = "norm after the MLP",
    };

    return r < ROLE_COUNT ? names[r] : "?";
}

bool role_is_norm(enum role r)
{
    switch (r) {
    case ROLE_EMBED_NORM:
    case ROLE_NORM_OUT:
    case ROLE_NORM1:
    case ROLE_Q_NORM:
    case ROLE_K_NORM:
    case ROLE_NORM1_POST:
    case ROLE_NORM2:
    case ROLE_NORM2_POST:
        return true;
    default:
        return false;
    }
}

/* ---- names ---- */

/* A template's next hole: where it is and what it stands for, or NULL. */
static const char *hole_of(const char *stem, char *which)
{
    const char *at = strchr(stem, '{');

    if (at == NULL || at[1] == '\0' || at[2] != '}')
        return NULL;
    *which = at[1];
    return at;
}

bool arch_tensor(
    const struct arch *a, struct arch_part p, char out[ARCH_NAME_MAX])
{
    const char *stem = a->names[p.role];
    size_t at = 0;
    const char *hole;
    char which = 'i';

    if (stem == NULL)
        return false;
    for (; (hole = hole_of(stem, &which)) != NULL; stem = hole + 3)
        at += (size_t)snprintf(out + at, ARCH_NAME_MAX - at, "%.*s%u",
            (int)(hole - stem), stem, which == 'i' ? p.layer : p.item);
    snprintf(out + at, ARCH_NAME_MAX - at, "%s%s", stem,
        p.bias ? ".bias" : ".weight");
    return true;
}

bool arch_match(const char *pattern, struct str name)
{
    size_t at = 0;
    const char *hole;
    char which;

    for (; (hole = hole_of(pattern, &which)) != NULL; pattern = hole + 3) {
        size_t front = (size_t)(hole - pattern);
        size_t digits;

        if (name.len - at < front || memcmp(name.p + at, pattern, front) != 0)
            return false;
        digits = at += front;
        while (at < name.len && isdigit((unsigned char)name.p[at]))
            at++;
        if (at == digits)
            return false;
    }
    return str_is((struct str){ name.p + at, name.len - at }, pattern);
}

bool arch_ignores(const struct arch *a, struct str name)
{
    for (size_t i = 0; i < ARCH_IGNORED_MAX && a->ignored[i] != NULL; i++)
        if (arch_match(a->ignored[i], name))
            return true;
    return false;
}

bool arch_knows(const struct arch *a, struct str name)
{
    struct str stem = name;

    if (str_ends(name, ".weight"))
        stem.len -= strlen(".weight");
    else if (str_ends(name, ".bias"))
        stem.len -= strlen(".bias");
    else
        return false;
    for (int r = 0; r < ROLE_COUNT; r++)
        if (a->names[r] != NULL && arch_match(a->names[r], stem))
            return true;
    return false;
}

/* ---- wrappers ---- */

const char *arch_outer(
    const struct arch_wrap *w, const char *name, char out[ARCH_WRAPPED_MAX])
{
    size_t drop = strlen(w->drop);

    if (strncmp(name, w->drop, drop) != 0)
        drop = 0;
    snprintf(out, ARCH_WRAPPED_MAX, "%s%s", w->add, name + drop);
    return out;
}

struct str arch_inner(const struct arch_wrap *w, const struct arch *a,
    struct str name, char room[ARCH_WRAPPED_MAX])
{
    size_t add = strlen(w->add);
    struct str based;

    if (str_starts(name, w->add))
        name = (struct str){ name.p + add, name.len - add };
    if (w->drop[0] == '\0' || arch_knows(a, name) || arch_ignores(a, name))
        return name;
    snprintf(room, ARCH_WRAPPED_MAX, "%s%.*s", w->drop,
        (int)size_min(name.len, ARCH_NAME_MAX), name.p);
    based = str_of(room);
    return arch_knows(a, based) || arch_ignores(a, based) ? based : name;
}

static bool has_tensor(
    const struct checkpoint *c, const struct arch_wrap *w, const char *name)
{
    char full[ARCH_WRAPPED_MAX];

    return checkpoint_find(c, arch_outer(w, name, full)) != NULL;
}

/* Find the family's embedding under some wrapper; false: it is not there. */
static bool find_wrap(
    const struct arch *a, const struct checkpoint *c, struct arch_wrap *out)
{
    static const char *const adds[] = { "", "module.", "_orig_mod.", "model.",
        "module._orig_mod.", "_orig_mod.module." };
    struct arch_part embed = { .role = ROLE_EMBED };
    char name[ARCH_NAME_MAX];

    arch_tensor(a, embed, name);
    for (int dropped = 0; dropped < 2; dropped++) {
        const char *drop = dropped && a->base != NULL ? a->base : "";

        for (size_t i = 0; i < ARRAY_LEN(adds); i++) {
            *out = (struct arch_wrap){ adds[i], drop };
            if (has_tensor(c, out, name))
                return true;
        }
    }
    *out = (struct arch_wrap){ "", "" };
    return false;
}

struct arch_wrap arch_wrap_of(const struct arch *a, const struct checkpoint *c)
{
    struct arch_wrap w;

    find_wrap(a, c, &w);
    return w;
}

/* ---- choosing a row ---- */

const struct json *arch_member(const struct json *config, const char *key)
{
    const char *dot = config == NULL ? NULL : strchr(key, '.');
    char front[32];

    if (config == NULL || dot == NULL)
        return config == NULL ? NULL : json_get(config, key);
    snprintf(front, sizeof(front), "%.*s", (int)(dot - key), key);
    return arch_member(json_get(config, front), dot + 1);
}

static bool holds(const struct arch_when *w, const struct json *config)
{
    const struct json *v;
    bool flag = false;
    double d = 0;

    if (w->key == NULL)
        return true;
    v = arch_member(config, w->key);
    if (v == NULL)
        return false;
    if (json_bool(v, &flag))
        d = flag;
    else if (!json_double(v, &d))
        return false;
    return d == w->is;
}

static bool is_named(const struct arch *a, const char *model_type)
{
    return strcmp(a->model_type, model_type) == 0 ||
           (a->alias != NULL && strcmp(a->alias, model_type) == 0);
}

const struct arch *arch_find(const char *model_type)
{
    const struct arch *a;

    for (size_t i = 0; (a = arch_nth(i)) != NULL; i++)
        if (is_named(a, model_type))
            return a;
    return NULL;
}

static bool tells(const struct arch *a, const struct checkpoint *c)
{
    struct arch_wrap w = arch_wrap_of(a, c);

    return a->telltale == NULL || has_tensor(c, &w, a->telltale);
}

/* Of the rows of one name, one whose tensor is there before any other. */
static const struct arch *choose_named(const char *model_type,
    const struct json *config, const struct checkpoint *c)
{
    const struct arch *first = NULL;
    const struct arch *a;

    for (size_t i = 0; (a = arch_nth(i)) != NULL; i++) {
        if (!is_named(a, model_type) || !holds(&a->when, config))
            continue;
        if (c == NULL || tells(a, c))
            return a;
        if (first == NULL)
            first = a;
    }
    return first;
}

static uint64_t count_unknown(
    const struct arch *a, const struct arch_wrap *w, const struct checkpoint *c)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < c->n_tensors; i++) {
        char room[ARCH_WRAPPED_MAX];
        struct str name = arch_inner(w, a, c->tensors[i].name, room);

        n += !arch_knows(a, name) && !arch_ignores(a, name);
    }
    return n;
}

static const struct arch *guess(
    const struct json *config, const struct checkpoint *c)
{
    const struct arch *best = NULL;
    const struct arch *a;
    uint64_t fewest = UINT64_MAX;

    for (size_t i = 0; (a = arch_nth(i)) != NULL; i++) {
        struct arch_wrap w;
        uint64_t unknown;

        if (!find_wrap(a, c, &w) || !holds(&a->when, config) || !tells(a, c))
            continue;
        unknown = count_unknown(a, &w, c);
        if (unknown < fewest || (unknown == fewest && a->telltale != NULL &&
                                    best->telltale == NULL)) {
            best = a;
            fewest = unknown;
        }
    }
    return best;
}

const struct arch *arch_choose(const char *model_type,
    const struct json *config, const struct checkpoint *c)
{
    if (model_type != NULL)
        return choose_named(model_type, config, c);
    return c == NULL ? NULL : guess(config, c);
}

const char *arch_lacks(const char *model_type)
{
    static const struct {
        const char *front; /* of the model_type */
        const char *what;
    } known[] = {
        { "mamba", "state-space layers" },
        { "falcon_mamba", "state-space layers" },
        { "jamba", "state-space layers" },
        { "bamba", "state-space layers" },
        { "zamba", "state-space layers" },
        { "falcon_h1", "state-space layers" },
        { "granitemoehybrid", "state-space layers" },
        { "nemotron_h", "state-space layers" },
        { "rwkv", "recurrent layers" },
        { "recurrent_gemma", "recurrent layers" },
        { "xlstm", "recurrent layers" },
        { "qwen3_next", "linear attention" },
        { "minimax", "linear attention" },
        { "kimi", "linear attention" },
        { "deepseek", "multi-head latent attention" },
        { "minicpm3", "multi-head latent attention" },
        { "gpt_oss", "learned attention sinks" },
        { "llama4", "chunked attention and shared experts" },
        { "qwen2_moe", "shared experts" },
        { "dbrx", "its own form of experts" },
        { "bert", "an encoder" },
        { "roberta", "an encoder" },
        { "xlm-roberta", "an encoder" },
        { "distilbert", "an encoder" },
        { "deberta", "an encoder" },
        { "electra", "an encoder" },
        { "modernbert", "an encoder" },
        { "t5", "an encoder beside the decoder" },
        { "mt5", "an encoder beside the decoder" },
        { "umt5", "an encoder beside the decoder" },
        { "bart", "an encoder beside the decoder" },
        { "mbart", "an encoder beside the decoder" },
        { "pegasus", "an encoder beside the decoder" },
        { "marian", "an encoder beside the decoder" },
        { "whisper", "an encoder beside the decoder" },
        { "clip", "images" },
        { "vit", "images" },
        { "llava", "images" },
        { "mllama", "images" },
        { "qwen2_vl", "images" },
        { "qwen2_5_vl", "images" },
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strncmp(model_type, known[i].front, strlen(known[i].front)) == 0)
            return known[i].what;
    return NULL;
}

char *arch_supported(char *out, size_t len)
{
    const struct arch *last = NULL;
    const struct arch *a;
    size_t at = 0;

    out[0] = '\0';
    for (size_t i = 0; (a = arch_nth(i)) != NULL; last = a, i++) {
        int n;

        if (last != NULL && strcmp(last->model_type, a->model_type) == 0)
            continue;
        n = snprintf(
            out + at, len - at, "%s%s", at > 0 ? ", " : "", a->model_type);
        if (n < 0 || (size_t)n >= len - at) {
            out[at] = '\0';
            break;
        }
        at += (size_t)n;
    }
    return out;
}
