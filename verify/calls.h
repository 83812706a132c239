/*
 * calls.h - what a pickle asks Python to import and call, told to the user.
 * Nothing is executed here; the names are judged by danger.h.
 */
#ifndef VERIFY_CALLS_H
#define VERIFY_CALLS_H

#include "formats/torch.h"
#include "verify/findings.h"

/*
 * calls_report - judge the foreign names of one file
 * whole    the file was read to its end: say so when it asks for nothing
 * Returns  how many names were reported as unsafe
 */
size_t calls_report(struct str file, const struct torch_foreign *foreign,
    uint64_t n, bool whole, struct findings *report);

#endif
