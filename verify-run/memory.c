#include "verify-run/memory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/human.h"
#include "base/path.h"

enum { TEXT_MAX = 16 << 10 };

/* Files of the kernel say they are empty, so they are read to their end. */
static bool read_text(const char *path, char text[TEXT_MAX])
{
    struct err ignored = ERR_INIT;
    int fd AUTO(fd_close) = file_open(path, NULL, &ignored);
    ssize_t len = fd < 0 ? -1 : read(fd, text, TEXT_MAX - 1);

    text[len > 0 ? len : 0] = '\0';
    return len > 0;
}

/* The number behind a key at the start of a line; "" is the whole text. */
static bool find_number(const char *text, const char *key, uint64_t *out)
{
    size_t n = strlen(key);
    char *end;

    while (strncmp(text, key, n) != 0) {
        text = strchr(text, '\n');
        if (text == NULL)
            return false;
        text++;
    }
    *out = strtoull(text + n, &end, 10);
    return end != text + n;
}

/* Where the two versions of control groups say the same. */
struct version {
    const char *line; /* of /proc/self/cgroup, up to the path */
    const char *mount;
    const char *limit, *used;
    const char *cache[2]; /* counted as used, and given back when asked for */
};

static const struct version versions[] = {
    { "0::", "", "memory.max", "memory.current",
        { "inactive_file ", "active_file " } },
    { ":memory:", "/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
        { "total_inactive_file ", "total_active_file " } },
};

static bool number_in(
    const char *folder, const char *file, const char *key, uint64_t *out)
{
    char path[PATH_MAX], text[TEXT_MAX];
    struct err ignored = ERR_INIT;

    return path_join(path, folder, file, &ignored) == 0 &&
           read_text(path, text) && find_number(text, key, out);
}

static bool one_group(
    const struct version *v, const char *folder, uint64_t *out)
{
    uint64_t limit, used, cache = 0, more;

    if (!number_in(folder, v->limit, "", &limit) ||
        !number_in(folder, v->used, "", &used))
        return false;
    for (size_t k = 0; k < ARRAY_LEN(v->cache); k++)
        if (number_in(folder, "memory.stat", v->cache[k], &more))
            cache += more;
    used -= size_min(used, cache);
    *out = limit - size_min(limit, used);
    return true;
}

/* "/a/b" of the line that names the group of this version, or "/". */
static void own_path(char out[PATH_MAX], const char *own, const char *line)
{
    const char *at = own;
    struct err ignored = ERR_INIT;

    path_fmt(out, &ignored, "/");
    while (at != NULL) {
        const char *found = strstr(at, line);
        size_t len = strcspn(at, "\n");

        if (found != NULL && found < at + len) {
            found += strlen(line);
            if (path_fmt(out, &ignored, "%.*s", (int)strcspn(found, "\n"),
                    found) != 0 ||
                out[0] != '/' || strstr(out, "/..") != NULL)
                path_fmt(out, &ignored, "/");
            return;
        }
        at = at[len] == '\n' ? at + len + 1 : NULL;
    }
}

/* The group and all around it. */
static bool least(
    const struct version *v, const char *root, const char *own, uint64_t *out)
{
    char path[PATH_MAX], folder[PATH_MAX];
    bool found = false;

    own_path(path, own, v->line);
    for (;;) {
        struct err ignored = ERR_INIT;
        uint64_t left;

        if (path_fmt(folder, &ignored, "%s%s%s", root, v->mount, path) == 0 &&
            one_group(v, folder, &left)) {
            *out = found ? size_min(*out, left) : left;
            found = true;
        }
        if (strcmp(path, "/") == 0)
            return found;
        path_dir(folder, sizeof(folder), path);
        memcpy(path, folder, sizeof(path));
    }
}

bool memory_group(const char *root, const char *own, uint64_t *out)
{
    for (size_t i = 0; i < ARRAY_LEN(versions); i++)
        if (least(&versions[i], root, own, out))
            return true;
    return false;
}

bool memory_available(uint64_t *out)
{
    char text[TEXT_MAX];
    uint64_t kib, group;

    if (!read_text("/proc/meminfo", text) ||
        !find_number(text, "MemAvailable:", &kib) || !size_mul(kib, 1024, out))
        return false;
    if (!read_text("/proc/self/cgroup", text))
        text[0] = '\0';
    if (memory_group("/sys/fs/cgroup", text, &group))
        *out = size_min(*out, group);
    return true;
}

int memory_check(uint64_t bytes, const char *what, struct err *e)
{
    uint64_t there = 0;
    char a[HUMAN_MAX];
    char b[HUMAN_MAX];

    if (!memory_available(&there) || bytes <= there)
        return 0;
    return err_set(e, ERR_NOMEM, "%s: %s of memory needed, %s available", what,
        human_size(a, bytes), human_size(b, there));
}

uint64_t memory_peak(void)
{
    char text[TEXT_MAX];
    struct rusage u;
    uint64_t kib;

    if (read_text("/proc/self/status", text) &&
        find_number(text, "VmHWM:", &kib))
        return kib * 1024;
    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)u.ru_maxrss * 1024;
}

void memory_peak_reset(void)
{
    int fd AUTO(fd_close) = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

    /* 5: the peak becomes what is held now (proc(5)) */
    if (fd >= 0 && write(fd, "5", 1) != 1)
        return;
}
