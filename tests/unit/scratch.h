/*
 * scratch.h - a folder for one test, made under TMPDIR and removed at its
 * end, and the few things a test does with files.
 */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <fts.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[256];

static inline void scratch_open(void)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(scratch, sizeof(scratch), "%s/ml-test-XXXXXX",
        tmp != NULL && *tmp != '\0' && strlen(tmp) < 200 ? tmp : "/tmp");
    if (mkdtemp(scratch) == NULL) {
        perror(scratch);
        _Exit(1);
    }
}

static inline void scratch_close(void)
{
    char *roots[] = { scratch, NULL };
    FTS *f = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *at;

    while (f != NULL && (at = fts_read(f)) != NULL) {
        if (at->fts_info == FTS_D)
            chmod(at->fts_path, 0700);
        else
            remove(at->fts_path);
    }
    if (f != NULL)
        fts_close(f);
}

/* A path below the scratch folder; good until the eighth call after. */
__attribute__((format(printf, 1, 2))) static inline const char *at(
    const char *fmt, ...)
{
    static char ring[8][PATH_MAX];
    static unsigned turn;
    char *out = ring[turn++ % 8];
    int n = snprintf(out, PATH_MAX, "%s/", scratch);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(out + n, PATH_MAX - (size_t)n, fmt, ap);
    va_end(ap);
    return out;
}

static inline void make_dirs(const char *path)
{
    char part[PATH_MAX];

    for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
        mkdir(part, 0777);
    }
}

/* Write a file, and the folders it needs. */
static inline void write_file(const char *path, const void *bytes, size_t len)
{
    FILE *f;

    make_dirs(path);
    f = fopen(path, "w");
    if (f == NULL || fwrite(bytes, 1, len, f) != len || fclose(f) != 0) {
        perror(path);
        _Exit(1);
    }
}

static inline void write_text(const char *path, const char *text)
{
    write_file(path, text, strlen(text));
}

/* The content of a small file, or "(none)"; good until the next call. */
static inline const char *read_text(const char *path)
{
    static char text[1 << 16];
    FILE *f = fopen(path, "r");
    size_t n;

    if (f == NULL)
        return "(none)";
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

#endif
