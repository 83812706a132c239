#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "verify/commands.h"
#include "verify/scan.h"
#include "verify/shown.h"

enum { TEXT_MAX = 512 << 20 };

struct options {
    const char *volume;
    struct opt_list allow;
    bool json;
};

static const struct opt opts[] = {
    { .name = "allow",
        .type = OPT_LIST,
        .at = offsetof(struct options, allow),
        .arg = "NAME",
        .help = "vouch for one exact name, such as __main__.Model; may be "
                "given several times" },
    { .name = "volume",
        .type = OPT_STR,
        .at = offsetof(struct options, volume),
        .arg = "V",
        .help = "look for repositories and names in this volume" },
    { .name = "json",
        .type = OPT_FLAG,
        .at = offsetof(struct options, json),
        .help = "print the report as one JSON document" },
    OPT_END,
};

/* One target and what was found in it. */
struct target {
    const char *text;
    struct found found;
    struct scan scan;
};

struct targets {
    struct target *v;
    size_t n;
};

static void targets_close(struct targets *t)
{
    for (size_t i = 0; i < t->n; i++)
        scan_free(&t->v[i].scan);
    free(t->v);
}

static bool is_clean(const struct target *t)
{
    return scan_bad(&t->scan) == 0 && findings_failed(&t->scan.report) == 0;
}

static void text_name(struct buf *out, const struct scan_name *n)
{
    buf_printf(out, "%-7s  %-7s  ",
        n->bad && n->verdict == SCAN_UNSAFE ? "UNSAFE"
                                            : scan_verdict_name(n->verdict),
        scan_use_name(n->use));
    shown_text(out, n->name);
    buf_puts(out, "  ");
    shown_text(out, n->file);
    buf_puts(out, ": ");
    shown_text(out, n->pickle);
    buf_printf(out, ", byte %llu\n", (unsigned long long)n->offset);
}

static void text_of(struct buf *out, const struct target *t)
{
    const struct scan *s = &t->scan;

    for (size_t i = 0; i < s->n; i++)
        text_name(out, &s->names[i]);
    shown_findings(out, &s->report);
    shown_text(out, str_of(t->text));
    if (is_clean(t))
        buf_puts(out, ": ok");
    else
        buf_printf(out, ": NOT ok, %zu name%s and %zu file%s", scan_bad(s),
            scan_bad(s) == 1 ? "" : "s", findings_failed(&s->report),
            findings_failed(&s->report) == 1 ? "" : "s");
    buf_printf(out, " (%zu pickle%s, %zu name%s, %zu file%s)\n", s->n_pickles,
        s->n_pickles == 1 ? "" : "s", s->n, s->n == 1 ? "" : "s", s->n_files,
        s->n_files == 1 ? "" : "s");
}

static void json_name(struct buf *out, const struct scan_name *n)
{
    buf_puts(out, "{\"file\": ");
    json_quote(out, n->file);
    buf_puts(out, ", \"pickle\": ");
    json_quote(out, n->pickle);
    buf_printf(
        out, ", \"offset\": %llu, \"name\": ", (unsigned long long)n->offset);
    json_quote(out, n->name);
    buf_printf(out, ", \"use\": \"%s\", \"verdict\": \"%s\", \"ok\": %s}",
        scan_use_name(n->use), scan_verdict_name(n->verdict),
        n->bad ? "false" : "true");
}

static void json_of(struct buf *out, const struct target *t)
{
    buf_puts(out, "{\"target\": ");
    json_quote(out, str_of(t->text));
    buf_puts(out, ", \"path\": ");
    json_quote(out, str_of(t->found.path));
    buf_printf(out, ", \"ok\": %s, \"files\": %zu, \"pickles\": %zu, ",
        is_clean(t) ? "true" : "false", t->scan.n_files, t->scan.n_pickles);
    buf_puts(out, "\"names\": [");
    for (size_t i = 0; i < t->scan.n; i++) {
        buf_puts(out, i > 0 ? ",\n  " : "\n  ");
        json_name(out, &t->scan.names[i]);
    }
    buf_puts(out, "], \"checks\": ");
    shown_findings_json(out, &t->scan.report);
    buf_putc(out, '}');
}

