#include "convert/figure.h"

#include <math.h>

#include "base/html.h"
#include "base/human.h"

enum { WIDE = 1000, LEFT = 78, RIGHT = 12, NAME_CHARS = 16, TITLE_CHARS = 80 };

const char *figure_kind(enum layer_kind kind)
{
    static const char *const names[] = { "embedding", "attention", "mlp",
        "norm", "head", "other" };

    return names[kind];
}

/* The last part of a layer's name: its number, or what it is. */
static struct str short_name(const struct layer *l)
{
    size_t at = l->name.len;

    while (at > 0 && l->name.p[at - 1] != '.')
        at--;
    return (struct str){ l->name.p + at, l->name.len - at };
}

/* How many layers share a label, so that labels do not touch. */
static uint64_t label_step(const struct page *r, uint64_t room)
{
    return (r->layers->n + room - 1) / room;
}

static bool has_label(const struct page *r, uint64_t i, uint64_t step)
{
    const struct layer *l = &r->layers->v[i];
    uint64_t back = i;

    if (!l->numbered)
        return true;
    while (back > 0 && r->layers->v[back - 1].numbered)
        back--;
    return (i - back) % step == 0;
}

static uint64_t layer_bytes(const struct layer *l)
{
    uint64_t sum = 0;

    for (size_t k = 0; k < KIND_COUNT; k++)
        sum += l->bytes[k];
    return sum;
}

/* A round number of bytes, so that up to five steps reach the top. */
static double round_step(double top)
{
    double ten = pow(10, floor(log10(top / 5))), n = top / 5 / ten;

    return ten * (n <= 1 ? 1 : n <= 2 ? 2 : n <= 3 ? 2.5 : n <= 5 ? 5 : 10);
}

static void size_axis(
    struct buf *out, double top, double step, double base, double high)
{
    char text[HUMAN_MAX];

    for (double v = 0; v <= top; v += step) {
        double y = base - v / top * high;

        buf_printf(out,
            "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" "
            "y2=\"%.1f\"/><text class=\"end\" x=\"%d\" y=\"%.1f\">%s</text>\n",
            LEFT, WIDE - RIGHT, y, y, LEFT - 8, y + 4,
            human_size(text, (uint64_t)v));
    }
}

static void size_label(
    struct buf *out, const struct layer *l, double x, double y)
{
    if (l->numbered) {
        buf_printf(out, "<text class=\"mid\" x=\"%.1f\" y=\"%.1f\">", x, y);
        html_short(out, short_name(l), 6);
    } else {
        buf_printf(out,
            "<text class=\"end\" transform=\"translate(%.1f %.1f) "
            "rotate(-35)\">",
            x + 4, y - 2);
        html_short(out, short_name(l), NAME_CHARS);
    }
    buf_puts(out, "</text>\n");
}

static void size_column(struct buf *out, const struct layer *l, double x,
    double width, double base, double scale)
{
    char text[HUMAN_MAX];
    double y = base;

    for (size_t k = 0; k < KIND_COUNT; k++) {
        double h = (double)l->bytes[k] * scale;

        if (l->bytes[k] == 0)
            continue;
        y -= h;
        buf_printf(out,
            "<rect class=\"k%zu\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" "
            "height=\"%.2f\"><title>",
            k, x, y, width, fmax(h, 0.4));
        html_short(out, l->name, TITLE_CHARS);
        buf_printf(out, ", %s: %s</title></rect>\n",
            figure_kind((enum layer_kind)k), human_size(text, l->bytes[k]));
    }
}

void figure_sizes(struct buf *out, const struct page *r)
{
    const double high = 240, base = 262, bottom = 84;
    uint64_t n = r->layers->n, each_label = label_step(r, 32), most = 4;
    double each = (double)(WIDE - LEFT - RIGHT) / (double)n;
    double width = fmin(each * 0.82, 96), top, step;

    for (uint64_t i = 0; i < n; i++)
        most = size_max(most, layer_bytes(&r->layers->v[i]));
    step = round_step((double)most);
    top = ceil((double)most / step) * step;
    html_svg(out, WIDE, base + bottom, "bytes by layer");
    size_axis(out, top, step, base, high);
    for (uint64_t i = 0; i < n; i++) {
        double mid = LEFT + ((double)i + 0.5) * each;

        size_column(
            out, &r->layers->v[i], mid - width / 2, width, base, high / top);
        if (has_label(r, i, each_label))
            size_label(out, &r->layers->v[i], mid, base + 18);
    }
    html_svg_end(out);
}

