/*
 * panel.h - strided tensors, gathered in panels of 2 MiB. A transpose is read
 * in runs as long as its panel is high, so whoever asks for small ranges one
 * after the other, from several threads, is answered from memory here.
 *
 * Up to 3 panels, made when they are needed: 6 MiB. When all of them are in
 * use, a range is gathered directly: slower, never wrong.
 */
#ifndef FORMATS_PANEL_H
#define FORMATS_PANEL_H

#include "formats/gather.h"

enum { PANEL_BYTES = 2 << 20, PANEL_MAX = 3 };

struct panels;

/* panels_new - NULL with *e: NOMEM. No panel is allocated yet. */
struct panels *panels_new(struct err *e);

/* panels_free - nobody reads any more; NULL is fine. */
void panels_free(struct panels *p);

/*
 * panels_read - as gather_read
 * t        its shape and stride live as long as p
 * Threads  any number at once
 */
int panels_read(struct panels *p, const struct ckpt_file *f,
    const struct tensor *t, uint64_t first, uint64_t n, void *out,
    struct err *e);

#endif
