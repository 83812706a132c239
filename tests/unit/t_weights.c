/* t_weights.c - tensors by role: what is missing, wrong, left over. */
#include <math.h>
#include <signal.h>

#include "base/cancel.h"
#include "tests/numeric/golden.h"
#include "tests/unit/tap.h"
#include "verify-run/weights.h"

enum { MAX = 64 };

/* A copy of a golden model to spoil, and what binding it gives. */
struct trial {
    struct tiny_tensor t[MAX];
    size_t n;
    const char *config;
    struct tiny_model m;
    struct checkpoint c;
    struct model_config cfg;
    struct weights w;
    struct err e;
};

static void trial_begin(struct trial *x, int golden)
{
    const struct golden_case *g = &golden_cases[golden];

    memset(x, 0, sizeof(*x));
    memcpy(x->t, g->tensors, g->n_tensors * sizeof(x->t[0]));
    x->n = g->n_tensors;
    x->config = g->config;
}

static struct tiny_tensor *tensor(struct trial *x, const char *name)
{
    size_t i = 0;

    while (strcmp(x->t[i].name, name) != 0)
        i++;
    return &x->t[i];
}

static void add(struct trial *x, struct tiny_tensor t)
{
    x->t[x->n++] = t;
}

static void drop(struct trial *x, const char *name)
{
    *tensor(x, name) = x->t[--x->n];
}

static int trial_bind(struct trial *x, const struct manifest *manifest)
{
    struct weights_source src = { &x->cfg, &x->c, manifest, DTYPE_NONE };

    x->m = tiny_make(x->config, x->t, x->n);
    if (checkpoint_open(&x->c, x->m.folder, NULL, &x->e) != 0 ||
        config_load(&x->cfg, &x->c, &x->e) != 0)
        return -1;
    return weights_bind(&x->w, &src, &x->e);
}

static void trial_end(struct trial *x)
{
    weights_free(&x->w);
    checkpoint_close(&x->c);
    tiny_remove(&x->m);
}

static const struct note *note_of(const struct weights *w, const char *name)
{
    const struct note *n = w->notes;

    while (n != NULL && !str_is(n->name, name))
        n = n->next;
    return n;
}

static void test_complete(void)
{
    const struct weight *w;
    struct trial x;

    trial_begin(&x, 0);
    is_int(trial_bind(&x, NULL), 0, "a complete model binds");
    ok(weights_complete(&x.w) && x.w.notes == NULL, "nothing to note");
    is_int((long long)x.w.parameters, 21248, "parameters");
    is_int((long long)x.w.raw, 21248, "and as many elements in the file");
    is_int((long long)x.w.bytes, 4 * 21248, "bytes");
    is_int((long long)x.w.token_bytes,
        4 * (2 * (3 * 32 + 32 + 64 + 64) * 32 + 64 * 32),
        "a token reads all matrices but the embedding");
    w = weights_get(&x.w, 1, ROLE_QKV, false);
    ok(w->rows == 96 && w->cols == 32 && w->dtype == DTYPE_F32 && w->mapped,
        "a matrix lies in the file");
    ok(((const float *)w->data)[0] ==
            tiny_value("gpt_neox.layers.1.attention.query_key_value.weight", 0),
        "with its values");
    ok(weights_get(&x.w, 0, ROLE_Q, false)->data == NULL, "no q of its own");
    trial_end(&x);
}

static void test_missing(void)
{
    struct trial x;

    trial_begin(&x, 2);
    drop(&x, "model.layers.1.mlp.up_proj.weight");
    drop(&x, "model.norm.weight");
    drop(&x, "lm_head.weight");
    is_int(trial_bind(&x, NULL), 0, "an incomplete model binds");
    ok(!weights_complete(&x.w), "and is incomplete");
    is_int((long long)x.w.n_notes[NOTE_MISSING], 3, "all are counted");
    ok(note_of(&x.w, "model.norm.weight") != NULL &&
            note_of(&x.w, "lm_head.weight") != NULL &&
            note_of(&x.w, "model.layers.1.mlp.up_proj.weight") != NULL,
        "all are named");
    trial_end(&x);
}

static void test_shape(void)
{
    const struct note *n;
    struct trial x;

    trial_begin(&x, 2);
    tensor(&x, "model.layers.0.self_attn.k_proj.weight")->shape[0] = 16;
    tensor(&x, "model.norm.weight")->rank = 2;
    tensor(&x, "model.norm.weight")->shape[1] = 1;
    tensor(&x, "lm_head.weight")->dtype = DTYPE_U8;
    is_int(trial_bind(&x, NULL), 0, "wrong shapes bind");
    is_int((long long)x.w.n_notes[NOTE_SHAPE], 3, "all are counted");
    n = note_of(&x.w, "model.layers.0.self_attn.k_proj.weight");
    is_str(n != NULL ? n->why : "", "shape [16, 32] instead of [32, 32]",
        "a shape");
    n = note_of(&x.w, "model.norm.weight");
    is_str(n != NULL ? n->why : "", "shape [32, 1] instead of [32]", "a rank");
    n = note_of(&x.w, "lm_head.weight");
    is_str(n != NULL ? n->why : "",
        "type U8: only F64, F32, F16 and BF16 can be run", "a type");
    ok(!weights_complete(&x.w), "incomplete");
    trial_end(&x);
}

