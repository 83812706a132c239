#include "cache/honest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file.h"

/* File systems that other machines write to, too (statfs(2)). */
static bool is_shared(int fd)
{
    static const uint32_t types[] = { 0x6969 /* NFS */, 0xFF534D42 /* CIFS */,
        0xFE534D42 /* SMB2 */, 0x0BD00BD0 /* Lustre */, 0x47504653 /* GPFS */,
        0x00C36400 /* Ceph */, 0x65735546 /* FUSE */, 0x01021997 /* 9p */ };
    struct statfs fs;

    if (fstatfs(fd, &fs) != 0)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if ((uint32_t)fs.f_type == types[i])
            return true;
    return false;
}

/* A lock that is held must be refused to a second opening of its file. */
bool honest_lock(int lock)
{
    char name[64];
    int fd AUTO(fd_close) = -1;

    snprintf(name, sizeof(name), "/proc/self/fd/%d", lock);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && !is_shared(fd) && flock(fd, LOCK_EX | LOCK_NB) != 0 &&
           errno == EWOULDBLOCK;
}
