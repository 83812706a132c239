/* lack.h - why a request cannot be served; each is one answer of the Hub's. */
#ifndef SERVE_LACK_H
#define SERVE_LACK_H

#include <stdbool.h>

enum lack {
    LACK_NONE,
    LACK_REPO,      /* 404 RepoNotFound */
    LACK_PERHAPS,   /* the same, but not as a Hub says it */
    LACK_REVISION,  /* 404 RevisionNotFound */
    LACK_ENTRY,     /* 404 EntryNotFound: the commit has no such file */
    LACK_GATED,     /* 403 GatedRepo: its owner has not let us in */
    LACK_DISABLED,  /* 403: the Hub has closed it */
    LACK_FORBIDDEN, /* 403: the upstream says so */
    LACK_POLICY,    /* 403: this mirror does not serve it */
    LACK_LIMIT,     /* 429: too many at once, come again */
    LACK_BYTES,     /* 504: it exists, but cannot be had now */
    LACK_SPACE,     /* 507: the mirror's disk is full */
    LACK_FAULT      /* 500: the error says */
};

/* lack_is_word - is it about the repository itself? What else there is (nobody
 * answers, nobody may be asked, a token is refused) does not take away what is
 * held of it. */
static inline bool lack_is_word(enum lack lack)
{
    return lack == LACK_REPO || lack == LACK_REVISION || lack == LACK_ENTRY ||
           lack == LACK_GATED || lack == LACK_DISABLED;
}

#endif
