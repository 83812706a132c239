#include "convert/layout.h"

#include <stdlib.h>

#include "base/human.h"
#include "convert/int8_rows.h"
#include "formats/alias.h"
#include "formats/quant_int8.h"
#include "formats/uniform.h"

/* An expanded view of one element may claim any size: 64 times is enough. */
enum { GROWTH_MAX = 64 };
static const uint64_t GROWTH_FREE = (uint64_t)1 << 30;

static const uint64_t ARENA_LIMIT = (uint64_t)1 << 30;

static int check_growth(
    const struct layout *p, const struct checkpoint *c, struct err *e)
{
    uint64_t size = 0;
    char made[HUMAN_MAX], given[HUMAN_MAX];

    for (uint32_t i = 0; i < c->n_files; i++)
        size += c->files[i].map.len;
    if (p->file_size / GROWTH_MAX <= size || p->file_size <= GROWTH_FREE)
        return 0;
    return err_set(e, ERR_REFUSED,
        "%s: %s of tensors in %s of files: expanded beyond reason",
        c->files[0].path, human_size(made, p->file_size),
        human_size(given, size));
}

static int cmp_name(const void *a, const void *b)
{
    return str_cmp(
        ((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static const struct tensor *source_of(
    const struct checkpoint *c, struct str name)
{
    struct tensor key = { .name = name };

    return bsearch(
        &key, c->tensors, c->n_tensors, sizeof(*c->tensors), cmp_name);
}

enum made_by layout_made(const struct layout *p, uint64_t i)
{
    const struct tensor *from = p->from[i], *to = &p->out[i];

    if (p->int8 == NULL)
        return MADE_CAST;
    if (!str_eq(from->name, to->name))
        return MADE_SCALES;
    return to->dtype == DTYPE_I8 && from->dtype != DTYPE_I8 ? MADE_INT8
                                                            : MADE_CAST;
}

/* A matrix becomes two tensors; the caller has added the first. */
static int quantise(struct layout *p, const struct checkpoint *c, struct err *e)
{
    struct tensor *t = &p->out[p->n - 1], *s = &p->out[p->n];
    char name[TENSOR_NAME_MAX + 1];
    struct str partner = int8_partner(name, t->name);

    if (partner.p == NULL)
        return err_set(e, ERR_REFUSED,
            "%s: a tensor's name is longer than %d bytes",
            c->files[t->file].path, TENSOR_NAME_MAX);
    *s = (struct tensor){ .name = arena_str(&p->arena, partner, e),
        .dtype = DTYPE_BF16,
        .rank = 1,
        .shape = t->shape,
        .n = t->shape[0] };
    if (s->name.p == NULL)
        return -1;
    if (source_of(c, s->name) != NULL)
        return err_set(e, ERR_REFUSED,
            "%s: tensor '%.*s' stands where the scales of '%.*s' would",
            c->files[0].path, STR_ARG(s->name), STR_ARG(t->name));
    t->dtype = DTYPE_I8;
    p->n++;
    return 0;
}

static int add(struct layout *p, const struct checkpoint *c,
    const struct recipe *r, const struct tensor *t, struct err *e)
{
    p->out[p->n++] = (struct tensor){ .name = t->name,
        .dtype = recipe_target(r, t->dtype),
        .rank = t->rank,
        .shape = t->shape,
        .n = t->n };
    if (!r->int8)
        return 0;
    if (int8_is_made(t))
        return err_set(e, ERR_REFUSED, "%s: tensor '%.*s' is int8 already",
            c->files[t->file].path, STR_ARG(t->name));
    return int8_takes(t) ? quantise(p, c, e) : 0;
}

/* Nothing is bent into another shape without being asked for. */
static int check_kind(const struct checkpoint *c, const struct recipe *r,
    const struct tensor *t, struct err *e)
{
    const char *path = c->files[t->file].path;

    if (t->no_data)
        return err_set(e, ERR_UNSUPPORTED,
            "%s: tensor '%.*s' was saved without its data (on torch's "
            "meta device)",
            path, STR_ARG(t->name));
    if (t->quant != NULL && r->dtype == DTYPE_NONE) {
        err_set(e, ERR_UNSUPPORTED,
            "%s: tensor '%.*s' is quantised (%s), a dtype that safetensors "
            "does not have",
            path, STR_ARG(t->name), t->quant->name);
        return err_hint(e, "--fp32, --fp16 or --bf16 makes it the numbers it "
                           "stands for");
    }
    if (t->dtype == DTYPE_C128)
        return err_set(e, ERR_UNSUPPORTED,
            "%s: tensor '%.*s' is complex double (complex128), a dtype that "
            "safetensors does not have",
            path, STR_ARG(t->name));
    return 0;
}

/* out[i] for every kept tensor, aliases for the others; both by name. */
static int choose(struct layout *p, const struct checkpoint *c,
    const struct recipe *r, const struct tensor *const *stand_in, struct err *e)
{
    for (uint64_t i = 0; i < c->n_tensors; i++) {
        const struct tensor *t = &c->tensors[i];

        if (check_kind(c, r, t, e) != 0)
            return -1;
        if (stand_in[i] != NULL) {
            p->aliases[p->n_aliases++] =
                (struct manifest_alias){ t->name, stand_in[i]->name };
            continue;
        }
        if (add(p, c, r, t, e) != 0)
            return -1;
    }
    return 0;
}

/* Scales come from the matrix that they are beside. */
static const struct tensor *origin(
    const struct checkpoint *c, const struct tensor *t)
{
    const struct tensor *found = source_of(c, t->name);
    char name[TENSOR_NAME_MAX + 1];

    return found != NULL ? found : source_of(c, int8_partner(name, t->name));
}

static int place(struct layout *p, const struct checkpoint *c, struct err *e)
{
    if (uniform_layout(p->out, p->n, &p->header, &p->file_size, e) != 0)
        return err_ctx(e, "%s", c->files[0].path);
    for (uint64_t i = 0; i < p->n; i++)
        p->from[i] = origin(c, &p->out[i]);
    return check_growth(p, c, e);
}

int layout_make(struct layout *p, const struct checkpoint *c,
    const struct recipe *r, enum tie tie, struct err *e)
{
    const struct tensor **stand_in;
    uint64_t n = c->n_tensors, made = r->int8 ? 2 * n : n;

    *p = (struct layout){ .arena = ARENA_INIT(ARENA_LIMIT),
        .header = BUF_INIT(SAFETENSORS_HEADER_MAX + 8) };
    if (n == 0 && c->n_all > 0) {
        err_set(e, ERR_REFUSED,
            "%s: no tensors in it but those that are left aside, such as "
            "'%.*s'",
            c->files[0].path, STR_ARG(c->all[0].name));
        return err_hint(e, "see mlconvert --list; take them with --select");
    }
    if (n == 0)
        return err_set(
            e, ERR_REFUSED, "%s: no tensors in it", c->files[0].path);
    p->out = arena_alloc(&p->arena, made, sizeof(*p->out), e);
    p->from = arena_alloc(&p->arena, made, sizeof(*p->from), e);
    p->aliases = arena_alloc(&p->arena, n, sizeof(*p->aliases), e);
    stand_in = arena_alloc(&p->arena, n, sizeof(*stand_in), e);
    if (e->kind != ERR_NONE || alias_find(c, tie, stand_in, e) != 0 ||
        choose(p, c, r, stand_in, e) != 0 || place(p, c, e) != 0 ||
        (r->int8 && int8_rows_make(p, c, e) != 0)) {
        layout_free(p);
        return -1;
    }
    return 0;
}

void layout_free(struct layout *p)
{
    arena_free(&p->arena);
    if (p->header.p != NULL)
        buf_free(&p->header);
    *p = (struct layout)LAYOUT_INIT;
}
