#include "convert/layout.h"

#include <stdlib.h>

#include "base/human.h"
#include "formats/alias.h"
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

/* out[i] for every kept tensor, aliases for the others; both by name. */
static int choose(struct layout *p, const struct checkpoint *c,
    const struct recipe *r, const struct tensor *const *stand_in, struct err *e)
{
    for (uint64_t i = 0; i < c->n_tensors; i++) {
        const struct tensor *t = &c->tensors[i];

        if (t->no_data)
            return err_set(e, ERR_UNSUPPORTED,
                "%s: tensor '%.*s' was saved without its data (on torch's "
                "meta device)",
                c->files[t->file].path, STR_ARG(t->name));
        if (stand_in[i] != NULL) {
            p->aliases[p->n_aliases++] =
                (struct manifest_alias){ t->name, stand_in[i]->name };
            continue;
        }
        p->out[p->n] = (struct tensor){ .name = t->name,
            .dtype = recipe_target(r, t->dtype),
            .rank = t->rank,
            .shape = t->shape,
            .n = t->n };
        p->n++;
    }
    return 0;
}

static int cmp_name(const void *a, const void *b)
{
    return str_cmp(
        ((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static int place(struct layout *p, const struct checkpoint *c, struct err *e)
{
    if (uniform_layout(p->out, p->n, &p->header, &p->file_size, e) != 0)
        return err_ctx(e, "%s", c->files[0].path);
    for (uint64_t i = 0; i < p->n; i++)
        p->from[i] = bsearch(&p->out[i], c->tensors, c->n_tensors,
            sizeof(*c->tensors), cmp_name);
    return check_growth(p, c, e);
}

int layout_make(struct layout *p, const struct checkpoint *c,
    const struct recipe *r, enum tie tie, struct err *e)
{
    const struct tensor **stand_in;
    uint64_t n = c->n_tensors;

    *p = (struct layout){ .arena = ARENA_INIT(ARENA_LIMIT),
        .header = BUF_INIT(SAFETENSORS_HEADER_MAX + 8) };
    if (n == 0)
        return err_set(
            e, ERR_REFUSED, "%s: no tensors in it", c->files[0].path);
    p->out = arena_alloc(&p->arena, n, sizeof(*p->out), e);
    p->from = arena_alloc(&p->arena, n, sizeof(*p->from), e);
    p->aliases = arena_alloc(&p->arena, n, sizeof(*p->aliases), e);
    stand_in = arena_alloc(&p->arena, n, sizeof(*stand_in), e);
    if (e->kind != ERR_NONE || alias_find(c, tie, stand_in, e) != 0 ||
        choose(p, c, r, stand_in, e) != 0 || place(p, c, e) != 0) {
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