/* ---- magnitudes ---- */

struct scale {
    int low, high;  /* powers of two shown, low to high inclusive */
    double x, each; /* of the first one, and of each */
};

/* Where all the values lie, an octave of room on both sides. */
static void spectrum_range(
    struct scale *s, const struct spectrum *all, bool half)
{
    s->low = 254;
    s->high = 0;
    for (int i = 1; i < 255; i++) {
        if (all->bins[i] == 0)
            continue;
        s->low = i < s->low ? i : s->low;
        s->high = i;
    }
    if (s->low > s->high)
        s->low = s->high = SPECTRUM_ONE;
    s->low -= SPECTRUM_ONE + 1;
    s->high -= SPECTRUM_ONE - 1;
    /* The limits of the type belong into the picture. */
    if (half && s->low > -30)
        s->low = -30;
    if (half && s->high < 19)
        s->high = 19;
    s->x = 150;
    s->each = (WIDE - RIGHT - s->x) / (s->high - s->low + 1);
}

static double at_power(const struct scale *s, int power)
{
    return s->x + (power - s->low) * s->each;
}

static void zone(struct buf *out, const struct scale *s, int from, int to,
    double height, const char *what, uint64_t count)
{
    double x = at_power(s, from), width = (to - from) * s->each;
    char text[HUMAN_MAX];

    buf_printf(out,
        "<rect class=\"zone\" x=\"%.1f\" y=\"0\" width=\"%.1f\" "
        "height=\"%.1f\"/><text class=\"mid%s\" x=\"%.1f\" "
        "y=\"16\">%s</text><text class=\"mid num%s\" x=\"%.1f\" "
        "y=\"34\">%s</text>\n",
        x, width, height, count > 0 ? " bad" : "", x + width / 2, what,
        count > 0 ? " bad" : "", x + width / 2, human_count(text, count));
}

/* What fp16 cannot hold, or only with fewer bits. */
static void zones(
    struct buf *out, const struct page *r, const struct scale *s, double height)
{
    const struct audit *a = &r->verdict->all;

    zone(out, s, s->low, -25, height, "to zero", a->underflow);
    zone(out, s, -25, -14, height, "subnormal", a->subnormal);
    zone(out, s, 16, s->high + 1, height, "beyond", a->overflow);
}

static void power_axis(
    struct buf *out, const struct scale *s, double y, double top)
{
    int step = (s->high - s->low) / 12 < 4 ? 4 : (s->high - s->low) / 12;

    for (int p = s->low; p <= s->high; p++)
        if (p % step == 0)
            buf_printf(out,
                "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" "
                "y2=\"%.1f\"/><text class=\"mid\" x=\"%.1f\" y=\"%.1f\">2"
                "<tspan class=\"up\" dy=\"-5\">%d</tspan></text>\n",
                at_power(s, p), at_power(s, p), top, y, at_power(s, p), y + 18,
                p);
}

static void bars(struct buf *out, const struct spectrum *all,
    const struct scale *s, double base, double high)
{
    uint64_t most = 1;
    char text[HUMAN_MAX];

    for (int i = 1; i < 255; i++)
        most = size_max(most, all->bins[i]);
    for (int p = s->low; p <= s->high; p++) {
        uint64_t n = p + SPECTRUM_ONE > 0 && p + SPECTRUM_ONE < 255
                         ? all->bins[p + SPECTRUM_ONE]
                         : 0;
        double h = fmax((double)n / (double)most * high, 1.2);

        if (n > 0)
            buf_printf(out,
                "<rect class=\"bar\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" "
                "height=\"%.2f\"><title>2^%d to 2^%d: %s values"
                "</title></rect>\n",
                at_power(s, p) + s->each * 0.06, base - h, s->each * 0.88, h, p,
                p + 1, human_count(text, n));
    }
}

