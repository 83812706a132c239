#include "verify/scan.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "base/map.h"
#include "base/path.h"
#include "formats/detect.h"
#include "formats/npy.h"
#include "formats/pickle.h"
#include "formats/zip.h"
#include "verify/allow.h"
#include "verify/danger.h"
#include "verify/filelist.h"
#include "verify/zipscraps.h"

enum {
    STREAM_MAX = 4096,  /* pickles one behind the other */
    LEGACY_PICKLES = 5, /* then storages follow */
    LABEL_MAX = 1024
};

/* One file while it is looked into. */
struct look {
    struct scan *s;
    const struct opt_list *vouched;
    struct str file;
    const uint8_t *bytes;
    uint64_t len;
    bool doubtful; /* a pickle broke off where Python might have gone on */
};

void scan_free(struct scan *s)
{
    free(s->names);
    arena_free(&s->arena);
    findings_free(&s->report);
    *s = (struct scan)SCAN_INIT;
}

const char *scan_use_name(enum scan_use use)
{
    static const char *const names[] = { "named", "reached", "called" };

    return names[use];
}

const char *scan_verdict_name(enum scan_verdict verdict)
{
    static const char *const names[] = { "data", "allowed", "unknown",
        "unsafe" };

    return names[verdict];
}

size_t scan_bad(const struct scan *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++)
        n += s->names[i].bad;
    return n;
}

/* ---- names ---- */

static int add_name(struct scan *s, const struct scan_name *name, struct err *e)
{
    size_t cap = s->cap == 0 ? 64 : 2 * s->cap;

    if (s->n == s->cap) {
        struct scan_name *v = realloc(s->names, cap * sizeof(*v));

        if (v == NULL)
            return err_set(e, ERR_NOMEM, "out of memory");
        s->names = v;
        s->cap = cap;
    }
    s->names[s->n++] = *name;
    return 0;
}

static bool vouched_for(const struct opt_list *vouched, struct str name)
{
    for (size_t i = 0; i < vouched->n; i++)
        if (str_is(name, vouched->v[i]))
            return true;
    return false;
}

static void judge(struct scan_name *n, const struct pickle_global *g,
    enum allow allow, const struct opt_list *vouched)
{
    enum danger danger = danger_of(n->name, g->module.len);

    if (g->rewritten)
        n->verdict = SCAN_UNSAFE;
    else if (allow != ALLOW_NO)
        n->verdict = SCAN_DATA;
    else if (vouched_for(vouched, n->name))
        n->verdict = SCAN_ALLOWED;
    else if (danger == DANGER_NAMED ||
             (danger == DANGER_CALLED && n->use != SCAN_NAMED))
        n->verdict = SCAN_UNSAFE;
    else
        n->verdict = SCAN_UNKNOWN;
    n->bad = n->verdict == SCAN_UNSAFE ||
             (n->verdict == SCAN_UNKNOWN && n->use != SCAN_NAMED);
}

static struct str full_name(
    const struct pickle_global *g, struct arena *arena, struct err *e)
{
    uint64_t len = g->module.len + 1 + g->name.len;
    char *p = arena_alloc(arena, len + 1, 1, e);

    if (p == NULL)
        return (struct str){ NULL, 0 };
    memcpy(p, g->module.p, g->module.len);
    p[g->module.len] = '.';
    memcpy(p + g->module.len + 1, g->name.p, g->name.len);
    return (struct str){ p, len };
}

/*
 * A function that calls what it is given may be given anything that stands
 * in its pickle: then a mention is as good as a call.
 */
static int keep_names(struct look *k, const struct pickle_names *names,
    struct str label, struct err *e)
{
    struct arena *arena = &k->s->arena;
    bool reaches = names->obscure;

