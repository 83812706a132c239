/*
 * From the tree of a pickle to a list of tensors under dotted paths. Nodes
 * are shared and may contain themselves: a first pass notes which of them
 * lead to a tensor at all, the second goes only there.
 */
#include "formats/torch_numpy.h"

#include <stdio.h>

#include "base/utf8.h"

enum { UNSEEN, BARREN, FERTILE }; /* node.note */

enum { STEPS_MAX = 1 << 27, NAMES_PER_TENSOR = 64, NAMES_FREE = 100000 };

/* Work of the second pass: what may be in vain, and what a name may cost. */
enum { WORK_FREE = 1 << 26, WORK_PER_NAME = 1024, WORK_VISIT = 16 };

struct walk {
    const struct torch_reader *r;
    struct torch_found *out;
    char path[TENSOR_NAME_MAX + 1];
    size_t len;
    unsigned aside; /* above 0: in what state_dict() leaves out */
    uint64_t steps;
    uint64_t work;
    uint64_t arrays; /* of NumPy, met by survey */
    struct err *e;
};

bool torch_has_tensors(const struct node *n)
{
    return n->note == FERTILE;
}

const struct node_list *torch_pairs(const struct node *n)
{
    if (n->kind == NODE_DICT)
        return &n->list;
    if (n->kind != NODE_OPAQUE)
        return NULL;
    if (n->opaque->pairs.n > 0 || n->opaque->states.n == 0)
        return &n->opaque->pairs;
    return n->opaque->states.v[0]->kind == NODE_DICT
               ? &n->opaque->states.v[0]->list
               : NULL;
}

/* The state of an nn.Module that was pickled whole, or NULL. */
static const struct node *module_state(const struct node *n)
{
    const struct node *state, *parts;

    if (n->kind != NODE_OPAQUE || n->opaque->states.n == 0)
        return NULL;
    state = n->opaque->states.v[0];
    parts = node_get(state, "_modules");
    if (parts == NULL || parts->kind != NODE_DICT)
        return NULL;
    parts = node_get(state, "_parameters");
    return parts != NULL && parts->kind == NODE_DICT ? state : NULL;
}

const struct node *torch_script_state(const struct node *n)
{
    const struct node *state, *mode, *callee;

    if (n->kind != NODE_OPAQUE || n->opaque->states.n == 0)
        return NULL;
    callee = n->opaque->callee;
    if (callee->kind != NODE_GLOBAL ||
        !(str_is(callee->global->module, "__torch__") ||
            str_starts(callee->global->module, "__torch__.")))
        return NULL;
    /* Modules are in training or not; objects of other classes are not. */
    state = n->opaque->states.v[0];
    mode = node_get(state, "training");
    return mode != NULL && mode->kind == NODE_BOOL ? state : NULL;
}

/* ---- first pass ---- */

static int survey(struct walk *w, struct node *n, unsigned depth, bool *found);

static int survey_all(struct walk *w, const struct node_list *l, uint64_t first,
    uint64_t step, unsigned depth, bool *found)
{
    for (uint64_t i = first; i < l->n; i += step) {
        if (survey(w, l->v[i], depth, found) != 0)
            return -1;
    }
    return 0;
}

static int survey_opaque(
    struct walk *w, const struct node *n, unsigned depth, bool *found)
{
    const struct node_opaque *o = n->opaque;

    if (torch_is_alien(n) || torch_is_array(n)) {
        w->arrays++;
        *found = true;
        return 0;
    }
    if (survey_all(w, &o->args->list, 0, 1, depth, found) != 0 ||
        survey_all(w, &o->items, 0, 1, depth, found) != 0 ||
        survey_all(w, &o->pairs, 1, 2, depth, found) != 0)
        return -1;
    return survey_all(w, &o->states, 0, 1, depth, found);
}

static int survey_inside(
    struct walk *w, const struct node *n, unsigned depth, bool *found)
{
    switch (n->kind) {
    case NODE_TENSOR:
    case NODE_STORAGE:
        *found = true;
        return 0;
    case NODE_LIST:
    case NODE_TUPLE:
        return survey_all(w, &n->list, 0, 1, depth, found);
    case NODE_DICT:
        return survey_all(w, &n->list, 1, 2, depth, found);
    case NODE_OPAQUE:
        return survey_opaque(w, n, depth, found);
    default:
        return 0;
    }
}

