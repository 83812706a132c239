/* changeview.h - changes of a volume's names, as lines or as JSON. */
#ifndef FETCH_CHANGEVIEW_H
#define FETCH_CHANGEVIEW_H

#include "cache/step.h"

enum { CHANGEVIEW_DATE_MAX = 32 };

/* changeview_date - in UTC, for programs (iso) or for people. */
const char *changeview_date(
    char out[CHANGEVIEW_DATE_MAX], int64_t when, bool iso);

/* changeview_lines - "+ name  size", "- name  size", "~ name  size -> size". */
void changeview_lines(
    struct buf *out, const struct change *changes, uint64_t n);

/* changeview_names - the names that came (is) or went, one a line. */
void changeview_names(
    struct buf *out, const struct change *changes, uint64_t n, bool is);

/*
 * changeview_json - a list of {"name", "before", "after"}, each null or
 * {"size", "sha256", "date"}
 */
void changeview_json(struct buf *out, const struct change *changes, uint64_t n);

/* changeview_step - {"volume", "step", "changes"}; step null: none. */
void changeview_step(
    struct buf *out, const struct volume *v, const struct step *s);

#endif
