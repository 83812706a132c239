#include "fetch/changeview.h"

#include <stdio.h>
#include <time.h>

#include "base/human.h"
#include "base/json.h"

const char *changeview_date(
    char out[CHANGEVIEW_DATE_MAX], int64_t when, bool iso)
{
    time_t t = (time_t)when;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL ||
        strftime(out, CHANGEVIEW_DATE_MAX,
            iso ? "%Y-%m-%dT%H:%M:%SZ" : "%Y-%m-%d %H:%M", &tm) == 0)
        snprintf(out, CHANGEVIEW_DATE_MAX, "-");
    return out;
}

void changeview_lines(struct buf *out, const struct change *changes, uint64_t n)
{
    char old[HUMAN_MAX], now[HUMAN_MAX];

    for (uint64_t i = 0; i < n; i++) {
        const struct change *c = &changes[i];

        buf_printf(out, "%c ", !c->was ? '+' : c->is ? '~' : '-');
        buf_visible(out, c->name);
        human_size(old, c->old.size);
        human_size(now, c->now.size);
        if (c->was && c->is)
            buf_printf(out, "  %s -> %s\n", old, now);
        else
            buf_printf(out, "  %s\n", c->is ? now : old);
    }
}

void changeview_names(
    struct buf *out, const struct change *changes, uint64_t n, bool is)
{
    for (uint64_t i = 0; i < n; i++) {
        if (changes[i].is != is)
            continue;
        buf_visible(out, changes[i].name);
        buf_putc(out, '\n');
    }
}

static void put_meaning(
    struct buf *out, bool there, const struct volume_entry *entry)
{
    char date[CHANGEVIEW_DATE_MAX];

    if (there)
        buf_printf(out,
            "{\"size\": %llu, \"sha256\": \"%s\", \"date\": \"%s\"}",
            (unsigned long long)entry->size, entry->sha256.hex,
            changeview_date(date, entry->mtime, true));
    else
        buf_puts(out, "null");
}

void changeview_json(struct buf *out, const struct change *changes, uint64_t n)
{
    buf_putc(out, '[');
    for (uint64_t i = 0; i < n; i++) {
        const struct change *c = &changes[i];

        buf_puts(out, i > 0 ? ",\n  {\"name\": " : "\n  {\"name\": ");
        json_quote(out, c->name);
        buf_puts(out, ", \"before\": ");
        put_meaning(out, c->was, &c->old);
        buf_puts(out, ", \"after\": ");
        put_meaning(out, c->is, &c->now);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

void changeview_step(
    struct buf *out, const struct volume *v, const struct step *s)
{
    buf_puts(out, "{\"volume\": ");
    json_quote(out, str_of(v->root));
    if (s->number > 0)
        buf_printf(out, ", \"step\": %llu", (unsigned long long)s->number);
    else
        buf_puts(out, ", \"step\": null");
    buf_puts(out, ", \"changes\": ");
    changeview_json(out, s->changes, s->n);
    buf_puts(out, "}\n");
}
