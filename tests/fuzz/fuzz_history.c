/*
 * The log of a volume, its sums made right: numbers rise, names are safe,
 * sorted and once in a step; what was read is written and read again as the
 * same; and from one point to another and back nothing is left.
 */
// seeds: tests/fuzz/history/*
// dict: history.dict
#include "kit.h"

#include "cache/past.h"

#include "base/path.h"

#define ARENA_MAX ((uint64_t)256 << 20)

static void check_step(const struct step *s)
{
    must(s->number > 0);
    for (uint64_t i = 0; i < s->n; i++) {
        const struct change *c = &s->changes[i];
        struct err e = ERR_INIT;

        must(path_check(c->name, &e) == 0);
        must(c->was || c->is);
        must(i == 0 || str_cmp(c[-1].name, c->name) < 0);
        must(history_find(s, 1, c->name) == c);
    }
}

static void check_again(const struct history *h, struct arena *arena)
{
    struct buf text AUTO(buf_free) = BUF_INIT(64 << 20);
    struct err e = ERR_INIT;
    struct history again;

    for (uint64_t i = 0; i < h->n; i++) {
        must(i == 0 || h->steps[i].number > h->steps[i - 1].number);
        check_step(&h->steps[i]);
        must(step_text(&h->steps[i], &text, &e) == 0);
    }
    must(history_parse(buf_str(&text), arena, &again, &e) == 0);
    must(again.n == h->n && again.last == h->last && !again.torn);
}

static void check_past(const struct history *h, struct arena *arena)
{
    struct change *there, *back;
    struct err e = ERR_INIT;
    uint64_t n, m;

    if (past_diff(h, 0, h->last, arena, &there, &n, &e) != 0)
        return;
    must(past_diff(h, h->last, 0, arena, &back, &m, &e) == 0 && n == m);
    for (uint64_t i = 0; i < n; i++)
        must(str_eq(there[i].name, back[i].name) &&
             there[i].was == back[i].is && there[i].is == back[i].was);
}

/* Every step's line gets the sum, and the length, that it should have. */
static void mend(struct str in, struct buf *out)
{
    struct rd r = rd_of(in.p, in.len);
    struct str line = rd_line(&r);

    while (!r.bad) {
        struct buf head AUTO(buf_free) = BUF_INIT(1 << 20);
        struct buf body AUTO(buf_free) = BUF_INIT(1 << 20);
        bool step = str_starts(line, "step ");
        struct err e = ERR_INIT;
        struct digest sum;

        buf_put(&head, line.p, line.len);
        for (line = rd_line(&r); step && !r.bad && str_starts(line, "\t");
             line = rd_line(&r)) {
            buf_put(&body, line.p, line.len);
            buf_putc(&body, '\n');
        }
        if (step)
            buf_printf(&head, " %zu ", body.len);
        else
            buf_putc(&head, ' ');
        buf_put(out, head.p, head.len);
        buf_put(&head, body.p, body.len);
        must(hash_bytes(HASH_SHA256, head.p, head.len, &sum, &e) == 0);
        buf_printf(out, "%.16s\n%s", sum.hex, body.p);
    }
}

static void check(struct str text)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    struct err e = ERR_INIT;
    struct history h;

    must(history_parse(text, &arena, &h, &e) == 0);
    must(h.done <= h.last);
    check_again(&h, &arena);
    check_past(&h, &arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text AUTO(buf_free) = BUF_INIT(4 << 20);

    check((struct str){ (const char *)data, size });
    mend((struct str){ (const char *)data, size }, &text);
    if (text.bad == ERR_NONE)
        check(buf_str(&text));
    return 0;
}
