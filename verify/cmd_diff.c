#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "cache/find.h"
#include "verify/commands.h"
#include "verify/diff.h"
#include "verify/shown.h"

enum { TEXT_MAX = 512 << 20, SHAPE_TEXT = 512 };

struct options {
    const char *volume;
    int64_t threads;
    bool json;
};

static const struct opt opts[] = {
    { .name = "volume",
        .type = OPT_STR,
        .at = offsetof(struct options, volume),
        .arg = "V",
        .help = "look for repositories and names in this volume" },
    { 0, "threads", OPT_INT, offsetof(struct options, threads), "N",
        "threads to use (default: one per core)", 1, 1024, NULL },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct options, json),
        .help = "print the report as one JSON document" },
    OPT_END,
};

/* The two models as the user named them, and what came out. */
struct report {
    const char *text[2];
    struct found found[2];
    struct diff diff;
};

static void report_close(struct report *r)
{
    diff_close(&r->diff);
}

/* Row-major element i of a shape: "[3, 17]". */
static void put_index(struct buf *out, const struct tensor *t, uint64_t i)
{
    uint64_t below = t->n;

    buf_putc(out, '[');
    for (uint32_t k = 0; k < t->rank && below > 0; k++) {
        below /= t->shape[k];
        buf_printf(
            out, "%s%llu", k > 0 ? ", " : "", (unsigned long long)(i / below));
        i %= below;
    }
    buf_putc(out, ']');
}

static void text_most(struct buf *out, const char *what, const struct tensor *t,
    const struct diff_most *m)
{
    buf_printf(out, "; %s %.6g at ", what, m->by);
    put_index(out, t, m->at);
    buf_printf(out, " (%.9g, %.9g)", m->a, m->b);
}

static void text_values(struct buf *out, const struct diff_tensor *t)
{
    buf_printf(out, ": %llu of %llu elements differ", (unsigned long long)t->n,
        (unsigned long long)t->a->n);
    if (!t->measured) {
        buf_puts(out, ", the first at ");
        put_index(out, t->a, t->first);
        return;
    }
    text_most(out, "largest difference", t->a, &t->absolute);
    text_most(out, "relative", t->a, &t->relative);
}

static void text_side(
    struct buf *out, const char *before, const struct tensor *t)
{
    char shape[SHAPE_TEXT];

    buf_printf(out, "%s%s %s", before, dtype_name(t->dtype),
        tensor_shape_text(shape, sizeof(shape), t));
}

static void text_tensor(struct buf *out, const struct diff_tensor *t)
{
    buf_printf(out, "%-8s  ", diff_result_name(t->result));
    shown_text(out, t->name);
    if (t->stands_for.len > 0) {
        buf_puts(out, " (tied to ");
        shown_text(out, t->stands_for);
        buf_puts(out, ")");
    }
    buf_puts(out, "  ");
    if (t->a != NULL)
        text_side(out, "", t->a);
    if (t->b != NULL &&
        (t->a == NULL || t->result == DIFF_SHAPE || t->a->dtype != t->b->dtype))
        text_side(out, t->a != NULL ? " and " : "", t->b);
    if (t->scales[0] != NULL || t->scales[1] != NULL)
        buf_puts(out, ", int8 times scales");
    if (t->result == DIFF_VALUES)
        text_values(out, t);
    buf_putc(out, '\n');
}

static bool is_told(const struct diff_tensor *t, bool all)
{
    return all || t->stands_for.len > 0 ||
           (t->result != DIFF_EQUAL && t->result != DIFF_CAST);
}

static void text_of(struct buf *out, const struct report *r, bool all)
{
    const struct diff *d = &r->diff;
    bool first = true;

    for (uint64_t i = 0; i < d->n; i++)
        if (is_told(&d->tensors[i], all))
            text_tensor(out, &d->tensors[i]);
    buf_printf(out, "%llu tensors: ", (unsigned long long)d->n);
    for (int k = 0; k < DIFF_RESULTS; k++) {
        if (d->counts[k] == 0)
            continue;
        buf_printf(out, "%s%llu %s", first ? "" : ", ",
            (unsigned long long)d->counts[k],
            diff_result_name((enum diff_result)k));
        first = false;
    }
    buf_puts(out, first ? "none\n" : "\n");
    shown_text(out, str_of(r->text[0]));
    buf_puts(out, " and ");
    shown_text(out, str_of(r->text[1]));
    if (!diff_same(d))
        buf_puts(out, ": they differ\n");
    else if (d->counts[DIFF_CAST] > 0)
        buf_puts(out, ": equal after the cast to the narrower type\n");
    else
        buf_puts(out, ": equal, byte for byte\n");
}

/* JSON has no word for what is not finite. */
static void json_number(struct buf *out, double v)
{
    if (isfinite(v))
        buf_printf(out, "%.17g", v);
    else
        buf_printf(out, "\"%s\"", isnan(v) ? "nan" : v > 0 ? "inf" : "-inf");
}

static void json_most(struct buf *out, const char *key, const struct tensor *t,
    const struct diff_most *m)
{
    buf_printf(out, ", \"%s\": {\"by\": ", key);
    json_number(out, m->by);
    buf_puts(out, ", \"at\": ");
    put_index(out, t, m->at);
    buf_puts(out, ", \"a\": ");
    json_number(out, m->a);
    buf_puts(out, ", \"b\": ");
    json_number(out, m->b);
    buf_putc(out, '}');
}

