/* The zip container: records, their rules, and storages by record. */
#include "formats/torch_internal.h"

#include <stdio.h>

#include "base/log.h"

/* ---- what kind of archive ---- */

struct relative {
    const char *record; /* a name, or the front of names when it ends in / */
    const char *words;
};

/* The first that applies: a .pt2 has records of a torch.package as well. */
static const struct relative relatives[] = {
    { "bytecode.pkl", "a TorchScript program for mobile" },
    { "model.json", "a TorchScript program of torch 1.0 to 1.3" },
    { "archive_format", "a torch.export program (.pt2)" },
    { ".data/extern_modules", "a torch.package: Python code by design" },
    { ".data/version", "a torch.package: Python code by design" },
    { "data/aotinductor/", "an AOTInductor package: executable code" },
    { "models/", "a torch.export program (.pt2)" },
};

static bool names_it(struct str record, const char *name)
{
    if (name[strlen(name) - 1] == '/')
        return str_starts(record, name);
    return str_is(record, name);
}

static int refuse_relatives(const struct zip *z, struct err *e)
{
    for (size_t k = 0; k < ARRAY_LEN(relatives); k++) {
        for (uint64_t i = 0; i < z->n; i++) {
            struct str record = zip_record(z, &z->v[i]);

            if (names_it(record, relatives[k].record))
                return err_set(e, ERR_UNSUPPORTED, "this is %s (record '%.*s')",
                    relatives[k].words, (int)size_min(record.len, 200),
                    record.p);
        }
    }
    for (uint64_t i = 0; i < z->n; i++) {
        struct str record = zip_record(z, &z->v[i]);

        if (str_ends(record, ".npy"))
            return err_set(e, ERR_UNSUPPORTED, "this is a NumPy .npz archive");
        if (str_is(record, "model.weights.h5"))
            return err_set(e, ERR_UNSUPPORTED, "this is a Keras archive");
    }
    return 0;
}

/*
 * A TorchScript archive has both its code and its constants. With only one
 * of them torch would still take it for a program, so it is no checkpoint.
 */
static int find_script(struct torch_reader *r, struct err *e)
{
    bool constants = zip_find(&r->zip, "constants.pkl") != NULL;
    uint64_t code = 0;

    for (uint64_t i = 0; i < r->zip.n; i++)
        code += str_starts(zip_record(&r->zip, &r->zip.v[i]), "code/");
    r->script = constants && code > 0;
    if (r->script)
        log_info("a TorchScript program: its code (%llu records) is not read, "
                 "its parameters and constants are",
            (unsigned long long)code);
    if (constants == (code > 0))
        return 0;
    return err_set(e, ERR_REFUSED,
        "half a TorchScript program: it has %s, but no %s",
        constants ? "constants.pkl" : "code", constants ? "code" : "constants");
}

/* ---- small records ---- */

/* The record's text; "" when it is not there. */
static int record_text(const struct torch_reader *r, const char *name,
    struct str *out, struct err *e)
{
    const struct zip_entry *entry = zip_find(&r->zip, name);

    *out = (struct str){ "", 0 };
    if (entry == NULL)
        return 0;
    if (entry->method != 0 || entry->size > 64 || entry->size == 0)
        return err_set(e, ERR_REFUSED, "record '%s' is not a short text", name);
    *out = (struct str){ (const char *)r->bytes + entry->data_at, entry->size };
    return 0;
}

static int read_byteorder(struct torch_reader *r, struct err *e)
{
    struct str s;

    if (record_text(r, "byteorder", &s, e) != 0)
        return -1;
    if (s.len != 0 && !str_is(s, "little") && !str_is(s, "big"))
        return err_set(
            e, ERR_REFUSED, "record 'byteorder' says neither little nor big");
    r->big_endian = str_is(s, "big");
    return 0;
}

static int check_version(const struct torch_reader *r, struct err *e)
{
    unsigned v = 0;
    struct str s;

    if (record_text(r, "version", &s, e) != 0)
        return -1;
    if (s.len == 0)
        return 0;
    while (s.len > 0 && (s.p[s.len - 1] == '\n' || s.p[s.len - 1] == '\r'))
        s.len--;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || s.len > 2)
            return err_set(e, ERR_REFUSED, "record 'version' is no number");
        v = v * 10 + (unsigned)(s.p[i] - '0');
    }
    if (v < 1 || v > 10)
        return err_set(
            e, ERR_REFUSED, "record 'version' says %u; 1 to 10 are known", v);
    return 0;
}

