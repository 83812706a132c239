#include "verify-run/origin.h"

#include <stdio.h>
#include <unistd.h>

#include "base/path.h"
#include "verify-run/shape.h"

enum { TEXT_MAX = 16 << 20 }; /* of a config written here */

/* What one call of origin_load works on. */
struct search {
    const struct checkpoint *c;
    struct origin *o;
    struct model_config *out;
    const struct arch *arch; /* as the user says, or NULL */
    const char *model;       /* of gpt-fast's table, or NULL */
    uint32_t heads;
};

/* ---- what the user says ---- */

static const struct tensor *find_role(
    const struct search *s, const struct arch *a, enum role r)
{
    struct arch_part part = { .role = r };
    struct arch_wrap w = arch_wrap_of(a, s->c);
    char name[ARCH_NAME_MAX];
    char full[ARCH_WRAPPED_MAX];

    return arch_tensor(a, part, name)
               ? checkpoint_find(s->c, arch_outer(&w, name, full))
               : NULL;
}

static bool has_embedding(const struct search *s, const struct arch *a)
{
    return find_role(s, a, ROLE_EMBED) != NULL;
}

static int unknown_arch(const char *name, struct err *e)
{
    char list[256];

    err_set(e, ERR_USAGE, "--arch '%s' is no family that can be run", name);
    return err_hint(e, "families: %s; or a model of gpt-fast, such as 7B",
        arch_supported(list, sizeof(list)));
}

static int read_wish(
    struct search *s, const struct origin_wish *wish, struct err *e)
{
    char name[ARCH_NAME_MAX];

    s->heads = wish->heads;
    if (wish->arch == NULL)
        return 0;
    s->arch = arch_choose(wish->arch, NULL, s->c);
    if (s->arch == NULL && infer_is_model(wish->arch)) {
        s->arch = infer_project(s->c);
        s->model = wish->arch;
        if (s->arch == NULL)
            return err_set(e, ERR_REFUSED,
                "--arch %s is a model of gpt-fast: the tensors of %s have "
                "other names",
                wish->arch, s->c->files[0].path);
    }
    if (s->arch == NULL)
        return unknown_arch(wish->arch, e);
    arch_tensor(s->arch, (struct arch_part){ .role = ROLE_EMBED }, name);
    if (!has_embedding(s, s->arch))
        return err_set(e, ERR_REFUSED,
            "--arch %s contradicts the tensors of %s: there is no '%s'",
            wish->arch, s->c->files[0].path, name);
    return 0;
}

/* ---- numbers against shapes ---- */

static int check_shape(
    const struct search *s, enum role r, const char *who, struct err *e)
{
    const struct tensor *t = find_role(s, s->out->arch, r);
    bool turned = s->out->arch->in_out && role_in_layer(r);
    uint64_t want[2] = { 0, 1 };
    uint32_t rank = shape_of(s->out, r, false, want);
    char got[64];

    if (rank != 2 || t == NULL ||
        (t->rank == 2 && t->shape[0] == want[turned] &&
            t->shape[1] == want[!turned]))
        return 0;
    tensor_shape_text(got, sizeof(got), t);
    return err_set(e, ERR_REFUSED,
        "%s contradicts tensor '%.*s': shape %s instead of [%llu, %llu]", who,
        STR_ARG(t->name), got, (unsigned long long)want[turned],
        (unsigned long long)want[!turned]);
}

/* Of the first layer; what else is wrong the binding of weights tells. */
static int check_wish(const struct search *s, struct err *e)
{
    char who[64];

    if (s->heads == 0)
        return 0;
    snprintf(who, sizeof(who), "--heads %u", s->heads);
    for (int r = 0; r < ROLE_COUNT; r++)
        if (check_shape(s, r, who, e) != 0)
            return -1;
    return 0;
}

/* ---- rules ---- */

static void set_rule(struct search *s, const char *front, const char *rest)
{
    snprintf(s->o->rule, sizeof(s->o->rule), "%s%s", front, rest);
}

/* A config in the family's own words, the heads replaced if the user says. */
static int parse_plain(
    struct search *s, const struct json *root, const char *rule, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;

    set_rule(s, rule, s->heads > 0 ? ", heads from --heads" : "");
    if (s->heads == 0)
        return config_parse(s->out, root, s->c, e);
    if (config_parse(s->out, root, s->c, e) != 0)
        return -1;
    infer_with_heads(&text, s->out->arch, root, s->heads);
    if (buf_check(&text, e) != 0 || json_parse(&doc, buf_str(&text), 0, e) != 0)
        return -1;
    return config_parse(s->out, doc.root, s->c, e);
}

/* Numbers from everywhere, put together as a config of this family. */
static int parse_inferred(struct search *s, const struct arch *arch,
    const struct json *said, const char *rule, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct inferred n;

    if (infer_numbers(&n, s->c, arch, said, s->model, s->heads, e) != 0)
        return -1;
    infer_json(&text, &n, said);
    if (buf_check(&text, e) != 0 ||
        json_parse(&doc, buf_str(&text), 0, e) != 0 ||
        config_read(s->out, arch, doc.root, e) != 0)
        return -1;
    set_rule(s, rule, n.rule);
    return 0;
}

static const struct arch *family(const struct search *s)
{
    const struct arch *project = infer_project(s->c);

    if (s->arch != NULL)
        return s->arch;
    return project != NULL ? project : arch_choose(NULL, NULL, s->c);
}