    for (uint64_t i = 0; i < names->n; i++)
        reaches = reaches || ((names->v[i]->called || names->v[i]->held) &&
                                 allow_of(names->v[i]->module,
                                     names->v[i]->name) == ALLOW_CALLS);
    for (uint64_t i = 0; i < names->n; i++) {
        const struct pickle_global *g = names->v[i];
        enum allow allow = allow_of(g->module, g->name);
        struct scan_name n = { .file = k->file,
            .pickle = label,
            .name = full_name(g, arena, e),
            .offset = g->offset,
            .use = SCAN_NAMED };

        if (n.name.p == NULL)
            return -1;
        if (g->called)
            n.use = SCAN_CALLED;
        else if ((reaches || g->held) && allow == ALLOW_NO)
            n.use = SCAN_REACHED;
        judge(&n, g, allow, k->vouched);
        if (add_name(k->s, &n, e) != 0)
            return -1;
    }
    return 0;
}

/* ---- pickles ---- */

/* A pickle that breaks off leaves *used at 0 and says so in *why. */
static int run_pickle(struct look *k, const char *label, uint64_t at,
    uint64_t end, uint64_t *used, struct err *why, struct err *e)
{
    struct arena work AUTO(arena_free) = ARENA_INIT((uint64_t)512 << 20);
    struct pickle_names names = { .n = 0 };
    struct pickle_env env = { &work, &names, &pickle_names_only, NULL };
    struct str kept = arena_str(&k->s->arena, str_of(label), e);
    struct node *root;

    *used = 0;
    if (kept.p == NULL || cancel_check(e) != 0)
        return -1;
    k->s->n_pickles++;
    if (pickle_run(k->bytes + at, end - at, &env, &root, used, why) != 0) {
        *used = 0;
        if (why->kind == ERR_NOMEM)
            return err_set(e, ERR_NOMEM, "out of memory");
        err_ctx(why, "%s", label);
        k->doubtful |= names.doubtful;
    }
    return keep_names(k, &names, kept, e);
}

/* Pickles one behind the other from at to end; at most n of them. */
static int run_stream(struct look *k, const char *prefix, uint64_t at,
    uint64_t end, unsigned n, struct err *why, struct err *e)
{
    uint64_t start = at, used;
    char label[LABEL_MAX];

    for (unsigned i = 1; i <= n && (at < end || i == 1); i++) {
        struct buf b AUTO(buf_free) = BUF_INIT(LABEL_MAX - 1);

        buf_puts(&b, prefix);
        if (i > 1 || prefix[0] == '\0')
            buf_printf(&b, "%spickle %u at byte %llu", b.len ? ", " : "", i,
                (unsigned long long)(at - start));
        memcpy(label, b.p, b.len + 1);
        if (run_pickle(k, label, at, end, &used, why, e) != 0)
            return -1;
        if (used == 0)
            return 0;
        at += used;
    }
    if (at < end && n == STREAM_MAX)
        err_set(why, ERR_REFUSED, "more than %d pickles in a row", STREAM_MAX);
    return 0;
}

static void tell(struct look *k, const struct err *why)
{
    if (why->kind != ERR_NONE)
        findings_fail(&k->s->report, "structure", ERR_REFUSED,
            "%.*s: not read to its end: %s", STR_ARG(k->file), why->msg);
}

/*
 * Bytes that need not be a pickle: they count only when Python, told to load
 * them as one, would do something that is not allowed, or might.
 */
static int look_in_passing(
    struct look *k, const char *label, uint64_t at, uint64_t end, struct err *e)
{
    size_t n = k->s->n, pickles = k->s->n_pickles;
    struct err why = ERR_INIT;

    if (run_stream(k, label, at, end, STREAM_MAX, &why, e) != 0)
        return -1;
    if (k->doubtful) {
        tell(k, &why);
        return 0;
    }
    for (size_t i = n; i < k->s->n; i++)
        if (k->s->names[i].bad && k->s->names[i].use != SCAN_NAMED) {
            tell(k, &why);
            return 0;
        }
    k->s->n = n;
    k->s->n_pickles = pickles;
    return 0;
}

/* ---- containers ---- */

/* The front of an entry's name, with room behind it for a number. */
static void label_of(char label[static LABEL_MAX], struct str name)
{
    size_t n = size_min(name.len, LABEL_MAX / 2);

    memcpy(label, name.p, n);
    label[n] = '\0';
}

