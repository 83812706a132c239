/*
 * html.h - pages to look at: one file each, which needs no other and no
 * network, and text from strangers inside it.
 */
#ifndef BASE_HTML_H
#define BASE_HTML_H

#include "base/buf.h"

/*
 * html_text - append text so that it is text, in content and in attributes
 * Control characters and bytes that are not UTF-8 become U+FFFD.
 */
void html_text(struct buf *out, struct str text);

/* html_short - the same, of a text of at most most characters, else cut. */
void html_short(struct buf *out, struct str text, size_t most);

/*
 * html_begin - a page up to its heading: its style inside, nothing loaded
 * title    of the window and of the page
 * rest     goes on after it, in a softer colour; or ""
 */
void html_begin(struct buf *out, struct str title, const char *rest);

/* html_end - who made it, and the end. */
void html_end(struct buf *out, const char *program);

/* html_svg - a drawing that may be wider than the page; label: in words. */
void html_svg(struct buf *out, int wide, double height, const char *label);
void html_svg_end(struct buf *out);

/* The style of all pages, by day and by night. */
extern const char html_style[];

#endif