static int survey(struct walk *w, struct node *n, unsigned depth, bool *found)
{
    bool inside = false;

    if (w->steps++ > STEPS_MAX)
        return err_set(w->e, ERR_REFUSED, "the pickle refers to too much");
    if (n->note == UNSEEN && !n->busy) {
        if (depth > TORCH_DEPTH_MAX)
            return err_set(w->e, ERR_REFUSED,
                "containers nested more than %d deep", TORCH_DEPTH_MAX);
        n->busy = true;
        if (survey_inside(w, n, depth + 1, &inside) != 0)
            return -1;
        n->busy = false;
        n->note = inside ? FERTILE : BARREN;
    }
    *found = *found || n->note == FERTILE;
    return 0;
}

/* ---- second pass: names; the caller restores w->len ---- */

/*
 * What leads to a tensor may still give no name: a module's other attributes,
 * a cycle. Shared often enough, the ways there outnumber everything.
 */
static int spend(struct walk *w, uint64_t work)
{
    w->work += work;
    if (w->work <= WORK_FREE + WORK_PER_NAME * w->out->n)
        return 0;
    return err_set(w->e, ERR_REFUSED, "the pickle refers to too much");
}

static int path_put(struct walk *w, struct str s)
{
    if (s.len > TENSOR_NAME_MAX - w->len)
        return err_set(w->e, ERR_REFUSED,
            "a tensor's name is longer than %d bytes", TENSOR_NAME_MAX);
    if (s.len > 0)
        memcpy(w->path + w->len, s.p, s.len);
    w->len += s.len;
    return 0;
}

static int path_dot(struct walk *w)
{
    return path_put(w, (struct str){ ".", w->len > 0 });
}

static int path_add(struct walk *w, struct str part)
{
    return path_dot(w) != 0 ? -1 : path_put(w, part);
}

static int path_number(struct walk *w, long long v)
{
    char text[24];

    snprintf(text, sizeof(text), "%lld", v);
    return path_add(w, str_of(text));
}

/* Bytes of Python 2 that are not UTF-8 are Latin-1. */
static int path_latin1(struct walk *w, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char text[4];
        unsigned n = utf8_put(text, (unsigned char)s.p[i]);

        if (path_put(w, (struct str){ text, n }) != 0)
            return -1;
    }
    return 0;
}

static int path_key(struct walk *w, const struct node *key, uint64_t i)
{
    char text[32];

    switch (key->kind) {
    case NODE_STR:
        return path_add(w, key->s);
    case NODE_BYTES:
        return path_dot(w) != 0 ? -1 : path_latin1(w, key->s);
    case NODE_INT:
        return path_number(w, key->i);
    case NODE_BOOL:
        return path_add(w, str_of(key->truth ? "True" : "False"));
    case NODE_NONE:
        return path_add(w, str_of("None"));
    default:
        snprintf(text, sizeof(text), "[%llu]", (unsigned long long)i);
        return path_add(w, str_of(text));
    }
}

/* Names go to terminals, JSON and safetensors headers. */
static struct str path_name(struct walk *w)
{
    struct str s = { w->path, w->len };
    struct str none = { NULL, 0 };

    if (!pickle_is_utf8(s, false)) {
        err_set(w->e, ERR_REFUSED, "a tensor's name is not UTF-8");
        return none;
    }
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f) {
            err_set(w->e, ERR_REFUSED,
                "a tensor's name holds control characters: '%.*s'",
                (int)size_min(s.len, 200), s.p);
            return none;
        }
    }
    return arena_str(w->r->keep, s, w->e);
}

static int too_many(struct walk *w)
{
    uint64_t made = w->r->n_views + w->r->n_storages + w->arrays;

    if (w->out->n <
        size_min(TORCH_TENSORS_MAX, NAMES_FREE + NAMES_PER_TENSOR * made))
        return 0;
    return err_set(w->e, ERR_REFUSED, "%llu tensors under too many names",
        (unsigned long long)made);
}

static int add_tensor(struct walk *w, struct tensor t)
{
    struct torch_found *f = w->out;
    struct tensor *v =
        arena_grow(w->r->arena, f->v, f->n, &f->cap, sizeof(*v), w->e);

    if (v == NULL || too_many(w) != 0)
        return -1;
    f->v = v;
    t.name = path_name(w);
    t.aside = w->aside > 0;
    f->v[f->n++] = t;
    return t.name.p == NULL ? -1 : 0;
}

static void place(const struct torch_reader *r, const struct torch_storage *s,
    struct tensor *t)
{
    t->no_data = s == NULL || s->no_data;
    t->big_endian = r->big_endian && dtype_bytes(t->dtype) > 1;
    if (s == NULL)
        return;
    t->offset += s->at;
    t->storage_at = s->root ? s->root->at : s->at;
    t->storage_len = s->root ? s->root->bytes : s->bytes;
}

