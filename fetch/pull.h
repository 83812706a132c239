/*
 * pull.h - bring the files of a repository into a hub cache, or into a plain
 * folder: the whole operation, from the revision to the ref that is written
 * last. In three steps, so that several repositories can be planned, and
 * room made for all of them, before the first byte of one is fetched.
 */
#ifndef FETCH_PULL_H
#define FETCH_PULL_H

#include "base/arena.h"
#include "base/progress.h"
#include "cache/lease.h"
#include "fetch/conversion.h"
#include "fetch/hub.h"
#include "fetch/localdir.h"
#include "fetch/plan.h"

enum { PULL_JOBS_MAX = 64 }; /* connections that may be asked for */

struct pull {
    /* Asked. */
    struct repo repo;
    const char *const *include; /* patterns; none: all files */
    size_t n_include;
    const char *const *exclude;
    size_t n_exclude;
    const char *pin_commit;       /* with pin_tree: exactly these files of */
    const struct tree *pin_tree;  /* this commit, or NULL; nobody is asked */
    const struct localdir *local; /* plain files in here, or NULL */
    enum conversion_kind convert; /* and then into this form */
    const char *volume;           /* that dir is of, for mlconvert; or NULL */
    unsigned jobs;                /* connections at most; 0: what is good */
    uint64_t limit_rate;          /* bytes a second; 0: no limit */
    bool offline;
    bool force;  /* fetch again what is held */
    bool verify; /* hash what is held: what is damaged counts as missing;
                    offline: a proof, which writes nothing */
    bool inform; /* ask about the revision, even of a commit */
    enum progress_mode progress;
    size_t nth, of; /* of several that are shown one after the other */

    /* Answered by pull_plan. */
    char commit[41];
    char path[PATH_MAX];          /* the snapshot's folder, or the plain one */
    struct hub_revision revision; /* its commit is "" when nobody was asked */
    struct tree tree;
    struct plan plan;      /* of the chosen files */
    uint64_t space_bytes;  /* that it will take on disk */
    uint64_t free_bytes;   /* that there are, where it goes */
    uint64_t copied_bytes; /* of space_bytes: what another disk holds */

    /* Answered by pull_fetch. */
    uint64_t fetched_bytes;   /* that the network brought */
    uint64_t requests;        /* of all steps */
    char converted[PATH_MAX]; /* the converted form's folder, or "" */

    /* Between the steps. */
    const struct hubdir *dir;  /* where downloads go */
    const struct hubdir *seed; /* the hub cache beside a plain folder */
    bool tree_is_new;          /* not kept here yet */
    int entered;               /* local's lock, or -1 */
    struct lease lease;        /* what is here is not collected meanwhile */
    struct arena arena;
};

/* Memory for the largest listing that is believed. */
#define PULL_INIT                                                              \
    {                                                                          \
        .entered = -1, .lease = LEASE_INIT,                                    \
        .arena = ARENA_INIT((uint64_t)4 << 30)                                 \
    }

/* pull_free - idempotent; room that was reserved in vain is given back. */
void pull_free(struct pull *p);

/* Several at once. */
struct pull_set {
    struct pull *v;
    size_t n;
};

#define PULL_SET_INIT                                                          \
    {                                                                          \
        .v = NULL                                                              \
    }

/* pull_set_make - n of them, each PULL_INIT. 0, or -1 with *e: NOMEM. */
int pull_set_make(struct pull_set *out, size_t n, struct err *e);
void pull_set_free(struct pull_set *s); /* idempotent, for AUTO */

/*
 * pull_plan - what there is, what is held, what is to come; nothing is
 * written
 * No request is made when the revision is a commit whose listing is held,
 * and none at all when offline. dir must outlive p: declare it first.
 * Returns 0, or -1 with *e: MISSING (also: no file matches), AUTH, NET,
 *         REFUSED (unsafe names), USAGE (a file of the user's is in the way),
 *         CORRUPT (offline, and what is held is damaged), CANCELLED, IO
 */
int pull_plan(
    struct pull *p, const struct hubdir *dir, struct hub *hub, struct err *e);

/*
 * pull_check - what would stop n planned pulls; nothing is written
 * What a plain folder must copy is not counted: it is not known before.
 * Returns 0, or -1 with *e like pull_reserve
 */
int pull_check(struct pull *v, size_t n, struct err *e);

/*
 * pull_reserve - make room for n planned pulls that go to one place
 * A plain folder is ours alone from here on; after a wait it is planned anew.
 * Returns 0, or -1 with *e: NOSPACE, MISSING (a program to convert with), NET
 *         (offline, and files are not held), CANCELLED, IO
 */
int pull_reserve(struct pull *v, size_t n, struct err *e);

/*
 * pull_fetch - do what was planned; then convert, if that was asked for
 * With verify the converted form is hashed as well, and offline not made.
 * Returns 0, or -1 with *e: NET (also: offline and not held), CORRUPT, AUTH,
 *         MISSING, NOSPACE, CANCELLED, IO
 */
int pull_fetch(struct pull *p, struct hub *hub, struct err *e);

/* pull_offline - HF_HUB_OFFLINE, or else TRANSFORMERS_OFFLINE, says so. */
bool pull_offline(void);

/* pull_offline_error - -1, with *e: NET, which says what forbids to ask. */
int pull_offline_error(struct err *e);

#endif
