#include "convert/page.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/html.h"
#include "base/human.h"
#include "base/path.h"
#include "convert/figure.h"

enum { WORST = 12, PAIR_CHARS = 512 };

static void put_count(struct buf *out, uint64_t n)
{
    char text[HUMAN_MAX];

    buf_puts(out, human_count(text, n));
}

/* A number to be taken in at a glance. */
static void put_short_count(struct buf *out, uint64_t n)
{
    if (n >= 1000000000)
        buf_printf(out, "%.2f billion", (double)n / 1e9);
    else if (n >= 1000000)
        buf_printf(out, "%.1f million", (double)n / 1e6);
    else
        put_count(out, n);
}

/* Large ones whole, small ones by their first digits. */
static void put_value(struct buf *out, double v)
{
    if (v >= 1000 && v < 1e15)
        put_count(out, (uint64_t)(v + 0.5));
    else
        buf_printf(out, "%.3g", v);
}

/* "fp16", or what keep means. */
static const char *target_name(const struct recipe *r)
{
    return r->dtype == DTYPE_NONE ? "uniform" : recipe_dtype(r);
}

/* ---- the head ---- */

static void put_verdict(struct buf *out, const struct page *r)
{
    const struct audit *a = &r->verdict->all;
    bool worse = a->overflow + a->nan + a->inf > 0;

    buf_printf(out, "<p class=\"verdict %s\">", worse ? "bad" : "good");
    if (a->overflow > 0) {
        put_count(out, a->overflow);
        buf_printf(out, " %s beyond the range of %s, and %s.",
            a->overflow == 1 ? "value is" : "values are",
            recipe_dtype(r->recipe),
            r->refused ? "refused: nothing was written"
            : r->recipe->on_overflow == OVERFLOW_CLAMP
                ? "clamped, as asked for"
                : "infinite now, as asked for");
    } else if (worse) {
        buf_printf(out, "The source has values that are not finite%s.",
            r->refused ? ", and int8 no place for them: nothing was written"
                       : "");
    } else if (r->verdict->error == NULL) {
        buf_puts(out, "Every value is kept exactly.");
    } else {
        buf_puts(out, "Every value fits.");
    }
    buf_puts(out, "</p>\n");
}

static void card(struct buf *out, const char *what)
{
    buf_printf(out, "</b><i>%s</i></div>\n", what);
}

static uint64_t source_bytes(const struct page *r)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < r->layout->n; i++)
        if (layout_made(r->layout, i) != MADE_SCALES)
            sum += tensor_bytes(r->layout->from[i]);
    return sum;
}

static uint64_t result_bytes(const struct page *r)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < r->layout->n; i++)
        sum += tensor_bytes(&r->layout->out[i]);
    return sum;
}

static void put_cards(struct buf *out, const struct page *r)
{
    uint64_t n = 0;
    char text[HUMAN_MAX];

    for (uint64_t i = 0; i < r->layout->n; i++)
        n += r->layout->out[i].n;
    buf_puts(out, "<div class=\"cards\"><div><b>");
    put_short_count(out, n);
    card(out, "values");
    buf_puts(out, "<div><b>");
    put_count(out, r->layout->n);
    card(out, "tensors");
    buf_printf(out, "<div><b>%s", human_size(text, result_bytes(r)));
    card(out, "of weights");
    buf_puts(out, "<div><b>");
    put_value(out, r->verdict->all.error);
    card(out, "largest error");
    buf_puts(out, "<div><b>");
    put_value(out, r->verdict->all.largest);
    card(out, "largest magnitude");
    buf_puts(out, "</div>\n");
}

static void put_head(struct buf *out, const struct page *r)
{
    struct str name =
        str_of(r->repository[0] != '\0' ? r->repository : path_base(r->source));
    char rest[32];

    snprintf(rest, sizeof(rest), "to %s", target_name(r->recipe));
    html_begin(out, name, rest);
    put_verdict(out, r);
    put_cards(out, r);
}

/* ---- sizes ---- */

