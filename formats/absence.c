#include "formats/absence.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "base/str.h"

/* What programs that download call a file that is not whole yet. */
static const char *const unfinished[] = { ".incomplete", ".part", ".partial",
    ".crdownload", ".aria2", ".download" };

/*
 * Where they lie: beside the weights, where the official client keeps them
 * for a folder of one's own, and where a hub cache does for a snapshot.
 */
static const char *const places[] = { ".", ".cache/huggingface/download",
    "../../blobs" };

static bool is_unfinished(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(unfinished); i++)
        if (str_ends(str_of(name), unfinished[i]))
            return true;
    return false;
}

/* The first name by bytes, so that the message is always the same. */
static bool find_in(const char *folder, char out[NAME_MAX + 1])
{
    DIR *d = opendir(folder);
    struct dirent *entry;

    out[0] = '\0';
    if (d == NULL)
        return false;
    while ((entry = readdir(d)) != NULL)
        if (is_unfinished(entry->d_name) &&
            (out[0] == '\0' || strcmp(entry->d_name, out) < 0))
            snprintf(out, NAME_MAX + 1, "%s", entry->d_name);
    closedir(d);
    return out[0] != '\0';
}

/* "../../blobs" means what it says only below a folder of snapshots. */
static bool is_snapshot(const char *folder)
{
    char path[PATH_MAX];
    char up[PATH_MAX];

    if (realpath(folder, path) == NULL)
        return false;
    path_dir(up, sizeof(up), path);
    return strcmp(path_base(up), "snapshots") == 0;
}

static bool find_unfinished(const char *folder, char out[NAME_MAX + 1])
{
    size_t n = ARRAY_LEN(places) - (is_snapshot(folder) ? 0 : 1);

    for (size_t i = 0; i < n; i++) {
        char path[PATH_MAX];
        struct err ignored = ERR_INIT;

        if (path_join(path, folder, places[i], &ignored) == 0 &&
            find_in(path, out))
            return true;
    }
    return false;
}

static bool has(const char *folder, const char *name)
{
    char path[PATH_MAX];
    struct err ignored = ERR_INIT;

    return path_join(path, folder, name, &ignored) == 0 &&
           access(path, F_OK) == 0;
}

int absence_explain(const char *folder, struct err *e)
{
    char name[NAME_MAX + 1];

    if (find_unfinished(folder, name)) {
        err_set(e, ERR_MISSING,
            "%s holds no weights; a download is unfinished, or still at work: "
            "%.100s",
            folder, name);
        return err_hint(
            e, "fetch the model again (mlfetch pull goes on where it stopped)");
    }
    if (has(folder, "README.md") && !has(folder, "config.json")) {
        err_set(e, ERR_MISSING,
            "%s holds no weights; of the repository there is README.md, but "
            "no config.json",
            folder);
        return err_hint(e,
            "if it is gated: accept its terms on its page, then mlfetch login "
            "and mlfetch pull");
    }
    err_set(e, ERR_MISSING, "%s holds no weights", folder);
    return err_hint(e, "expected model.safetensors, pytorch_model.bin, one of "
                       "their index files, or one other checkpoint");
}
