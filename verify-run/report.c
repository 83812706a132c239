#include "verify-run/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/human.h"
#include "verify-run/ops.h"

/* ---- checks ---- */

static void set(struct check *c, const char *name, bool good)
{
    c->name = name;
    c->result = good ? CHECK_OK : CHECK_FAILED;
    c->detail[0] = '\0';
}

static const struct note *first_note(
    const struct weights *w, enum note_kind a, enum note_kind b)
{
    const struct note *n = w->notes;

    while (n != NULL && n->kind != a && n->kind != b)
        n = n->next;
    return n;
}

static void check_tensors(struct check *c, const struct weights *w)
{
    const struct note *n = first_note(w, NOTE_MISSING, NOTE_CONTRADICTS);
    uint64_t missing = w->n_notes[NOTE_MISSING];
    uint64_t wrong = w->n_notes[NOTE_CONTRADICTS];

    set(c, "tensors", missing == 0 && wrong == 0);
    if (n != NULL)
        snprintf(c->detail, sizeof(c->detail),
            "%" PRIu64 " missing, %" PRIu64 " against the config: first "
            "'%.*s'",
            missing, wrong, (int)size_min(n->name.len, 120), n->name.p);
    else if (w->n_notes[NOTE_UNEXPECTED] > 0)
        snprintf(c->detail, sizeof(c->detail),
            "complete; %" PRIu64 " nobody knows, not used",
            w->n_notes[NOTE_UNEXPECTED]);
    else if (w->n_notes[NOTE_IGNORED] > 0)
        snprintf(c->detail, sizeof(c->detail),
            "complete; %" PRIu64 " leftover or tied, not used",
            w->n_notes[NOTE_IGNORED]);
    else
        snprintf(c->detail, sizeof(c->detail), "complete");
}

static void check_shapes(struct check *c, const struct weights *w)
{
    const struct note *n = first_note(w, NOTE_SHAPE, NOTE_SHAPE);

    set(c, "shapes", n == NULL);
    if (n != NULL)
        snprintf(c->detail, sizeof(c->detail),
            "%" PRIu64 " wrong: first '%.*s', %s", w->n_notes[NOTE_SHAPE],
            (int)size_min(n->name.len, 100), n->name.p, n->why);
}

static void check_finite(struct check *c, const struct generation *g)
{
    const struct backend_fault *f = &g->fault;

    set(c, "finite", !f->found);
    if (f->found && role_in_layer(f->role))
        snprintf(c->detail, sizeof(c->detail),
            "not finite after layer %u, %s, in the pass from position %u",
            f->layer, role_name(f->role), g->fault_pos);
    else if (f->found)
        snprintf(c->detail, sizeof(c->detail),
            "not finite after the %s, in the pass from position %u",
            role_name(f->role), g->fault_pos);
}

static void check_logits(
    struct check *c, const struct generation *g, uint32_t vocab)
{
    set(c, "logits", !g->degenerate);
    if (g->degenerate)
        snprintf(c->detail, sizeof(c->detail), "%s",
            ops_finite(g->logits, vocab) ? "all equal at some position"
                                         : "not finite at some position");
}

static void check_cache(struct check *c, const struct generation *g)
{
    set(c, "cache", g->agreement == AGREEMENT_HOLDS);
    if (g->agreement == AGREEMENT_SKIPPED)
        c->result = CHECK_NOT_MADE;
    else
        snprintf(c->detail, sizeof(c->detail),
            "steps and one pass differ by %.2g, %.2g allowed", g->difference,
            g->allowed);
}

bool report_checks(const struct report *r, struct check out[CHECK_COUNT])
{
    static const char *const names[] = { "tensors", "shapes", "finite",
        "logits", "cache" };
    bool good = true;

    for (int i = 0; i < CHECK_COUNT; i++)
        out[i] = (struct check){ names[i], CHECK_NOT_MADE, "" };
    check_tensors(&out[0], &r->session->weights);
    check_shapes(&out[1], &r->session->weights);
    if (r->generation != NULL) {
        check_finite(&out[2], r->generation);
        check_logits(&out[3], r->generation, r->session->config.vocab);
        check_cache(&out[4], r->generation);
    }
    for (int i = 0; i < CHECK_COUNT; i++)
        good = good && out[i].result != CHECK_FAILED;
    return good;
}

