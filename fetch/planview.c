#include "fetch/planview.h"

#include <stdio.h>

#include "base/human.h"
#include "base/json.h"

static const char *state_word(const struct plan_file *f)
{
    if (f->state == PLAN_HELD)
        return "held";
    if (f->state == PLAN_LINK)
        return "link";
    return f->kept > 0 ? "partial" : "missing";
}

/* A path in a column: safe for a terminal, padded by characters. */
static void put_path(struct buf *out, struct str path, size_t width)
{
    char text[1025], safe[4 * sizeof(text)];
    size_t shown = 0, n;

    snprintf(text, sizeof(text), "%.*s", STR_ARG(path));
    n = err_escape(safe, sizeof(safe), text);
    buf_put(out, safe, n);
    for (size_t i = 0; i < n; i++)
        shown += ((unsigned char)safe[i] & 0xC0) != 0x80;
    for (; shown < width; shown++)
        buf_putc(out, ' ');
}

void planview_table(struct buf *out, const struct pull *p)
{
    const struct plan *plan = &p->plan;
    char size[HUMAN_MAX];
    size_t width = 4;

    for (size_t i = 0; i < plan->n; i++)
        width = size_max(width, size_min(plan->files[i].file->path.len, 40));
    put_path(out, str_of("FILE"), width);
    buf_printf(out, "  %9s  %-7s  %s\n", "SIZE", "STATE", "DIGEST");
    for (size_t i = 0; i < plan->n; i++) {
        const struct plan_file *f = &plan->files[i];

        put_path(out, f->file->path, width);
        buf_printf(out, "  %9s  %-7s  %.12s\n", human_size(size, f->file->size),
            state_word(f), tree_etag(f->file)->hex);
    }
}

void planview_totals(struct buf *out, const struct pull *p)
{
    const struct plan *plan = &p->plan;
    char a[HUMAN_MAX], b[HUMAN_MAX], c[HUMAN_MAX];
    uint64_t requests = plan_requests(plan, p->jobs);

    buf_printf(out, "%zu file%s, %s; to fetch: %s", plan->n,
        plan->n == 1 ? "" : "s", human_size(a, plan->bytes),
        human_size(b, plan->fetch_bytes));
    if (plan->kept_bytes > 0)
        buf_printf(out, " (%s of it arrived earlier)",
            human_size(c, plan->kept_bytes));
    if (requests > 0)
        buf_printf(out, " in %llu requests", (unsigned long long)requests);
    buf_putc(out, '\n');
    if (plan->n_fetch == 0)
        return;
    buf_printf(out, "space: %s needed, %s free", human_size(a, p->space_bytes),
        human_size(b, p->free_bytes));
    if (p->space_bytes > p->free_bytes)
        buf_printf(out, ": %s too little",
            human_size(c, p->space_bytes - p->free_bytes));
    buf_putc(out, '\n');
}

void planview_field(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, "\"%s\": ", name);
    json_quote(out, str_of(text));
}

void planview_entries(struct buf *out, const struct pull *p)
{
    const struct plan *plan = &p->plan;

    buf_putc(out, '[');
    for (size_t i = 0; i < plan->n; i++) {
        const struct plan_file *f = &plan->files[i];
        const struct digest *d = tree_etag(f->file);

        buf_puts(out, i > 0 ? ",\n    {\"path\": " : "\n    {\"path\": ");
        json_quote(out, f->file->path);
        buf_printf(out, ", \"size\": %llu, \"%s\": \"%s\", \"state\": \"%s\"",
            (unsigned long long)f->file->size,
            d->kind == HASH_SHA256 ? "sha256" : "git_sha1", d->hex,
            state_word(f));
        if (f->state == PLAN_FETCH && f->kept > 0)
            buf_printf(out, ", \"kept\": %llu", (unsigned long long)f->kept);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

void planview_json(struct buf *out, const struct pull *p, bool dry)
{
    const struct plan *plan = &p->plan;

    buf_putc(out, '{');
    planview_field(out, "repository", p->repo.id);
    buf_puts(out, ", ");
    planview_field(out, "revision", p->repo.revision);
    buf_puts(out, ", ");
    planview_field(out, "commit", p->commit);
    buf_puts(out, ", ");
    planview_field(out, "path", p->path);
    if (p->converted[0] != '\0') {
        buf_puts(out, ", ");
        planview_field(out, "converted", p->converted);
    }
    buf_printf(out, ", \"files\": %zu, \"bytes\": %llu", plan->n,
        (unsigned long long)plan->bytes);
    if (dry)
        buf_printf(out,
            ", \"fetch_bytes\": %llu, \"fetch_requests\": %llu, "
            "\"space_bytes\": %llu, \"free_bytes\": %llu",
            (unsigned long long)plan->fetch_bytes,
            (unsigned long long)plan_requests(plan, p->jobs),
            (unsigned long long)p->space_bytes,
            (unsigned long long)p->free_bytes);
    buf_printf(out, ", \"fetched_bytes\": %llu, \"requests\": %llu",
        (unsigned long long)p->fetched_bytes, (unsigned long long)p->requests);
    if (dry) {
        buf_puts(out, ", \"entries\": ");
        planview_entries(out, p);
    }
    buf_putc(out, '}');
}
