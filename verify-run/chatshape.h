/*
 * chatshape.h - what a chat template is made of. Two templates with the same
 * telling words may still write different texts; how many statements and
 * outputs there are, and what stands between them, tells most of those apart.
 */
#ifndef VERIFY_RUN_CHATSHAPE_H
#define VERIFY_RUN_CHATSHAPE_H

#include "base/str.h"

struct chatshape {
    unsigned statements; /* {% .. %} */
    unsigned outputs;    /* {{ .. }} */
    unsigned lines;      /* outputs with nothing but a line end behind */
    bool other;          /* text of any other kind is written, or a tag does
                            not end */
};

/*
 * chatshape_of - by the rules that templates are rendered with: the line end
 * behind a statement goes, and so does white space in front of one on its line
 */
struct chatshape chatshape_of(struct str template);

#endif
