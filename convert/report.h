/*
 * report.h - a conversion as one page to look at: where the bytes are, what
 * the values look like, what the cast did to them, what came from where. The
 * page needs no other file and no network. It has no time in it: the same
 * conversion gives the same page.
 */
#ifndef CONVERT_REPORT_H
#define CONVERT_REPORT_H

#include "convert/layers.h"
#include "convert/rename.h"
#include "convert/verdict.h"

struct report {
    const char *source;     /* as the user wrote it */
    const char *repository; /* or "" */
    const char *commit;     /* or "" */
    const struct recipe *recipe;
    const struct layout *layout;
    const struct layers *layers;
    const struct audit *audits; /* of each layout->out[i] */
    const struct verdict *verdict;
    const struct renames *renames;
    const struct manifest_file *sources; /* digests may be unknown */
    uint64_t n_sources;
    const struct manifest_file *files; /* none when it was refused */
    uint64_t n_files;
    bool refused;
};

/* What a page shows at most; it says how many there are. */
enum { REPORT_ROWS = 40, REPORT_DOTS = 4000, REPORT_NAMES = 1000 };

/* report_page - 0, or -1 with *e: NOMEM. */
int report_page(struct buf *out, const struct report *r, struct err *e);

/* The style of the page. */
extern const char report_style[];

#endif