static uint64_t type_bytes(const struct page *r, bool before, enum dtype t)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < r->layout->n; i++) {
        const struct tensor *x =
            before ? r->layout->from[i] : &r->layout->out[i];

        /* Scales are made of a matrix that counts by itself. */
        if (before && layout_made(r->layout, i) == MADE_SCALES)
            continue;
        if (x->dtype == t)
            sum += tensor_bytes(x);
    }
    return sum;
}

static int type_colour(enum dtype t)
{
    switch (t) {
    case DTYPE_F32:
        return 0;
    case DTYPE_F16:
        return 2;
    case DTYPE_BF16:
        return 3;
    case DTYPE_F64:
        return 4;
    default:
        return 5;
    }
}

/* One bar: as long as its bytes, in pieces by type. */
static void type_bar(
    struct buf *out, const struct page *r, bool before, uint64_t most)
{
    char text[HUMAN_MAX];

    buf_printf(out, "<span>%s</span><div>", before ? "source" : "result");
    for (int t = 1; t < DTYPE_COUNT; t++) {
        uint64_t n = type_bytes(r, before, (enum dtype)t);

        if (n > 0)
            buf_printf(out,
                "<b style=\"--c:var(--c%d);width:%.2f%%\" title=\"%s: "
                "%s\">%s</b>",
                type_colour((enum dtype)t),
                100 * (double)n / (double)size_max(most, 1),
                dtype_name((enum dtype)t), human_size(text, n),
                dtype_name((enum dtype)t));
    }
    buf_printf(out, "</div><span>%s</span>\n",
        human_size(text, before ? source_bytes(r) : result_bytes(r)));
}

static void put_legend(struct buf *out, const struct page *r)
{
    buf_puts(out, "<div class=\"legend\">");
    for (int k = 0; k < KIND_COUNT; k++) {
        bool used = false;

        for (uint64_t i = 0; i < r->layers->n; i++)
            used = used || r->layers->v[i].bytes[k] > 0;
        if (used)
            buf_printf(out, "<span style=\"--c:var(--c%d)\">%s</span>", k,
                figure_kind((enum layer_kind)k));
    }
    buf_puts(out, "</div>\n");
}

static void put_sizes(struct buf *out, const struct page *r)
{
    uint64_t most = size_max(source_bytes(r), result_bytes(r));

    buf_puts(out, "<section><h2>Where the bytes are</h2>\n"
                  "<p>By layer, in the order of the model, and by type, before "
                  "and after.</p>\n");
    figure_sizes(out, r);
    put_legend(out, r);
    buf_puts(out, "<div class=\"types\">");
    type_bar(out, r, true, most);
    type_bar(out, r, false, most);
    buf_puts(out, "</div></section>\n");
}

static void put_spectrum(struct buf *out, const struct page *r)
{
    if (r->verdict->all.n == 0)
        return;
    buf_puts(out, "<section><h2>How large the values are</h2>\n<p>Magnitudes "
                  "in the source: all together above, layer by layer below. ");
    if (r->recipe->dtype == DTYPE_F16)
        buf_puts(out, "The tinted bands are out of reach of fp16, or held "
                      "there with fewer bits. ");
    buf_puts(out, "Zeros are not shown.</p>\n");
    figure_spectrum(out, r);
    buf_puts(out, "</section>\n");
}

/* ---- errors ---- */

static const struct audit *audit_of(
    const struct page *r, const struct tensor *t)
{
    return &r->audits[t - r->layout->out];
}

static void worst_rows(struct buf *out, const struct page *r,
    const struct tensor *const *worst, uint64_t n)
{
    for (uint64_t i = 0; i < WORST && i < n; i++) {
        const struct audit *a = audit_of(r, worst[i]);

        buf_puts(out, "<tr><td class=\"t\">");
        html_text(out, worst[i]->name);
        buf_puts(out, "</td><td class=\"n\">");
        put_value(out, a->error);
        buf_puts(out, "</td><td class=\"n\">");
        put_value(out, a->largest);
        buf_printf(out,
            "</td><td style=\"width:34%%\"><span class=\"meter\" "
            "style=\"width:%.1f%%\"></span></td></tr>\n",
            100 * a->error / r->verdict->all.error);
    }
}

