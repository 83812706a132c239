#include "verify-run/golden.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "verify-run/drift.h"
#include "verify-run/outfile.h"

/*
 * A token takes some 20 bytes here, the rest 15 KB; as values of JSON it takes
 * up to fifty times as much.
 */
enum { FILE_MAX = 4 << 20, LIST_MAX = 1 << 24 };

/* Another machine sums in another order; this is ten times what that costs. */
static const double TOLERANCE = 1e-3;

void golden_free(struct golden *g)
{
    arena_free(&g->arena);
    *g = (struct golden)GOLDEN_INIT;
}

/* ---- reading ---- */

static int bad(struct err *e, const char *key, const char *wanted)
{
    return err_set(e, ERR_REFUSED, "'%s' is not %s", key, wanted);
}

static int read_count(
    const struct json *root, const char *key, uint64_t *out, struct err *e)
{
    if (!json_u64(json_get(root, key), out) || *out > UINT32_MAX * 4096ull)
        return bad(e, key, "a whole number");
    return 0;
}

static int read_real(const struct json *root, const char *key, double most,
    double *out, struct err *e)
{
    if (!json_double(json_get(root, key), out) || !(*out >= 0 && *out <= most))
        return bad(e, key, most > 1 ? "a number from 0" : "a share of 1");
    return 0;
}

static int read_ids(struct golden *g, const struct json *v, const char *key,
    uint32_t **out, uint32_t *n, struct err *e)
{
    size_t count = json_count(v);

    if (v == NULL || json_kind(v) != JSON_ARRAY || count > LIST_MAX)
        return bad(e, key, "a list of token ids");
    *out = arena_alloc(&g->arena, count, sizeof(**out), e);
    if (*out == NULL)
        return -1;
    *n = 0;
    for (v = json_first(v); v != NULL; v = json_next(v)) {
        uint64_t id;

        if (!json_u64(v, &id) || id > UINT32_MAX)
            return bad(e, key, "a list of token ids");
        (*out)[(*n)++] = (uint32_t)id;
    }
    return 0;
}

static int read_leads(struct golden *g, const struct json *v, struct err *e)
{
    uint32_t n = 0;

    if (v == NULL || json_kind(v) != JSON_ARRAY || json_count(v) != g->n_tokens)
        return bad(e, "leads", "a list of one number per token");
    g->leads = arena_alloc(&g->arena, g->n_tokens, sizeof(*g->leads), e);
    if (g->leads == NULL)
        return -1;
    for (v = json_first(v); v != NULL; v = json_next(v), n++)
        if (!json_double(v, &g->leads[n]) || !isfinite(g->leads[n]))
            return bad(e, "leads", "a list of one number per token");
    return 0;
}

static int read_logits(struct golden *g, const struct json *v, struct err *e)
{
    const char *wanted = "a list of {\"id\", \"logit\"}";

    if (v == NULL || json_kind(v) != JSON_ARRAY || json_count(v) == 0 ||
        json_count(v) > LIST_MAX)
        return bad(e, "logits", wanted);
    g->logits = arena_alloc(&g->arena, json_count(v), sizeof(*g->logits), e);
    if (g->logits == NULL)
        return -1;
    for (v = json_first(v); v != NULL; v = json_next(v)) {
        struct golden_logit *l = &g->logits[g->n_logits++];
        uint64_t id;

        if (!json_u64(json_get(v, "id"), &id) || id >= g->vocab ||
            !json_double(json_get(v, "logit"), &l->logit) ||
            !isfinite(l->logit))
            return bad(e, "logits", wanted);
        l->id = (uint32_t)id;
    }
    return 0;
}

static int read_model(struct golden *g, const struct json *root, struct err *e)
{
    const char *text = NULL;
    uint64_t version;

    if (!json_u64(json_get(root, "golden"), &version))
        return err_set(e, ERR_REFUSED, "not written by --golden");
    if (version != GOLDEN_VERSION)
        return err_set(e, ERR_UNSUPPORTED,
            "of version %" PRIu64 ": this program reads %d", version,
            GOLDEN_VERSION);
    if (!json_str(json_get(root, "architecture"), &text))
        return bad(e, "architecture", "a name");
    g->architecture = arena_str(&g->arena, str_of(text), e);
    if (g->architecture.p == NULL)
        return -1;
    if (!json_str(json_get(root, "dtype"), &text) ||
        (g->dtype = dtype_parse(str_of(text))) == DTYPE_NONE)
        return bad(e, "dtype", "a type of weights");
    if (!json_bool(json_get(root, "ignore_eos"), &g->ignore_eos))
        return bad(e, "ignore_eos", "true or false");
    if (read_count(root, "vocabulary", &g->vocab, e) != 0 ||
        read_count(root, "layers", &g->layers, e) != 0 ||
        read_count(root, "dim", &g->dim, e) != 0)
        return -1;
    return read_count(root, "parameters", &g->parameters, e);
}

