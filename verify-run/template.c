#include "verify-run/template.h"

#include "verify-run/component.h"

enum { PIECES_MAX = 64, IDS_MAX = 4096 };

void template_free(struct template *t)
{
    ids_free(&t->before);
    ids_free(&t->after);
}

/* Ids of the special token that a piece names. */
static int add_special(const struct component *c, const struct json *piece,
    struct ids *out, struct err *e)
{
    const struct json *list;
    const char *name = NULL;

    if (!json_str(json_get(piece, "id"), &name))
        return err_set(
            e, ERR_REFUSED, "%s: a special token without id", c->part);
    list = json_get(json_get(json_get(c->v, "special_tokens"), name), "ids");
    if (list == NULL || json_kind(list) != JSON_ARRAY)
        return err_set(e, ERR_REFUSED,
            "%s: special token '%.100s' has no list of ids", c->part, name);
    for (const struct json *i = json_first(list); i; i = json_next(i)) {
        uint64_t id;

        if (!json_u64(i, &id) || id >= UINT32_MAX)
            return err_set(e, ERR_REFUSED,
                "%s: special token '%.100s' has an id that is no number",
                c->part, name);
        if (out->n >= IDS_MAX)
            return err_set(e, ERR_REFUSED,
                "%s: more than %d ids beside the text", c->part, IDS_MAX);
        if (ids_add(out, (uint32_t)id, e) != 0)
            return -1;
    }
    return 0;
}

/* Pieces before the text "A" go to before, the others to after. */
static int read_single(const struct component *c, struct ids *before,
    struct ids *after, struct err *e)
{
    const struct json *single = json_get(c->v, "single");
    bool seen = false;

    if (json_count(single) > PIECES_MAX)
        return err_set(e, ERR_REFUSED, "%s: more than %d pieces in 'single'",
            c->part, PIECES_MAX);

    for (const struct json *i = json_first(single); i; i = json_next(i)) {
        const struct json *special = json_get(i, "SpecialToken");
        const struct json *text = json_get(i, "Sequence");
        const char *id = NULL;

        if (special != NULL) {
            if (add_special(c, special, seen ? after : before, e) != 0)
                return -1;
            continue;
        }
        if (seen || !json_str(json_get(text, "id"), &id) ||
            strcmp(id, "A") != 0)
            return err_set(e, ERR_REFUSED,
                "%s: 'single' is not the text A once among special tokens",
                c->part);
        seen = true;
    }
    if (!seen)
        return err_set(
            e, ERR_REFUSED, "%s: 'single' leaves out the text", c->part);
    return 0;
}

static int load_part(
    void *arg, const struct component *c, struct arena *arena, struct err *e)
{
    struct template *t = arg;

    (void)arena;
    if (strcmp(c->type, "ByteLevel") == 0)
        return 0;
    if (strcmp(c->type, "TemplateProcessing") != 0)
        return component_unknown(c, e);
    /* To the engine the parts of the first would be several texts. */
    if (t->seen)
        return err_set(e, ERR_UNSUPPORTED,
            "%s: this program has no two templates in a row", c->part);
    t->seen = true;
    return read_single(c, &t->before, &t->after, e);
}

int template_load(struct template *t, const struct json *v, struct arena *arena,
    struct err *e)
{
    return component_each(
        v, "post_processor", "processors", load_part, t, arena, e);
}