/* Tensors sorted by what f says of them, the most first. */
struct ranked {
    const struct tensor *t;
    double by;
};

static int by_most(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->by != y->by)
        return x->by > y->by ? -1 : 1;
    return str_cmp(x->t->name, y->t->name);
}

static double error_of(const struct audit *a)
{
    return a->error;
}

static double trouble_of(const struct audit *a)
{
    return (double)(a->overflow + a->nan + a->inf) * 1e6 +
           (double)a->underflow * 2 + (double)a->subnormal;
}

/* Those of which it says anything: *n of them, PAGE_ROWS in out. */
static int rank_tensors(const struct page *r,
    double (*f)(const struct audit *a), const struct tensor **out, uint64_t *n,
    struct err *e)
{
    struct ranked *v = malloc((r->layout->n + 1) * sizeof(*v));

    *n = 0;
    if (v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (uint64_t i = 0; i < r->layout->n; i++)
        if (f(&r->audits[i]) > 0)
            v[(*n)++] = (struct ranked){ &r->layout->out[i], f(&r->audits[i]) };
    qsort(v, *n, sizeof(*v), by_most);
    for (uint64_t i = 0; i < *n && i < PAGE_ROWS; i++)
        out[i] = v[i].t;
    free(v);
    return 0;
}

static int put_errors(struct buf *out, const struct page *r, struct err *e)
{
    const struct tensor *worst[PAGE_ROWS];
    uint64_t n;

    if (r->verdict->error == NULL)
        return 0;
    if (rank_tensors(r, error_of, worst, &n, e) != 0)
        return -1;
    buf_puts(out, "<section><h2>What rounding cost</h2>\n<p>The largest "
                  "absolute error of each tensor, in the order of the model. ");
    if (r->layout->n > PAGE_DOTS)
        buf_puts(out, "Not every tensor has a dot. ");
    buf_puts(out, "</p>\n");
    figure_errors(out, r);
    put_legend(out, r);
    buf_puts(out, "<div class=\"wide\"><table><tr><th>the worst</th><th "
                  "class=\"n\">error</th><th class=\"n\">largest value</th>"
                  "<th></th></tr>\n");
    worst_rows(out, r, worst, n);
    buf_puts(out, "</table></div></section>\n");
    return 0;
}

static void cell(struct buf *out, uint64_t n, bool hot)
{
    buf_printf(out, "<td class=\"n%s\">", n == 0 ? " nil" : hot ? " hot" : "");
    put_count(out, n);
    buf_puts(out, "</td>");
}

static void trouble_row(struct buf *out, struct str name, const struct audit *a)
{
    buf_puts(out, "<tr><td class=\"t\">");
    html_text(out, name);
    buf_puts(out, "</td>");
    cell(out, a->overflow, true);
    cell(out, a->underflow, false);
    cell(out, a->subnormal, false);
    cell(out, a->nan, true);
    cell(out, a->inf, true);
    buf_puts(out, "<td class=\"n\">");
    put_value(out, a->largest);
    buf_puts(out, "</td></tr>\n");
}

static int put_trouble(struct buf *out, const struct page *r, struct err *e)
{
    const struct tensor *worst[PAGE_ROWS];
    uint64_t n;

    if (rank_tensors(r, trouble_of, worst, &n, e) != 0)
        return -1;
    buf_puts(out, "<section><h2>Values at the limits</h2>\n");
    if (n == 0) {
        buf_puts(out, "<p>None: nothing overflowed, became zero or subnormal, "
                      "or was not finite to begin with.</p></section>\n");
        return 0;
    }
    buf_puts(out, "<p>");
    put_count(out, n);
    buf_puts(out, n == 1 ? " tensor has some" : " tensors have some");
    if (n > PAGE_ROWS)
        buf_printf(out, "; here are the worst %d", PAGE_ROWS);
    buf_puts(out, ".</p>\n<div class=\"wide\"><table><tr><th>tensor</th>"
                  "<th class=\"n\">overflow</th><th class=\"n\">to zero</th>"
                  "<th class=\"n\">subnormal</th><th class=\"n\">NaN</th>"
                  "<th class=\"n\">infinite</th><th class=\"n\">largest</th>"
                  "</tr>\n");
    for (uint64_t i = 0; i < n && i < PAGE_ROWS; i++)
        trouble_row(out, worst[i]->name, audit_of(r, worst[i]));
    buf_puts(out, "</table></div></section>\n");
    return 0;
}

/* ---- where it came from ---- */

static void put_files(struct buf *out, const char *title,
    const struct manifest_file *files, uint64_t n)
{
    char text[HUMAN_MAX];

    buf_printf(out,
        "<h3>%s</h3><div class=\"wide\"><table><tr><th>file</th><th "
        "class=\"n\">size</th><th>SHA-256</th></tr>\n",
        title);
    for (uint64_t i = 0; i < n && i < PAGE_NAMES; i++) {
        buf_puts(out, "<tr><td class=\"t\">");
        html_text(out, files[i].name);
        buf_printf(out,
            "</td><td class=\"n\">%s</td><td class=\"hash\">%s</td></tr>\n",
            human_size(text, files[i].size),
            files[i].sha256.hex[0] != '\0' ? files[i].sha256.hex : "not known");
    }
    buf_puts(out, "</table></div>\n");
}

static void put_pair(struct buf *out, struct str a, struct str b)
{
    buf_puts(out, "<tr><td class=\"t\">");
    html_short(out, a, PAIR_CHARS);
    buf_puts(out, "</td><td class=\"t\">");
    html_short(out, b, PAIR_CHARS);
    buf_puts(out, "</td></tr>\n");
}

static void begin_pairs(
    struct buf *out, const char *what, uint64_t n, const char *other)
{
    buf_puts(out, "<details><summary>");
    put_count(out, n);
    buf_printf(out,
        " %s</summary><div class=\"wide\"><table><tr><th>name</th><th>%s</th>"
        "</tr>\n",
        what, other);
}

static void put_names(struct buf *out, const struct page *r)
{
    if (r->layout->n_aliases > 0) {
        begin_pairs(out, "left out, since another tensor has their values",
            r->layout->n_aliases, "has its values");
        for (uint64_t i = 0; i < r->layout->n_aliases && i < PAGE_NAMES; i++)
            put_pair(out, r->layout->aliases[i].name, r->layout->aliases[i].of);
        buf_puts(out, "</table></div></details>\n");
    }
    if (r->renames->n > 0) {
        begin_pairs(out, "renamed", r->renames->n, "in the source");
        for (uint64_t i = 0; i < r->renames->n && i < PAGE_NAMES; i++)
            put_pair(out, r->renames->v[i].name, r->renames->v[i].was);
        buf_puts(out, "</table></div></details>\n");
    }
}

static void put_origin(struct buf *out, const struct page *r)
{
    buf_puts(out, "<section><h2>From what, into what</h2>\n<p>");
    if (r->repository[0] != '\0') {
        html_text(out, str_of(r->repository));
        buf_puts(out, " at commit <code>");
        html_text(out, str_of(r->commit));
        buf_puts(out, "</code>");
    } else {
        buf_puts(out, "<code>");
        html_text(out, str_of(r->source));
        buf_puts(out, "</code>");
    }
    buf_puts(out, "</p>\n");
    put_files(out, "Source", r->sources, r->n_sources);
    if (!r->refused)
        put_files(out, "Result", r->files, r->n_files);
    put_names(out, r);
    buf_puts(out, "</section>\n");
}

int page_write(struct buf *out, const struct page *r, struct err *e)
{
    put_head(out, r);
    put_sizes(out, r);
    put_spectrum(out, r);
    if (put_errors(out, r, e) != 0 || put_trouble(out, r, e) != 0)
        return -1;
    put_origin(out, r);
    html_end(out, "mlconvert");
    return buf_check(out, e);
}
