/* t_stream.c - what stays in memory, what passes, and that it does go. */
#include "verify-run/stream.h"

#include "tests/numeric/tinymodel.h"
#include "tests/unit/tap.h"
#include "verify-run/config.h"

enum { SIDE = 256, LAYERS = 4, MAX = 16 * LAYERS };

static const uint64_t MATRIX = (uint64_t)SIDE * SIDE * sizeof(float);

struct trial {
    char names[MAX][ARCH_NAME_MAX];
    struct tiny_tensor t[MAX];
    size_t n;
    struct tiny_model m;
    struct checkpoint c;
    struct model_config config;
    struct weights w;
    struct err e;
};

static void add(struct trial *x, const char *name, uint32_t rank)
{
    snprintf(x->names[x->n], ARCH_NAME_MAX, "%s", name);
    x->t[x->n] = (struct tiny_tensor){
        .name = x->names[x->n], .rank = rank, .shape = { SIDE, SIDE }
    };
    x->n++;
}

static bool trial_open(struct trial *x)
{
    static const char *const parts[] = { "self_attn.q_proj", "self_attn.k_proj",
        "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj",
        "mlp.down_proj" };
    struct weights_source src = { &x->config, &x->c, NULL, false };
    char name[ARCH_NAME_MAX];

    add(x, "model.embed_tokens.weight", 2);
    add(x, "lm_head.weight", 2);
    add(x, "model.norm.weight", 1);
    for (int i = 0; i < LAYERS; i++) {
        for (size_t k = 0; k < ARRAY_LEN(parts); k++) {
            snprintf(
                name, sizeof(name), "model.layers.%d.%s.weight", i, parts[k]);
            add(x, name, 2);
        }
        snprintf(
            name, sizeof(name), "model.layers.%d.input_layernorm.weight", i);
        add(x, name, 1);
        snprintf(name, sizeof(name),
            "model.layers.%d.post_attention_layernorm.weight", i);
        add(x, name, 1);
    }
    x->m = tiny_make("{\"model_type\":\"llama\",\"vocab_size\":256,"
                     "\"hidden_size\":256,\"intermediate_size\":256,"
                     "\"num_hidden_layers\":4,\"num_attention_heads\":4}",
        x->t, x->n);
    return checkpoint_open(&x->c, x->m.folder, NULL, &x->e) == 0 &&
           config_load(&x->config, &x->c, &x->e) == 0 &&
           weights_bind(&x->w, &src, &x->e) == 0 && weights_complete(&x->w);
}

static uint64_t passing(struct trial *x, uint64_t budget)
{
    struct stream *s = NULL;
    uint64_t n = UINT64_MAX;

    if (stream_open(&s, &x->c, &x->w, budget, &x->e) == 0)
        n = stream_passing(s);
    stream_close(s);
    return n;
}

/* Bytes of files that are mapped into this process and there. */
static uint64_t resident(void)
{
    char text[256] = "";
    struct err e = ERR_INIT;
    int fd AUTO(fd_close) = file_open("/proc/self/statm", NULL, &e);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    const char *at = n > 0 ? strchr(text, ' ') : NULL;

    at = at != NULL ? strchr(at + 1, ' ') : NULL; /* the third number */
    return at == NULL
               ? 0
               : strtoull(at, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static float touch(const struct trial *x, uint32_t layer)
{
    float sum = 0;

    for (int r = ROLE_NORM1; r < ROLE_COUNT; r++) {
        const struct weight *w = weights_get(&x->w, layer, (enum role)r, false);
        const float *v = w->data;

        for (uint64_t i = 0; w->mapped && i < w->rows * w->cols; i += 512)
            sum += v[i];
    }
    return sum;
}

static void test_pass(struct trial *x)
{
    struct stream *s = NULL;
    uint64_t before, after;
    float first, again;

    ok(stream_open(&s, &x->c, &x->w, 1, &x->e) == 0 && s != NULL,
        "next to nothing may stay");
    before = resident();
    stream_ahead(s, 2);
    first = touch(x, 2);
    after = resident();
    ok(after >= before + 6 * MATRIX, "control: a layer that was read is there");
    stream_behind(s, 2);
    ok(resident() + 6 * MATRIX <= after, "and goes");
    again = touch(x, 2);
    ok(first == again, "it comes back with the same values");
    stream_ahead(s, LAYERS);
    stream_behind(s, LAYERS);
    stream_ahead(s, LAYERS + 1);
    stream_behind(s, UINT32_MAX);
    stream_close(s);
    stream_ahead(NULL, 0);
    stream_behind(NULL, 0);
    stream_close(NULL);
}

int main(void)
{
    static struct trial x;
    uint64_t layer = 7 * MATRIX, all = LAYERS * layer + MATRIX;

    ok(trial_open(&x), "a model: %s", x.e.msg);
    ok(passing(&x, all) == 0, "what fits stays");
    ok(passing(&x, all - 1) == 2 * layer + MATRIX,
        "else there is room for the layer at work and the next");
    ok(passing(&x, 3 * layer) == all - layer, "the first one stays");
    ok(passing(&x, 3 * layer - 1) == all, "if there is room for it");
    ok(passing(&x, 1) == all, "and none must");
    ok(passing(&x, 0) == 0, "with no word the machine is asked");
    test_pass(&x);
    weights_free(&x.w);
    checkpoint_close(&x.c);
    tiny_remove(&x.m);
    return done();
}
