/* The report as one page: verdicts, what came next, how long, how large. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/html.h"
#include "base/human.h"
#include "verify-run/plot.h"
#include "verify-run/report.h"

enum { NOTES_SHOWN = 500 };

/* ---- the head ---- */

static void put_verdict(struct buf *out, const struct report *r)
{
    size_t failed = 0;
    size_t made = 0;

    for (size_t i = 0; i < r->checks.n; i++) {
        made += r->checks.v[i].result != CHECK_NOT_MADE;
        failed += r->checks.v[i].result == CHECK_FAILED;
    }
    if (failed == 0)
        buf_printf(out,
            "<p class=\"verdict good\">All %zu checks are ok.</p>\n", made);
    else
        buf_printf(out,
            "<p class=\"verdict bad\">%zu of %zu checks failed.</p>\n", failed,
            made);
}

static void card(struct buf *out, const char *value, const char *what)
{
    buf_printf(out, "<div><b>%s</b><i>%s</i></div>", value, what);
}

static const char *short_time(char out[HUMAN_MAX], double seconds)
{
    if (seconds < 0.9995)
        snprintf(out, HUMAN_MAX, "%.3g ms", seconds * 1e3);
    else
        snprintf(out, HUMAN_MAX, "%.3g s", seconds);
    return out;
}

static void put_cards(struct buf *out, const struct report *r)
{
    const struct weights *w = &r->session->weights;
    double rate = report_tokens_per_second(r);
    char text[HUMAN_MAX];

    buf_puts(out, "<div class=\"cards\">");
    card(out, human_count(text, w->parameters), "parameters");
    card(out, human_size(text, w->bytes), "of weights");
    if (r->ran)
        card(out, short_time(text, r->generation.first_token_seconds),
            "to the first token");
    if (isfinite(rate))
        card(out, report_number(text, rate), "tokens per second");
    if (r->perplexity.state == PERPLEXITY_MADE)
        card(out, report_number(text, r->perplexity.value), "perplexity");
    card(out, human_size(text, r->peak_memory), "of memory at most");
    buf_puts(out, "</div>\n");
}

/* ---- sections ---- */

static void put_checks(struct buf *out, const struct report *r)
{
    static const char *const words[] = { "ok", "failed", "not made" };
    static const char *const classes[] = { "good", "bad", "nil" };

    buf_puts(out, "<section><h2>Checks</h2>\n<div class=\"wide\"><table>\n");
    for (size_t i = 0; i < r->checks.n; i++) {
        const struct check *c = &r->checks.v[i];

        buf_printf(out, "<tr><td>%s</td><td class=\"%s\">%s</td><td>", c->name,
            classes[c->result], words[c->result]);
        html_text(out, str_of(c->detail));
        buf_puts(out, "</td></tr>\n");
    }
    buf_puts(out, "</table></div></section>\n");
}

/* Lines stay lines: what they are made of is no text to html_text(). */
static void put_lines(struct buf *out, struct str s)
{
    size_t at = 0;

    for (size_t i = 0; i <= s.len; i++) {
        if (i < s.len && s.p[i] != '\n')
            continue;
        html_text(out, (struct str){ s.p + at, i - at });
        if (i < s.len)
            buf_putc(out, '\n');
        at = i + 1;
    }
}

/* What came first is set back a little. */
static void put_answer(struct buf *out, const struct report *r)
{
    struct str whole = buf_str(&r->text);
    size_t fresh = r->new_text.len <= whole.len ? r->new_text.len : 0;

    buf_puts(out, "<section><h2>What it says</h2>\n<p class=\"said\">");
    put_lines(out, (struct str){ whole.p, whole.len - fresh });
    buf_puts(out, "<b>");
    put_lines(out, (struct str){ whole.p + whole.len - fresh, fresh });
    buf_puts(out, "</b></p>\n");
    if (r->generation.ended)
        buf_puts(out, "<p>Then an end token.</p>\n");
    buf_puts(out, "</section>\n");
}

