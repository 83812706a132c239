/*
 * statuspage.h - how a mirror is doing: a page for people, without anything
 * from elsewhere, and the same figures for Prometheus.
 */
#ifndef SERVE_STATUSPAGE_H
#define SERVE_STATUSPAGE_H

#include "base/buf.h"
#include "serve/holdings.h"
#include "serve/supply.h"
#include "serve/traffic.h"

struct status {
    const char *name;
    const char *url; /* how it is reached, e.g. "http://host:8080/hub" */
    const struct supply *supply;
    const struct tally *tally;
    const struct held *held;
};

void statuspage(struct buf *out, const struct status *s);

/* statuspage_metrics - text format 0.0.4 */
void statuspage_metrics(struct buf *out, const struct status *s);

#endif
