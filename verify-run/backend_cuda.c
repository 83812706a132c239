/*
 * The CUDA backend as the program sees it: a plugin that is opened at run
 * time from beside the program or from its library folder, and the model put
 * into the plain words of plugin.h. There is no CUDA in this file.
 */
#include "verify-run/backend.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alone.h"
#include "base/cancel.h"
#include "base/log.h"
#include "base/path.h"
#include "verify-run/alibi.h"
#include "verify-run/memory.h"
#include "verify-run/plugin.h"

#define PLUGIN_FILE "ml-backend-cuda.so"

struct backend_state {
    const struct plugin *plugin;
    struct plugin_state *inner;
    struct arena arena;
    struct plugin_model model;
};

/* ---- finding it ---- */

/* Where the plugin may lie, by the program's own folder. */
static const char *const places[] = { ".", "../lib/mlverify-run" };

static int own_folder(char out[PATH_MAX], struct err *e)
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (len < 0)
        return err_sys(e, "/proc/self/exe");
    self[len] = '\0';
    path_dir(out, PATH_MAX, self);
    return 0;
}

static const struct plugin *plugin_load(const char *path, struct err *e)
{
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct plugin *p = lib == NULL ? NULL : dlsym(lib, PLUGIN_SYMBOL);
    const char *why = p == NULL ? dlerror() : NULL;

    if (p == NULL) {
        err_set(e, ERR_IO, "%s", why != NULL ? why : path);
        return NULL;
    }
    if (p->abi != PLUGIN_ABI || p->size != sizeof(struct plugin_model)) {
        err_set(e, ERR_IO, "%s is of another build of this program", path);
        return NULL;
    }
    return p;
}

/* It is never closed: a loaded one comes back at no cost. */
static const struct plugin *plugin_find(struct err *e)
{
    char folder[PATH_MAX];
    char path[PATH_MAX];

    if (alone_is()) {
        err_set(e, ERR_MISSING,
            "this program is linked statically: it cannot open a plugin");
        return NULL;
    }
    if (own_folder(folder, e) != 0)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (path_fmt(path, e, "%s/%s/" PLUGIN_FILE, folder, places[i]) != 0)
            return NULL;
        if (access(path, F_OK) == 0)
            return plugin_load(path, e);
    }
    err_set(e, ERR_MISSING, "there is no " PLUGIN_FILE " with this program");
    return NULL;
}

int backend_cuda_check(struct err *e)
{
    const struct plugin *p = plugin_find(e);

    return p == NULL ? -1 : p->probe(e);
}

/* ---- the model in plain words ---- */

static void put_numbers(struct plugin_model *m, const struct model_config *c)
{
    struct shape_residual r = shape_residual(c->kinds.residual);

    *m = (struct plugin_model){
        .vocab = c->vocab,
        .dim = c->dim,
        .layers = c->layers,
        .heads = c->heads,
        .kv_heads = c->kv_heads,
        .head_dim = c->head_dim,
        .inner = c->inner,
        .experts = c->kinds.mlp == MLP_MOE ? c->experts : 0,
        .experts_used = c->kinds.mlp == MLP_MOE ? c->experts_used : 0,
        .kinds = c->kinds,
        .act = c->act,
        .embed_norm = c->arch->names[ROLE_EMBED_NORM] != NULL,
        .pre = r.pre,
        .post = r.post,
        .parallel = r.parallel,
        .shared = r.shared,
        .eps = c->eps,
        .residual_scale = (float)c->residual_scale,
        .logit_scale = (float)c->logit_scale,
        .logit_softcap = (float)c->logit_softcap,
        .attention_scale = (float)c->attention_scale,
        .softcap = (float)c->softcap,
        .clip_qkv = (float)c->clip_qkv,
        .position_offset = c->position_offset,
        .rope_dims = c->rope.dims,
        .cancelled = cancel_asked,
    };
}

static int put_rope(struct plugin_rope *out, const struct rope *r,
    uint32_t length, struct arena *a, struct err *e)
{
    float *v = arena_alloc(a, r->dims, sizeof(*v), e);

    if (v == NULL)
        return -1;
    rope_inv_freq(r, length, v);
    out->inv_freq = v;
    out->factor = (float)r->attention_factor;
    return 0;
}

static int put_positions(struct plugin_model *m, const struct model_config *c,
    struct arena *a, struct err *e)
{
    struct plugin_layer *layer = arena_alloc(a, c->layers, sizeof(*layer), e);
    float *slopes = arena_alloc(a, c->heads, sizeof(*slopes), e);
    float *bias = NULL;

