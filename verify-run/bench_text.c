/* Measured models as a table of at most 80 columns. */
#include <math.h>
#include <stdio.h>

#include "base/human.h"
#include "base/utf8.h"
#include "verify-run/bench.h"

enum { NAME_COLUMNS = 17, BAR_COLUMNS = 14 };

/* "1.10B", "260k" */
static const char *short_count(char out[HUMAN_MAX], uint64_t n)
{
    static const char *const units[] = { "", "k", "M", "B", "T" };
    double v = (double)n;
    size_t u = 0;

    for (; v >= 999.5 && u + 1 < ARRAY_LEN(units); u++)
        v /= 1000;
    snprintf(out, HUMAN_MAX, "%.*f%s",
        u == 0 || v >= 99.95 ? 0
        : v < 9.995          ? 2
                             : 1,
        v, units[u]);
    return out;
}

/* A long name keeps its end: that is where models of one folder differ. */
static void put_name(struct buf *out, const char *name)
{
    struct buf shown AUTO(buf_free) = BUF_INIT(1 << 16);
    size_t len;

    buf_visible(&shown, str_of(name));
    len = shown.len;
    if (len > NAME_COLUMNS) {
        size_t at = len - (NAME_COLUMNS - 2);

        while (at < len && ((unsigned char)shown.p[at] & 0xC0) == 0x80)
            at++;
        buf_printf(out, "..%-*s", NAME_COLUMNS - 2, shown.p + at);
    } else {
        buf_printf(out, "%-*s", NAME_COLUMNS, shown.p);
    }
}

static void put_bar(struct buf *out, double share)
{
    int full = (int)(share * BAR_COLUMNS + 0.5);

    for (int i = 0; i < BAR_COLUMNS; i++)
        buf_putc(out, i < full || i == 0 ? '=' : ' ');
}

static void put_row(struct buf *out, const struct bench_model *m, double most)
{
    char count[HUMAN_MAX], memory[HUMAN_MAX];

    put_name(out, m->name);
    if (m->why.kind != ERR_NONE) {
        buf_puts(out, "  not measured: ");
        buf_visible(out, str_of(m->why.msg));
        buf_putc(out, '\n');
        return;
    }
    buf_printf(out, " %6s %-4s %8.2f %7.2f ", short_count(count, m->parameters),
        m->int8 ? "I8" : dtype_name(m->dtype), m->tokens_per_second,
        m->std_tokens_per_second);
    put_bar(out, most > 0 ? m->tokens_per_second / most : 0);
    buf_printf(out, " %7.2f %8s\n", m->gb_per_second,
        human_size(memory, m->peak_memory));
}

/* Where a context ends early, its runs are shorter. */
static void put_foot(struct buf *out, const struct bench_model *v, size_t n)
{
    uint32_t least = UINT32_MAX;
    uint32_t most = 0;

    for (size_t i = 0; i < n; i++) {
        if (v[i].why.kind != ERR_NONE)
            continue;
        least = (uint32_t)size_min(least, v[i].n_new);
        most = (uint32_t)size_max(most, v[i].n_new);
    }
    if (most == 0)
        return;
    buf_printf(out, "\n%d runs of ", BENCH_RUNS);
    if (least < most)
        buf_printf(out, "%u to ", least);
    buf_printf(out, "%u tokens each, the prompt's pass included\n", most);
}

void bench_text(struct buf *out, const struct bench_model *v, size_t n)
{
    const struct bench_model *any = NULL;
    double most = 0;

    for (size_t i = 0; i < n; i++) {
        if (v[i].why.kind != ERR_NONE)
            continue;
        most = fmax(most, v[i].tokens_per_second);
        any = &v[i];
    }
    if (any != NULL)
        buf_printf(out, "%s: %s\n\n", any->backend, any->device);
    buf_printf(out, "%-*s %6s %-4s %8s %7s %*s %7s %8s\n", NAME_COLUMNS,
        "model", "params", "type", "tokens/s", "+-", BAR_COLUMNS, "", "GB/s",
        "memory");
    for (size_t i = 0; i < n; i++)
        put_row(out, &v[i], most);
    put_foot(out, v, n);
}
