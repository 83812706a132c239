/*
 * template.h - the post-processor of a tokenizer.json: the ids that go
 * around a text. Source: tokenizers, section 9. TemplateProcessing (for one
 * text), ByteLevel (which adds nothing) and sequences of them.
 */
#ifndef VERIFY_RUN_TEMPLATE_H
#define VERIFY_RUN_TEMPLATE_H

#include "base/arena.h"
#include "base/json.h"
#include "verify-run/ids.h"

struct template
{
    struct ids before;
    struct ids after;
    bool seen; /* a template was read */
};

#define TEMPLATE_INIT                                                          \
    {                                                                          \
        .before = IDS_INIT, .after = IDS_INIT                                  \
    }

void template_free(struct template *t);

/* template_load - 0, or -1 with *e: REFUSED, UNSUPPORTED, NOMEM */
int template_load(struct template *t, const struct json *v, struct arena *arena,
    struct err *e);

#endif