static bool ends_like_pickle(struct str name)
{
    static const char *const tails[] = { ".pt", ".pth", ".ckpt", ".pkl",
        ".pickle", ".joblib", ".dill", ".pt2" };

    for (size_t i = 0; i < ARRAY_LEN(tails); i++)
        if (str_ends(name, tails[i]))
            return true;
    return false;
}

static bool is_code(struct str record)
{
    return str_starts(record, "code/") || str_starts(record, ".data/extern") ||
           str_ends(record, ".py") || str_ends(record, ".so");
}

/* What a loader of the archive would hand to torch.load in turn. */
static bool is_file_in_file(struct str name)
{
    return ends_like_pickle(name) || str_ends(name, ".bin") ||
           str_ends(name, ".zip");
}

/*
 * An array of numbers is no pickle; an array of objects is one behind its
 * header, and an array of records may hold objects.
 */
static int look_at_array(
    struct look *k, const char *label, uint64_t at, uint64_t end, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct err why = ERR_INIT, broken = ERR_INIT;
    struct npy a;
    uint64_t body;

    if (npy_parse(k->bytes + at, end - at, &arena, &a, &why) == 0)
        return 0;
    if (why.kind == ERR_UNSUPPORTED &&
        npy_body(k->bytes + at, end - at, &body)) {
        if (!a.type.objects)
            return look_in_passing(k, label, at + body, end, e);
        if (run_stream(k, label, at + body, end, STREAM_MAX, &broken, e) != 0)
            return -1;
        tell(k, &broken);
        return 0;
    }
    tell(k, &why);
    return 0;
}

static void compressed(
    const struct look *k, const struct zip_entry *z, struct problems *bad)
{
    problem(bad, "%.*s: record '%.*s' is compressed: not looked into",
        STR_ARG(k->file), (int)size_min(z->name.len, 200), z->name.p);
}

static int array_record(struct look *k, const struct zip_entry *z,
    struct problems *bad, struct err *e)
{
    char label[LABEL_MAX];

    if (z->method != 0) {
        compressed(k, z, bad);
        return 0;
    }
    label_of(label, z->name);
    return look_at_array(k, label, z->data_at, z->data_at + z->size, e);
}

static int zip_record_in(struct look *k, const struct zip *zip,
    const struct zip_entry *z, struct problems *bad, struct err *e)
{
    struct err why = ERR_INIT;
    char label[LABEL_MAX];

    if (is_code(zip_record(zip, z)))
        problem(bad,
            "%.*s: record '%.*s' is program code, which is not judged here",
            STR_ARG(k->file), (int)size_min(z->name.len, 200), z->name.p);
    if (str_ends(z->name, ".npy"))
        return array_record(k, z, bad, e);
    if (!zip_name_is_pickle(z->name)) {
        if (is_file_in_file(z->name))
            problem(bad,
                "%.*s: record '%.*s' is a file of its own: not looked into",
                STR_ARG(k->file), (int)size_min(z->name.len, 200), z->name.p);
        return 0;
    }
    if (z->method != 0) {
        compressed(k, z, bad);
        return 0;
    }
    label_of(label, z->name);
    if (run_stream(k, label, z->data_at, z->data_at + z->size, STREAM_MAX, &why,
            e) != 0)
        return -1;
    tell(k, &why);
    return 0;
}

static int look_at_scraps(struct look *k, struct err *e)
{
    struct zip_scrap scrap = { .next = 0 };

    while (zip_scrap_next(&scrap, k->bytes, k->len)) {
        struct err why = ERR_INIT;
        char label[LABEL_MAX];
        uint64_t used;

        label_of(label, scrap.name);
        if (run_pickle(k, label, scrap.data_at, k->len, &used, &why, e) != 0)
            return -1;
    }
    return 0;
}