static void json_side(struct buf *out, const char *key, const struct tensor *t)
{
    buf_printf(out, ", \"%s\": ", key);
    if (t == NULL) {
        buf_puts(out, "null");
        return;
    }
    buf_printf(out, "{\"dtype\": \"%s\", \"shape\": [", dtype_name(t->dtype));
    for (uint32_t k = 0; k < t->rank; k++)
        buf_printf(
            out, "%s%llu", k > 0 ? ", " : "", (unsigned long long)t->shape[k]);
    buf_puts(out, "]}");
}

static void json_tensor(struct buf *out, const struct diff_tensor *t)
{
    buf_puts(out, "{\"name\": ");
    json_quote(out, t->name);
    buf_printf(out, ", \"result\": \"%s\"", diff_result_name(t->result));
    json_side(out, "a", t->a);
    json_side(out, "b", t->b);
    if (t->stands_for.len > 0) {
        buf_puts(out, ", \"tied_to\": ");
        json_quote(out, t->stands_for);
    }
    if (t->result == DIFF_CAST || t->result == DIFF_VALUES)
        buf_printf(out, ", \"compared_as\": \"%s\"", dtype_name(t->dtype));
    if (t->result == DIFF_VALUES) {
        buf_printf(out,
            ", \"differing\": %llu, \"first\": ", (unsigned long long)t->n);
        put_index(out, t->a, t->first);
        if (t->measured) {
            json_most(out, "absolute", t->a, &t->absolute);
            json_most(out, "relative", t->a, &t->relative);
        }
    }
    buf_putc(out, '}');
}

static void json_of(struct buf *out, const struct report *r)
{
    const struct diff *d = &r->diff;

    buf_printf(out, "{\"ok\": %s, \"equal\": %s",
        diff_same(d) ? "true" : "false",
        !diff_same(d)              ? "null"
        : d->counts[DIFF_CAST] > 0 ? "\"cast\""
                                   : "\"bytes\"");
    for (int i = 0; i < 2; i++) {
        buf_printf(out, ", \"%c\": {\"target\": ", "ab"[i]);
        json_quote(out, str_of(r->text[i]));
        buf_puts(out, ", \"path\": ");
        json_quote(out, str_of(r->found[i].path));
        buf_putc(out, '}');
    }
    buf_puts(out, ",\n \"counts\": {");
    for (int k = 0; k < DIFF_RESULTS; k++)
        buf_printf(out, "%s\"%s\": %llu", k > 0 ? ", " : "",
            diff_result_name((enum diff_result)k),
            (unsigned long long)d->counts[k]);
    buf_puts(out, "},\n \"tensors\": [");
    for (uint64_t i = 0; i < d->n; i++) {
        buf_puts(out, i > 0 ? ",\n  " : "\n  ");
        json_tensor(out, &d->tensors[i]);
    }
    buf_puts(out, "]}\n");
}

static int verdict(const struct report *r, struct err *e)
{
    const struct diff *d = &r->diff;
    uint64_t same = d->counts[DIFF_EQUAL] + d->counts[DIFF_CAST];

    if (same == d->n)
        return 0;
    return err_set(e, ERR_VERDICT,
        "%.150s and %.150s: %llu of %llu tensors "
        "differ",
        r->text[0], r->text[1], (unsigned long long)(d->n - same),
        (unsigned long long)d->n);
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    const struct options *o = values;
    struct report r AUTO(report_close) = { .diff = DIFF_INIT };
    struct buf out AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct pool *pool AUTO(pool_close_auto) = NULL;

    for (int i = 0; i < argc; i++) {
        r.text[i] = argv[i];
        if (find_model(argv[i], o->volume, &r.found[i], e) != 0)
            return -1;
    }
    if (diff_open(&r.diff, r.found[0].path, r.found[1].path, e) != 0)
        return -1;
    pool = pool_open((unsigned)o->threads, e);
    if (pool == NULL || diff_run(&r.diff, pool, ctx->progress, e) != 0)
        return -1;
    if (o->json)
        json_of(&out, &r);
    else
        text_of(&out, &r, ctx->verbose);
    return cmd_print(&out, e) != 0 ? -1 : verdict(&r, e);
}

static const struct cmd_example examples[] = {
    { "mlverify diff org/name converted/", "did the conversion keep it" },
    { "mlverify diff a.pt b.safetensors", "two files of any kinds" },
    { NULL, NULL },
};

const struct cmd cmd_diff = {
    .name = "diff",
    .args = "A B",
    .brief = "are these two models the same, tensor by tensor",
    .text =
        "A and B are files, folders, repositories held in the hub cache or in "
        "a volume, or VOLUME:NAME; containers, shards and types may differ. "
        "Tensors that differ, and those compared under another name, are "
        "listed; -v lists all of them.\n\n"
        "A tensor is equal (the same bytes), cast (the same after the wider "
        "floating type is cast to the narrower; of BF16 and F16, either one), "
        "values (some elements "
        "differ: how many, the largest difference and the largest relative "
        "one, |a-b| / max(|a|, |b|), with index and values), shape, dtype (two "
        "types that cannot be compared), no data, missing (in A only) or "
        "extra (in B only). A tensor left out because it is tied to another "
        "is compared with that one. An int8 matrix with scales is compared "
        "with "
        "a floating one by the numbers it stands for; with another int8 one, "
        "byte for byte.\n\n"
        "Status 0: equal, byte for byte or after casts, as the last line "
        "says. Status 9: they differ.",
    .opts = opts,
    .opts_size = sizeof(struct options),
    .min_args = 2,
    .max_args = 2,
    .run = run,
    .examples = examples,
};
