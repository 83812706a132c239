/*
 * A golden file: whatever is accepted can be run again and compared without
 * asking, but for ids past the vocabulary in the prompt.
 */
// seeds: tests/fuzz/golden/*
// dict: json.dict golden.dict
#include "kit.h"

#include <math.h>

#include "verify-run/golden.h"

static void check(const struct golden *g)
{
    must(g->there && g->state == GOLDEN_OPEN);
    must(g->architecture.p != NULL && g->dtype != DTYPE_NONE);
    must(isfinite(g->tolerance) && g->tolerance >= 0);
    must(isfinite(g->spread) && g->spread >= 0);
    must(g->n_prompt > 0 && g->prompt != NULL && g->n_logits > 0);
    for (uint32_t i = 0; i < g->n_tokens; i++)
        must(isfinite(g->leads[i]));
    for (uint32_t i = 0; i < g->n_logits; i++)
        must(g->logits[i].id < g->vocab && isfinite(g->logits[i].logit));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct golden g AUTO(golden_free) = GOLDEN_INIT;
    struct str text = { (const char *)data, size };
    struct err e = ERR_INIT;

    if (golden_parse(&g, text, "golden.json", &e) != 0)
        kit_failed(&e);
    else
        check(&g);
    return 0;
}
