/* The config that stands beside the weights in many training checkpoints. */
#include "formats/torch_internal.h"

#include "base/log.h"

/* The architecture before the settings of a training run. */
static const char *const usual[] = { "model_args", "model_config",
    "hyper_parameters", "hparams", "config", "cfg", "args", "model_params",
    "opt" };

static bool says_something(const struct node *n)
{
    const struct node_list *pairs = torch_pairs(n);

    return pairs != NULL && pairs->n > 0;
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
        log_debug("the config beside the weights is too large to keep");
        return 0;
    }
    *out = arena_str(arena, buf_str(&text), e);
    return out->p == NULL ? -1 : 0;
}

int torch_config(const struct torch_beside *beside, struct arena *arena,
    struct str *out, struct err *e)
{
    for (uint32_t i = beside->n; i > 0; i--) {
        const struct node_list *pairs = torch_pairs(beside->v[i - 1]);

        for (size_t k = 0; pairs != NULL && k < ARRAY_LEN(usual); k++) {
            struct node *n = node_pair(pairs, usual[k]);

            if (n != NULL && says_something(n))
                return config_text(n, arena, out, e);
        }
    }
    return 0;
}
