/*
 * apply.h - a step of a volume's log, done in names/ and files/.
 */
#ifndef CACHE_APPLY_H
#define CACHE_APPLY_H

#include "cache/step.h"

/*
 * apply_step - names/ says what the step says, durably; files/ shows it
 * To do it twice is the same as once.
 * Returns  0; 1: files/ could not follow, with a warning, and to do it again
 *          may help; or -1 with *e: IO, NOSPACE. Nothing is done through a
 *          folder that has become a symbolic link, nor with a name that the
 *          file system cannot have, with a warning.
 */
int apply_step(const struct volume *v, const struct step *s, struct err *e);

/* apply_show - files/ shows the entry's content in the store, if it did not:
 * its copy may have been replaced. A failure is a warning. */
void apply_show(const struct volume *v, const struct volume_entry *entry);

/* apply_can - may a file of this name be made? REFUSED: the file system cannot
 * have the name. */
int apply_can(const struct volume *v, struct str name, struct err *e);

/* apply_may - are the folders of a name its own? REFUSED: one is a link. */
int apply_may(const struct volume *v, struct str name, struct err *e);

#endif