/* ---- numbers both forms show ---- */

/* Of the steps after the first token; NAN when there were none. */
static double tokens_per_second(const struct generation *g)
{
    if (g == NULL || g->decode_steps == 0 || g->decode_seconds <= 0)
        return NAN;
    return g->decode_steps / g->decode_seconds;
}

static double gb_per_second(const struct report *r)
{
    return tokens_per_second(r->generation) *
           (double)r->session->weights.token_bytes / 1e9;
}

/* One token as JSON text, so that nothing in it can reach a terminal. */
static void put_token(struct buf *out, const struct report *r, uint32_t id)
{
    struct buf text AUTO(buf_free) = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;

    if (r->session->tokenizer == NULL ||
        tokenizer_decode(r->session->tokenizer, &id, 1, true, &text, &e) != 0)
        buf_puts(out, "null");
    else
        json_quote(out, buf_str(&text));
}

/* ---- for people ---- */

/* What a terminal would act on is shown as \xNN; lines and tabs stay. */
static void put_safe(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        unsigned char next = i + 1 < s.len ? (unsigned char)s.p[i + 1] : 0;

        /* C1 controls are U+0080..U+009F: C2 80 .. C2 9F. */
        if (c == 0xC2 && next >= 0x80 && next <= 0x9F)
            buf_printf(out, "\\x%02x", (unsigned char)s.p[++i]);
        else if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            buf_printf(out, "\\x%02x", c);
        else
            buf_putc(out, (char)c);
    }
}

static void put_line(struct buf *out, const char *label, const char *text)
{
    buf_printf(out, "%-13s ", label);
    put_safe(out, str_of(text));
    buf_putc(out, '\n');
}

static void put_model(struct buf *out, const struct report *r)
{
    const struct model_config *c = &r->session->config;
    const struct weights *w = &r->session->weights;
    char a[HUMAN_MAX];
    char b[HUMAN_MAX];

    put_line(out, "model", r->model);
    if (r->note[0] != '\0')
        put_line(out, "converted", r->note);
    buf_printf(out,
        "architecture  %s: %u layers of %u, %u heads of %u, %u for keys, "
        "vocabulary %u\n",
        c->arch->model_type, c->layers, c->dim, c->heads, c->head_dim,
        c->kv_heads, c->vocab);
    buf_printf(out, "parameters    %s", human_count(a, w->parameters));
    if (w->raw != w->parameters)
        buf_printf(out, " (%s elements in the files)", human_count(b, w->raw));
    buf_printf(out, "\nweights       %s, %s%s\n", dtype_name(w->dtype),
        human_size(a, w->bytes), c->tied ? ", tied head" : "");
}

static void put_speed(struct buf *out, const struct report *r)
{
    const struct generation *g = r->generation;
    char a[HUMAN_MAX];

    buf_printf(out, "backend       %s: %s\n", r->session->backend->name,
        r->session->device);
    buf_printf(out, "load          %.3f s\n", r->session->load_seconds);
    buf_printf(out, "first token   %.3f s, prompt of %u\n",
        g->first_token_seconds, r->n_prompt);
    if (g->decode_steps > 0)
        buf_printf(out,
            "decode        %u tokens%s, %.2f tokens/s, %s per token, "
            "%.2f GB/s\n",
            g->n_tokens - g->ended, g->ended ? " and the end" : "",
            tokens_per_second(g),
            human_size(a, r->session->weights.token_bytes), gb_per_second(r));
    buf_printf(
        out, "memory        %s at most\n", human_size(a, r->peak_memory));
    for (uint32_t i = 0; i < g->n_top; i++) {
        buf_printf(out, "%-13s %6.2f %%  %8.3f  %u ",
            i == 0 ? "next token" : "", 100 * g->top[i].probability,
            (double)g->top[i].logit, g->top[i].id);
        if (r->session->tokenizer != NULL)
            put_token(out, r, g->top[i].id);
        buf_printf(out, "\n");
    }
}

