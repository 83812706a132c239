#include "formats/manifest.h"

#include "base/json.h"
#include "base/path.h"

static void put_text(struct buf *out, const char *key, struct str value)
{
    json_quote(out, str_of(key));
    buf_puts(out, ": ");
    json_quote(out, value);
}

static void put_files(struct buf *out, const char *indent,
    const struct manifest_file *files, uint64_t n)
{
    buf_puts(out, "\"files\": {");
    for (uint64_t i = 0; i < n; i++) {
        buf_printf(out, "%s\n%s ", i > 0 ? "," : "", indent);
        json_quote(out, files[i].name);
        buf_puts(out, ": {");
        if (files[i].sha256.hex[0] != '\0')
            buf_printf(out, "\"sha256\": \"%s\", ", files[i].sha256.hex);
        buf_printf(out, "\"size\": %llu}", (unsigned long long)files[i].size);
    }
    buf_puts(out, "}");
}

static void put_source(struct buf *out, const struct manifest *m)
{
    buf_puts(out, ",\n \"source\": {");
    if (m->repository.len > 0) {
        put_text(out, "repository", m->repository);
        buf_puts(out, ", ");
        put_text(out, "commit", m->commit);
        buf_puts(out, ",\n  ");
    }
    put_files(out, "  ", m->sources, m->n_sources);
    buf_puts(out, "}");
}

static void put_recipe(struct buf *out, const struct manifest *m)
{
    buf_puts(out, ",\n \"recipe\": {");
    put_text(out, "dtype", m->dtype);
    if (m->on_overflow.len > 0) {
        buf_puts(out, ", ");
        put_text(out, "on_overflow", m->on_overflow);
    }
    if (m->select.len > 0) {
        buf_puts(out, ", ");
        put_text(out, "select", m->select);
    }
    if (m->rename.len > 0) {
        buf_puts(out, ", ");
        put_text(out, "rename", m->rename);
    }
    if (m->shard_size > 0)
        buf_printf(
            out, ", \"shard_size\": %llu", (unsigned long long)m->shard_size);
    buf_puts(out, "}");
}

static void put_pair(struct buf *out, bool first, struct str a, struct str b)
{
    buf_puts(out, first ? "\n  " : ",\n  ");
    json_quote(out, a);
    buf_puts(out, ": ");
    json_quote(out, b);
}

static void put_aliases(struct buf *out, const struct manifest *m)
{
    buf_puts(out, ",\n \"aliases\": {");
    for (uint64_t i = 0; i < m->n_aliases; i++)
        put_pair(out, i == 0, m->aliases[i].name, m->aliases[i].of);
    buf_puts(out, "}");
    if (m->n_renames == 0)
        return;
    buf_puts(out, ",\n \"renames\": {");
    for (uint64_t i = 0; i < m->n_renames; i++)
        put_pair(out, i == 0, m->renames[i].name, m->renames[i].was);
    buf_puts(out, "}");
}

static void put_tensors(struct buf *out, const struct manifest *m)
{
    buf_puts(out, ",\n \"tensors\": {");
    for (uint64_t i = 0; i < m->n_tensors; i++) {
        const struct manifest_tensor *t = &m->tensors[i];

        buf_puts(out, i > 0 ? ",\n  " : "\n  ");
        json_quote(out, t->name);
        buf_printf(
            out, ": {\"dtype\": \"%s\", \"shape\": [", dtype_name(t->dtype));
        for (uint32_t k = 0; k < t->rank; k++)
            buf_printf(out, "%s%llu", k > 0 ? ", " : "",
                (unsigned long long)t->shape[k]);
        buf_printf(out, "], \"sha256\": \"%s\"}", t->sha256.hex);
    }
    buf_puts(out, "}");
}

/* The digest of everything in front of it. */
static int put_seal(struct buf *out, size_t start, struct err *e)
{
    struct digest d;

    if (buf_check(out, e) != 0 ||
        hash_bytes(HASH_SHA256, out->p + start, out->len - start, &d, e) != 0)
        return -1;
    buf_printf(out, ",\n \"seal\": \"%s\"\n}\n", d.hex);
    if (buf_check(out, e) != 0)
        return -1;
    if (out->len - start > MANIFEST_BYTES_MAX)
        return err_set(e, ERR_REFUSED,
            "%zu bytes, no manifest has more than %d", out->len - start,
            MANIFEST_BYTES_MAX);
    return 0;
}

