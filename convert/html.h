/* html.h - text from strangers inside a page. */
#ifndef CONVERT_HTML_H
#define CONVERT_HTML_H

#include "base/buf.h"

/*
 * html_text - append text so that it is text, in content and in attributes
 * Control characters and bytes that are not UTF-8 become U+FFFD.
 */
void html_text(struct buf *out, struct str text);

/* html_short - the same, of a text of at most most characters, else cut. */
void html_short(struct buf *out, struct str text, size_t most);

#endif