static int look_at_zip(struct look *k, struct err *e)
{
    struct problems bad =
        PROBLEMS_INIT(&k->s->report, "structure", ERR_REFUSED);
    struct arena arena AUTO(arena_free) = ARENA_INIT((uint64_t)512 << 20);
    size_t before = k->s->n_pickles;
    bool arrays = false;
    struct err why = ERR_INIT;
    struct zip zip;

    if (zip_read(k->bytes, k->len, &arena, &zip, &why) != 0) {
        if (why.kind == ERR_NOMEM)
            return err_set(e, ERR_NOMEM, "out of memory");
        tell(k, &why);
        return look_at_scraps(k, e);
    }
    for (uint64_t i = 0; i < zip.n; i++) {
        arrays = arrays || str_ends(zip.v[i].name, ".npy");
        if (zip_record_in(k, &zip, &zip.v[i], &bad, e) != 0)
            return -1;
    }
    problems_end(&bad);
    if (k->s->n_pickles == before && !arrays)
        findings_fail(&k->s->report, "structure", ERR_REFUSED,
            "%.*s: a zip archive without a pickle: nothing to judge",
            STR_ARG(k->file));
    return 0;
}

/* Names that promise something a Python program would unpickle. */
static bool named_like_pickle(struct str name)
{
    return ends_like_pickle(name) ||
           (str_ends(name, ".bin") &&
               str_starts(str_of(path_base(name.p)), "pytorch_model"));
}

static int look_at_other(
    struct look *k, bool asked, const struct err *unknown, struct err *e)
{
    size_t n = k->s->n;

    if (look_in_passing(k, "", 0, k->len, e) != 0)
        return -1;
    if (k->s->n == n && asked && unknown->kind != ERR_NONE)
        findings_fail(&k->s->report, "structure", ERR_REFUSED, "%.*s: %s",
            STR_ARG(k->file), unknown->msg);
    return 0;
}

static int look_at(struct look *k, bool alone, struct err *e)
{
    bool asked = alone || named_like_pickle(k->file);
    struct err why = ERR_INIT, unknown = ERR_INIT;
    enum file_format format = detect_format(
        k->bytes, size_min(k->len, DETECT_HEAD), k->len, &unknown);

    if (format == FORMAT_TORCH_ZIP || format == FORMAT_NPZ)
        return look_at_zip(k, e);
    if (format == FORMAT_NPY)
        return look_at_array(k, "", 0, k->len, e);
    /* Prose may begin like a pickle of the oldest kind. */
    if (format == FORMAT_TORCH_LEGACY ||
        (format == FORMAT_PICKLE && (asked || k->bytes[0] == 0x80))) {
        if (run_stream(k, "", 0, k->len,
                format == FORMAT_PICKLE ? STREAM_MAX : LEGACY_PICKLES, &why,
                e) != 0)
            return -1;
        tell(k, &why);
        return 0;
    }
    return k->len == 0 && !asked ? 0 : look_at_other(k, asked, &unknown, e);
}

static int look_at_file(struct scan *s, const struct vfile *f, bool alone,
    const struct opt_list *vouched, struct err *e)
{
    struct map m AUTO(map_close) = MAP_INIT;
    struct err why = ERR_INIT;
    struct look k = { .s = s, .vouched = vouched };

    k.file = arena_str(&s->arena, f->name, e);
    if (k.file.p == NULL)
        return -1;
    s->n_files++;
    if (map_open(&m, f->path, &why) != 0) {
        findings_err(&s->report, "files", &why);
        return 0;
    }
    k.bytes = m.p != NULL ? m.p : (const uint8_t *)"";
    k.len = m.len;
    return look_at(&k, alone, e);
}

int scan_found(struct scan *s, const struct found *found,
    const struct opt_list *vouched, struct err *e)
{
    struct filelist list AUTO(filelist_free) = FILELIST_INIT;
    bool folder = found->kind == FOUND_FOLDER || found->kind == FOUND_REPO;
    int rc;

    if (folder)
        rc = filelist_walk(&list, found->path, true, &s->report, e);
    else
        rc = filelist_add(&list, found->path, path_base(found->path), e);
    if (rc != 0)
        return -1;
    if (list.n == 0)
        findings_fail(&s->report, "files", ERR_MISSING, "the folder is empty");
    for (size_t i = 0; i < list.n; i++)
        if (look_at_file(s, &list.files[i], !folder, vouched, e) != 0)
            return -1;
    return findings_check(&s->report, e);
}
