/* One page to look at, drawn on each request. */
#include "serve/statuspage.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/html.h"
#include "base/human.h"
#include "cache/look.h"

enum { ROWS_MAX = 500, CHART_WIDE = 1040, CHART_HIGH = 130 };

static void card(struct buf *out, const char *value, const char *what, bool bad)
{
    buf_printf(out, "<div><b%s>%s</b><i>%s</i></div>\n",
        bad ? " class=\"bad\"" : "", value, what);
}

static void put_rate(char out[HUMAN_MAX + 4], double rate)
{
    char size[HUMAN_MAX];

    snprintf(out, HUMAN_MAX + 4, "%s/s",
        human_size(size, rate > 0 ? (uint64_t)rate : 0));
}

static void put_cards(struct buf *out, const struct status *s)
{
    const struct tally *t = s->tally;
    char text[HUMAN_MAX + 4];
    uint64_t files = t->hits + t->misses;

    buf_puts(out, "<div class=\"cards\">\n");
    put_rate(text, t->rate);
    card(out, text, "being sent now", false);
    card(out, human_size(text, t->sent), "sent since the start", false);
    if (files > 0)
        snprintf(text, sizeof(text), "%.1f %%",
            100.0 * (double)t->hits / (double)files);
    else
        snprintf(text, sizeof(text), "&ndash;");
    card(out, text, "of files were held", false);
    card(out, human_count(text, t->requests_total), "requests", false);
    card(out, human_count(text, t->connections), "connections", false);
    card(out, human_time(text, t->up_s), "up", false);
    buf_puts(out, "</div>\n");
}

/* ---- the last minutes ---- */

/* A round number that is not less. */
static double ceiling(uint64_t most)
{
    double step = 1000;

    while (step * 10 < (double)most)
        step *= 10;
    for (double k = 1; k < 10; k += k < 2 ? 1 : k < 5 ? 3 : 5)
        if (k * step >= (double)most)
            return k * step;
    return step * 10;
}

/* Of a mirror that is younger than the chart, only its own time. */
static void put_curve(struct buf *out, const struct tally *t, double top)
{
    const double step = (double)CHART_WIDE / (TRAFFIC_HISTORY - 1);
    const int floor = CHART_HIGH - 8;
    unsigned first = 0;

    if (t->up_s < TRAFFIC_HISTORY - 1)
        first = TRAFFIC_HISTORY - 1 - (unsigned)t->up_s;
    buf_printf(out, "<path class=\"k0\" fill-opacity=\".22\" d=\"M%.1f %d",
        first * step, floor);
    for (int line = 0; line < 2; line++) {
        for (unsigned i = first; i < TRAFFIC_HISTORY; i++)
            buf_printf(out, "%c%.1f %.1f", line && i == first ? 'M' : 'L',
                i * step,
                floor - (double)t->history[i] / top * (CHART_HIGH - 28));
        if (line == 0)
            buf_printf(out,
                "L%d %dZ\"/>\n<path fill=\"none\" stroke=\"var(--c0)\" "
                "stroke-width=\"1.5\" d=\"",
                CHART_WIDE, floor);
    }
    buf_puts(out, "\"/>\n");
}

static void put_chart(struct buf *out, const struct tally *t)
{
    char text[HUMAN_MAX + 4];
    uint64_t most = 0;
    double top;

    for (unsigned i = 0; i < TRAFFIC_HISTORY; i++)
        most = size_max(most, t->history[i]);
    top = ceiling(most);
    put_rate(text, top);
    buf_puts(out, "<section><h2>The last five minutes</h2>\n"
                  "<p>What clients received, second by second.</p>\n");
    html_svg(out, CHART_WIDE, CHART_HIGH + 18, "bytes sent per second");
    for (int i = 0; i <= 2; i++)
        buf_printf(out,
            "<line class=\"grid\" x1=\"0\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>\n",
            CHART_WIDE, CHART_HIGH - 8 - i * (CHART_HIGH - 28) / 2,
            CHART_HIGH - 8 - i * (CHART_HIGH - 28) / 2);
    put_curve(out, t, top);
    buf_printf(out,
        "<text x=\"2\" y=\"14\">%s</text>"
        "<text x=\"2\" y=\"%d\">5 minutes ago</text>"
        "<text class=\"end\" x=\"%d\" y=\"%d\">now</text>\n",
        text, CHART_HIGH + 12, CHART_WIDE - 2, CHART_HIGH + 12);
    html_svg_end(out);
    buf_puts(out, "</section>\n");
}

/* ---- what is under way ---- */

static void put_meter(struct buf *out, uint64_t done, uint64_t size)
{
    buf_printf(out, "<span class=\"meter\" style=\"width:%.1f%%\"></span>",
        size > 0 ? 100.0 * (double)size_min(done, size) / (double)size : 100.0);
}

static void put_fetch(void *arg, const struct supply_fetch *f)
{
    struct buf *out = arg;
    char have[HUMAN_MAX], size[HUMAN_MAX];

    buf_puts(out, "<tr><td class=\"t\">");
    html_short(out, str_of(f->repo), 160);
    buf_putc(out, '/');
    html_short(out, f->path, 160);
    put_meter(out, f->have, f->size);
    buf_printf(out,
        "</td><td class=\"n\">%s of %s</td><td class=\"n\">%u</td></tr>\n",
        human_size(have, f->have), human_size(size, f->size), f->readers);
}

