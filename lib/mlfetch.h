/*
 * mlfetch.h - libmlfetch: fetch model weights, keep files in volumes, check
 * what is there. The one public header; docs/design/lib.md says why.
 *
 * Returns    0 (MLFETCH_OK), or another status, with the same meaning as the
 *            exit statuses of the programs. What went wrong, and what to do
 *            about it, is in the error object passed last, which may be NULL.
 * Threads    a session, and all that is made from it, is one thread's at a
 *            time; any number of sessions work at once. mlfetch_cancel() is
 *            for any thread and for signal handlers. Threads that a call
 *            starts have ended when it returns.
 * Callbacks  come from threads of the library, one at a time for a session,
 *            while a call of that session runs. What they are given is valid
 *            until they return. Of that session they may call
 *            mlfetch_cancel() only.
 * Owns       who gets an object by ..._new or ..._open frees it; freeing NULL
 *            does nothing. Pulls and volumes go before their session. Text
 *            that is returned belongs to the object it was asked of, until
 *            that is changed or freed; text that is passed in is copied.
 * Units      sizes are bytes, times seconds since 1970 (UTC). Text is UTF-8.
 * Process    nothing is printed; exit, signal dispositions, locale, umask,
 *            working folder and environment are left alone. One exception:
 *            checking files arms SIGBUS once, for files that shrink while
 *            they are mapped; of other addresses the handler before it hears.
 *            The library cannot be unloaded, and a child made by fork() must
 *            not use a session of its parent.
 * Reads      of the environment what mlfetch(1) lists; not while another
 *            thread changes it.
 * ABI        libmlfetch.so.1 stays compatible: functions and values are
 *            added, never changed; structures that callbacks are given grow
 *            at their ends; unknown flags are refused.
 */
#ifndef MLFETCH_H
#define MLFETCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MLFETCH_VERSION_MAJOR 0
#define MLFETCH_VERSION_MINOR 1
#define MLFETCH_VERSION_PATCH 0
#define MLFETCH_VERSION_AT_LEAST(major, minor, patch)                          \
    (MLFETCH_VERSION_MAJOR * 1000000 + MLFETCH_VERSION_MINOR * 1000 +          \
            MLFETCH_VERSION_PATCH >=                                           \
        (major)*1000000 + (minor)*1000 + (patch))

#define MLFETCH_API __attribute__((visibility("default")))

enum mlfetch_status {
    MLFETCH_OK = 0,
    MLFETCH_FAILED = 1,      /* input or output, memory, a bug */
    MLFETCH_USAGE = 2,       /* what was asked for makes no sense */
    MLFETCH_MISSING = 3,     /* repository, revision, file, volume, name */
    MLFETCH_ACCESS = 4,      /* no token, bad token, gated, forbidden */
    MLFETCH_NETWORK = 5,     /* retries used up, or offline and not held */
    MLFETCH_CORRUPT = 6,     /* the bytes are not what they should be */
    MLFETCH_NOSPACE = 7,     /* the disk is full, or would be */
    MLFETCH_REFUSED = 8,     /* unsafe, malformed or unsupported input */
    MLFETCH_NO = 9,          /* the verdict is no */
    MLFETCH_CANCELLED = 130, /* what was fetched so far is kept */
};

/* The version of the library that runs, "0.1.0". */
MLFETCH_API const char *mlfetch_version(void);

/* ---- errors ---- */

/*
 * An error object is made once and filled anew by every call it is passed to;
 * it is no session's, and one thread's at a time. NULL: out of memory.
 */
struct mlfetch_error;
MLFETCH_API struct mlfetch_error *mlfetch_error_new(void);
MLFETCH_API void mlfetch_error_free(struct mlfetch_error *e);
MLFETCH_API enum mlfetch_status mlfetch_error_status(
    const struct mlfetch_error *e);

/* What went wrong, naming the object; safe for a terminal. "" after OK. */
MLFETCH_API const char *mlfetch_error_message(const struct mlfetch_error *e);

/* What a person can do about it, or "". */
MLFETCH_API const char *mlfetch_error_hint(const struct mlfetch_error *e);

/* ---- sessions ---- */

/* NULL: out of memory. What it named by a path is kept from mlcache gc until
 * it is freed. */
