#include "cache/holder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* "7: FLOCK  ADVISORY  READ 1234 08:01:5678 0 EOF": 1234, if it is ours. */
static long pid_of_line(const char *line, const struct stat *st)
{
    const char *at = strstr(line, "READ ");
    char *end, want[64];
    long pid;

    if (at == NULL)
        at = strstr(line, "WRITE ");
    if (at == NULL || strstr(line, "FLOCK") == NULL)
        return 0;
    pid = strtol(strchr(at, ' '), &end, 10);
    snprintf(want, sizeof(want), " %02x:%02x:%llu ", major(st->st_dev),
        minor(st->st_dev), (unsigned long long)st->st_ino);
    return strncmp(end, want, strlen(want)) == 0 ? pid : 0;
}

long holder_pid(int fd)
{
    FILE *f = fopen("/proc/locks", "re");
    char line[256];
    struct stat st;
    long pid = 0;

    if (f == NULL)
        return 0;
    if (fstat(fd, &st) == 0)
        while (pid <= 0 && fgets(line, sizeof(line), f) != NULL)
            pid = pid_of_line(line, &st);
    fclose(f);
    return pid > 0 ? pid : 0;
}

bool holder_file(int fd, const char *path)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}
