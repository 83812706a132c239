#include "verify/shown.h"

#include "base/json.h"

void shown_text(struct buf *out, struct str text)
{
    buf_visible(out, text);
}

void shown_findings(struct buf *out, const struct findings *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct check *c = &r->checks[i];
        const char *word = check_result_name(c->result);

        buf_printf(out, "%-4s  %-9s  ", c->result == CHECK_FAIL ? "FAIL" : word,
            c->name);
        shown_text(out, c->detail);
        buf_putc(out, '\n');
    }
}

void shown_findings_json(struct buf *out, const struct findings *r)
{
    buf_putc(out, '[');
    for (size_t i = 0; i < r->n; i++) {
        const struct check *c = &r->checks[i];

        buf_printf(out,
            "%s\n  {\"name\": \"%s\", \"ok\": %s, \"result\": \"%s\", "
            "\"detail\": ",
            i > 0 ? "," : "", c->name,
            c->result == CHECK_FAIL ? "false" : "true",
            check_result_name(c->result));
        json_quote(out, c->detail);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}
