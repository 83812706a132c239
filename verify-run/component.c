#include "verify-run/component.h"

static int each(struct component *c, const char *list, component_fn *take,
    void *arg, unsigned *n, struct arena *arena, struct err *e)
{
    const struct json *items;

    if (!json_str(json_get(c->v, "type"), &c->type))
        return err_set(e, ERR_REFUSED, "%s: no type", c->part);
    if (++*n > COMPONENTS_MAX)
        return err_set(
            e, ERR_REFUSED, "%s: more than %d parts", c->part, COMPONENTS_MAX);
    if (strcmp(c->type, "Sequence") != 0)
        return take(arg, c, arena, e);
    items = json_get(c->v, list);
    if (items == NULL || json_kind(items) != JSON_ARRAY)
        return err_set(
            e, ERR_REFUSED, "%s: Sequence without a list '%s'", c->part, list);
    for (const struct json *i = json_first(items); i; i = json_next(i)) {
        struct component child = { .part = c->part, .v = i };

        if (each(&child, list, take, arg, n, arena, e) != 0)
            return -1;
    }
    return 0;
}

int component_each(const struct json *v, const char *part, const char *list,
    component_fn *take, void *arg, struct arena *arena, struct err *e)
{
    struct component c = { .part = part, .v = v };
    unsigned n = 0;

    if (v == NULL || json_kind(v) == JSON_NULL)
        return 0;
    return each(&c, list, take, arg, &n, arena, e);
}

int component_unknown(const struct component *c, struct err *e)
{
    return err_set(e, ERR_UNSUPPORTED,
        "this program has no %s of type '%.100s'", c->part, c->type);
}

int component_kind(const struct component *c, const char *const *names,
    size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(c->type, names[i]) == 0)
            return (int)i;
    return component_unknown(c, e);
}

static int bad_member(
    const struct component *c, const char *key, const char *want, struct err *e)
{
    return err_set(e, ERR_REFUSED, "%s %.100s: '%s' is not %s", c->part,
        c->type, key, want);
}

int component_str(const struct component *c, const char *key, struct str *out,
    struct arena *arena, struct err *e)
{
    const char *text = NULL;

    if (!json_str(json_get(c->v, key), &text))
        return bad_member(c, key, "a text", e);
    *out = arena_str(arena, str_of(text), e);
    return out->p == NULL ? -1 : 0;
}

int component_bool(
    const struct component *c, const char *key, bool *out, struct err *e)
{
    const struct json *v = json_get(c->v, key);

    if (v == NULL || json_kind(v) == JSON_NULL || json_bool(v, out))
        return 0;
    return bad_member(c, key, "true or false", e);
}

int component_count(
    const struct component *c, const char *key, uint32_t *out, struct err *e)
{
    const struct json *v = json_get(c->v, key);
    uint64_t n = 0;

    if (v == NULL || json_kind(v) == JSON_NULL)
        return 0;
    if (!json_u64(v, &n) || n > UINT32_MAX)
        return bad_member(c, key, "a whole number", e);
    *out = (uint32_t)n;
    return 0;
}

int component_pattern(const struct component *c, struct str *out,
    bool *is_regex, struct arena *arena, struct err *e)
{
    struct component p = {
        .part = c->part, .type = c->type, .v = json_get(c->v, "pattern")
    };

    *is_regex = json_get(p.v, "Regex") != NULL;
    if (component_str(&p, *is_regex ? "Regex" : "String", out, arena, e) != 0)
        return err_ctx(e, "pattern");
    if (out->len == 0)
        return bad_member(c, "pattern", "a text to look for", e);
    return 0;
}
