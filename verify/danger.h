/*
 * danger.h - names that a checkpoint has no business with.
 *
 * Nothing here protects this suite: its reader never imports or calls
 * anything. The list decides what is called unsafe for a Python program
 * that would load the same file. A name that is not on it is not thereby
 * safe; the report says so.
 */
#ifndef VERIFY_DANGER_H
#define VERIFY_DANGER_H

#include "base/str.h"

enum danger {
    DANGER_NONE,   /* not known to do harm */
    DANGER_CALLED, /* harmful when the file asks for it to be called */
    DANGER_NAMED   /* no honest file even names it */
};

/*
 * danger_of - judge a name as the file spells it: "module.attribute"
 * module_len   bytes of the module; an attribute with dots is a walk from
 *              object to object, which may lead out of the module
 */
enum danger danger_of(struct str name, size_t module_len);

#endif