struct mlfetch;
MLFETCH_API struct mlfetch *mlfetch_new(void);
MLFETCH_API void mlfetch_free(struct mlfetch *m);

/* Instead of what the environment says: the Hub's URL (HF_ENDPOINT), a token
 * ("" for none), the hub cache's folder (HF_HUB_CACHE). */
MLFETCH_API enum mlfetch_status mlfetch_set_endpoint(
    struct mlfetch *m, const char *url, struct mlfetch_error *e);
MLFETCH_API enum mlfetch_status mlfetch_set_token(
    struct mlfetch *m, const char *token, struct mlfetch_error *e);
MLFETCH_API enum mlfetch_status mlfetch_set_cache(
    struct mlfetch *m, const char *folder, struct mlfetch_error *e);

/* 1: no request is made; 0: also where HF_HUB_OFFLINE says otherwise. */
MLFETCH_API void mlfetch_set_offline(struct mlfetch *m, int offline);

enum mlfetch_number {
    MLFETCH_CONNECTIONS = 1, /* at most, 1 to 64; 0: as many as help */
    MLFETCH_RATE = 2,        /* bytes a second at most; 0: no limit */
    MLFETCH_RETRY_TIME = 3,  /* seconds without a new byte; 60 at first */
    MLFETCH_THREADS = 4,     /* for checking, 1 to 1024; 0: one per core */
};
MLFETCH_API enum mlfetch_status mlfetch_set_number(struct mlfetch *m,
    enum mlfetch_number which, uint64_t value, struct mlfetch_error *e);

struct mlfetch_progress {
    const char *what; /* "fetching", "putting", "getting", "checking" */
    uint64_t done;
    uint64_t held;  /* of done: was there before */
    uint64_t total; /* 0: unknown */
};

/* About ten times a second, and once at the end. Not 0: cancel. NULL: none. */
MLFETCH_API void mlfetch_on_progress(struct mlfetch *m,
    int (*fn)(void *user, const struct mlfetch_progress *now), void *user);

enum mlfetch_level { MLFETCH_WARNING = 1, MLFETCH_INFO = 2, MLFETCH_DEBUG = 3 };

/* Messages of this level and graver: one line, safe for a terminal. */
MLFETCH_API void mlfetch_on_message(struct mlfetch *m, enum mlfetch_level level,
    void (*fn)(void *user, enum mlfetch_level level, const char *text),
    void *user);

/* The call that runs, or else the next one, ends soon: MLFETCH_CANCELLED. */
MLFETCH_API void mlfetch_cancel(struct mlfetch *m);

/* ---- volumes ---- */

enum { MLFETCH_CREATE = 1, MLFETCH_REPLACE = 2 }; /* flags */
enum { MLFETCH_PATH_MAX = 4096 };                 /* bytes, with its end */

/* A volume's folder, or a name below MLFETCH_VOLUMES. CREATE: made if it is
 * not there. *out is NULL after a failure. One in object storage, "s3://...",
 * is for the programs: MLFETCH_USAGE. */
struct mlfetch_volume;
MLFETCH_API enum mlfetch_status mlfetch_volume_open(struct mlfetch *m,
    const char *volume, unsigned flags, struct mlfetch_volume **out,
    struct mlfetch_error *e);
MLFETCH_API void mlfetch_volume_free(struct mlfetch_volume *v);
MLFETCH_API const char *mlfetch_volume_folder(const struct mlfetch_volume *v);

struct mlfetch_entry {
    const char *name;
    uint64_t size;
    const char *sha256; /* 64 hexadecimal digits */
    int64_t time;       /* when it was put */
};

/* All that was put, sorted by name; prefix: that name, or what is below it;
 * NULL: all. fn returns 0 to go on; else MLFETCH_CANCELLED. */
MLFETCH_API enum mlfetch_status mlfetch_volume_list(struct mlfetch_volume *v,
    const char *prefix,
    int (*fn)(void *user, const struct mlfetch_entry *entry), void *user,
    struct mlfetch_error *e);

/* Where a file that was put can be read, not written. */
MLFETCH_API enum mlfetch_status mlfetch_volume_path(struct mlfetch_volume *v,
    const char *name, char out[MLFETCH_PATH_MAX], struct mlfetch_error *e);