/* Nodes go away when the parse is over; what tensors point to stays. */
static bool keep_dims(struct walk *w, const uint64_t **v, uint32_t rank)
{
    uint64_t *copy;

    if (*v == NULL)
        return true;
    copy = arena_alloc(w->r->keep, rank, sizeof(*copy), w->e);
    if (copy != NULL && rank > 0)
        memcpy(copy, *v, rank * sizeof(*copy));
    *v = copy;
    return copy != NULL;
}

static bool fill_view(
    struct walk *w, const struct torch_view *v, struct tensor *t)
{
    *t = (struct tensor){ .dtype = v->dtype,
        .rank = v->rank,
        .shape = v->shape,
        .stride = v->stride,
        .n = v->n,
        .offset = v->offset };
    place(w->r, v->storage, t);
    return keep_dims(w, &t->shape, t->rank) &&
           keep_dims(w, &t->stride, t->rank);
}

/* t holds the integers; it becomes what they stand for. */
static int fill_quant(
    struct walk *w, const struct torch_view *v, struct tensor *t)
{
    const struct torch_qparams *p = v->quant;
    struct tensor_quant *q = arena_alloc(w->r->keep, 1, sizeof(*q), w->e);

    if (q == NULL)
        return -1;
    *q = (struct tensor_quant){ .name = v->storage->quant,
        .stored = t->dtype,
        .per_channel = p->scales != NULL,
        .scale = p->scale,
        .zero = p->zero,
        .axis = p->axis };
    if (q->per_channel && (!fill_view(w, p->scales, &q->scales) ||
                              !fill_view(w, p->zeros, &q->zeros)))
        return -1;
    if (q->per_channel)
        t->no_data = t->no_data || q->scales.no_data || q->zeros.no_data;
    t->dtype = DTYPE_F32;
    t->quant = q;
    return 0;
}

static int add_view(struct walk *w, const struct torch_view *v)
{
    struct tensor t;

    if (!fill_view(w, v, &t) || (v->quant != NULL && fill_quant(w, v, &t) != 0))
        return -1;
    return add_tensor(w, t);
}

/* A storage on its own is a tensor of one dimension. */
static int add_storage(struct walk *w, const struct torch_storage *s)
{
    struct tensor t = {
        .dtype = s->dtype, .rank = 1, .shape = &s->numel, .n = s->numel
    };

    if (!keep_dims(w, &t.shape, 1))
        return -1;
    if (s->quant != NULL) {
        t = (struct tensor){ .rank = 1,
            .shape = t.shape,
            .n = t.n,
            .no_data = true,
            .alien = "a bare storage of quantised integers" };
        return add_tensor(w, t);
    }
    place(w->r, s, &t);
    return add_tensor(w, t);
}

/* ---- second pass: the tree ---- */

static int walk(struct walk *w, struct node *n);

static int walk_items(struct walk *w, const struct node_list *l)
{
    size_t len = w->len;

    if (spend(w, l->n) != 0)
        return -1;
    for (uint64_t i = 0; i < l->n; i++) {
        if (!torch_has_tensors(l->v[i]))
            continue;
        if (path_number(w, (long long)i) != 0 || walk(w, l->v[i]) != 0)
            return -1;
        w->len = len;
    }
    return 0;
}

static int walk_pairs(struct walk *w, const struct node_list *l)
{
    size_t len = w->len;

    if (spend(w, l->n) != 0)
        return -1;
    for (uint64_t i = 0; i < l->n; i += 2) {
        if (!torch_has_tensors(l->v[i + 1]))
            continue;
        if (path_key(w, l->v[i], i / 2) != 0 || walk(w, l->v[i + 1]) != 0)
            return -1;
        w->len = len;
    }
    return 0;
}

static bool in_set(const struct node *set, const struct node *key)
{
    if (set == NULL || set->kind != NODE_SET || key->kind != NODE_STR)
        return false;
    for (uint64_t i = 0; i < set->list.n; i++) {
        const struct node *n = set->list.v[i];

        if (n->kind == NODE_STR && str_eq(n->s, key->s))
            return true;
    }
    return false;
}

/* skip: the keys that state_dict() leaves out, or NULL. */
static int walk_buffers(
    struct walk *w, const struct node *buffers, const struct node *skip)
{
    const struct node_list *l = &buffers->list;
    uint64_t each =
        skip != NULL && skip->kind == NODE_SET ? 1 + skip->list.n : 1;
    size_t len = w->len;

    for (uint64_t i = 0; i < l->n; i += 2) {
        if (spend(w, each) != 0)
            return -1;
        if (!torch_has_tensors(l->v[i + 1]) || in_set(skip, l->v[i]))
            continue;
        if (path_key(w, l->v[i], i / 2) != 0 || walk(w, l->v[i + 1]) != 0)
            return -1;
        w->len = len;
    }
    return 0;
}