/* One layer: the more values of a magnitude, the stronger the colour. */
static void heat_row(struct buf *out, const struct layer *l,
    const struct scale *s, double y, double height)
{
    uint64_t most = 1;
    char text[HUMAN_MAX];

    for (int i = 1; i < 255; i++)
        most = size_max(most, l->spectrum.bins[i]);
    for (int p = s->low; p <= s->high; p++) {
        int i = p + SPECTRUM_ONE;
        uint64_t n = i > 0 && i < 255 ? l->spectrum.bins[i] : 0;

        if (n == 0)
            continue;
        buf_printf(out,
            "<rect class=\"heat\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" "
            "height=\"%.2f\" fill-opacity=\"%.2f\"><title>",
            at_power(s, p) + 0.3, y, s->each - 0.6, height - 0.6,
            0.06 + 0.94 * log1p((double)n) / log1p((double)most));
        html_short(out, l->name, TITLE_CHARS);
        buf_printf(out, ", 2^%d to 2^%d: %s values</title></rect>\n", p, p + 1,
            human_count(text, n));
    }
}

void figure_spectrum(struct buf *out, const struct page *r)
{
    bool half = r->recipe->dtype == DTYPE_F16;
    const double high = 150, above = half ? 44 : 0, base = above + high + 16;
    uint64_t n = r->layers->n;
    double row = fmax(4, fmin(20, 640 / (double)n)), y = base + 14;
    uint64_t step = (uint64_t)ceil(13 / row);
    struct spectrum all = { 0 };
    struct scale s;

    for (uint64_t i = 0; i < n; i++)
        spectrum_join(&all, &r->layers->v[i].spectrum);
    spectrum_range(&s, &all, half);
    html_svg(out, WIDE, y + row * (double)n + 32, "magnitudes of the values");
    if (half)
        zones(out, r, &s, y + row * (double)n);
    power_axis(out, &s, y + row * (double)n, above);
    bars(out, &all, &s, base, high);
    for (uint64_t i = 0; i < n; i++, y += row) {
        const struct layer *l = &r->layers->v[i];

        heat_row(out, l, &s, y, row);
        if (!has_label(r, i, step))
            continue;
        buf_printf(out, "<text class=\"end\" x=\"%.0f\" y=\"%.1f\">", s.x - 10,
            y + row / 2 + 4);
        html_short(out, short_name(l), NAME_CHARS);
        buf_puts(out, "</text>\n");
    }
    html_svg_end(out);
}

/* ---- errors ---- */

static void error_axis(
    struct buf *out, int low, int high, double base, double each)
{
    int step = (high - low) / 10 + 1;

    for (int p = low; p <= high; p += step) {
        double y = base - (p - low) * each;

        buf_printf(out,
            "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" "
            "y2=\"%.1f\"/><text class=\"end\" x=\"%d\" y=\"%.1f\">10<tspan "
            "class=\"up\" dy=\"-5\">%d</tspan></text>\n",
            LEFT, WIDE - RIGHT, y, y, LEFT - 10, y + 5, p);
    }
}

/* The powers of ten around all errors that are not zero. */
static void error_range(const struct page *r, int *low, int *high)
{
    double least = r->verdict->all.error;

    for (uint64_t i = 0; i < r->layout->n; i++)
        if (r->audits[i].error > 0)
            least = fmin(least, r->audits[i].error);
    *low = (int)floor(log10(least));
    *high = (int)ceil(log10(r->verdict->all.error));
    if (*high <= *low)
        *high = *low + 1;
}

void figure_errors(struct buf *out, const struct page *r)
{
    const double high = 220, base = 240;
    uint64_t n = r->layout->n, step = (n + PAGE_DOTS - 1) / PAGE_DOTS;
    double each, wide = (double)(WIDE - LEFT - RIGHT) / (double)n;
    int from, to;

    error_range(r, &from, &to);
    each = high / (to - from);
    html_svg(out, WIDE, base + 14, "largest error of each tensor");
    error_axis(out, from, to, base, each);
    for (uint64_t i = 0; i < n; i++) {
        const struct tensor *t = r->layers->order[i];
        const struct audit *a = &r->audits[t - r->layout->out];

        if (a->error <= 0 || (i % step != 0 && t != r->verdict->error))
            continue;
        buf_printf(out,
            "<circle class=\"k%d\" cx=\"%.2f\" cy=\"%.2f\" r=\"%s\"><title>",
            (int)layer_kind(t->name), LEFT + ((double)i + 0.5) * wide,
            base - (log10(a->error) - from) * each, n > 600 ? "2.2" : "4");
        html_short(out, t->name, TITLE_CHARS);
        buf_printf(out, ": %.3g</title></circle>\n", a->error);
    }
    html_svg_end(out);
}
