/* The report for programs: one JSON document. */
#include <inttypes.h>
#include <math.h>

#include "base/json.h"
#include "verify-run/report.h"

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
    struct buf *out, const char *key, const uint32_t *ids, size_t n)
{
    buf_printf(out, ",\"%s\":[", key);
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s%u", i > 0 ? "," : "", ids[i]);
    buf_putc(out, ']');
}

static void json_top(struct buf *out, const struct report *r)
{
    const struct generation *g = &r->generation;

    buf_printf(out, ",\"top\":[");
    for (uint32_t i = 0; i < g->n_top; i++) {
        buf_printf(out, "%s{\"id\":%u", i > 0 ? "," : "", g->top[i].id);
        buf_printf(out, ",\"token\":");
        report_token(out, r, g->top[i].id);
        json_number(out, "logit", (double)g->top[i].logit);
        json_number(out, "probability", g->top[i].probability);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

static void json_speed(struct buf *out, const struct report *r)
{
    const struct session *s = r->session;

    json_number(out, "load_seconds", s->load_seconds);
    json_number(out, "first_token_seconds",
        r->ran ? r->generation.first_token_seconds : NAN);
    json_number(out, "tokens_per_second", report_tokens_per_second(r));
    buf_printf(out, ",\"bytes_per_token\":%" PRIu64, s->weights.token_bytes);
    json_number(out, "gb_per_second", report_gb_per_second(r));
    buf_printf(out,
        ",\"passing_layers\":%" PRIu32 ",\"passing_bytes\":%" PRIu64,
        s->opened.passing_layers, s->opened.passing);
    buf_printf(out, ",\"peak_memory_bytes\":%" PRIu64, r->peak_memory);
}

/* Of a device beside the processor; a rate that is unknown is null. */
static void json_device(struct buf *out, const struct report *r)
{
    const struct backend_facts *f = &r->facts;

    if (f->memory == 0)
        return;
    buf_printf(out, ",\"device_memory_bytes\":%" PRIu64, f->memory);
    json_number(out, "upload_gb_per_second", report_upload_rate(r) / 1e9);
    json_number(out, "pinned_gb_per_second",
        f->pinned_rate > 0 ? f->pinned_rate / 1e9 : NAN);
    json_number(
        out, "copy_gb_per_second", f->copy_rate > 0 ? f->copy_rate / 1e9 : NAN);
    json_number(out, "copy_share", report_copy_share(r));
}

static void json_notes(struct buf *out, const struct weights *w)
{
    static const char *const kinds[NOTE_KINDS] = { "missing", "shape",
        "contradicts", "blank", "unexpected", "ignored" };

    buf_puts(out, ",\"tensors\":[");
    for (const struct note *n = w->notes; n != NULL; n = n->next) {
        buf_printf(out, "%s{\"kind\":\"%s\"", n == w->notes ? "" : ",",
            kinds[n->kind]);
        json_text(out, "name", n->name);
        json_text(out, "why", str_of(n->why));
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

static void json_timeline(struct buf *out, const struct timeline *t)
{
    buf_puts(out, ",\"timeline\":[");
    for (size_t i = 0; i < t->n; i++) {
        buf_printf(out, "%s{\"name\":\"%s\"", i > 0 ? "," : "", t->v[i].name);
        json_number(out, "seconds", t->v[i].seconds);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

static void json_ranges(struct buf *out, const struct report *r)
{
    const struct value_range *a = r->generation.ranges;
    uint32_t n = a != NULL && a->n > 0 ? r->session->config.layers + 1 : 0;

    buf_puts(out, ",\"layers\":[");
    for (uint32_t i = 0; i < n; i++) {
        buf_puts(out, i > 0 ? ",{\"after\":" : "{\"after\":");
        if (i == 0)
            buf_puts(out, "\"embedding\"");
        else
            buf_printf(out, "%u", i - 1);
        json_number(out, "min", (double)a[i].min);
        json_number(out, "max", (double)a[i].max);
        json_number(out, "rms", sqrt(a[i].squares / (double)a[i].n));
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

static void json_perplexity(struct buf *out, const struct perplexity *p)
{
    buf_puts(out, ",\"perplexity\":");
    if (p->state != PERPLEXITY_MADE) {
        buf_puts(out, "null");
        return;
    }
    buf_printf(out, "{\"texts\":%d", TEXTSET_VERSION);
    json_number(out, "value", p->value);
    json_number(out, "untrained", p->untrained);
    json_number(out, "order_nats", p->order);
    buf_printf(out, ",\"tokens\":%u,\"passages\":[", p->tokens);
    for (uint32_t i = 0; i < p->n; i++) {
        buf_printf(out, "%s{\"name\":\"%s\",\"tokens\":%u", i > 0 ? "," : "",
            p->passages[i].name, p->passages[i].tokens);
        json_number(out, "value", p->passages[i].value);
        buf_putc(out, '}');
    }
    buf_puts(out, "]}");
}

static void json_against(struct buf *out, const struct report *r)
{
    const struct against *a = &r->against;
    const struct drift *d = &a->drift;

    if (r->o->against == NULL || !r->ran)
        return;
    buf_puts(out, ",\"against\":{\"model\":");
    json_quote(out, str_of(a->name));
    json_text(out, "dtype", str_of(dtype_name(a->dtype)));
    buf_printf(out, ",\"positions\":%" PRIu64, d->positions);
    if (d->positions > 0) {
        json_number(out, "max_drift", d->max);
        json_number(out, "mean_drift", drift_mean(d));
        json_number(out, "spread", drift_spread(d));
        json_number(out, "share", a->share);
        json_number(out, "bound", a->bound);
        json_number(out, "top1_agreement", drift_agreement(d));
        json_number(out, "kl_nats", drift_kl(d));
    }
    buf_putc(out, '}');
}

static void json_golden(struct buf *out, const struct golden *g)
{
    static const char *const words[] = { "open", "recorded", "not recorded",
        "holds", "broken" };

    if (g == NULL)
        return;
    buf_puts(out, ",\"golden\":{\"file\":");
    json_quote(out, str_of(g->path));
    json_text(out, "state", str_of(words[g->state]));
    if (g->bound > 0) {
        json_number(out, "share", g->share);
        json_number(out, "bound", g->bound);
        buf_printf(out, ",\"same_tokens\":%u", g->same);
    }
    buf_putc(out, '}');
}

static void json_checks(struct buf *out, const struct checks *checks)
{
    static const char *const words[] = { "ok", "failed", "not made" };
    static const char *const good[] = { "true", "false", "null" };

    buf_printf(out, ",\"checks\":[");
    for (size_t i = 0; i < checks->n; i++) {
        const struct check *c = &checks->v[i];

        buf_printf(out, "%s{\"name\":\"%s\",\"ok\":%s,\"result\":\"%s\"",
            i == 0 ? "" : ",", c->name, good[c->result], words[c->result]);
        json_text(out, "detail", str_of(c->detail));
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

void report_json(struct buf *out, const struct report *r)
{
    const struct session *s = r->session;
    const struct generation *g = &r->generation;

    buf_printf(out, "{\"ok\":%s", r->checks.good ? "true" : "false");
    json_text(out, "model", str_of(r->o->model));
    json_text(out, "architecture", str_of(s->config.arch->model_type));
    json_text(out, "config", str_of(s->origin.rule));
    buf_printf(out, ",\"parameters\":%" PRIu64, s->weights.parameters);
    buf_printf(out, ",\"raw_parameters\":%" PRIu64, s->weights.raw);
    buf_printf(out, ",\"weights_bytes\":%" PRIu64, s->weights.bytes);
    json_text(out, "dtype", str_of(dtype_name(s->weights.dtype)));
    if (s->tokenizer != NULL)
        json_text(out, "tokenizer", str_of(s->tokenfile.name));
    else
        buf_puts(out, ",\"tokenizer\":null");
    json_text(out, "backend", str_of(s->backend->name));
    json_text(out, "device", str_of(s->opened.device));
    json_ids(out, "prompt_tokens", r->prompt.v, r->prompt.n);
    json_ids(out, "tokens", g->tokens, g->n_tokens);
    json_text(out, "text", r->new_text.p != NULL ? r->new_text : str_of(""));
    json_top(out, r);
    json_number(out, "entropy_bits", r->ran ? g->entropy / log(2) : NAN);
    json_perplexity(out, &r->perplexity);
    json_speed(out, r);
    json_device(out, r);
    json_timeline(out, &s->timeline);
    json_ranges(out, r);
    json_notes(out, &s->weights);
    json_against(out, r);
    json_golden(out, r->o->golden);
    json_checks(out, &r->checks);
    buf_puts(out, "}\n");
}
