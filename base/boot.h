/* boot.h - which start of the machine this is. */
#ifndef BASE_BOOT_H
#define BASE_BOOT_H

enum { BOOT_ID_MAX = 64 };

/* boot_id - the kernel's id of this start; "" where it tells none. */
void boot_id(char out[BOOT_ID_MAX]);

#endif
