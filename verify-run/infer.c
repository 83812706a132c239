#include "verify-run/infer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/path.h"
#include "verify-run/published.h"

/* A number: where it goes, and what projects call it. */
struct field {
    size_t at; /* offsetof in struct model_config */
    const char *names[5];
};

#define AT(field) offsetof(struct model_config, field)

static const struct field fields[INFER_COUNT] = {
    [INFER_VOCAB] = { AT(vocab), { "vocab_size", "n_vocab" } },
    [INFER_DIM] = { AT(dim), { "hidden_size", "d_model", "dim", "n_embd" } },
    [INFER_LAYERS] = { AT(layers),
        { "num_hidden_layers", "n_layers", "n_layer", "num_layers" } },
    [INFER_HEADS] = { AT(heads),
        { "num_attention_heads", "n_heads", "n_head", "num_heads" } },
    [INFER_KV_HEADS] = { AT(kv_heads),
        { "num_key_value_heads", "n_kv_heads", "n_local_heads" } },
    [INFER_HEAD_DIM] = { AT(head_dim), { "head_dim" } },
    [INFER_INNER] = { AT(inner), { "intermediate_size", "d_ff", "n_inner" } },
    [INFER_CONTEXT] = { AT(context),
        { "max_position_embeddings", "max_seq_len", "block_size" } },
    [INFER_EPS] = { AT(eps), { "rms_norm_eps", "layer_norm_eps", "norm_eps" } },
    [INFER_ROPE_BASE] = { AT(rope.base),
        { "rope_theta", "rope_base", "rotary_emb_base" } },
};

/* ---- names ---- */

/* A tensor by the family's own name, whatever stands in front of it. */
static const struct tensor *find(
    const struct checkpoint *c, const struct arch *a, const char *name)
{
    struct arch_wrap w = arch_wrap_of(a, c);
    char full[ARCH_WRAPPED_MAX];

    return checkpoint_find(c, arch_outer(&w, name, full));
}

static const struct tensor *find_role(const struct checkpoint *c,
    const struct arch *a, enum role r, uint32_t layer)
{
    struct arch_part part = { .role = r, .layer = layer };
    char name[ARCH_NAME_MAX];

    return arch_tensor(a, part, name) ? find(c, a, name) : NULL;
}

const struct arch *infer_project(const struct checkpoint *c)
{
    for (const struct project *p = published_projects; p->family; p++) {
        const struct arch *a = arch_choose(p->family, NULL, c);

        if (a != NULL && find(c, a, p->telltale[0]) != NULL &&
            find(c, a, p->telltale[1]) != NULL)
            return a;
    }
    return NULL;
}

static const struct project *project_of(const struct arch *a)
{
    for (const struct project *p = published_projects; p->family; p++)
        if (strcmp(p->family, a->model_type) == 0)
            return p;
    return NULL;
}

/* ---- shapes ---- */

/* What the shapes say, and what more they would say with the heads known. */
struct shapes {
    double v[INFER_COUNT];
    uint64_t q;  /* rows of all query heads */
    uint64_t kv; /* of all key heads */
    bool tied;
    const struct tensor *qkv; /* for messages */
};

static int matrix(const struct checkpoint *c, const struct arch *a, enum role r,
    const struct tensor **out, struct err *e)
{
    char name[ARCH_NAME_MAX] = "";
    const struct tensor *t = find_role(c, a, r, 0);

    *out = t;
    if (t != NULL && t->rank == 2 && t->shape[0] > 0 && t->shape[1] > 0)
        return 0;
    arch_tensor(a, (struct arch_part){ .role = r }, name);
    if (t != NULL)
        err_set(e, ERR_REFUSED,
            "no numbers can be told from tensor '%.*s': it is no matrix",
            STR_ARG(t->name));
    else
        err_set(e, ERR_REFUSED,
            "no config, and no tensor '%s' to tell the model's numbers from",
            name);
    return err_hint(e, "put the model's config.json beside its weights");
}

static uint32_t count_layers(const struct checkpoint *c, const struct arch *a)
{
    uint32_t layers = 0;

    while (find_role(c, a, ROLE_O, layers) != NULL ||
           find_role(c, a, ROLE_DOWN, layers) != NULL)
        layers++;
    return layers;
}

