/*
 * page.h - a conversion as one page to look at: where the bytes are, what
 * the values look like, what the cast did to them, what came from where. The
 * page needs no other file and no network. It has no time in it: the same
 * conversion gives the same page.
 */
#ifndef CONVERT_PAGE_H
#define CONVERT_PAGE_H

#include "convert/layers.h"
#include "convert/rename.h"
#include "convert/verdict.h"

struct page {
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
enum { PAGE_ROWS = 40, PAGE_DOTS = 4000, PAGE_NAMES = 1000 };

/* page_write - 0, or -1 with *e: NOMEM. */
int page_write(struct buf *out, const struct page *r, struct err *e);

#endif