static void put_fetching(struct buf *out, const struct supplier *from)
{
    struct buf rows AUTO(buf_free) = BUF_INIT(4 << 20);

    from->fetching(from->self, put_fetch, &rows);
    buf_puts(out, "<section><h2>Being fetched</h2>\n<p>From ");
    html_short(out, str_of(from->name), 200);
    buf_puts(out, ".</p>\n");
    if (rows.len > 0) {
        buf_puts(out, "<div class=\"wide\"><table><tr><th>file</th>"
                      "<th class=\"n\">here</th><th class=\"n\">readers</th>"
                      "</tr>\n");
        buf_put(out, rows.p, rows.len);
        buf_puts(out, "</table></div>");
    } else {
        buf_puts(out, "<p>Nothing at the moment.</p>");
    }
    buf_puts(out, "</section>\n");
}

static void put_sending(struct buf *out, const struct tally *t)
{
    char sent[HUMAN_MAX], size[HUMAN_MAX], rate[HUMAN_MAX + 4];

    if (t->n_sending == 0)
        return;
    buf_printf(out,
        "<section><h2>Being sent</h2>\n<p>%u %s.</p>\n"
        "<div class=\"wide\"><table><tr><th>file</th><th>to</th>"
        "<th class=\"n\">sent</th><th class=\"n\">rate</th></tr>\n",
        t->sending_total, t->sending_total == 1 ? "file" : "files");
    for (unsigned i = 0; i < t->n_sending; i++) {
        const struct sending *s = &t->sending[i];

        buf_puts(out, "<tr><td class=\"t\">");
        html_short(out, str_of(s->name), 200);
        put_meter(out, s->sent, s->size);
        buf_puts(out, "</td><td class=\"t\">");
        html_text(out, str_of(s->peer));
        put_rate(rate, s->rate);
        buf_printf(out,
            "</td><td class=\"n\">%s of %s</td><td class=\"n\">%s</td></tr>\n",
            human_size(sent, s->sent), human_size(size, s->size), rate);
    }
    buf_puts(out, "</table></div></section>\n");
}

/* ---- what is held ---- */

static void put_revision(struct buf *out, const struct held_revision *r)
{
    for (uint64_t i = 0; i < r->n_refs && i < 6; i++) {
        html_short(out, r->refs[i], 60);
        buf_putc(out, ' ');
    }
    buf_printf(out, "<span class=\"hash\">%.12s</span>", r->commit.p);
}

static void put_repo(struct buf *out, const struct held_repo *r)
{
    char size[HUMAN_MAX], count[HUMAN_MAX], name[192];

    for (uint64_t i = 0; i < r->n_revisions || i == 0; i++) {
        const struct held_revision *rev =
            i < r->n_revisions ? &r->revisions[i] : NULL;

        buf_puts(out, "<tr><td class=\"t\">");
        if (i == 0)
            html_text(out, str_of(look_name(&r->repo, name)));
        buf_puts(out, "</td><td>");
        if (rev != NULL)
            put_revision(out, rev);
        buf_printf(out, "</td><td class=\"n\">%s</td><td class=\"n\">%s</td>",
            human_count(count, rev != NULL ? rev->files : 0),
            human_size(size, rev != NULL ? rev->bytes : r->bytes));
        buf_puts(out, "</tr>\n");
    }
}

static void put_held(struct buf *out, const struct held *h)
{
    char size[HUMAN_MAX], count[HUMAN_MAX];

    buf_puts(out, "<section><h2>Held</h2>\n");
    if (h->when == 0) {
        buf_puts(out, "<p>It is being counted.</p></section>\n");
        return;
    }
    buf_printf(out, "<p>%s %s, %s.</p>\n", human_count(count, h->n),
        h->n == 1 ? "repository" : "repositories", human_size(size, h->bytes));
    if (h->n > 0)
        buf_puts(out, "<div class=\"wide\"><table><tr><th>repository</th>"
                      "<th>revision</th><th class=\"n\">files</th>"
                      "<th class=\"n\">size</th></tr>\n");
    for (uint64_t i = 0; i < h->n && i < ROWS_MAX; i++)
        put_repo(out, &h->repos[i]);
    if (h->n > 0)
        buf_puts(out, "</table></div>");
    if (h->n > ROWS_MAX)
        buf_printf(
            out, "<p>and %s more</p>", human_count(count, h->n - ROWS_MAX));
    buf_puts(out, "</section>\n");
}

void statuspage(struct buf *out, const struct status *s)
{
    html_begin(out, str_of(s->name), "model mirror");
    buf_puts(out, "<p class=\"verdict\">Point Hub clients here: <code>export "
                  "HF_ENDPOINT=");
    html_short(out, str_of(s->url), 300);
    buf_puts(out, "</code></p>\n");
    put_cards(out, s);
    put_chart(out, s->tally);
    if (s->supply->supplier != NULL)
        put_fetching(out, s->supply->supplier);
    put_sending(out, s->tally);
    put_held(out, s->held);
    html_end(out, "mlfetch serve");
}
