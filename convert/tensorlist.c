#include "convert/tensorlist.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cancel.h"
#include "base/json.h"
#include "cache/find.h"

enum { READ_BYTES = 256 << 10, SHAPE_TEXT = 256, NOTE_TEXT = 64 };

struct digest_job {
    struct tensorlist *l;
    struct err *errs; /* one per tensor */
};

static int digest_tensor(const struct tensorlist *l, const struct tensor *t,
    struct digest *out, struct err *e)
{
    struct hash h AUTO(hash_free) = HASH_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(READ_BYTES);
    /* For the packed types: a multiple of eight elements is whole bytes. */
    uint64_t most = READ_BYTES * 8 / dtype_bits(t->dtype) / 8 * 8;

    if (buf_room(&b, READ_BYTES) == NULL)
        return buf_check(&b, e);
    if (hash_begin(&h, HASH_SHA256, 0, e) != 0)
        return -1;
    for (uint64_t at = 0; at < t->n; at += most) {
        uint64_t n = size_min(most, t->n - at);
        if (cancel_check(e) != 0 ||
            checkpoint_read(&l->c, t, at, n, b.p, e) != 0)
            return -1;
        hash_add(&h, b.p, (n * dtype_bits(t->dtype) + 7) / 8);
    }
    hash_end(&h, out);
    return 0;
}

static void digest_item(void *ctx, size_t i)
{
    struct digest_job *j = ctx;
    const struct tensor *t = &j->l->c.all[i];

    if (!t->no_data && dtype_bits(t->dtype) > 0)
        digest_tensor(j->l, t, &j->l->digests[i], &j->errs[i]);
}

