/*
 * An Ollama store: manifests/HOST/NAMESPACE/NAME/TAG, a JSON document that
 * names a configuration and layers by their SHA-256, and blobs/sha256-<hex>
 * (sha256:<hex> of older ones). Source: mirror and S3, section 1.9.
 */
#include "cache/foreign.h"
#include "cache/foreign_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/path.h"

enum { MANIFEST_MAX = 4 << 20, KIND_MAX = 32, LAYERS_MAX = 100000 };

/* A file of its own for each thing a manifest can name. */
static const struct {
    const char *type; /* the last word of its media type */
    const char *stem, *tail;
} kinds[] = {
    { "model", "model", ".gguf" },
    { "adapter", "adapter", ".gguf" },
    { "projector", "projector", ".gguf" },
    { "template", "template", ".txt" },
    { "system", "system", ".txt" },
    { "prompt", "prompt", ".txt" },
    { "license", "license", ".txt" },
    { "params", "params", ".json" },
    { "messages", "messages", ".json" },
};

struct ollama {
    struct foreign *f;
    const char *front;
    const struct foreign_entry *manifest; /* at hand */
    const char *model;                    /* its name, behind front */
    int64_t set;
    unsigned *seen; /* of each kind, so many in this manifest */
};

/* ---- blobs ---- */

/* sha256-<hex> or sha256:<hex>. */
static bool blob_digest(const char *base, struct digest *out)
{
    return (strncmp(base, "sha256-", 7) == 0 ||
               strncmp(base, "sha256:", 7) == 0) &&
           digest_parse(out, str_of(base + 7)) && out->kind == HASH_SHA256;
}

static int add_blob(
    struct foreign *f, const struct foreign_entry *at, struct err *e)
{
    struct foreign_file file = { .path = at->path, .st = at->st };
    const char *base = path_base(at->path.p), *why = NULL;
    enum fault_kind kind = FAULT_UNKNOWN;
    char real[PATH_MAX];

    if (foreign_litter(base))
        return 0;
    if (strstr(base, "-partial") != NULL || foreign_leftover(base)) {
        kind = FAULT_UNFINISHED;
        why = "an unfinished download";
    } else if (!blob_digest(base, &file.digest)) {
        why = "its name is no digest";
    } else if (at->kind == WALK_OTHER) {
        kind = FAULT_UNSAFE;
        why = "not a regular file";
    } else if (at->kind == WALK_LINK) {
        why = foreign_follow(f, at->path.p, real, &file.st, &kind);
        file.path = str_of(real);
        file.kept = true;
    }
    if (why != NULL)
        return foreign_fault(f, kind, at->path, str_of(""), why, e);
    file.shown = at->path;
    return foreign_add_file(f, file, e) < 0 ? -1 : 0;
}

static int by_digest(const void *a, const void *b)
{
    const struct foreign_file *x = a, *y = b;

    return strcmp(x->digest.hex, y->digest.hex);
}

