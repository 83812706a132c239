#include "formats/npz.h"

#include <stdlib.h>

#include "base/map.h"
#include "formats/npy.h"
#include "formats/pickle_table.h"
#include "formats/zip.h"

enum { FORGET_EVERY = 64 /* arrays: their headers lie all over the file */ };

static struct tensor tensor_of(
    const struct npy *a, struct str name, uint64_t at)
{
    return (struct tensor){ .name = name,
        .dtype = a->type.dtype,
        .rank = a->rank,
        .shape = a->shape,
        .stride = a->stride,
        .n = a->n,
        .offset = at + a->data_at,
        .storage_at = at + a->data_at,
        .storage_len = a->data_len,
        .big_endian = a->type.big_endian };
}

static int add_entry(struct npz *out, const uint8_t *bytes,
    const struct zip_entry *z, struct arena *arena, struct err *e)
{
    struct str name = z->name;
    struct npy a;

    if (z->method != 0) {
        err_set(e, ERR_UNSUPPORTED, "it is compressed, which is not read here");
        return err_hint(e, "np.savez writes arrays plain: "
                           "np.savez('plain.npz', **np.load('FILE'))");
    }
    if (npy_parse(bytes + z->data_at, z->size, arena, &a, e) != 0) {
        /* The archive is whole: its directory says where the entry ends. */
        if (e->kind == ERR_CORRUPT)
            e->kind = ERR_REFUSED;
        return -1;
    }
    if (str_ends(name, ".npy"))
        name.len -= strlen(".npy");
    name = arena_str(arena, name, e);
    if (name.p == NULL)
        return -1;
    if (name.len == 0)
        return err_set(e, ERR_REFUSED, "an array without a name");
    out->tensors[out->n++] = tensor_of(&a, name, z->data_at);
    return 0;
}

/* "a" and "a.npy" would be one name. */
static int check_names(const struct npz *t, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT((uint64_t)256 << 20);
    struct pickle_table names = PICKLE_TABLE_INIT;

    for (uint64_t i = 0; i < t->n; i++) {
        struct tensor *x = &t->tensors[i];

        if (pickle_table_get(&names, x->name) != NULL)
            return err_set(e, ERR_REFUSED, "two arrays are called '%.*s'",
                (int)size_min(x->name.len, 300), x->name.p);
        if (pickle_table_put(&names, x->name, x, &arena, e) != 0)
            return -1;
    }
    return 0;
}

int npz_parse(const void *bytes, uint64_t len, struct arena *arena,
    struct npz *out, struct err *e)
{
    struct arena work AUTO(arena_free) = ARENA_INIT(arena->limit);
    struct zip zip;

    *out = (struct npz){ .n = 0 };
    if (zip_read(bytes, len, &work, &zip, e) != 0)
        return -1;
    out->tensors = arena_alloc(arena, zip.n, sizeof(*out->tensors), e);
    if (out->tensors == NULL)
        return -1;
    for (uint64_t i = 0; i < zip.n; i++) {
        if (i % FORGET_EVERY == 0)
            map_forget(bytes);
        if (add_entry(out, bytes, &zip.v[i], arena, e) != 0)
            return err_ctx(e, "array '%.*s'",
                (int)size_min(zip.v[i].name.len, 200), zip.v[i].name.p);
    }
    return check_names(out, e);
}

int npy_table(const void *bytes, uint64_t len, struct arena *arena,
    struct npz *out, struct err *e)
{
    struct npy a;

    *out = (struct npz){ .n = 0 };
    out->tensors = arena_alloc(arena, 1, sizeof(*out->tensors), e);
    if (out->tensors == NULL || npy_parse(bytes, len, arena, &a, e) != 0)
        return -1;
    out->tensors[out->n++] = tensor_of(&a, str_of("tensor"), 0);
    return 0;
}