static void put_top(struct buf *out, const struct report *r)
{
    const struct generation *g = &r->generation;

    buf_printf(out,
        "<section><h2>What comes next</h2>\n<p>The likeliest tokens after the "
        "prompt of %zu.",
        r->prompt.n);
    if (isfinite(g->entropy))
        buf_printf(out,
            " Their distribution has %.2f bits of entropy, of %.2f at most.",
            g->entropy / log(2), log2(r->session->config.vocab));
    buf_puts(out, "</p>\n<div class=\"wide\"><table><tr><th>token</th><th "
                  "class=\"n\">id</th><th class=\"n\">logit</th><th "
                  "class=\"n\">probability</th><th></th></tr>\n");
    for (uint32_t i = 0; i < g->n_top; i++) {
        struct buf token AUTO(buf_free) = BUF_INIT(1 << 16);

        if (r->session->tokenizer != NULL)
            report_token(&token, r, g->top[i].id);
        buf_puts(out, "<tr><td class=\"t\">");
        html_short(out, buf_str(&token), 80);
        buf_printf(out,
            "</td><td class=\"n\">%u</td><td class=\"n\">%.3f</td><td "
            "class=\"n\">%.2f %%</td><td style=\"width:40%%\"><span "
            "class=\"meter\" style=\"width:%.1f%%\"></span></td></tr>\n",
            g->top[i].id, (double)g->top[i].logit, 100 * g->top[i].probability,
            isfinite(g->entropy)
                ? 100 * g->top[i].probability / g->top[0].probability
                : 0);
    }
    buf_puts(out, "</table></div></section>\n");
}

static void put_perplexity(struct buf *out, const struct perplexity *p)
{
    char text[HUMAN_MAX];

    if (p->state != PERPLEXITY_MADE)
        return;
    buf_printf(out,
        "<section><h2>How well it reads</h2>\n<p>Perplexity of built-in texts: "
        "between how many tokens it wavers. A model that knows nothing "
        "wavers between %.0f. That the words of the first text stand in "
        "order is worth %.2f nats a token to it.</p>\n<div "
        "class=\"wide\"><table><tr><th>text</th><th class=\"n\">tokens</th>"
        "<th class=\"n\">perplexity</th><th></th></tr>\n",
        p->untrained, p->order);
    for (uint32_t i = 0; i < p->n; i++) {
        const struct passage_score *x = &p->passages[i];

        buf_printf(out,
            "<tr><td>%s</td><td class=\"n\">%u</td><td class=\"n\">%s</td><td "
            "style=\"width:50%%\"><span class=\"meter\" "
            "style=\"width:%.1f%%\"></span></td></tr>\n",
            x->name, x->tokens, report_number(text, x->value),
            100 * fmin(log(x->value) / log(p->untrained), 1));
    }
    buf_puts(out, "</table></div><p>Bars are logarithmic: a full one is no "
                  "better than knowing nothing.</p></section>\n");
}

static void put_against(struct buf *out, const struct report *r)
{
    const struct against *a = &r->against;
    const struct drift *d = &a->drift;

    if (r->o->against == NULL || d->positions == 0)
        return;
    buf_puts(out, "<section><h2>Against another form</h2>\n<p>The same tokens "
                  "through <code>");
    html_text(out, str_of(a->name));
    buf_printf(out,
        "</code>, %s.</p>\n<div class=\"wide\"><table "
        "style=\"width:auto\">\n<tr><td>positions</td>"
        "<td class=\"n\">%" PRIu64
        "</td></tr>\n<tr><td>same best token</td><td "
        "class=\"n\">%" PRIu64 "</td></tr>\n<tr><td>largest drift of a "
        "logit</td><td class=\"n\">%.3g</td></tr>\n<tr><td>mean drift</td><td "
        "class=\"n\">%.3g</td></tr>\n<tr><td>spread of the logits</td><td "
        "class=\"n\">%.3g</td></tr>\n<tr><td>drift as a share of it, and what "
        "is "
        "allowed</td><td class=\"n\">%.2g of %.2g</td></tr>\n<tr><td>KL, nats"
        "</td><td class=\"n\">%.2g</td></tr>\n</table></div></section>\n",
        dtype_name(a->dtype), d->positions, d->same_top, d->max, drift_mean(d),
        drift_spread(d), a->share, a->bound, drift_kl(d));
}

