/*
 * Bars on a terminal: one line per running item, one for the whole. Lines
 * are cut to the terminal's width with its automatic wrap switched off, so
 * that a wide character cannot break the picture.
 */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/human.h"
#include "base/progress_internal.h"

enum { ITEMS_MAX = 8, NAME_COLUMNS = 32, LINE_MAX_BYTES = 4096 };

static void screen_size(unsigned *columns, unsigned *rows)
{
    struct winsize w;

    *columns = 80;
    *rows = 24;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0) {
        *columns = w.ws_col;
        *rows = w.ws_row;
    }
}

/* Columns of UTF-8 text, taking every character as one wide. */
static size_t columns_of(const char *s)
{
    size_t n = 0;

    for (; *s != '\0'; s++)
        n += ((unsigned char)*s & 0xC0) != 0x80;
    return n;
}

/* A long name keeps its end: that is where shards differ. */
static void put_name(struct buf *out, const char *name, size_t width)
{
    size_t n = columns_of(name);

    if (n > width) {
        size_t skip = n - width + 2;
        for (; skip > 0; skip--)
            do
                name++;
            while (((unsigned char)*name & 0xC0) == 0x80);
        buf_puts(out, "..");
        buf_puts(out, name);
        return;
    }
    buf_printf(out, "%s%*s", name, (int)(width - n), "");
}

static void put_bar(struct buf *out, double share, size_t width)
{
    size_t full = (size_t)(share * (double)width + 0.5);

    buf_putc(out, '[');
    for (size_t i = 0; i < width; i++)
        buf_putc(out, i < full ? '=' : i == full ? '>' : ' ');
    buf_putc(out, ']');
}

struct row {
    const char *name;
    uint64_t done, total;
    double per_second;
    const char *state;
};

static void put_row(struct buf *out, const struct row *r, unsigned columns)
{
    char done[HUMAN_MAX], total[HUMAN_MAX], speed[HUMAN_MAX], left[HUMAN_MAX];
    size_t name = columns >= 100 ? NAME_COLUMNS : columns >= 60 ? 20 : 12;
    /* name, bar, "100%", "999 MB/999 GB", "999 MB/s", "1:02:03" */
    size_t fixed = name + 2 + 6 + 20 + 13 + 10;
    double share = r->total == 0
                       ? 0
                       : (double)size_min(r->done, r->total) / (double)r->total;

    put_name(out, r->name, name);
    buf_putc(out, ' ');
    if (columns > fixed + 8)
        put_bar(out, share, size_min(columns - fixed, 40));
    if (r->total > 0)
        buf_printf(out, " %3.0f%%", 100 * share);
    human_size(done, r->done);
    human_size(total, r->total);
    buf_printf(out, " %8s%s%-8s", done, r->total > 0 ? "/" : " ",
        r->total > 0 ? total : "");
    if (r->state[0] != '\0') {
        buf_printf(out, " %s", r->state);
        return;
    }
    human_size(speed, (uint64_t)r->per_second);
    buf_printf(out, " %8s/s", speed);
    if (r->total > r->done && r->per_second >= 1)
        buf_printf(out, "  %s",
            human_time(left, (double)(r->total - r->done) / r->per_second));
}

/* End of a line: clear what an older, longer one left there. */
static void end_line(struct buf *out)
{
    buf_puts(out, "\x1b[K\n");
}

static void put_total(
    struct progress *p, struct buf *out, unsigned columns, uint64_t now)
{
    struct progress_sum s;
    struct row r = { .name = p->verb, .state = "" };

    progress_sum(p, &s);
    rate_update(&p->rate, s.done - size_min(s.held, s.done), now);
    r.done = s.done;
    r.total = s.total;
    r.per_second = p->rate.per_second;
    put_row(out, &r, columns);
    end_line(out);
}

void bars_draw(struct progress *p)
{
    struct buf out AUTO(buf_free) = BUF_INIT(64 * LINE_MAX_BYTES);
    uint64_t now = clock_ms();
    unsigned columns, rows, shown = 0, hidden = 0;

    screen_size(&columns, &rows);
    buf_puts(&out, "\x1b[?7l");
    for (struct progress_item *it = p->active; it != NULL; it = it->next) {
        uint64_t done = atomic_load(&it->done), held = atomic_load(&it->held);
        struct row r = { it->name, done, it->total, 0, it->state };

        rate_update(&it->rate, done - size_min(held, done), now);
        r.per_second = it->rate.per_second;
        if (shown >= ITEMS_MAX || shown + 3 >= rows) {
            hidden++;
            continue;
        }
        put_row(&out, &r, columns);
        end_line(&out);
        shown++;
    }
    if (hidden > 0) {
        buf_printf(&out, "and %u more", hidden);
        end_line(&out);
        shown++;
    }
    put_total(p, &out, columns, now);
    buf_puts(&out, "\x1b[?7h");
    if (out.bad == ERR_NONE) {
        fwrite(out.p, 1, out.len, stderr);
        fflush(stderr);
        p->lines = shown + 1;
        p->drawn = true;
    }
}

void bars_erase(struct progress *p)
{
    if (p->lines == 0)
        return;
    fprintf(stderr, "\x1b[%uA\r\x1b[J", p->lines);
    p->lines = 0;
}