int manifest_write(struct buf *out, const struct manifest *m, struct err *e)
{
    size_t start = out->len;

    buf_puts(out, "{\n \"ml-manifest\": 1,\n ");
    put_text(out, "tool", m->tool);
    put_source(out, m);
    put_recipe(out, m);
    put_aliases(out, m);
    buf_puts(out, ",\n ");
    put_files(out, " ", m->files, m->n_files);
    put_tensors(out, m);
    if (put_seal(out, start, e) != 0)
        return err_ctx(e, "%s", MANIFEST_NAME);
    return 0;
}

static int wrong(struct err *e, const char *where, const char *what)
{
    return err_set(e, ERR_REFUSED, "'%.200s': %s", where, what);
}

/* A text member; an absent one gives "" unless it is needed. */
static int get_text(struct str *out, const struct json *object, const char *key,
    bool needed, struct arena *arena, struct err *e)
{
    const struct json *v = json_get(object, key);
    const char *text = "";

    if (v == NULL && needed)
        return wrong(e, key, "missing");
    if (v != NULL && !json_str(v, &text))
        return wrong(e, key, "not a string");
    *out = arena_str(arena, str_of(text), e);
    return out->p == NULL ? -1 : 0;
}

static int get_digest(struct digest *out, const struct json *v, struct err *e)
{
    if (!json_digest(json_get(v, "sha256"), HASH_SHA256, out))
        return wrong(e, json_key(v), "sha256 is not 64 hexadecimal digits");
    return 0;
}

static const struct json *get_object(
    const struct json *v, const char *key, struct err *e)
{
    const struct json *object = json_get(v, key);

    if (object == NULL || json_kind(object) != JSON_OBJECT) {
        wrong(e, key, "not an object");
        return NULL;
    }
    return object;
}

/*
 * Sources may be called anything and lack a digest; files must lie in the
 * folder and have one.
 */
static int get_files(struct manifest_file **out, uint64_t *n,
    const struct json *v, bool inside, struct arena *arena, struct err *e)
{
    const struct json *object = get_object(v, "files", e);

    if (object == NULL)
        return -1;
    *out = arena_alloc(arena, json_count(object), sizeof(**out), e);
    if (*out == NULL)
        return -1;
    *n = 0;
    for (v = json_first(object); v != NULL; v = json_next(v)) {
        struct manifest_file *f = &(*out)[(*n)++];

        f->name = arena_str(arena, str_of(json_key(v)), e);
        if (f->name.p == NULL || (inside && path_check(f->name, e) != 0))
            return -1;
        if ((inside || json_get(v, "sha256") != NULL) &&
            get_digest(&f->sha256, v, e) != 0)
            return -1;
        if (!json_u64(json_get(v, "size"), &f->size))
            return wrong(e, json_key(v), "size is not a number of bytes");
    }
    return 0;
}

/* Both texts of a member: its name, and its value. */
static int get_pair(struct str *name, struct str *value, const struct json *v,
    struct arena *arena, struct err *e)
{
    const char *text;

    if (!json_str(v, &text))
        return wrong(e, json_key(v), "names no tensor");
    *name = arena_str(arena, str_of(json_key(v)), e);
    *value = arena_str(arena, str_of(text), e);
    return name->p == NULL || value->p == NULL ? -1 : 0;
}

static int get_aliases(struct manifest *m, const struct json *root,
    struct arena *arena, struct err *e)
{
    const struct json *object = get_object(root, "aliases", e);

    if (object == NULL)
        return -1;
    m->aliases = arena_alloc(arena, json_count(object), sizeof(*m->aliases), e);
    if (m->aliases == NULL)
        return -1;
    for (const struct json *v = json_first(object); v; v = json_next(v)) {
        struct manifest_alias *a = &m->aliases[m->n_aliases++];

        if (get_pair(&a->name, &a->of, v, arena, e) != 0)
            return -1;
    }
    return 0;
}

static int get_renames(struct manifest *m, const struct json *root,
    struct arena *arena, struct err *e)
{
    const struct json *object;

    if (json_get(root, "renames") == NULL)
        return 0;
    object = get_object(root, "renames", e);
    if (object == NULL)
        return -1;
    m->renames = arena_alloc(arena, json_count(object), sizeof(*m->renames), e);
    if (m->renames == NULL)
        return -1;
    for (const struct json *v = json_first(object); v; v = json_next(v)) {
        struct manifest_rename *r = &m->renames[m->n_renames++];

        if (get_pair(&r->name, &r->was, v, arena, e) != 0)
            return -1;
    }
    return 0;
}

static int get_shape(struct manifest_tensor *t, const struct json *v,
    struct arena *arena, struct err *e)
{
    const struct json *dims = json_get(v, "shape");
    uint64_t *shape;
    size_t rank = json_count(dims), i = 0;

