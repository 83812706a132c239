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
static const struct {
    const char *limit, *used, *stat;
    const char *cache[2]; /* counted as used, and given back when asked for */
} groups[] = {
    { "memory.max", "memory.current", "memory.stat",
        { "inactive_file ", "active_file " } },
    { "memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        { "total_inactive_file ", "total_active_file " } },
};

static bool number_in(
    const char *root, const char *file, const char *key, uint64_t *out)
{
    char path[PATH_MAX], text[TEXT_MAX];
    struct err ignored = ERR_INIT;

    return path_join(path, root, file, &ignored) == 0 &&
           read_text(path, text) && find_number(text, key, out);
}

bool memory_group(const char *root, uint64_t *out)
{
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        uint64_t limit, used, cache = 0, more;

        if (!number_in(root, groups[i].limit, "", &limit) ||
            !number_in(root, groups[i].used, "", &used))
            continue;
        for (size_t k = 0; k < ARRAY_LEN(groups[i].cache); k++)
            if (number_in(root, groups[i].stat, groups[i].cache[k], &more))
                cache += more;
        used -= size_min(used, cache);
        *out = limit - size_min(limit, used);
        return true;
    }
    return false;
}

bool memory_available(uint64_t *out)
{
    char text[TEXT_MAX];
    uint64_t kib, group;

    if (!read_text("/proc/meminfo", text) ||
        !find_number(text, "MemAvailable:", &kib) || !size_mul(kib, 1024, out))
        return false;
    if (memory_group("/sys/fs/cgroup", &group))
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
