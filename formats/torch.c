#include "formats/torch.h"

#include "formats/detect.h"
#include "formats/torch_internal.h"

/*
 * A pickle without storages: names, plain data, NumPy arrays. Those may be of
 * any size, and are not looked at.
 */
static int bare_pickle(struct torch_reader *r, struct err *e)
{
    struct pickle_dialect dialect = { torch_known, torch_n_known, NULL };
    struct pickle_env env = { r->arena, &r->names, &dialect, r };
    uint64_t used;

    if (pickle_run(r->bytes, r->len, &env, &r->root, &used, e) != 0)
        return -1;
    if (used == r->len)
        return 0;
    return err_set(e, ERR_REFUSED, "%llu bytes behind the end of the pickle",
        (unsigned long long)(r->len - used));
}

static int read_container(
    struct torch_reader *r, struct torch_file *out, struct err *e)
{
    switch (detect_format(r->bytes, size_min(r->len, 512), r->len, e)) {
    case FORMAT_TORCH_ZIP:
        out->container = "torch zip";
        if (torch_zip_read(r, e) != 0)
            return -1;
        if (r->script)
            out->container = "TorchScript archive";
        return 0;
    case FORMAT_TORCH_LEGACY:
        out->container = "torch legacy";
        return torch_legacy_read(r, e);
    case FORMAT_PICKLE:
        out->container = "pickle";
        return bare_pickle(r, e);
    default:
        return err_set(e, ERR_REFUSED, "not a torch file");
    }
}

static struct str full_name(
    const struct pickle_global *g, struct arena *arena, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(2 * PICKLE_NAME_MAX + 1);

    buf_put(&b, g->module.p, g->module.len);
    buf_putc(&b, '.');
    buf_put(&b, g->name.p, g->name.len);
    if (buf_check(&b, e) != 0)
        return (struct str){ NULL, 0 };
    return arena_str(arena, buf_str(&b), e);
}

static int list_foreign(
    const struct torch_reader *r, struct torch_file *out, struct err *e)
{
    out->foreign = arena_alloc(r->keep, r->names.n, sizeof(*out->foreign), e);
    if (out->foreign == NULL)
        return -1;
    for (uint64_t i = 0; i < r->names.n; i++) {
        const struct pickle_global *g = r->names.v[i];
        struct str name;

        if (g->known != NULL)
            continue;
        name = full_name(g, r->keep, e);
        if (name.p == NULL)
            return -1;
        out->foreign[out->n_foreign++] =
            (struct torch_foreign){ name, g->module.len, g->offset, g->called };
    }
    return 0;
}

/* A file that breaks off may have asked for something first: say what. */
static int failed(
    const struct torch_reader *r, struct torch_file *out, struct err *e)
{
    struct err later = ERR_INIT;

    if (list_foreign(r, out, &later) != 0)
        return -1;
    for (uint64_t i = 0; i < out->n_foreign; i++) {
        if (out->foreign[i].called)
            return err_hint(e, "Python would have called %.*s by then",
                (int)size_min(out->foreign[i].name.len, 200),
                out->foreign[i].name.p);
    }
    return -1;
}

/* The list grew in the memory of the parse: keep it as long as it is. */
static int keep_all(const struct torch_reader *r, const struct torch_found *f,
    struct torch_file *out, struct err *e)
{
    out->all = arena_alloc(r->keep, f->n, sizeof(*out->all), e);
    if (out->all == NULL)
        return -1;
    if (f->n > 0)
        memcpy(out->all, f->v, f->n * sizeof(*out->all));
    out->n_all = f->n;
    return 0;
}

int torch_parse(const void *bytes, uint64_t len, const char *select,
    struct arena *arena, struct torch_file *out, struct err *e)
{
    struct arena work AUTO(arena_free) = ARENA_INIT(arena->limit);
    struct torch_reader r = { .bytes = bytes,
        .len = len,
        .arena = &work,
        .keep = arena,
        .records = "data" };
    struct torch_found found = { .n = 0 };
    struct torch_beside beside = { .n = 0 };

    *out = (struct torch_file){ .branch = { "", 0 },
        .config = { "", 0 },
        .config_from = { "", 0 },
        .config_rest = { "", 0 } };
    if (read_container(&r, out, e) != 0)
        return failed(&r, out, e);
    if (list_foreign(&r, out, e) != 0 || torch_walk(&r, &found, e) != 0 ||
        keep_all(&r, &found, out, e) != 0 ||
        torch_choose(&r, &found, select, out, &beside, e) != 0)
        return -1;
    return torch_config(&beside, arena, out, e);
}