static int read_shapes(struct shapes *s, const struct checkpoint *c,
    const struct arch *a, struct err *e)
{
    bool one = a->names[ROLE_QKV] != NULL;
    const struct tensor *embed, *o, *k, *down;
    const struct tensor *head = find_role(c, a, ROLE_HEAD, 0);

    if (matrix(c, a, ROLE_EMBED, &embed, e) != 0 ||
        matrix(c, a, ROLE_O, &o, e) != 0 ||
        matrix(c, a, one ? ROLE_QKV : ROLE_K, &k, e) != 0 ||
        matrix(c, a, ROLE_DOWN, &down, e) != 0)
        return -1;
    s->v[INFER_VOCAB] = (double)embed->shape[0];
    s->v[INFER_DIM] = (double)embed->shape[1];
    s->v[INFER_LAYERS] = count_layers(c, a);
    s->v[INFER_INNER] = (double)down->shape[1];
    s->q = o->shape[1];
    s->kv = one ? (k->shape[0] - size_min(s->q, k->shape[0])) / 2 : k->shape[0];
    s->qkv = k;
    s->tied = head == NULL || tensor_same_bytes(head, embed);
    return 0;
}

/* A rotary table that was saved has half as many entries as a head. */
static uint64_t rotary_head(const struct checkpoint *c, const struct arch *a)
{
    for (const char *const *name = published_rotary; *name != NULL; name++) {
        const struct tensor *t = find(c, a, *name);

        if (t != NULL && t->rank == 1)
            return 2 * t->shape[0];
    }
    return 0;
}

/* ---- the heads ---- */

/* Heads that the shapes cannot be cut into are refused by tensor. */
static int cut(struct inferred *n, const struct shapes *s, uint64_t heads,
    const char *who, struct err *e)
{
    uint64_t size = heads > 0 ? s->q / heads : 0;
    char got[64];

    if (size > 0 && s->q % heads == 0 && s->kv % size == 0 && s->kv > 0 &&
        heads % (s->kv / size) == 0) {
        n->v[INFER_HEADS] = (double)heads;
        n->v[INFER_HEAD_DIM] = (double)size;
        n->v[INFER_KV_HEADS] = (double)(s->kv / size);
        return 0;
    }
    tensor_shape_text(got, sizeof(got), s->qkv);
    return err_set(e, ERR_REFUSED,
        "%" PRIu64 " heads (%s) do not fit tensor '%.*s', whose shape is %s",
        heads, who, STR_ARG(s->qkv->name), got);
}

static void say(struct inferred *n, const char *who)
{
    size_t at = strlen(n->rule);

    snprintf(n->rule + at, sizeof(n->rule) - at, ", heads %u from %s",
        (unsigned)n->v[INFER_HEADS], who);
}

static int take_heads(struct inferred *n, const struct shapes *s,
    uint64_t heads, const char *who, struct err *e)
{
    if (cut(n, s, heads, who, e) != 0)
        return -1;
    say(n, who);
    return 0;
}

static int no_heads(const struct shapes *s, const struct arch *a, struct err *e)
{
    char models[160];

    published_alike(models, sizeof(models), s->v, s->kv, s->q);
    err_set(e, ERR_MISSING,
        "no config.json, and the number of heads would be a guess: the shapes "
        "of %s do not show it",
        a->title);
    if (models[0] != '\0')
        return err_hint(e,
            "say which model it is: --arch with one of %s; or put its "
            "config.json beside it",
            models);
    return err_hint(e,
        "say it with --heads N, or put a config.json beside the weights "
        "(in a volume: mlfetch put)");
}

/* What else the config says of them must not be another cut. */
static int from_config(
    struct inferred *n, const struct shapes *s, uint64_t heads, struct err *e)
{
    static const enum infer_number also[] = { INFER_HEAD_DIM, INFER_KV_HEADS };
    const double said[] = { n->v[INFER_HEAD_DIM], n->v[INFER_KV_HEADS] };

    if (cut(n, s, heads, "of the config", e) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(also); i++)
        if (said[i] > 0 && said[i] != n->v[also[i]])
            return err_set(e, ERR_REFUSED,
                "config: %s is %.0f, but by tensor '%.*s' it is %.0f",
                fields[also[i]].names[0], said[i], STR_ARG(s->qkv->name),
                n->v[also[i]]);
    return 0;
}

/* A config without the heads, but with their size. */
static int from_head_dim(
    struct inferred *n, const struct shapes *s, uint64_t size, struct err *e)
{
    if (s->q % size == 0)
        return take_heads(n, s, s->q / size, "the head_dim of the config", e);
    return err_set(e, ERR_REFUSED,
        "config: head_dim %" PRIu64 " does not divide the %" PRIu64
        " rows of all heads",
        size, s->q);
}

