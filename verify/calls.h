/*
 * calls.h - what a pickle asks Python to import and call, told to the user.
 * Nothing is executed here; the names are judged by danger.h.
 */
#ifndef VERIFY_CALLS_H
#define VERIFY_CALLS_H

#include "base/map.h"
#include "formats/torch.h"
#include "verify/report.h"

/*
 * calls_report - judge the foreign names of one file
 * whole    the file was read to its end: say so when it asks for nothing
 */
void calls_report(struct str file, const struct torch_foreign *foreign,
    uint64_t n, bool whole, struct report *report);

/*
 * calls_report_pickle - the same for a pickle outside of any container
 * Returns 0, or -1 with *e: REFUSED (what it asked for is reported), NOMEM
 */
int calls_report_pickle(struct str file, const struct map *m,
    struct report *report, struct err *e);

#endif
