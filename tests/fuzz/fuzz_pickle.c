/*
 * The pickle machine, without a container and for any family of files: what
 * it makes of an input has sound lists, and can be told as JSON; what one
 * reader runs to its end, the one that only wants names does too, and names
 * the same.
 */
// pickles: tests/fixtures/torch/*.[bcp]* tests/fixtures/numpy/*.pkl
// dict: pickle.dict torch.dict
#include "kit.h"

#include "base/json.h"
#include "base/log.h"
#include "formats/torch_internal.h"

enum { MEMORY_MAX = 64 << 20, TEXT_MAX = 1 << 20 };

struct ran {
    struct arena arena;
    struct pickle_names names;
    struct node *root;
    uint64_t used;
    int rc;
};

static void ran_free(struct ran *r)
{
    arena_free(&r->arena);
}

static void run(struct ran *r, const uint8_t *data, size_t size,
    const struct pickle_dialect *dialect)
{
    struct pickle_env env = { &r->arena, &r->names, dialect, NULL };
    struct err e = ERR_INIT;

    r->rc = pickle_run(data, size, &env, &r->root, &r->used, &e);
    must((r->rc == 0) == (e.kind == ERR_NONE));
    if (r->rc != 0)
        kit_failed(&e);
    else
        must(r->root != NULL && r->used > 0 && r->used <= size);
    for (uint64_t i = 0; i < r->names.n; i++) {
        const struct pickle_global *g = r->names.v[i];

        must(g->offset < size && g->name.len <= PICKLE_NAME_MAX);
        must(g->module.len <= PICKLE_NAME_MAX);
    }
}

/* Strict text, unless it grew too large or too deep to be told. */
static void check_json(struct node *root)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct buf text AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct err e = ERR_INIT;

    torch_json(root, &text);
    if (text.bad == ERR_NONE)
        must(json_parse(&doc, buf_str(&text), 0, &e) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct pickle_dialect plain = { NULL, 0, NULL };
    struct ran any AUTO(ran_free) = { .arena = ARENA_INIT(MEMORY_MAX) };
    struct ran one AUTO(ran_free) = { .arena = ARENA_INIT(MEMORY_MAX) };

    log_set_level(LOG_ERROR);
    run(&any, data, size, &pickle_names_only);
    run(&one, data, size, &plain);
    if (one.rc == 0)
        must(any.rc == 0 && any.used == one.used && any.names.n == one.names.n);
    if (any.rc == 0)
        check_json(any.root);
    if (one.rc == 0)
        check_json(one.root);
    kit_torch(data, size);
    return 0;
}