/* Some frequencies go by the length a run is made for, not that it had. */
static int read_wanted(struct golden *g, const struct json *v, struct err *e)
{
    uint64_t n = 0;

    if (v != NULL && (!json_u64(v, &n) || n > LIST_MAX))
        return bad(e, "wanted", "a number of tokens");
    g->n_new = (uint32_t)size_max(n, g->n_tokens);
    return 0;
}

static int read_root(struct golden *g, const struct json *root, struct err *e)
{
    if (read_model(g, root, e) != 0 ||
        read_real(root, "tolerance", 1, &g->tolerance, e) != 0 ||
        read_real(root, "spread", DBL_MAX, &g->spread, e) != 0 ||
        read_ids(g, json_get(root, "prompt"), "prompt", &g->prompt,
            &g->n_prompt, e) != 0 ||
        read_ids(g, json_get(root, "tokens"), "tokens", &g->tokens,
            &g->n_tokens, e) != 0 ||
        read_leads(g, json_get(root, "leads"), e) != 0 ||
        read_wanted(g, json_get(root, "wanted"), e) != 0)
        return -1;
    if (g->n_prompt == 0)
        return bad(e, "prompt", "a list of at least one token");
    return read_logits(g, json_get(root, "logits"), e);
}

int golden_parse(
    struct golden *g, struct str text, const char *name, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;

    *g = (struct golden){
        .arena = ARENA_INIT((uint64_t)1 << 30), .path = name, .there = true
    };
    if (json_parse(&doc, text, 0, e) != 0 || read_root(g, doc.root, e) != 0)
        return err_ctx(e, "--golden %s", name);
    return 0;
}

int golden_open(struct golden *g, const char *path, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(FILE_MAX);

    *g = (struct golden){ .path = path };
    if (access(path, F_OK) != 0)
        return outfile_check("--golden", path, e);
    if (file_slurp(path, &text, e) != 0)
        return err_ctx(e, "--golden");
    return golden_parse(g, buf_str(&text), path, e);
}

/* ---- comparing ---- */

static bool other(struct golden *g, const char *what, uint64_t was, uint64_t is)
{
    if (was == is)
        return false;
    g->state = GOLDEN_BROKEN;
    snprintf(g->why, sizeof(g->why),
        "recorded of another model: %s %" PRIu64 ", not %" PRIu64, what, was,
        is);
    return true;
}

bool golden_fits(struct golden *g, const struct session *s)
{
    const struct model_config *c = &s->config;

    if (!str_is(g->architecture, c->arch->model_type)) {
        g->state = GOLDEN_BROKEN;
        snprintf(g->why, sizeof(g->why),
            "recorded of another model: %.60s, not %s", g->architecture.p,
            c->arch->model_type);
        return false;
    }
    return !other(g, "vocabulary", g->vocab, c->vocab) &&
           !other(g, "layers", g->layers, c->layers) &&
           !other(g, "hidden size", g->dim, c->dim) &&
           !other(g, "parameters", g->parameters, s->weights.parameters);
}

static double spread_of(const float *logits, uint32_t vocab)
{
    struct drift d = { 0 };

    drift_add(&d, logits, logits, vocab);
    return drift_spread(&d);
}

static double logits_share(const struct golden *g, const float *logits)
{
    double squares = 0;

    for (uint32_t i = 0; i < g->n_logits; i++) {
        double off = (double)logits[g->logits[i].id] - g->logits[i].logit;

        squares += off * off;
    }
    squares = sqrt(squares / g->n_logits);
    return squares == 0 ? 0 : squares / g->spread;
}

/*
 * Where the best two were nearer than the drift allowed, either may win; what
 * comes after another token cannot be compared. Six times the mean is as far
 * as single logits stray. A run that was asked for fewer tokens may end.
 */
static void compare_tokens(struct golden *g, const struct generation *now)
{
    double near = 2 * 6 * g->bound * g->spread;

    g->same = 0;
    while (g->same < g->n_tokens && g->same < now->n_tokens &&
           g->tokens[g->same] == now->tokens[g->same])
        g->same++;
    if (g->same == g->n_tokens || g->leads[g->same] <= near ||
        (g->same == now->n_tokens && !now->ended))
        return;
    g->state = GOLDEN_BROKEN;
    if (g->same == now->n_tokens)
        snprintf(g->why, sizeof(g->why), "it ends after %u of %u tokens",
            g->same, g->n_tokens);
    else
        snprintf(g->why, sizeof(g->why),
            "new token %u is %u, recorded %u with a lead of %.3g", g->same + 1,
            now->tokens[g->same], g->tokens[g->same], g->leads[g->same]);
}