static void test_leftovers(void)
{
    struct trial x;

    trial_begin(&x, 0);
    add(&x, (struct tiny_tensor){ "gpt_neox.layers.0.attention.bias", 2,
                { 64, 64 }, DTYPE_U8, 0 });
    add(&x, (struct tiny_tensor){ "gpt_neox.layers.0.attention.masked_bias", 0,
                { 0 }, DTYPE_F16, 0 });
    add(&x,
        (struct tiny_tensor){ "gpt_neox.layers.1.attention.rotary_emb.inv_freq",
            1, { 1 }, DTYPE_F16, 0 });
    add(&x, (struct tiny_tensor){ "score.weight", 1, { 3 }, DTYPE_F32, 0 });
    is_int(trial_bind(&x, NULL), 0, "leftover buffers bind");
    ok(weights_complete(&x.w), "and the model is complete");
    is_int((long long)x.w.n_notes[NOTE_IGNORED], 3, "they are ignored");
    is_int((long long)x.w.n_notes[NOTE_UNEXPECTED], 1, "others unexpected");
    is_int((long long)x.w.parameters, 21248, "they are no parameters");
    is_int((long long)x.w.raw, 21248 + 64 * 64 + 1 + 1 + 3,
        "but elements of the file");
    trial_end(&x);
}

static void test_contradiction(void)
{
    struct trial x;

    trial_begin(&x, 2);
    add(&x, (struct tiny_tensor){ "model.layers.0.self_attn.q_proj.bias", 1,
                { 32 }, DTYPE_F32, 0 });
    add(&x, (struct tiny_tensor){ "model.layers.2.mlp.up_proj.weight", 2,
                { 64, 32 }, DTYPE_F32, 0 });
    is_int(trial_bind(&x, NULL), 0, "more than the config says binds");
    is_int((long long)x.w.n_notes[NOTE_CONTRADICTS], 2,
        "a bias and a layer the config rules out");
    ok(!weights_complete(&x.w), "do not pass");
    trial_end(&x);
}

static void test_tied(void)
{
    struct trial x;

    trial_begin(&x, 4);
    is_int(trial_bind(&x, NULL), 0, "a tied model without a head");
    ok(weights_complete(&x.w) &&
            weights_get(&x.w, 0, ROLE_HEAD, false)->data ==
                weights_get(&x.w, 0, ROLE_EMBED, false)->data,
        "its head is its embedding");
    ok(x.w.token_bytes + 2 * 2 * 32 * 4 + 32 * 4 == x.w.bytes,
        "which a token reads");
    trial_end(&x);
    trial_begin(&x, 4);
    add(&x,
        (struct tiny_tensor){ "lm_head.weight", 2, { 64, 32 }, DTYPE_F32, 0 });
    is_int(trial_bind(&x, NULL), 0, "with a copy of the head");
    ok(weights_complete(&x.w) && x.w.n_notes[NOTE_IGNORED] == 1,
        "the copy is ignored");
    ok(x.w.raw == x.w.parameters + 64 * 32, "counted once");
    trial_end(&x);
}

/* The uniform form keeps a shared head once; its manifest tells. */
static void test_alias(void)
{
    struct manifest_alias alias = { str_of("lm_head.weight"),
        str_of("model.embed_tokens.weight") };
    struct manifest m = { .aliases = &alias, .n_aliases = 1 };
    struct trial x;

    trial_begin(&x, 2);
    drop(&x, "lm_head.weight");
    is_int(trial_bind(&x, &m), 0, "a head under another name");
    ok(weights_complete(&x.w) &&
            weights_get(&x.w, 0, ROLE_HEAD, false)->data ==
                weights_get(&x.w, 0, ROLE_EMBED, false)->data,
        "is found by the manifest");
    ok(x.w.parameters == x.w.raw, "and counted once");
    trial_end(&x);
}

static void test_prefix(void)
{
    static char names[MAX][128];
    struct trial x;

    trial_begin(&x, 3);
    for (size_t i = 0; i < x.n; i++) {
        snprintf(names[i], sizeof(names[i]), "module.%s", x.t[i].name);
        x.t[i].name = names[i];
    }
    is_int(trial_bind(&x, NULL), 0, "a wrapper in front of every name");
    ok(weights_complete(&x.w) && x.w.notes == NULL, "is seen through");
    trial_end(&x);
}

static void test_mixed(void)
{
    const struct weight *w;
    struct trial x;

    trial_begin(&x, 3);
    for (size_t i = 0; i < x.n; i++)
        x.t[i].dtype = i % 5 == 4 ? DTYPE_F32 : DTYPE_BF16;
    is_int(trial_bind(&x, NULL), 0, "mixed types bind");
    ok(weights_complete(&x.w), "and are complete");
    ok(x.w.dtype == DTYPE_BF16, "the commonest is named");
    w = weights_get(&x.w, 1, ROLE_NORM1, false);
    ok(w->dtype == DTYPE_F32 && w->cols == 1, "norms are float32");
    trial_end(&x);
}

/* Widening a large model takes minutes. The last: it cannot be taken back. */
static void test_cancelled(void)
{
    struct trial x;

    cancel_arm();
    raise(SIGINT);
    trial_begin(&x, 3);
    for (size_t i = 0; i < x.n; i++)
        x.t[i].dtype = DTYPE_BF16;
    is_int(trial_bind(&x, NULL), -1, "an interrupt stops the copying");
    is_int(x.e.kind, ERR_CANCELLED, "and is told as one");
    trial_end(&x);
}

int main(void)
{
    golden_load();
    test_complete();
    test_missing();
    test_shape();
    test_leftovers();
    test_contradiction();
    test_tied();
    test_alias();
    test_prefix();
    test_mixed();
    test_cancelled();
    return done();
}
