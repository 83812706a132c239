#include "verify-run/memory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/human.h"

bool memory_available(uint64_t *out)
{
    static const char key[] = "MemAvailable:";
    struct err ignored = ERR_INIT;
    int fd AUTO(fd_close) = file_open("/proc/meminfo", NULL, &ignored);
    char text[4096];
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    const char *at;

    text[len > 0 ? len : 0] = '\0';
    at = strstr(text, key);
    return at != NULL &&
           size_mul(strtoull(at + strlen(key), NULL, 10), 1024, out);
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
