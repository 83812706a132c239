/*
 * The config that stands beside the weights in many training checkpoints.
 *
 * Of several, the one nearest to the weights is taken, and among those at one
 * level the first by this order: the architecture before the settings of a
 * training run, names that are usual before any other that ends in "config"
 * or "_args". One that is too large, or has no members, is passed over.
 */
#include "formats/torch_internal.h"

#include "base/log.h"

static const char *const usual[] = { "model_args", "model_config",
    "model_kwargs", "hyper_parameters", "hparams", "config", "cfg", "args",
    "model_params", "opt" };

enum { REST_MAX = 1000 /* of the names of those not taken [bytes] */ };

struct search {
    struct arena *arena;
    struct torch_file *out;
    struct buf rest;
};

/* A mapping or an object, with anything in it. */
static bool says_something(const struct node *n)
{
    const struct node_opaque *o = n->opaque;

    if (n->kind == NODE_DICT)
        return n->list.n > 0;
    if (n->kind != NODE_OPAQUE || torch_is_alien(n))
        return false;
    return o->pairs.n + o->items.n + o->args->list.n > 0 ||
           (o->states.n > 0 && !(o->states.v[0]->kind == NODE_DICT &&
                                   o->states.v[0]->list.n == 0));
}

/* Not the state of an optimizer, which "opt" may be as well. */
static bool is_config(const struct node *key, const struct node *n)
{
    return says_something(n) &&
           !(node_is_text(key, "opt") && torch_has_tensors(n));
}

static size_t rank_of(const struct node *key)
{
    struct str s = key->s;

    if (key->kind != NODE_STR)
        return SIZE_MAX;
    for (size_t i = 0; i < ARRAY_LEN(usual); i++) {
        if (str_is(s, usual[i]))
            return i;
    }
    return str_ends(s, "config") || str_ends(s, "_args") ? ARRAY_LEN(usual)
                                                         : SIZE_MAX;
}

static int config_text(
    struct node *n, struct arena *arena, struct str *out, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(TORCH_CONFIG_MAX);
    struct err over = ERR_INIT;

    torch_json(n, &text);
    if (buf_check(&text, &over) != 0) {
        if (over.kind == ERR_NOMEM)
            return err_set(e, ERR_NOMEM, "%s", over.msg);
        log_debug("a config beside the weights is too large to keep");
        return 0;
    }
    /* A path or a number may be an object, too; a config has members. */
    if (!str_starts(buf_str(&text), "{"))
        return 0;
    *out = arena_str(arena, buf_str(&text), e);
    return out->p == NULL ? -1 : 0;
}

static int take(
    struct search *s, const struct node *key, struct node *n, struct err *e)
{
    struct torch_file *out = s->out;

    if (out->config.len == 0) {
        if (config_text(n, s->arena, &out->config, e) != 0)
            return -1;
        if (out->config.len > 0) {
            out->config_from = arena_str(s->arena, key->s, e);
            return out->config_from.p == NULL ? -1 : 0;
        }
    }
    buf_printf(&s->rest, "%s%.*s", s->rest.len > 0 ? ", " : "",
        (int)size_min(key->s.len, 64), key->s.p);
    return 0;
}

/* Those of one level, by rank; of one rank, in the order of the file. */
static int search_level(
    struct search *s, const struct node_list *pairs, struct err *e)
{
    for (size_t rank = 0; rank <= ARRAY_LEN(usual); rank++) {
        for (uint64_t i = 0; i < pairs->n; i += 2) {
            const struct node *key = pairs->v[i];

            if (rank_of(key) == rank && is_config(key, pairs->v[i + 1]) &&
                take(s, key, pairs->v[i + 1], e) != 0)
                return -1;
        }
    }
    return 0;
}

static int search_all(
    struct search *s, const struct torch_beside *beside, struct err *e)
{
    for (uint32_t i = beside->n; i > 0; i--) {
        const struct node_list *pairs = torch_pairs(beside->v[i - 1]);

        if (pairs != NULL && search_level(s, pairs, e) != 0)
            return -1;
    }
    if (s->rest.len == 0)
        return 0;
    s->out->config_rest = arena_str(s->arena, buf_str(&s->rest), e);
    return s->out->config_rest.p == NULL ? -1 : 0;
}

int torch_config(const struct torch_beside *beside, struct arena *arena,
    struct torch_file *out, struct err *e)
{
    struct search s = { arena, out, BUF_INIT(REST_MAX) };
    int rc = search_all(&s, beside, e);

    buf_free(&s.rest);
    return rc;
}