static int print(
    const struct targets *t, const struct options *o, struct err *e)
{
    struct buf out AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    bool all = true;

    for (size_t i = 0; i < t->n; i++)
        all = all && is_clean(&t->v[i]);
    if (o->json)
        buf_printf(&out, "{\"ok\": %s, \"targets\": [", all ? "true" : "false");
    for (size_t i = 0; i < t->n; i++) {
        if (o->json && i > 0)
            buf_puts(&out, ",\n ");
        if (o->json)
            json_of(&out, &t->v[i]);
        else
            text_of(&out, &t->v[i]);
    }
    if (o->json)
        buf_puts(&out, "]}\n");
    return cmd_print(&out, e);
}

/* The first name that is called and should not be, for the message. */
static const struct scan_name *worst_name(const struct scan *s)
{
    const struct scan_name *worst = NULL;

    for (size_t i = 0; i < s->n; i++)
        if (s->names[i].bad &&
            (worst == NULL || s->names[i].verdict > worst->verdict))
            worst = &s->names[i];
    return worst;
}

static int verdict(const struct targets *t, struct err *e)
{
    enum err_kind kind = ERR_NONE;
    const struct target *first = NULL;
    const struct scan_name *n;

    for (size_t i = 0; i < t->n; i++) {
        const struct scan *s = &t->v[i].scan;

        if (is_clean(&t->v[i]))
            continue;
        if (first == NULL)
            first = &t->v[i];
        kind = findings_worse(
            kind, scan_bad(s) > 0 ? ERR_REFUSED : findings_worst(&s->report));
    }
    if (first == NULL)
        return 0;
    n = worst_name(&first->scan);
    if (n == NULL)
        return err_set(
            e, kind, "%.300s: could not be read to its end", first->text);
    err_set(e, kind, "%.300s: %s %.200s", first->text,
        n->use == SCAN_CALLED ? "calls" : "names", n->name.p);
    return err_hint(e,
        n->verdict == SCAN_UNKNOWN
            ? "load it only where that code is trusted; --allow vouches for a "
              "name"
            : "do not load this file with Python");
}

static int run(const struct cmd_ctx *ctx, void *values, int argc, char **argv,
    struct err *e)
{
    struct targets t AUTO(targets_close) = { .n = 0 };
    const struct options *o = values;

    (void)ctx;
    t.v = calloc((size_t)argc, sizeof(*t.v));
    if (t.v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (int i = 0; i < argc; i++, t.n++) {
        t.v[i].text = argv[i];
        t.v[i].scan = (struct scan)SCAN_INIT;
        if (find_model(argv[i], o->volume, &t.v[i].found, e) != 0)
            return -1;
    }
    for (size_t i = 0; i < t.n; i++)
        if (scan_found(&t.v[i].scan, &t.v[i].found, &o->allow, e) != 0)
            return -1;
    return print(&t, o, e) != 0 ? -1 : verdict(&t, e);
}

static const struct cmd_example examples[] = {
    { "mlverify scan model.pt", "what would loading it call" },
    { "mlverify scan --json org/name", "every file of a repository" },
    { "mlverify scan --allow __main__.Net net.pt", "a class of one's own" },
    { NULL, NULL },
};

const struct cmd cmd_scan = {
    .name = "scan",
    .args = "TARGET...",
    .brief = "list what the pickles of a file would call",
    .text =
        "TARGET is a file, a folder, a repository held in the hub cache or "
        "in a volume, or VOLUME:NAME. Every function and class that a pickle "
        "mentions is listed with its file, its pickle and the offset of the "
        "first mention there. Nothing is executed.\n\n"
        "Each name is judged: data (on the list of exact names whose results "
        "are data), allowed (by --allow), unknown (on no list) or unsafe "
        "(known to do harm). It is called; or reached: it stands in a pickle "
        "that calls a function which calls what it is given, or becomes an "
        "attribute that Python would call; or only named.\n\n"
        "The answer is no, status 8, when a name that is neither data nor "
        "allowed is called or reached, when a name is mentioned that no "
        "honest file mentions, or when a pickle cannot be read to its end: "
        "Python would have made the calls in front of the damage.",
    .opts = opts,
    .opts_size = sizeof(struct options),
    .min_args = 1,
    .max_args = -1,
    .run = run,
    .examples = examples,
};