/*
 * Which family to read a config.json for that is not in that family's own
 * words, or NULL. gpt-fast puts its files beside those of Hugging Face, whose
 * config has the right numbers for tensors of other names.
 */
static const struct arch *other_family(
    const struct search *s, const struct json *root)
{
    const struct arch *own = NULL;
    const char *type = NULL;

    if (json_str(json_get(root, "model_type"), &type))
        own = arch_choose(type, root, s->c);
    if (s->arch != NULL)
        return s->arch == own ? NULL : s->arch;
    if (type == NULL || (own != NULL && !has_embedding(s, own)))
        return infer_project(s->c);
    return NULL;
}

static int from_file(struct search *s, const char *path, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    const struct arch *other;
    char rule[100];

    if (json_read(&doc, path, CONFIG_TEXT_MAX, e) != 0)
        return -1;
    other = other_family(s, doc.root);
    if (other == NULL || json_kind(doc.root) != JSON_OBJECT)
        return parse_plain(s, doc.root, "config.json", e);
    snprintf(rule, sizeof(rule), "config.json, for the tensors of %s; ",
        other->model_type);
    return parse_inferred(s, other, doc.root, rule, e);
}

static int from_inside(struct search *s, const struct json *root, struct err *e)
{
    const struct arch *arch = family(s);
    const char *type = NULL;
    char rule[160];
    char key[120];

    snprintf(rule, sizeof(rule), "'%.*s' inside the file",
        (int)size_min(s->c->config_from.len, 60), s->c->config_from.p);
    err_escape(key, sizeof(key), rule);
    if (json_str(json_get(root, "model_type"), &type) && s->arch == NULL &&
        other_family(s, root) == NULL)
        return parse_plain(s, root, key, e);
    if (arch == NULL)
        return config_parse(s->out, root, s->c, e);
    snprintf(rule, sizeof(rule), "%s%s; ", key,
        infer_says_heads(root) ? "" : " has no number of heads");
    return parse_inferred(s, arch, root, rule, e);
}

/* Two families with these names: which, only the user can say. */
static int one_family(
    const struct search *s, const struct arch *a, struct err *e)
{
    char list[256] = "";
    const struct arch *b, *last = NULL;
    size_t at = 0;
    unsigned n = 0;

    for (size_t i = 0; (b = arch_nth(i)) != NULL; i++) {
        if (strcmp(a->names[ROLE_EMBED], b->names[ROLE_EMBED]) != 0 ||
            (last != NULL && strcmp(last->model_type, b->model_type) == 0))
            continue;
        last = b;
        n++;
        if (at < sizeof(list))
            at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s",
                at > 0 ? ", " : "", b->model_type);
    }
    if (n < 2 || s->arch != NULL || infer_project(s->c) == a)
        return 0;
    err_set(e, ERR_MISSING,
        "%s: no config.json, and the tensors have names of %u families: %s",
        s->c->folder, n, list);
    return err_hint(e,
        "put the model's config.json beside its weights, or say the family "
        "with --arch and its heads with --heads");
}

static int from_nothing(struct search *s, struct err *e)
{
    const struct arch *arch = family(s);

    if (arch == NULL) {
        err_set(e, ERR_MISSING,
            "%s/config.json: not there, no config in the weights, and no "
            "tensor that tells the family",
            s->c->folder);
        return err_hint(e, "put the model's config.json beside its weights");
    }
    if (one_family(s, arch, e) != 0)
        return -1;
    return parse_inferred(s, arch, NULL, "", e);
}

/* ---- in which order ---- */

static int load(struct search *s, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    char path[PATH_MAX];

    if (path_join(path, s->c->folder, "config.json", e) != 0)
        return -1;
    if (access(path, F_OK) == 0) {
        if (from_file(s, path, e) != 0)
            return err_ctx(e, "%s", path);
        config_add_generation(s->out, s->c->folder);
        return 0;
    }
    if (s->c->config.len == 0)
        return from_nothing(s, e);
    if (json_parse(&doc, s->c->config, 0, e) != 0 ||
        from_inside(s, doc.root, e) != 0)
        return err_ctx(e, "the config inside %s", s->c->files[0].path);
    return 0;
}

/* Packed four bits at a time in an order of the GPU that made them. */
static int refuse_int4(const struct checkpoint *c, struct err *e)
{
    for (uint64_t i = 0; i < c->n_tensors; i++) {
        if (!str_ends(c->tensors[i].name, ".scales_and_zeros"))
            continue;
        err_set(e, ERR_UNSUPPORTED,
            "%s: gpt-fast's int4 weights, packed for one kind of GPU (such as "
            "'%.*s'), cannot be run",
            c->files[c->tensors[i].file].path, STR_ARG(c->tensors[i].name));
        return err_hint(e, "run model.pth or model_int8.pth of the same model");
    }
    return 0;
}

int origin_load(struct model_config *out, struct origin *o,
    const struct checkpoint *c, const struct origin_wish *wish, struct err *e)
{
    struct search s = { .c = c, .o = o, .out = out };

    if (refuse_int4(c, e) != 0 || read_wish(&s, wish, e) != 0 ||
        load(&s, e) != 0)
        return -1;
    config_adapt(out, c);
    return check_wish(&s, e);
}