static int read_blobs(struct foreign *f, struct err *e)
{
    struct foreign_entry *found;
    uint64_t n;

    if (foreign_walk(f, "blobs", &found, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        if (add_blob(f, &found[i], e) != 0)
            return -1;
    if (f->n_files > 1)
        qsort(f->files, f->n_files, sizeof(*f->files), by_digest);
    return 0;
}

/* Those that came from blobs/ stand in front, sorted. */
static struct foreign_file *blob_of(
    const struct ollama *o, uint64_t n, const struct digest *d)
{
    struct foreign_file key = { .digest = *d };

    if (n == 0)
        return NULL;
    return bsearch(&key, o->f->files, n, sizeof(key), by_digest);
}

/* ---- a manifest ---- */

static int fault(
    struct ollama *o, enum fault_kind kind, const char *why, struct err *e)
{
    o->f->sets[o->set].broken++;
    return foreign_fault(
        o->f, kind, o->manifest->path, str_of(o->model), why, e);
}

/* The last word of a media type, harmless as a file's name. */
static void type_of(const char *media, char out[KIND_MAX])
{
    const char *word = strrchr(media, '.');
    size_t n = 0;

    for (word = word != NULL ? word + 1 : media;
         *word != '\0' && n + 1 < KIND_MAX; word++)
        if (isalnum((unsigned char)*word))
            out[n++] = (char)tolower((unsigned char)*word);
    out[n] = '\0';
    if (n == 0)
        snprintf(out, KIND_MAX, "layer");
}

/* What a layer is to be called; the second of a kind is "license-2.txt". */
static int layer_name(struct ollama *o, const struct json *layer, bool config,
    char *out, struct err *e)
{
    const char *media = "", *stem, *tail = "", *own = NULL;
    size_t i, which = ARRAY_LEN(kinds);
    char type[KIND_MAX];
    unsigned n;

    if (config)
        return path_fmt(out, e, "%s/%s/config.json", o->front, o->model);
    /* Newer models name the files that they are made of. */
    if (json_str(json_get(layer, "name"), &own) && own[0] != '\0')
        return path_fmt(out, e, "%s/%s/%s", o->front, o->model, own);
    json_str(json_get(layer, "mediaType"), &media);
    type_of(media, type);
    stem = type;
    for (i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(kinds[i].type, type) == 0) {
            which = i;
            stem = kinds[i].stem;
            tail = kinds[i].tail;
        }
    n = ++o->seen[which];
    if (n == 1 && which < ARRAY_LEN(kinds))
        return path_fmt(out, e, "%s/%s/%s%s", o->front, o->model, stem, tail);
    return path_fmt(out, e, "%s/%s/%s-%u%s", o->front, o->model, stem, n, tail);
}

static int add_layer(struct ollama *o, const struct json *layer, bool config,
    uint64_t n_blobs, struct err *e)
{
    struct foreign_name name = { .set = (uint64_t)o->set };
    char full[PATH_MAX], why[200];
    struct err unsafe = ERR_INIT;
    struct foreign_file *blob;
    const char *text = "";
    struct digest d;
    uint64_t size;

    if (!json_str(json_get(layer, "digest"), &text) || !blob_digest(text, &d))
        return fault(o, FAULT_UNSAFE, "names a blob by no SHA-256", e);
    blob = blob_of(o, n_blobs, &d);
    if (blob == NULL) {
        snprintf(
            why, sizeof(why), "names the blob %s, which is not there", text);
        return fault(o, FAULT_MISSING, why, e);
    }
    if (!json_u64(json_get(layer, "size"), &size) ||
        size != (uint64_t)blob->st.st_size) {
        blob->kept = true;
        snprintf(why, sizeof(why),
            "says another size of the blob %s than its %lld bytes", text,
            (long long)blob->st.st_size);
        return fault(o, FAULT_OTHER, why, e);
    }
    if (layer_name(o, layer, config, full, &unsafe) != 0 ||
        path_check(str_of(full), &unsafe) != 0) {
        blob->kept = true;
        return fault(o, FAULT_UNSAFE, unsafe.msg, e);
    }
    name.file = (uint64_t)(blob - o->f->files);
    name.name = str_of(full);
    name.entry = blob->path;
    return foreign_add_name(o->f, name, e);
}

/* The manifest is a file of the model, too. */
static int add_manifest(struct ollama *o, struct err *e)
{
    struct foreign_file file = { .path = o->manifest->path,
        .st = o->manifest->st };
    struct foreign_name name = { .set = (uint64_t)o->set,
        .entry = o->manifest->path };
    char full[PATH_MAX];
    int64_t i;

    if (path_fmt(full, e, "%s/%s/manifest.json", o->front, o->model) != 0)
        return -1;
    i = foreign_add_file(o->f, file, e);
    name.file = (uint64_t)i;
    name.name = str_of(full);
    return i < 0 ? -1 : foreign_add_name(o->f, name, e);
}

static int read_manifest(struct ollama *o, uint64_t n_blobs, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct buf text AUTO(buf_free) = BUF_INIT(MANIFEST_MAX);
    unsigned seen[ARRAY_LEN(kinds) + 1] = { 0 };
    struct err why = ERR_INIT;
    const struct json *layers, *config;

    o->seen = seen;
    if (foreign_slurp(o->f, o->manifest->path.p, &text, &why) != 0)
        return fault(o,
            why.kind == ERR_REFUSED ? FAULT_UNSAFE : FAULT_UNREADABLE,
            "cannot be read as a manifest", e);
    if (text.len == 0)
        return fault(o, FAULT_DAMAGED, "is empty", e);
    if (json_parse(&doc, buf_str(&text), 0, &why) != 0)
        return fault(o, FAULT_DAMAGED, why.msg, e);
    layers = json_get(doc.root, "layers");
    config = json_get(doc.root, "config");
    if (layers == NULL || json_kind(layers) != JSON_ARRAY ||
        json_count(layers) > LAYERS_MAX)
        return fault(o, FAULT_DAMAGED, "no list of layers in it", e);
    if (add_manifest(o, e) != 0 ||
        (config != NULL && add_layer(o, config, true, n_blobs, e) != 0))
        return -1;
    for (const struct json *v = json_first(layers); v != NULL; v = json_next(v))
        if (add_layer(o, v, false, n_blobs, e) != 0)
            return -1;
    return 0;
}

/*
 * What a model is called: "NAME/TAG" of the official library, and what else
 * stands in front of it of others.
 */
static const char *model_of(const char *path)
{
    static const char *const own[] = { "registry.ollama.ai/library/",
        "registry.ollama.ai/" };

    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (strncmp(path, own[i], strlen(own[i])) == 0)
            return path + strlen(own[i]);
    return path;
}

static int add_model(struct ollama *o, const struct foreign_entry *at,
    uint64_t n_blobs, struct err *e)
{
    struct foreign_set set = { .repo = NULL };
    char label[PATH_MAX];
    struct err unsafe = ERR_INIT;
    unsigned depth = 0;

    o->manifest = at;
    o->model = model_of(at->path.p + sizeof("manifests/") - 1);
    if (foreign_litter(path_base(at->path.p)))
        return 0;
    if (path_fmt(label, e, "%s/%s", o->front, o->model) != 0)
        return -1;
    set.label = arena_str(o->f->arena, str_of(label), e);
    if (set.label.p == NULL)
        return -1;
    o->set = foreign_add_set(o->f, set, e);
    if (o->set < 0)
        return -1;
    for (const char *p = at->path.p; *p != '\0'; p++)
        depth += *p == '/';
    if (at->kind != WALK_FILE)
        return fault(o, FAULT_UNSAFE,
            at->kind == WALK_LINK ? "a symbolic link where a file should be"
                                  : "not a regular file",
            e);
    if (path_check(str_of(label), &unsafe) != 0)
        return fault(o, FAULT_UNSAFE, unsafe.msg, e);
    if (depth != 4)
        return fault(
            o, FAULT_UNKNOWN, "no manifest: not HOST/NAMESPACE/NAME/TAG", e);
    return read_manifest(o, n_blobs, e);
}

int foreign_ollama(struct foreign *f, const char *front, struct err *e)
{
    struct ollama o = { .f = f, .front = front };
    struct foreign_entry *found;
    uint64_t n, n_blobs;

    if (read_blobs(f, e) != 0)
        return -1;
    n_blobs = f->n_files;
    if (foreign_walk(f, "manifests", &found, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        if (add_model(&o, &found[i], n_blobs, e) != 0)
            return -1;
    return 0;
}