/* The names that state_dict() would give: parameters, buffers, parts. */
static int walk_module(struct walk *w, const struct node *state)
{
    const struct node *skip = node_get(state, "_non_persistent_buffers_set");
    const struct node *buffers = node_get(state, "_buffers");

    if (spend(w, state->list.n) != 0 ||
        walk_pairs(w, &node_get(state, "_parameters")->list) != 0)
        return -1;
    if (buffers != NULL && buffers->kind == NODE_DICT &&
        walk_buffers(w, buffers, skip) != 0)
        return -1;
    return walk_pairs(w, &node_get(state, "_modules")->list);
}

/*
 * A module of a TorchScript program. Which of its tensors are parameters and
 * which buffers is told by the code; that they are its own is told here.
 */
static int walk_script(struct walk *w, const struct node *state)
{
    const struct node_list *l = &state->list;
    size_t len = w->len;

    if (spend(w, l->n) != 0)
        return -1;
    for (uint64_t i = 0; i < l->n; i += 2) {
        struct node *v = l->v[i + 1];
        bool own = v->kind == NODE_TENSOR || torch_is_alien(v) ||
                   torch_script_state(v) != NULL;

        if (!torch_has_tensors(v))
            continue;
        w->aside += !own;
        if (path_key(w, l->v[i], i / 2) != 0 || walk(w, v) != 0)
            return -1;
        w->aside -= !own;
        w->len = len;
    }
    return 0;
}

/* A state is a mapping, or a pair of them (attributes and slots). */
static int walk_state(struct walk *w, struct node *state)
{
    if (state->kind == NODE_TUPLE && state->list.n == 2 &&
        (state->list.v[0]->kind == NODE_DICT ||
            state->list.v[0]->kind == NODE_NONE)) {
        if (walk(w, state->list.v[0]) != 0)
            return -1;
        return walk(w, state->list.v[1]);
    }
    return walk(w, state);
}

static int add_array(struct walk *w, const struct node *n)
{
    struct tensor t;

    if (torch_array(w->r, n, &w->out->held, &t, w->e) != 0)
        return err_ctx(w->e, "'%.*s'", (int)size_min(w->len, 200), w->path);
    return add_tensor(w, t);
}

static int walk_opaque(struct walk *w, const struct node *n)
{
    const struct node_opaque *o = n->opaque;
    const struct node *state = module_state(n);
    const struct node *script = w->r->script ? torch_script_state(n) : NULL;
    struct tensor alien;
    int rc = torch_alien(w->r, n, &alien, w->e);

    if (rc != 0)
        return rc < 0 ? -1 : add_tensor(w, alien);
    if (script != NULL)
        return walk_script(w, script);
    if (torch_is_array(n))
        return add_array(w, n);
    if (state != NULL)
        return walk_module(w, state);
    if (walk_items(w, &o->args->list) != 0 || walk_items(w, &o->items) != 0 ||
        walk_pairs(w, &o->pairs) != 0)
        return -1;
    for (uint64_t i = 0; i < o->states.n; i++) {
        if (walk_state(w, o->states.v[i]) != 0)
            return -1;
    }
    return 0;
}

static int walk_inside(struct walk *w, struct node *n)
{
    switch (n->kind) {
    case NODE_TENSOR:
        return add_view(w, n->view);
    case NODE_STORAGE:
        return add_storage(w, n->storage);
    case NODE_DICT:
        return walk_pairs(w, &n->list);
    case NODE_OPAQUE:
        return walk_opaque(w, n);
    default:
        return walk_items(w, &n->list);
    }
}

static int walk(struct walk *w, struct node *n)
{
    int rc;

    if (n->busy || !torch_has_tensors(n))
        return 0;
    if (spend(w, WORK_VISIT) != 0)
        return -1;
    n->busy = true;
    rc = walk_inside(w, n);
    n->busy = false;
    return rc;
}

int torch_walk(
    const struct torch_reader *r, struct torch_found *out, struct err *e)
{
    struct walk w = { .r = r, .out = out, .e = e };
    struct node *root = r->root;
    bool found = false;

    if (survey(&w, root, 0, &found) != 0)
        return -1;
    if (root->kind == NODE_TENSOR || root->kind == NODE_STORAGE ||
        torch_is_alien(root) || torch_is_array(root))
        (void)path_add(&w, str_of("tensor"));
    if (walk(&w, root) != 0)
        return -1;
    if (r->constants == NULL)
        return 0;
    w.len = 0;
    w.aside = 1;
    (void)path_add(&w, str_of("constants.pkl"));
    return survey(&w, r->constants, 0, &found) != 0 ? -1
                                                    : walk(&w, r->constants);
}