    if (layer == NULL || slopes == NULL)
        return -1;
    for (uint32_t i = 0; i < c->layers; i++) {
        layer[i].window = config_window(c, i);
        layer[i].local = c->has_local && layer[i].window > 0;
    }
    alibi_slopes(c, slopes);
    m->layer = layer;
    m->slopes = slopes;
    if (alibi_is_rounded(c)) {
        bias =
            arena_alloc(a, (uint64_t)c->heads * m->capacity, sizeof(*bias), e);
        if (bias == NULL)
            return -1;
        alibi_bias(c, m->capacity, bias);
        m->bias = bias;
    }
    if (c->rope.dims > 0 && put_rope(&m->rope, &c->rope, m->capacity, a, e))
        return -1;
    if (c->has_local && put_rope(&m->local, &c->local, m->capacity, a, e))
        return -1;
    return 0;
}

/* ---- tensors ---- */

static struct plugin_weight weight_of(
    const struct plugin_model *m, const struct weight *w)
{
    struct plugin_weight out = { w->data, w->scales, w->rows, w->cols, w->dtype,
        -1, 0 };
    const uint8_t *p = w->data;

    for (uint32_t i = 0; w->mapped && i < m->n_files; i++) {
        const uint8_t *map = m->files[i].map;

        if (map == NULL || p < map || p >= map + m->files[i].len)
            continue;
        out.file = (int32_t)i;
        out.at = (uint64_t)(p - map);
    }
    return out;
}

static int put_weights(struct plugin_model *m, const struct backend_model *b,
    struct arena *a, struct err *e)
{
    const struct checkpoint *c = b->checkpoint;
    size_t slots = (size_t)b->weights->layers * b->weights->first[ROLE_COUNT];
    struct plugin_file *files = arena_alloc(a, c->n_files, sizeof(*files), e);
    struct plugin_weight *table = arena_alloc(a, 2 * slots, sizeof(*table), e);

    if (files == NULL || table == NULL)
        return -1;
    for (uint32_t i = 0; i < c->n_files; i++)
        files[i] = (struct plugin_file){ c->files[i].map.p, c->files[i].map.len,
            c->files[i].map.fd };
    m->files = files;
    m->n_files = c->n_files;
    for (size_t i = 0; i < 2 * slots; i++)
        table[i] = weight_of(m, &b->weights->table[i]);
    m->table = table;
    m->first = b->weights->first;
    return 0;
}

/* ---- the backend ---- */

/* What may lie in the page cache: most of what there is, not all. */
static uint64_t fair_share(void)
{
    uint64_t there;

    return memory_available(&there) ? there / 4 * 3 : UINT64_MAX;
}

static void cuda_close(struct backend_state *s)
{
    if (s == NULL)
        return;
    s->plugin->close(s->inner);
    arena_free(&s->arena);
    free(s);
}

static int fill(
    struct backend_state *s, const struct backend_model *b, struct err *e)
{
    const struct weights *w = b->weights;

    put_numbers(&s->model, b->config);
    s->model.capacity = b->capacity;
    s->model.memory = b->device_memory;
    s->model.host_memory = fair_share();
    s->model.embed_scale = config_embed_scale(
        b->config, weights_get(w, 0, ROLE_EMBED, false)->dtype);
    if (put_positions(&s->model, b->config, &s->arena, e) != 0)
        return -1;
    return put_weights(&s->model, b, &s->arena, e);
}

static struct backend_state *cuda_open(
    const struct backend_model *b, struct backend_opened *out, struct err *e)
{
    const struct plugin *p = plugin_find(e);
    struct backend_state *s = p == NULL ? NULL : calloc(1, sizeof(*s));

    if (s == NULL) {
        err_set(e, ERR_NOMEM, "out of memory for the backend");
        return NULL;
    }
    s->plugin = p;
    s->arena = (struct arena)ARENA_INIT(UINT64_MAX);
    if (fill(s, b, e) == 0)
        s->inner = p->open(&s->model, out, e);
    if (out->note[0] != '\0')
        log_debug("cuFile: %s", out->note);
    if (s->inner == NULL) {
        err_ctx(e, "backend cuda");
        arena_free(&s->arena);
        free(s);
        return NULL;
    }
    return s;
}

static int cuda_forward(
    struct backend_state *s, struct backend_pass *p, struct err *e)
{
    if (s->plugin->forward(s->inner, p, e) != 0)
        return err_ctx(e, "backend cuda");
    return 0;
}

static void cuda_facts(struct backend_state *s, struct backend_facts *out)
{
    s->plugin->facts(s->inner, out);
}

/*
 * A prompt is multiplied by the library's kernels, one token by others: sums
 * in another order, of the same float32 products.
 */
const struct backend backend_cuda = {
    .abi = BACKEND_ABI,
    .name = "cuda",
    .wobble = 1e-3,
    .open = cuda_open,
    .forward = cuda_forward,
    .facts = cuda_facts,
    .close = cuda_close,
};