/* Copy a file, or a folder's files, in; name NULL: its own. Visible whole or
 * not at all. A name with other content: MLFETCH_USAGE, unless REPLACE. */
MLFETCH_API enum mlfetch_status mlfetch_volume_put(struct mlfetch_volume *v,
    const char *path, const char *name, unsigned flags,
    struct mlfetch_error *e);

/* Copy a file out, its digest checked on the way; it appears whole or not at
 * all. One that is there: MLFETCH_USAGE, unless REPLACE. */
MLFETCH_API enum mlfetch_status mlfetch_volume_get(struct mlfetch_volume *v,
    const char *name, const char *path, unsigned flags,
    struct mlfetch_error *e);

/* ---- repositories: "org/name", "org/name@revision", "hf://datasets/..." ----
 */

/* One pull; the volume NULL: into the hub cache. *out is NULL after a failure.
 * The volume must not be freed before the pull. */
struct mlfetch_pull;
MLFETCH_API enum mlfetch_status mlfetch_pull_new(struct mlfetch *m,
    struct mlfetch_volume *v, const char *repository, struct mlfetch_pull **out,
    struct mlfetch_error *e);
MLFETCH_API void mlfetch_pull_free(struct mlfetch_pull *p);

/* Only files that match one of these, and none of those. '*' matches '/'. */
MLFETCH_API enum mlfetch_status mlfetch_pull_include(
    struct mlfetch_pull *p, const char *glob, struct mlfetch_error *e);
MLFETCH_API enum mlfetch_status mlfetch_pull_exclude(
    struct mlfetch_pull *p, const char *glob, struct mlfetch_error *e);

/* Fetch what is missing, checked while it comes. May be run again: what is
 * held is not fetched twice, and what was interrupted goes on. */
MLFETCH_API enum mlfetch_status mlfetch_pull_run(
    struct mlfetch_pull *p, struct mlfetch_error *e);

/* After a run that was OK: the folder with the files, the commit, and the
 * bytes that the network brought. "" and 0 before. */
MLFETCH_API const char *mlfetch_pull_folder(const struct mlfetch_pull *p);
MLFETCH_API const char *mlfetch_pull_commit(const struct mlfetch_pull *p);
MLFETCH_API uint64_t mlfetch_pull_fetched(const struct mlfetch_pull *p);

/* Where the files of one that is held are; the volume NULL: the hub cache. */
MLFETCH_API enum mlfetch_status mlfetch_repository_path(struct mlfetch *m,
    struct mlfetch_volume *v, const char *repository,
    char out[MLFETCH_PATH_MAX], struct mlfetch_error *e);

/* ---- are these the right bytes ---- */

enum mlfetch_result {
    MLFETCH_CHECK_OK = 0,
    MLFETCH_CHECK_FAIL = 1,
    MLFETCH_CHECK_SKIP = 2, /* not checked; the detail says why */
    MLFETCH_CHECK_NOTE = 3, /* worth knowing, no failure */
};

struct mlfetch_finding {
    const char *target; /* what was checked, as it was asked for */
    const char *check;  /* "structure", "digest" ...: mlverify(1) */
    enum mlfetch_result result;
    const char *detail;
};

/*
 * Read every byte and tell fn, which may be NULL, what is found: of a file or
 * folder; of a repository that is held; of a file that was put. MLFETCH_OK
 * when nothing failed; else what failed worst: MLFETCH_REFUSED (unsafe or
 * malformed), then MLFETCH_CORRUPT, then MLFETCH_NO.
 */
MLFETCH_API enum mlfetch_status mlfetch_check_path(struct mlfetch *m,
    const char *path,
    void (*fn)(void *user, const struct mlfetch_finding *finding), void *user,
    struct mlfetch_error *e);
MLFETCH_API enum mlfetch_status mlfetch_check_repository(struct mlfetch *m,
    struct mlfetch_volume *v, const char *repository,
    void (*fn)(void *user, const struct mlfetch_finding *finding), void *user,
    struct mlfetch_error *e);
MLFETCH_API enum mlfetch_status mlfetch_check_put(struct mlfetch_volume *v,
    const char *name,
    void (*fn)(void *user, const struct mlfetch_finding *finding), void *user,
    struct mlfetch_error *e);

#ifdef __cplusplus
}
#endif

#endif
