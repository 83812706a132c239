#include "base/html.h"

#include "base/utf8.h"
#include "base/version.h"

void html_text(struct buf *out, struct str text)
{
    html_short(out, text, SIZE_MAX);
}

void html_short(struct buf *out, struct str text, size_t most)
{
    for (; text.len > 0; most--) {
        uint32_t cp = 0;
        unsigned n = utf8_get(text, &cp);

        if (most == 0) {
            buf_puts(out, "\xE2\x80\xA6");
            return;
        }
        if (n == 0 || cp < 0x20 || (cp >= 0x7F && cp < 0xA0))
            buf_puts(out, "\xEF\xBF\xBD");
        else if (cp == '&')
            buf_puts(out, "&amp;");
        else if (cp == '<')
            buf_puts(out, "&lt;");
        else if (cp == '>')
            buf_puts(out, "&gt;");
        else if (cp == '"')
            buf_puts(out, "&quot;");
        else
            buf_put(out, text.p, n);
        n = n > 0 ? n : 1;
        text.p += n;
        text.len -= n;
    }
}

void html_begin(struct buf *out, struct str title, const char *rest)
{
    buf_puts(out, "<!DOCTYPE html>\n<html lang=\"en\"><head>"
                  "<meta charset=\"utf-8\"><meta name=\"viewport\" "
                  "content=\"width=device-width,initial-scale=1\">"
                  "<meta http-equiv=\"Content-Security-Policy\" "
                  "content=\"default-src 'none';style-src 'unsafe-inline'\">"
                  "\n<title>");
    html_text(out, title);
    buf_putc(out, ' ');
    html_text(out, str_of(rest));
    buf_puts(out, "</title>\n<style>\n");
    buf_puts(out, html_style);
    buf_puts(out, "</style></head>\n<body><main>\n<h1>");
    html_text(out, title);
    buf_puts(out, " <span>");
    html_text(out, str_of(rest));
    buf_puts(out, "</span></h1>\n");
}

void html_end(struct buf *out, const char *program)
{
    buf_printf(out,
        "<footer>%s " ML_VERSION "</footer>\n</main></body></html>\n", program);
}

void html_svg(struct buf *out, int wide, double height, const char *label)
{
    buf_printf(out,
        "<div class=\"pan\"><svg viewBox=\"0 0 %d %.0f\" role=\"img\" "
        "aria-label=\"%s\">\n",
        wide, height, label);
}

void html_svg_end(struct buf *out)
{
    buf_puts(out, "</svg></div>\n");
}
