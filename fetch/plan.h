/*
 * plan.h - what has to be done for a pull: a listing, what the cache holds
 * and what the journals say in; files in order, and how many bytes, out.
 *
 * Pure: no files, no network, no clock.
 */
#ifndef FETCH_PLAN_H
#define FETCH_PLAN_H

#include "cache/hubdir.h"
#include "fetch/ranges.h"

enum plan_state {
    PLAN_HELD, /* reachable in the snapshot */
    PLAN_LINK, /* the bytes are here, or will be: only the name is missing */
    PLAN_FETCH /* the bytes are missing, at least in part */
};

/* What is known of one chosen file, before the plan is made. */
struct plan_file {
    const struct tree_file *file;
    enum plan_state state;
    uint64_t kept; /* PLAN_FETCH: bytes of it that a journal vouches for */
    bool again;    /* PLAN_FETCH: fetch it even if its blob is there */
    bool reserved; /* space.h's: room was made for it, and it has no byte */
};

struct plan {
    struct plan_file *files; /* those to fetch first: by size, content */
    size_t n;
    size_t n_fetch;       /* how many of them are PLAN_FETCH */
    uint64_t bytes;       /* of all files */
    uint64_t fetch_bytes; /* that the network has to bring */
    uint64_t kept_bytes;  /* of PLAN_FETCH files, already here */
};

/*
 * plan_make - put the files in order and count
 * Of several files with the same content only one is fetched.
 * files    n of them; sorted in place, and kept by out
 * Returns  0, or -1 with *e: REFUSED (the sizes do not fit 64 bits), NOMEM
 */
int plan_make(
    struct plan *out, struct plan_file *files, size_t n, struct err *e);

/* plan_by_path - put the files in the order of their paths: to be shown. */
void plan_by_path(struct plan *p);

/*
 * plan_requests - how many the Hub and its hosts get, without faults, from
 * one that is near; fewer and longer ones go to one that is far away
 */
uint64_t plan_requests(const struct plan *p, unsigned jobs);

/*
 * plan_gaps - what is missing of a file
 * Appended to *out in file order. 0, or -1 with *e: NOMEM.
 */
int plan_gaps(const struct ranges *have, uint64_t size, struct range **out,
    size_t *out_n, struct err *e);

#endif