    if (dims == NULL || json_kind(dims) != JSON_ARRAY || rank > TENSOR_RANK_MAX)
        return wrong(e, json_key(v), "no shape");
    shape = arena_alloc(arena, rank, sizeof(*shape), e);
    if (shape == NULL)
        return -1;
    for (const struct json *d = json_first(dims); d != NULL; d = json_next(d))
        if (!json_u64(d, &shape[i++]))
            return wrong(e, json_key(v), "a dimension is not a size");
    t->rank = (uint32_t)rank;
    t->shape = shape;
    return 0;
}

static int get_tensors(struct manifest *m, const struct json *root,
    struct arena *arena, struct err *e)
{
    const struct json *object = get_object(root, "tensors", e);

    if (object == NULL)
        return -1;
    m->tensors = arena_alloc(arena, json_count(object), sizeof(*m->tensors), e);
    if (m->tensors == NULL)
        return -1;
    for (const struct json *v = json_first(object); v; v = json_next(v)) {
        struct manifest_tensor *t = &m->tensors[m->n_tensors++];
        const char *type = "";

        json_str(json_get(v, "dtype"), &type);
        t->dtype = dtype_parse(str_of(type));
        if (t->dtype == DTYPE_NONE)
            return wrong(e, json_key(v), "unknown dtype");
        t->name = arena_str(arena, str_of(json_key(v)), e);
        if (t->name.p == NULL || get_shape(t, v, arena, e) != 0 ||
            get_digest(&t->sha256, v, e) != 0)
            return -1;
    }
    return 0;
}

static bool is_one_of(struct str s, const char *const *words)
{
    while (*words != NULL && !str_is(s, *words))
        words++;
    return *words != NULL;
}

static bool known_recipe(const struct manifest *m)
{
    static const char *const dtypes[] = { "fp16", "bf16", "fp32", "int8",
        "keep", NULL };
    static const char *const overflows[] = { "", "clamp", "inf", NULL };
    static const char *const renames[] = { "", "strip-prefix", NULL };

    if (str_is(m->dtype, "int8") && str_is(m->on_overflow, "inf"))
        return false;
    return is_one_of(m->dtype, dtypes) &&
           is_one_of(m->on_overflow, overflows) &&
           is_one_of(m->rename, renames);
}

static int read_root(struct manifest *m, const struct json *root,
    struct arena *arena, struct err *e)
{
    const struct json *source, *recipe;
    uint64_t version;

    if (!json_u64(json_get(root, "ml-manifest"), &version))
        return wrong(e, "ml-manifest", "missing");
    if (version != 1)
        return err_set(e, ERR_REFUSED,
            "a manifest of version %llu, this program knows 1",
            (unsigned long long)version);
    source = get_object(root, "source", e);
    recipe = source == NULL ? NULL : get_object(root, "recipe", e);
    if (recipe == NULL)
        return -1;
    if (get_text(&m->tool, root, "tool", true, arena, e) != 0 ||
        get_text(&m->repository, source, "repository", false, arena, e) != 0 ||
        get_text(&m->commit, source, "commit", false, arena, e) != 0 ||
        get_text(&m->dtype, recipe, "dtype", true, arena, e) != 0 ||
        get_text(&m->on_overflow, recipe, "on_overflow", false, arena, e) !=
            0 ||
        get_text(&m->select, recipe, "select", false, arena, e) != 0 ||
        get_text(&m->rename, recipe, "rename", false, arena, e) != 0)
        return -1;
    if (json_get(recipe, "shard_size") != NULL &&
        !json_u64(json_get(recipe, "shard_size"), &m->shard_size))
        return wrong(e, "shard_size", "not a number of bytes");
    if (!known_recipe(m))
        return wrong(e, "recipe",
            "a word, or two together, that this version does not know");
    if (get_files(&m->sources, &m->n_sources, source, false, arena, e) != 0 ||
        get_files(&m->files, &m->n_files, root, true, arena, e) != 0 ||
        get_aliases(m, root, arena, e) != 0 ||
        get_renames(m, root, arena, e) != 0)
        return -1;
    return get_tensors(m, root, arena, e);
}

int manifest_read(
    struct manifest *out, const char *path, struct arena *arena, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;

    *out = (struct manifest){ .n_files = 0 };
    if (json_read(&doc, path, MANIFEST_BYTES_MAX, e) != 0)
        return -1;
    if (read_root(out, doc.root, arena, e) != 0)
        return err_ctx(e, "%s", path);
    return 0;
}