/* ---- storages ---- */

static int attach_record(struct pickle *p, struct torch_storage *s)
{
    struct torch_reader *r = p->env->ctx;
    const struct zip_entry *entry;
    char name[48];

    if (s->no_data || s->listed)
        return 0;
    snprintf(name, sizeof(name), "%s/%.*s", r->records, STR_ARG(s->key));
    entry = zip_find(&r->zip, name);
    if (entry == NULL)
        return pickle_bad(p, "there is no record '%s'", name);
    if (entry->method != 0)
        return pickle_bad(p, "record '%s' is compressed", name);
    if (s->element == 0)
        s->bytes = entry->size;
    if (entry->size != s->bytes)
        return pickle_bad(p,
            "record '%s' has %llu bytes, its %.*s of %llu "
            "elements has %llu",
            name, (unsigned long long)entry->size, STR_ARG(s->class_name),
            (unsigned long long)s->numel, (unsigned long long)s->bytes);
    s->at = entry->data_at;
    s->listed = true;
    return 0;
}

static int zip_persid(
    struct pickle *p, const struct node *pid, struct node **out)
{
    struct torch_storage *s;

    if (pid->kind != NODE_TUPLE || pid->list.n != 5 ||
        (pid->list.v[0]->kind != NODE_STR &&
            pid->list.v[0]->kind != NODE_BYTES) ||
        !str_is(pid->list.v[0]->s, "storage"))
        return pickle_bad(p, "a persistent id that is not a storage");
    if (torch_storage_get(p, pid, &s) != 0 || attach_record(p, s) != 0)
        return -1;
    *out = torch_storage_node(p, s);
    return *out == NULL ? -1 : 0;
}

/* records: the folder of the tensor data that the pickle speaks of. */
static int read_pickle(struct torch_reader *r, const char *name,
    const char *records, struct node **out, struct err *e)
{
    struct pickle_dialect dialect = { torch_known, torch_n_known, zip_persid };
    struct pickle_env env = { r->arena, &r->names, &dialect, r };
    const struct zip_entry *entry = zip_find(&r->zip, name);
    uint64_t used;

    if (entry == NULL)
        return err_set(
            e, ERR_REFUSED, "a zip archive without %s: not a torch file", name);
    if (entry->method != 0)
        return err_set(e, ERR_REFUSED, "record '%s' is compressed", name);
    if (entry->size > PICKLE_BYTES_MAX)
        return err_set(e, ERR_REFUSED, "record '%s' has %llu bytes", name,
            (unsigned long long)entry->size);
    r->records = records;
    r->by_key = (struct pickle_table)PICKLE_TABLE_INIT;
    if (pickle_run(
            r->bytes + entry->data_at, entry->size, &env, out, &used, e) != 0)
        return err_ctx(e, "%s", name);
    if (used != entry->size)
        return err_set(e, ERR_REFUSED,
            "%s: %llu bytes behind the end of the pickle", name,
            (unsigned long long)(entry->size - used));
    return 0;
}

static bool is_tensor_data(const struct torch_reader *r, struct str record)
{
    return str_starts(record, "data/") ||
           (r->script && str_starts(record, "constants/"));
}

/* Data that no tensor uses: odd, not wrong. */
static void report_unused(const struct torch_reader *r)
{
    uint64_t records = 0, used = 0;

    for (uint64_t i = 0; i < r->zip.n; i++)
        records += is_tensor_data(r, zip_record(&r->zip, &r->zip.v[i]));
    for (uint64_t i = 0; i < r->n_storages; i++)
        used += r->storages[i]->listed;
    if (records > used)
        log_warn("%llu of %llu records of tensor data are used by no tensor",
            (unsigned long long)(records - used), (unsigned long long)records);
}

int torch_zip_read(struct torch_reader *r, struct err *e)
{
    if (zip_read(r->bytes, r->len, r->arena, &r->zip, e) != 0)
        return -1;
    if (refuse_relatives(&r->zip, e) != 0 || find_script(r, e) != 0)
        return -1;
    if (r->zip.folder.len == 0)
        return err_set(e, ERR_REFUSED,
            "a zip archive whose entries do not share one folder: not a "
            "torch file");
    if (read_byteorder(r, e) != 0 || check_version(r, e) != 0)
        return -1;
    if (read_pickle(r, "data.pkl", "data", &r->root, e) != 0 ||
        (r->script && read_pickle(r, "constants.pkl", "constants",
                          &r->constants, e) != 0))
        return -1;
    report_unused(r);
    return 0;
}
