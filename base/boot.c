#include "base/boot.h"

#include <ctype.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"

void boot_id(char out[BOOT_ID_MAX])
{
    int fd AUTO(fd_close) =
        open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, out, BOOT_ID_MAX - 1);

    while (n > 0 && !isxdigit((unsigned char)out[n - 1]))
        n--;
    out[n > 0 ? n : 0] = '\0';
}
