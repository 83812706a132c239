#include "verify-run/plot.h"

#include <math.h>

#include "base/html.h"
#include "base/human.h"

enum { WIDE = 1000, LEFT = 150, RIGHT = 12 };

/* ---- time ---- */

/* "12.3 s", "4.56 ms", "78 us" */
static void put_time(struct buf *out, double seconds)
{
    if (seconds >= 0.9995)
        buf_printf(out, "%.3g s", seconds);
    else if (seconds >= 0.9995e-3)
        buf_printf(out, "%.3g ms", seconds * 1e3);
    else
        buf_printf(out, "%.0f \xC2\xB5s", seconds * 1e6);
}

static void put_span(struct buf *out, const struct span *s, double from,
    double each, double y, double end)
{
    double x = LEFT + from * each;
    double width = fmax(s->seconds * each, 1.5);
    bool left = x + width > end - 70;

    buf_printf(out,
        "<text class=\"end\" x=\"%d\" y=\"%.1f\">%s</text>"
        "<rect class=\"bar\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" "
        "height=\"15\" rx=\"3\"/><text class=\"%s\" x=\"%.1f\" "
        "y=\"%.1f\">",
        LEFT - 10, y + 12, s->name, x, y, width, left ? "end" : "start",
        left ? x - 6 : x + width + 6, y + 12);
    put_time(out, s->seconds);
    buf_puts(out, "</text>\n");
}

void plot_timeline(struct buf *out, const struct timeline *t)
{
    const double row = 24;
    double total = timeline_total(t);
    double end = WIDE - RIGHT;
    double each = (end - LEFT) / fmax(total, 1e-9);
    double from = 0;

    html_svg(out, WIDE, row * (double)t->n + 8, "what took how long");
    for (size_t i = 0; i < t->n; i++) {
        put_span(out, &t->v[i], from, each, row * (double)i + 4, end);
        from += t->v[i].seconds;
    }
    html_svg_end(out);
}

/* ---- the residual stream ---- */

/* Values to pixels: asinh is linear near zero and a logarithm far off. */
struct scale {
    double unit; /* where it turns from one to the other */
    double middle, each;
};

enum { HIGH = 300 };

static double rms(const struct value_range *a)
{
    return sqrt(a->squares / (double)a->n);
}

static double at(const struct scale *s, double v)
{
    return s->middle - asinh(v / s->unit) * s->each;
}

static struct scale scale_of(const struct value_range *v, uint32_t n)
{
    double least = INFINITY;
    double low = 0, high = 0;
    struct scale s;

    for (uint32_t i = 0; i < n; i++) {
        if (isfinite(rms(&v[i])) && rms(&v[i]) > 0)
            least = fmin(least, rms(&v[i]));
        low = isfinite(v[i].min) ? fmin(low, (double)v[i].min) : low;
        high = isfinite(v[i].max) ? fmax(high, (double)v[i].max) : high;
    }
    s.unit = isfinite(least) ? least : 1;
    low = asinh(low / s.unit);
    high = asinh(high / s.unit);
    s.each = HIGH / fmax(high - low, 1e-9);
    s.middle = 14 + high * s.each;
    return s;
}

static void put_tick(struct buf *out, const struct scale *s, double v)
{
    double y = at(s, v);

    if (y < 4 || y > HIGH + 24)
        return;
    buf_printf(out,
        "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" "
        "y2=\"%.1f\"/><text class=\"end\" x=\"%d\" y=\"%.1f\">%s%g</text>\n",
        LEFT, WIDE - RIGHT, y, y, LEFT - 10, y + 4, v < 0 ? "\xE2\x88\x92" : "",
        fabs(v));
}

/* Zero and powers of ten on both sides, none so near that they touch. */
static void put_axis(struct buf *out, const struct scale *s)
{
    double ten = pow(10, ceil(log10(s->unit * 0.5)));

    put_tick(out, s, 0);
    while (asinh(ten / s->unit) * s->each < 16)
        ten *= 10;
    for (int i = 0; i < 12 && isfinite(ten); i++, ten *= 10) {
        put_tick(out, s, ten);
        put_tick(out, s, -ten);
    }
}

static void put_layer(struct buf *out, const struct value_range *a, uint32_t i,
    const struct scale *s, double x, double width)
{
    double top = at(s, (double)a->max), bottom = at(s, (double)a->min);
    double up = at(s, rms(a)), down = at(s, -rms(a));

    buf_puts(out, "<g><title>");
    if (i == 0)
        buf_puts(out, "embedding");
    else
        buf_printf(out, "layer %u", i - 1);
    buf_printf(out, ": %.4g to %.4g, rms %.4g</title>", (double)a->min,
        (double)a->max, rms(a));
    if (!isfinite(top + bottom + up + down)) {
        buf_printf(out,
            "<rect class=\"zone\" x=\"%.2f\" y=\"8\" width=\"%.2f\" "
            "height=\"%d\"/></g>\n",
            x, width, HIGH + 12);
        return;
    }
    buf_printf(out,
        "<rect class=\"heat\" fill-opacity=\".28\" x=\"%.2f\" y=\"%.2f\" "
        "width=\"%.2f\" height=\"%.2f\"/><rect class=\"bar\" x=\"%.2f\" "
        "y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/></g>\n",
        x, top, width, fmax(bottom - top, 1), x, up, width, fmax(down - up, 1));
}

void plot_ranges(struct buf *out, const struct value_range *v, uint32_t n)
{
    struct scale s = scale_of(v, n);
    double each = (double)(WIDE - LEFT - RIGHT) / n;
    double width = fmin(each * 0.8, 60);
    uint32_t step = (n + 31) / 32;

    html_svg(out, WIDE, HIGH + 52, "range of the residual stream by layer");
    put_axis(out, &s);
    for (uint32_t i = 0; i < n; i++) {
        double middle = LEFT + (i + 0.5) * each;

        put_layer(out, &v[i], i, &s, middle - width / 2, width);
        if (i == 0)
            buf_printf(out,
                "<text class=\"mid\" x=\"%.1f\" y=\"%d\">%s</text>\n", middle,
                HIGH + 40, each > 70 ? "embedding" : "e");
        else if ((i - 1) % step == 0)
            buf_printf(out,
                "<text class=\"mid\" x=\"%.1f\" y=\"%d\">%u</text>\n", middle,
                HIGH + 40, i - 1);
    }
    html_svg_end(out);
}