static void put_checks(struct buf *out, const struct report *r)
{
    static const char *const words[] = { "ok", "FAILED", "not made" };
    struct check checks[CHECK_COUNT];

    report_checks(r, checks);
    for (int i = 0; i < CHECK_COUNT; i++) {
        const char *space = checks[i].detail[0] != '\0' ? "  " : "";

        buf_printf(out, "%-13s %-7s  %s%s", i == 0 ? "checks" : "",
            checks[i].name, words[checks[i].result], space);
        put_safe(out, str_of(checks[i].detail));
        buf_printf(out, "\n");
    }
}

void report_text(struct buf *out, const struct report *r)
{
    if (r->generation != NULL) {
        put_safe(out, r->text);
        buf_printf(out, "\n\n");
    }
    put_model(out, r);
    if (r->generation != NULL)
        put_speed(out, r);
    put_checks(out, r);
}

/* ---- for programs ---- */

static void json_number(struct buf *out, const char *key, double v)
{
    if (isfinite(v))
        buf_printf(out, ",\"%s\":%.9g", key, v);
    else
        buf_printf(out, ",\"%s\":null", key);
}

static void json_text(struct buf *out, const char *key, struct str s)
{
    buf_printf(out, ",\"%s\":", key);
    json_quote(out, s);
}

static void json_ids(
    struct buf *out, const char *key, const uint32_t *ids, uint32_t n)
{
    buf_printf(out, ",\"%s\":[", key);
    for (uint32_t i = 0; i < n; i++)
        buf_printf(out, "%s%u", i > 0 ? "," : "", ids[i]);
    buf_putc(out, ']');
}

static void json_top(struct buf *out, const struct report *r)
{
    const struct generation *g = r->generation;

    buf_printf(out, ",\"top\":[");
    for (uint32_t i = 0; g != NULL && i < g->n_top; i++) {
        buf_printf(out, "%s{\"id\":%u", i > 0 ? "," : "", g->top[i].id);
        buf_printf(out, ",\"token\":");
        put_token(out, r, g->top[i].id);
        json_number(out, "logit", (double)g->top[i].logit);
        json_number(out, "probability", g->top[i].probability);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

static void json_checks(struct buf *out, const struct check *checks)
{
    bool first = true;

    buf_printf(out, ",\"checks\":[");
    for (int i = 0; i < CHECK_COUNT; i++) {
        if (checks[i].result == CHECK_NOT_MADE)
            continue;
        buf_printf(out, "%s{\"name\":\"%s\",\"ok\":%s", first ? "" : ",",
            checks[i].name, checks[i].result == CHECK_OK ? "true" : "false");
        json_text(out, "detail", str_of(checks[i].detail));
        buf_putc(out, '}');
        first = false;
    }
    buf_putc(out, ']');
}

static void json_speed(struct buf *out, const struct report *r)
{
    const struct generation *g = r->generation;

    json_number(out, "load_seconds", r->session->load_seconds);
    json_number(
        out, "first_token_seconds", g != NULL ? g->first_token_seconds : NAN);
    json_number(out, "tokens_per_second", tokens_per_second(g));
    buf_printf(
        out, ",\"bytes_per_token\":%" PRIu64, r->session->weights.token_bytes);
    json_number(out, "gb_per_second", gb_per_second(r));
    buf_printf(out, ",\"peak_memory_bytes\":%" PRIu64, r->peak_memory);
}

void report_json(struct buf *out, const struct report *r)
{
    const struct session *s = r->session;
    const struct generation *g = r->generation;
    struct check checks[CHECK_COUNT];

    buf_printf(out, "{\"ok\":%s", report_checks(r, checks) ? "true" : "false");
    json_text(out, "model", str_of(r->model));
    json_text(out, "architecture", str_of(s->config.arch->model_type));
    buf_printf(out, ",\"parameters\":%" PRIu64, s->weights.parameters);
    json_text(out, "dtype", str_of(dtype_name(s->weights.dtype)));
    json_text(out, "backend", str_of(s->backend->name));
    json_text(out, "device", str_of(s->device));
    json_ids(out, "prompt_tokens", r->prompt, r->n_prompt);
    json_ids(out, "tokens", g != NULL ? g->tokens : NULL,
        g != NULL ? g->n_tokens : 0);
    json_text(out, "text", r->new_text);
    json_top(out, r);
    json_speed(out, r);
    json_checks(out, checks);
    buf_puts(out, "}\n");
}