/* Who is asked in which order; the first that knows is believed. */
static int find_heads(struct inferred *n, const struct checkpoint *c,
    const struct shapes *s, uint32_t heads, struct err *e)
{
    const struct project *p = project_of(n->arch);
    uint64_t size = rotary_head(c, n->arch);
    char who[80];

    if (heads > 0)
        return take_heads(n, s, heads, "--heads", e);
    if (size > 0 && s->q % size == 0)
        return take_heads(n, s, s->q / size, "the rotary table", e);
    if (p == NULL || p->head_dim == 0 || s->q % p->head_dim != 0)
        return no_heads(s, n->arch, e);
    snprintf(who, sizeof(who), "head size %u of %s", p->head_dim, p->title);
    return take_heads(n, s, s->q / p->head_dim, who, e);
}

/* ---- a config in other words ---- */

/* The first member that says it; *key is what it is called there. */
static const struct json *member(
    const struct json *said, int which, const char **key)
{
    for (size_t k = 0; k < ARRAY_LEN(fields[which].names); k++) {
        const struct json *v;

        *key = fields[which].names[k];
        v = *key != NULL ? json_get(said, *key) : NULL;
        if (v != NULL && json_kind(v) != JSON_NULL)
            return v;
    }
    return NULL;
}

static int overlay(
    double v[INFER_COUNT], const struct json *said, struct err *e)
{
    for (int i = 0; i < INFER_COUNT; i++) {
        const char *key;
        const struct json *m = member(said, i, &key);
        double x = 0;

        if (m == NULL)
            continue;
        if (!json_double(m, &x) || !(x > 0) || !isfinite(x))
            return err_set(
                e, ERR_REFUSED, "config: %s is not a number above 0", key);
        if (i < INFER_EPS && (x > CONFIG_COUNT_MAX || x != floor(x)))
            return err_set(e, ERR_REFUSED,
                "config: %s is not a whole number above 0, and at most %d", key,
                CONFIG_COUNT_MAX);
        v[i] = x;
    }
    return 0;
}

bool infer_says_heads(const struct json *said)
{
    const char *key;

    return member(said, INFER_HEADS, &key) != NULL;
}

static void add_defaults(struct inferred *n)
{
    const struct project *p = project_of(n->arch);

    if (p == NULL)
        return;
    if (n->v[INFER_CONTEXT] <= 0)
        n->v[INFER_CONTEXT] = p->context;
    if (n->v[INFER_EPS] <= 0)
        n->v[INFER_EPS] = p->eps;
    if (n->v[INFER_ROPE_BASE] <= 0)
        n->v[INFER_ROPE_BASE] = p->rope_base;
}

/* ---- gpt-fast's table ---- */

static int from_table(struct inferred *n, const struct shapes *s,
    const struct published *m, const char *who, struct err *e)
{
    char text[160];

    if (!published_fits(m, s->v, s->kv, s->q)) {
        err_set(e, ERR_REFUSED,
            "%s says gpt-fast's %s: %s, but tensor shapes say %.0f layers of "
            "%.0f, inner size %.0f, vocabulary %.0f, %" PRIu64 " rows of keys",
            who, m->name, published_text(m, text, sizeof(text)),
            s->v[INFER_LAYERS], s->v[INFER_DIM], s->v[INFER_INNER],
            s->v[INFER_VOCAB], s->kv);
        return err_hint(e, "name the right one with --arch, or give --heads");
    }
    /* What a config says is nearer to the weights than the table is. */
    if (n->v[INFER_CONTEXT] <= 0)
        n->v[INFER_CONTEXT] = m->context;
    if (n->v[INFER_ROPE_BASE] <= 0)
        n->v[INFER_ROPE_BASE] = m->rope_base;
    n->llama31_rope = m->llama31_rope;
    snprintf(text, sizeof(text), "gpt-fast's %s, %s", m->name, who);
    return take_heads(n, s, m->heads, text, e);
}

static void folder_name(char out[NAME_MAX + 1], const struct checkpoint *c)
{
    char path[PATH_MAX];
    char up[PATH_MAX];

    if (realpath(c->folder, path) == NULL)
        path[0] = '\0';
    /* In a hub cache the folder is a commit; the repository stands above. */
    path_dir(up, sizeof(up), path);
    if (strcmp(path_base(up), "snapshots") == 0)
        path_dir(path, sizeof(path), up);
    snprintf(out, NAME_MAX + 1, "%s", path_base(path));
}

