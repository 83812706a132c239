/* The report for people: the text, then a table of two columns. */
#include <inttypes.h>
#include <math.h>

#include "base/human.h"
#include "verify-run/report.h"

enum { NOTE_LINES = 8 };

/* As buf_visible, but lines and tabs stay. */
static void put_safe(struct buf *out, struct str s)
{
    while (s.len > 0) {
        size_t n = 0;

        while (n < s.len && s.p[n] != '\n' && s.p[n] != '\t')
            n++;
        buf_visible(out, (struct str){ s.p, n });
        if (n < s.len)
            buf_putc(out, s.p[n++]);
        s = (struct str){ s.p + n, s.len - n };
    }
}

static void put_line(struct buf *out, const char *label, const char *text)
{
    buf_printf(out, "%-13s ", label);
    put_safe(out, str_of(text));
    buf_putc(out, '\n');
}

/* Which file was taken, and which one was not. */
static void put_tokenizer(struct buf *out, const struct session *s)
{
    if (s->tokenizer == NULL)
        return;
    buf_printf(out, "%-13s ", "tokenizer");
    put_safe(out, str_of(s->tokenfile.name));
    buf_printf(out, ": %s, %u tokens", tokenizer_about(s->tokenizer),
        tokenizer_size(s->tokenizer));
    if (s->tokenfile.other[0] != '\0') {
        buf_puts(out, "; not ");
        put_safe(out, str_of(s->tokenfile.other));
    }
    buf_putc(out, '\n');
}

static void put_model(struct buf *out, const struct report *r)
{
    const struct model_config *c = &r->session->config;
    const struct weights *w = &r->session->weights;
    char a[HUMAN_MAX];
    char b[HUMAN_MAX];

    put_line(out, "model", r->o->model);
    if (r->o->note[0] != '\0')
        put_line(out, "converted", r->o->note);
    buf_printf(out,
        "architecture  %s: %u layers of %u, %u heads of %u, %u for keys, "
        "vocabulary %u\n",
        c->arch->model_type, c->layers, c->dim, c->heads, c->head_dim,
        c->kv_heads, c->vocab);
    put_line(out, "config", r->session->origin.rule);
    buf_printf(out, "parameters    %s", human_count(a, w->parameters));
    if (w->raw != w->parameters)
        buf_printf(out, " (%s elements in the files)", human_count(b, w->raw));
    buf_printf(out, "\nweights       %s, %s%s\n", dtype_name(w->dtype),
        human_size(a, w->bytes), c->tied ? ", tied head" : "");
    put_tokenizer(out, r->session);
}

static const char *const note_words[NOTE_KINDS] = {
    [NOTE_MISSING] = "missing",
    [NOTE_SHAPE] = "wrong",
    [NOTE_CONTRADICTS] = "against config",
    [NOTE_BLANK] = "blank",
    [NOTE_UNEXPECTED] = "unexpected",
    [NOTE_IGNORED] = "ignored",
};

/* Notes of one kind and reason are one line: how many, and the first. */
static void put_note(struct buf *out, const struct note *first)
{
    uint64_t more = 0;

    buf_printf(out, "%-13s ", note_words[first->kind]);
    for (const struct note *n = first->next; n != NULL; n = n->next)
        more += n->kind == first->kind && strcmp(n->why, first->why) == 0;
    put_safe(out, (struct str){ first->name.p, size_min(first->name.len, 80) });
    if (more > 0)
        buf_printf(out, " and %" PRIu64 " more", more);
    if (first->why[0] != '\0') {
        buf_puts(out, ": ");
        put_safe(out, str_of(first->why));
    }
    buf_putc(out, '\n');
}

static bool noted(const struct note *all, const struct note *n)
{
    for (; all != n; all = all->next)
        if (all->kind == n->kind && strcmp(all->why, n->why) == 0)
            return true;
    return false;
}

static void put_notes(struct buf *out, const struct report *r)
{
    const struct note *all = r->session->weights.notes;
    int lines = 0;

    for (const struct note *n = all; n != NULL && lines < NOTE_LINES;
         n = n->next) {
        if (noted(all, n))
            continue;
        put_note(out, n);
        lines++;
    }
}

static void put_passing(struct buf *out, const struct report *r)
{
    const struct backend_opened *b = &r->session->opened;
    char a[HUMAN_MAX];

    if (b->passing == 0)
        return;
    buf_printf(out,
        "passing       %u layer%s, %s: they come again for every token",
        b->passing_layers, b->passing_layers == 1 ? "" : "s",
        human_size(a, b->passing));
    if (r->generation.decode_steps > 0)
        buf_printf(out, ", %.2f GB/s",
            (double)b->passing * report_tokens_per_second(r) / 1e9);
    buf_putc(out, '\n');
}

