/* shown.h - texts that may hold any byte, and findings, made fit to print. */
#ifndef VERIFY_SHOWN_H
#define VERIFY_SHOWN_H

#include "base/buf.h"
#include "verify/findings.h"

/* shown_text - append text with control characters written as \xNN. */
void shown_text(struct buf *out, struct str text);

/* shown_findings - append one line per check. */
void shown_findings(struct buf *out, const struct findings *r);

/* shown_findings_json - append [{"name", "ok", "result", "detail"}, ...]. */
void shown_findings_json(struct buf *out, const struct findings *r);

#endif
