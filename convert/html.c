#include "convert/html.h"

#include "base/utf8.h"

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