static void put_ranges(struct buf *out, const struct report *r)
{
    const struct value_range *a = r->generation.ranges;

    if (a == NULL || a->n == 0)
        return;
    buf_puts(out, "<section><h2>How large the activations are</h2>\n<p>The "
                  "residual stream while the prompt was read, after the "
                  "embedding and after each layer: from its least to its "
                  "largest value, and the root mean square in the stronger "
                  "colour. The scale is logarithmic but around zero.</p>\n");
    plot_ranges(out, a, r->session->config.layers + 1);
    buf_puts(out, "</section>\n");
}

static void put_time(struct buf *out, const struct report *r)
{
    char text[HUMAN_MAX];

    buf_puts(out, "<section><h2>How long it took</h2>\n<p>");
    html_text(out, str_of(r->session->backend->name));
    if (r->session->opened.device[0] != '\0') {
        buf_puts(out, ": ");
        html_text(out, str_of(r->session->opened.device));
    }
    buf_puts(out, ".</p>\n");
    plot_timeline(out, &r->session->timeline);
    if (isfinite(report_gb_per_second(r)))
        buf_printf(out, "<p>Each token reads %s of weights: %.2f GB/s.</p>\n",
            human_size(text, r->session->weights.token_bytes),
            report_gb_per_second(r));
    if (r->session->opened.passing > 0)
        buf_printf(out,
            "<p>%u layers of %s do not stay in memory: they come again for "
            "every token.</p>\n",
            r->session->opened.passing_layers,
            human_size(text, r->session->opened.passing));
    buf_puts(out, "</section>\n");
}

static void put_notes(struct buf *out, const struct weights *w)
{
    static const char *const kinds[NOTE_KINDS] = { "missing", "wrong",
        "against the config", "blank", "unexpected", "ignored" };
    uint64_t n = 0;

    if (w->notes == NULL)
        return;
    buf_puts(out, "<h3>Tensors that are not simply right</h3><div "
                  "class=\"wide\"><table>\n");
    for (const struct note *x = w->notes; x != NULL; x = x->next) {
        if (n++ >= NOTES_SHOWN)
            continue;
        buf_puts(out, "<tr><td class=\"t\">");
        html_short(out, x->name, 200);
        buf_printf(out, "</td><td>%s</td><td>", kinds[x->kind]);
        html_text(out, str_of(x->why));
        buf_puts(out, "</td></tr>\n");
    }
    buf_puts(out, "</table></div>\n");
    if (n > NOTES_SHOWN)
        buf_printf(out, "<p>And %" PRIu64 " more.</p>\n", n - NOTES_SHOWN);
}

static void put_model(struct buf *out, const struct report *r)
{
    const struct model_config *c = &r->session->config;
    const struct weights *w = &r->session->weights;
    char text[HUMAN_MAX];

    buf_puts(out, "<section><h2>What it is</h2>\n<p><code>");
    html_text(out, str_of(r->o->model));
    buf_puts(out, "</code>");
    if (r->o->note[0] != '\0') {
        buf_puts(out, ", converted in <code>");
        html_text(out, str_of(r->o->note));
        buf_puts(out, "</code>");
    }
    buf_printf(out,
        ": %s, %u layers of %u, %u heads of %u, %u for keys, vocabulary %u; "
        "weights mostly %s%s. ",
        c->arch->model_type, c->layers, c->dim, c->heads, c->head_dim,
        c->kv_heads, c->vocab, dtype_name(w->dtype),
        c->tied ? ", head tied to the embedding" : "");
    buf_puts(out, "Where its numbers are from: ");
    html_text(out, str_of(r->session->origin.rule));
    buf_printf(
        out, ". The files hold %s numbers.</p>\n", human_count(text, w->raw));
    put_notes(out, w);
    buf_puts(out, "</section>\n");
}

void report_html(struct buf *out, const struct report *r)
{
    html_begin(out, str_of(r->o->model), r->session->config.arch->model_type);
    put_verdict(out, r);
    put_cards(out, r);
    put_checks(out, r);
    if (r->ran) {
        put_answer(out, r);
        put_top(out, r);
        put_perplexity(out, &r->perplexity);
        put_against(out, r);
        put_ranges(out, r);
    }
    put_time(out, r);
    put_model(out, r);
    html_end(out, "mlverify-run");
}