static void compare(struct golden *g, const struct golden_run *r)
{
    enum dtype now = session_coarsest(r->session);
    const float *logits = r->generation->logits;

    if (g->state == GOLDEN_BROKEN)
        return;
    g->state = GOLDEN_HOLDS;
    /* A file that says more than there is would let anything pass. */
    g->spread = fmin(g->spread, spread_of(logits, r->session->config.vocab));
    g->bound = fmax(g->tolerance, drift_bound(g->dtype, now));
    g->share = logits_share(g, logits);
    if (r->n_prompt != g->n_prompt ||
        memcmp(r->prompt, g->prompt, g->n_prompt * sizeof(*g->prompt)) != 0) {
        g->state = GOLDEN_BROKEN;
        snprintf(g->why, sizeof(g->why), "recorded of another prompt");
    } else if (isnan(g->share)) {
        g->state = GOLDEN_BROKEN;
        snprintf(g->why, sizeof(g->why), "some logit is no number");
    } else if (!(g->share <= g->bound)) {
        g->state = GOLDEN_BROKEN;
        snprintf(g->why, sizeof(g->why),
            "logits differ by %.2g of their spread, %.2g allowed", g->share,
            g->bound);
    } else {
        compare_tokens(g, r->generation);
    }
}

/* ---- recording ---- */

static void put_ids(
    struct buf *out, const char *key, const uint32_t *ids, uint32_t n)
{
    buf_printf(out, ",\n\"%s\": [", key);
    for (uint32_t i = 0; i < n; i++)
        buf_printf(out, "%s%u", i > 0 ? ", " : "", ids[i]);
    buf_putc(out, ']');
}

static void put_logit(struct buf *out, const float *logits, uint32_t id)
{
    buf_printf(out, "\n{\"id\": %u, \"logit\": %.9g}", id, (double)logits[id]);
}

/* The best, then some hundred spread over the vocabulary. */
static void put_logits(
    struct buf *out, const struct generation *g, uint32_t vocab)
{
    struct candidate top[GOLDEN_TOP];
    uint32_t n = generate_top(top, GOLDEN_TOP, g->logits, vocab);
    uint32_t step = (vocab + GOLDEN_SAMPLE - 1) / GOLDEN_SAMPLE;

    buf_puts(out, ",\n\"logits\": [");
    for (uint32_t i = 0; i < n; i++) {
        put_logit(out, g->logits, top[i].id);
        buf_putc(out, ',');
    }
    for (uint32_t id = 0; id < vocab; id += step) {
        if (id > 0)
            buf_putc(out, ',');
        put_logit(out, g->logits, id);
    }
    buf_puts(out, "]}\n");
}

static int record(struct golden *g, const struct golden_run *r, struct err *e)
{
    struct buf out AUTO(buf_free) = BUF_INIT(FILE_MAX);
    const struct session *s = r->session;
    const struct generation *now = r->generation;

    buf_printf(&out, "{\"golden\": %d,\n\"model\": ", GOLDEN_VERSION);
    json_quote(&out, str_of(r->model));
    buf_printf(&out, ",\n\"architecture\": \"%s\"", s->config.arch->model_type);
    buf_printf(&out,
        ",\n\"vocabulary\": %u,\n\"layers\": %u,\n\"dim\": %u,\n"
        "\"parameters\": %" PRIu64 ",\n\"dtype\": \"%s\",\n\"backend\": \"%s\"",
        s->config.vocab, s->config.layers, s->config.dim, s->weights.parameters,
        dtype_name(session_coarsest(s)), s->backend->name);
    buf_printf(&out,
        ",\n\"tolerance\": %g,\n\"spread\": %.9g,\n\"ignore_eos\": %s",
        TOLERANCE, spread_of(now->logits, s->config.vocab),
        r->ignore_eos ? "true" : "false");
    buf_printf(&out, ",\n\"wanted\": %u", r->n_new);
    put_ids(&out, "prompt", r->prompt, r->n_prompt);
    put_ids(&out, "tokens", now->tokens, now->n_tokens);
    buf_puts(&out, ",\n\"leads\": [");
    for (uint32_t i = 0; i < now->n_tokens; i++)
        buf_printf(&out, "%s%.6g", i > 0 ? ", " : "", (double)now->leads[i]);
    buf_puts(&out, "]");
    put_logits(&out, now, s->config.vocab);
    if (buf_check(&out, e) != 0 ||
        file_put(g->path, out.p, out.len, 0644, e) != 0)
        return err_ctx(e, "--golden");
    g->state = GOLDEN_RECORDED;
    return 0;
}

int golden_settle(
    struct golden *g, const struct golden_run *r, bool good, struct err *e)
{
    if (g->there) {
        compare(g, r);
        return 0;
    }
    g->state = GOLDEN_SPOILED;
    return good ? record(g, r, e) : 0;
}