static int digest_all(struct tensorlist *l, unsigned threads, struct err *e)
{
    struct pool *pool AUTO(pool_close_auto) = pool_open(threads, e);
    struct digest_job j = { .l = l };

    if (pool == NULL)
        return -1;
    l->digests = arena_alloc(&l->c.arena, l->c.n_all, sizeof(*l->digests), e);
    if (l->digests == NULL)
        return -1;
    j.errs = calloc(l->c.n_all + 1, sizeof(*j.errs));
    if (j.errs == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    pool_run(pool, l->c.n_all, digest_item, &j);
    for (uint64_t i = 0; i < l->c.n_all && e->kind == ERR_NONE; i++)
        if (j.errs[i].kind != ERR_NONE)
            *e = j.errs[i];
    free(j.errs);
    return e->kind == ERR_NONE ? 0 : -1;
}

int tensorlist_open(struct tensorlist *l, const char *source,
    const char *volume, const char *select, bool digest, unsigned threads,
    struct err *e)
{
    struct checkpoint_opts opts = { .select = select, .any = true };
    struct found found;

    if (find_model(source, volume, &found, e) != 0)
        return -1;
    if (checkpoint_open(&l->c, found.path, &opts, e) != 0) {
        /* Which branch to convert is no question when all are shown. */
        struct checkpoint_opts root = { .select = "", .any = true };
        struct err again = ERR_INIT;

        if (select != NULL || e->kind != ERR_REFUSED ||
            checkpoint_open(&l->c, found.path, &root, &again) != 0)
            return -1;
        err_clear(e);
        l->undecided = true;
    }
    return digest ? digest_all(l, threads, e) : 0;
}

void tensorlist_close(struct tensorlist *l)
{
    checkpoint_close(&l->c);
    l->digests = NULL;
}

static bool is_chosen(const struct tensorlist *l, const struct tensor *t)
{
    const struct checkpoint *c = &l->c;
    size_t n = c->branch.len;

    if (l->undecided)
        return false;
    if (t->aside && n == 0)
        return false;
    if (n == 0 || c->files[t->file].format == FORMAT_SAFETENSORS)
        return true;
    return t->name.len >= n && memcmp(t->name.p, c->branch.p, n) == 0 &&
           (t->name.len == n || t->name.p[n] == '.');
}

static const char *quant_note(char *out, size_t len, const struct tensor *t)
{
    snprintf(out, len, "quantised: %s, %s", t->quant->name,
        t->quant->per_channel ? "per channel" : "one scale");
    return out;
}

/* room: for a note that is put together. */
static const char *note_of(
    const struct tensorlist *l, const struct tensor *t, char *room, size_t len)
{
    if (t->alien != NULL)
        return t->alien;
    if (t->no_data)
        return "no data";
    if (t->aside && !is_chosen(l, t))
        return "no parameter or buffer of the program";
    if (t->quant != NULL)
        return quant_note(room, len, t);
    if (t->big_endian)
        return "big-endian";
    if (!tensor_dense(t))
        return "strided view";
    if (t->storage_len > tensor_bytes(t))
        return "part of a larger storage";
    return is_chosen(l, t) ? "" : "not chosen";
}

static size_t name_width(const struct checkpoint *c)
{
    size_t width = 4;

    for (uint64_t i = 0; i < c->n_all; i++)
        width = size_max(width, c->all[i].name.len);
    return size_min(width, 60);
}

void tensorlist_text(const struct tensorlist *l, struct buf *out)
{
    const struct checkpoint *c = &l->c;
    int width = (int)name_width(c);
    char shape[SHAPE_TEXT], room[NOTE_TEXT];

    buf_printf(
        out, "%-*s  %-7s %-16s %14s", width, "path", "dtype", "shape", "bytes");
    if (l->digests != NULL)
        buf_printf(out, "  %-64s", "sha256");
    buf_puts(out, "  note\n");
    for (uint64_t i = 0; i < c->n_all; i++) {
        const struct tensor *t = &c->all[i];
        const char *note = note_of(l, t, room, sizeof(room));
        size_t start = out->len;

        buf_visible(out, t->name);
        start = out->len - start;
        buf_printf(out, "%*s  %-7s %-16s %14llu",
            start < (size_t)width ? width - (int)start : 0, "",
            dtype_name(t->dtype), tensor_shape_text(shape, sizeof(shape), t),
            (unsigned long long)tensor_bytes(t));
        if (l->digests != NULL)
            buf_printf(out, "  %-64s", l->digests[i].hex);
        if (note[0] != '\0') {
            buf_puts(out, "  ");
            buf_visible(out, str_of(note));
        }
        buf_putc(out, '\n');
    }
}

static void put_tensor(const struct tensorlist *l, uint64_t i, struct buf *out)
{
    const struct checkpoint *c = &l->c;
    const struct tensor *t = &c->all[i];
    char room[NOTE_TEXT];
    const char *note = note_of(l, t, room, sizeof(room));

    buf_puts(out, "{\"path\": ");
    json_quote(out, t->name);
    buf_printf(out, ", \"dtype\": \"%s\", \"shape\": [", dtype_name(t->dtype));
    for (uint32_t k = 0; k < t->rank; k++)
        buf_printf(
            out, "%s%llu", k > 0 ? ", " : "", (unsigned long long)t->shape[k]);
    buf_printf(out,
        "], \"bytes\": %llu, \"file\": ", (unsigned long long)tensor_bytes(t));
    json_quote(out, str_of(c->files[t->file].name));
    buf_printf(out, ", \"chosen\": %s", is_chosen(l, t) ? "true" : "false");
    if (note[0] != '\0') {
        buf_puts(out, ", \"note\": ");
        json_quote(out, str_of(note));
    }
    if (l->digests != NULL && l->digests[i].hex[0] != '\0')
        buf_printf(out, ", \"sha256\": \"%s\"", l->digests[i].hex);
    buf_putc(out, '}');
}

void tensorlist_json(const struct tensorlist *l, struct buf *out)
{
    buf_puts(out, "{\"tensors\": [");
    for (uint64_t i = 0; i < l->c.n_all; i++) {
        buf_puts(out, i > 0 ? ",\n " : "\n ");
        put_tensor(l, i, out);
    }
    buf_puts(out, "\n]}\n");
}