/* Returns 1 when the table told, 0 when it cannot, -1 with *e. */
static int ask_table(struct inferred *n, const struct checkpoint *c,
    const struct shapes *s, const char *model, struct err *e)
{
    const struct project *p = project_of(n->arch);
    const struct published *m = NULL;
    char folder[NAME_MAX + 1];

    if (p == NULL || !p->in_table)
        return 0;
    if (model != NULL)
        return from_table(n, s, published_find(model), "--arch", e) == 0 ? 1
                                                                         : -1;
    folder_name(folder, c);
    m = published_in(folder);
    if (m != NULL)
        return from_table(n, s, m, "the folder's name", e) == 0 ? 1 : -1;
    m = published_only(s->v, s->kv, s->q);
    if (m != NULL)
        return from_table(n, s, m, "the only one of these shapes", e) == 0 ? 1
                                                                           : -1;
    return 0;
}

bool infer_is_model(const char *name)
{
    return published_find(name) != NULL;
}

int infer_numbers(struct inferred *out, const struct checkpoint *c,
    const struct arch *arch, const struct json *said, const char *model,
    uint32_t heads, struct err *e)
{
    struct shapes s = { .q = 0 };
    uint64_t known, size;
    int rc;

    *out = (struct inferred){ .arch = arch };
    if (read_shapes(&s, c, arch, e) != 0)
        return -1;
    memcpy(out->v, s.v, sizeof(out->v));
    out->tied = s.tied;
    if (said != NULL && overlay(out->v, said, e) != 0)
        return -1;
    known = (uint64_t)out->v[INFER_HEADS];
    size = (uint64_t)out->v[INFER_HEAD_DIM];
    snprintf(out->rule, sizeof(out->rule), "%s",
        said != NULL ? "the rest from shapes" : "inferred from shapes");
    if (heads == 0 && known > 0)
        rc = from_config(out, &s, known, e);
    else if (heads == 0 && size > 0 && model == NULL)
        rc = from_head_dim(out, &s, size, e);
    else if (heads > 0 || (rc = ask_table(out, c, &s, model, e)) == 0)
        rc = find_heads(out, c, &s, heads, e);
    add_defaults(out);
    return rc < 0 ? -1 : 0;
}

/* ---- as a config.json ---- */

/* What the family calls the number at this place; NULL: it has none. */
static const char *key_of(const struct arch *a, size_t at)
{
    for (const struct arch_key *k = a->keys; k->at || k->key; k++)
        if (k->at == at && k->key != NULL)
            return k->key;
    return NULL;
}

void infer_with_heads(struct buf *out, const struct arch *arch,
    const struct json *config, uint32_t heads)
{
    const char *key = key_of(arch, AT(heads));

    buf_putc(out, '{');
    for (const struct json *v = json_first(config); v; v = json_next(v)) {
        if (key != NULL && strcmp(json_key(v), key) == 0)
            continue;
        json_quote(out, str_of(json_key(v)));
        buf_putc(out, ':');
        json_write(out, v);
        buf_putc(out, ',');
    }
    buf_printf(out, "\"%s\":%u}", key != NULL ? key : "heads", heads);
}

void infer_json(
    struct buf *out, const struct inferred *n, const struct json *said)
{
    static const char *const copied[] = { "rope_scaling", "rope_parameters",
        "bos_token_id", "eos_token_id" };
    const char *tied = key_of(n->arch, AT(tied));

    buf_printf(out, "{\"model_type\":\"%s\"", n->arch->model_type);
    for (int i = 0; i < INFER_COUNT; i++) {
        const char *key = key_of(n->arch, fields[i].at);

        if (key != NULL && n->v[i] > 0)
            buf_printf(out, ",\"%s\":%.17g", key, n->v[i]);
    }
    if (tied != NULL)
        buf_printf(out, ",\"%s\":%s", tied, n->tied ? "true" : "false");
    if (n->llama31_rope)
        buf_printf(out, ",\"rope_scaling\":%s", published_llama31_rope);
    for (size_t i = 0; i < ARRAY_LEN(copied); i++) {
        const struct json *v = json_get(said, copied[i]);

        if (v == NULL || (i == 0 && n->llama31_rope))
            continue;
        buf_printf(out, ",\"%s\":", copied[i]);
        json_write(out, v);
    }
    buf_putc(out, '}');
}
