/*
 * xml.h - a narrow, strict XML reader that is pulled: as much of XML as
 * stores answer with. Pure; nothing is kept but the text of one element.
 *
 * Elements, attributes (checked, not told), text with the five entities and
 * numbers of characters, comments, CDATA, one declaration in front. UTF-8
 * only. No document type, no other instruction; depth, name and text have
 * limits. One root; nothing but blanks behind it.
 */
#ifndef S3_XML_H
#define S3_XML_H

#include "base/buf.h"
#include "base/err.h"

enum { XML_DEPTH_MAX = 16, XML_NAME_MAX = 128, XML_TEXT_MAX = 64 << 10 };

enum xml_event {
    XML_OPEN,  /* an element begins */
    XML_CLOSE, /* it ends; text is what stood in it behind its last child */
    XML_END,   /* of the document */
    XML_BAD    /* *e says where; again from now on */
};

struct xml {
    struct str in;
    size_t at;
    struct str names[XML_DEPTH_MAX]; /* of those that are open, and closing */
    unsigned depth;
    bool closing; /* the innermost is over with the next step */
    bool empty;   /* "<a/>": its end is the next event */
    bool rooted;
    struct buf text;
};

/* xml_begin - the text must stay. */
struct xml xml_begin(struct str text);

enum xml_event xml_next(struct xml *x, struct err *e);

/*
 * xml_at - is this the innermost element: "A/B/C", from the root on; after
 * XML_OPEN and XML_CLOSE
 */
bool xml_at(const struct xml *x, const char *path);

void xml_free(struct xml *x); /* idempotent */

#endif