static void put_speed(struct buf *out, const struct report *r)
{
    const struct generation *g = &r->generation;
    char a[HUMAN_MAX];

    buf_printf(out, "backend       %s: %s\n", r->session->backend->name,
        r->session->opened.device);
    buf_printf(out, "load          %.3f s\n", r->session->load_seconds);
    buf_printf(out, "first token   %.3f s, prompt of %zu\n",
        g->first_token_seconds, r->prompt.n);
    if (g->decode_steps > 0)
        buf_printf(out,
            "decode        %u tokens%s, %.2f tokens/s, %s per token, "
            "%.2f GB/s\n",
            g->n_tokens - g->ended, g->ended ? " and the end" : "",
            report_tokens_per_second(r),
            human_size(a, r->session->weights.token_bytes),
            report_gb_per_second(r));
    put_passing(out, r);
    buf_printf(
        out, "memory        %s at most\n", human_size(a, r->peak_memory));
}

static void put_device(struct buf *out, const struct report *r)
{
    const struct backend_facts *f = &r->facts;
    char a[HUMAN_MAX];

    if (f->memory == 0)
        return;
    buf_printf(out,
        "device        %s of its memory; weights at %.1f GB/s, a pinned copy "
        "%.1f\n",
        human_size(a, f->memory), report_upload_rate(r) / 1e9,
        f->pinned_rate / 1e9);
    if (f->copy_rate <= 0)
        return;
    buf_printf(out, "%-13s copies on it %.0f GB/s", "", f->copy_rate / 1e9);
    if (r->generation.decode_steps > 0)
        buf_printf(out, ", decoding %.3f of that", report_copy_share(r));
    buf_putc(out, '\n');
}

static void put_next(struct buf *out, const struct report *r)
{
    const struct generation *g = &r->generation;

    for (uint32_t i = 0; i < g->n_top; i++) {
        buf_printf(out, "%-13s %6.2f %%  %8.3f  %u ",
            i == 0 ? "next token" : "", 100 * g->top[i].probability,
            (double)g->top[i].logit, g->top[i].id);
        if (r->session->tokenizer != NULL)
            report_token(out, r, g->top[i].id);
        buf_printf(out, "\n");
    }
    if (isfinite(g->entropy))
        buf_printf(out, "entropy       %.3f bits of %.3f\n",
            g->entropy / log(2), log2(r->session->config.vocab));
}

static void put_perplexity(struct buf *out, const struct perplexity *p)
{
    char text[HUMAN_MAX];

    if (p->state != PERPLEXITY_MADE)
        return;
    buf_printf(out,
        "perplexity    %s over %u tokens, untrained %.0f; their order is "
        "worth %.2f nats\n",
        report_number(text, p->value), p->tokens, p->untrained, p->order);
    for (uint32_t i = 0; p->n > 1 && i < p->n; i++)
        buf_printf(out, "%-13s %-10s %s over %u\n", "", p->passages[i].name,
            report_number(text, p->passages[i].value), p->passages[i].tokens);
}

static void put_against(struct buf *out, const struct report *r)
{
    const struct against *a = &r->against;
    const struct drift *d = &a->drift;
    char size[HUMAN_MAX];

    put_line(out, "against", a->name);
    buf_printf(out, "%-13s %s, %s\n", "", dtype_name(a->dtype),
        human_size(size, a->bytes));
    if (d->positions > 0)
        buf_printf(out,
            "%-13s logits %.3g at most, %.3g on average, of a spread of "
            "%.3g\n%-13s same best token at %" PRIu64 " of %" PRIu64
            " positions; KL %.2g nats\n",
            "", d->max, drift_mean(d), drift_spread(d), "", d->same_top,
            d->positions, drift_kl(d));
}

static void put_checks(struct buf *out, const struct checks *checks)
{
    static const char *const words[] = { "ok", "FAILED", "not made" };

    for (size_t i = 0; i < checks->n; i++) {
        const struct check *c = &checks->v[i];
        const char *space = c->detail[0] != '\0' ? "  " : "";

        buf_printf(out, "%-13s %-10s  %s%s", i == 0 ? "checks" : "", c->name,
            words[c->result], space);
        put_safe(out, str_of(c->detail));
        buf_printf(out, "\n");
    }
    buf_printf(out, "%-13s %s\n", "verdict", checks->good ? "ok" : "FAILED");
}

void report_text(struct buf *out, const struct report *r)
{
    if (r->ran) {
        put_safe(out, buf_str(&r->text));
        buf_printf(out, "\n\n");
    }
    put_model(out, r);
    put_notes(out, r);
    if (r->ran) {
        put_speed(out, r);
        put_device(out, r);
        put_next(out, r);
        put_perplexity(out, &r->perplexity);
        if (r->o->against != NULL)
            put_against(out, r);
    }
    put_checks(out, &r->checks);
}
